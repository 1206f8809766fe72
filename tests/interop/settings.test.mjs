// The settings of an account at `latchkey serve`: names, passwords, keys, data, the end; with real mails, and judged by the
// clients of others.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { AtpAgent } from '@atproto/api'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { readCarWithRoot, verifyRepo } from '@atproto/repo'
import { act, openAccount, outcome } from './lib/account.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { CallbackApp } from './lib/callback-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, ofThisSuite } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { button, go, passThrough } from './lib/person.mjs'
import { freshAddress, Server } from './lib/serve.mjs'
import { verifyIdentity, verifyRepository } from './lib/verify.mjs'

describe('the settings of an account', () => {
  const suite = ofThisSuite()
  let server, app
  before(async () => {
    server = await Server.forTest(suite)
    app = loopbackApp(server)
  })
  const browser = () => new Browser([server.urls.auth], { address: freshAddress() })

  /** Somebody with an account, an app that may act for it, and the account page open. */
  async function member(email = freshEmail()) {
    const { parameters } = await signIn(browser(), server, await app.authorize(server.urls.pds), email)
    const { session } = await app.callback(parameters)
    const person = browser()
    const page = await openAccount(server, person, email)
    return { email, did: session.did, session, person, page }
  }
  const handleOf = async (did) => (await verifyIdentity(server, did)).handle
  const login = (identifier, password) => {
    const agent = new AtpAgent({ service: server.urls.pds })
    return agent.login({ identifier, password }).then(() => agent)
  }
  /** The notice about the last change: it names no secret and says where to look. */
  async function notice(email, seen) {
    const mail = await server.mail.mailAfter(email, seen)
    assert.doesNotMatch(mail.subject + mail.text, /\b\d{8}\b/)
    assert.match(mail.text, new RegExp(`${server.urls.auth}/account`))
    return mail
  }
  let names = 0
  const freshName = () => `n${process.pid.toString(36)}${(names++).toString(36)}`

  it('a new handle is in the DID document and leads to the account; the owner is told', async () => {
    let { email, did, person, page } = await member()
    const name = freshName()
    const seen = (await server.mails(email)).length
    page = await act(person, page, '/account/handle', { handle: name })
    assert.equal(outcome(page), 'handle_updated')
    assert.match(page.words, new RegExp(`@${name}\\.test`))
    assert.equal(await handleOf(did), `${name}.test`)
    assert.equal((await server.xrpc('com.atproto.identity.resolveHandle', { params: { handle: `${name}.test` } })).did, did)
    await notice(email, seen)
  })

  it('a handle has 3 to 18 characters, belongs to one, and a domain must point to the account', async () => {
    let { did, person, page } = await member()
    const other = await member()
    const taken = await handleOf(other.did)
    for (const [handle, said] of [
      ['ab', 'invalid_handle'],
      ['abcdefghijklmnopqrs', 'invalid_handle'],
      ['-abc', 'invalid_handle'],
      ['a_b', 'invalid_handle'],
      ['a.b', 'handle_unproven'],
      [taken, 'handle_taken'],
    ]) {
      page = await act(person, page, '/account/handle', { handle })
      assert.equal(outcome(page), said, handle)
    }
    for (const handle of [freshName().slice(-3).padStart(3, 'x'), freshName().padEnd(18, 'x')]) {
      page = await act(person, page, '/account/handle', { handle })
      assert.equal(outcome(page), 'handle_updated', handle)
      assert.equal(await handleOf(did), `${handle}.test`)
    }
  })

  it('a new address is proven by a code, both mailboxes hear of it, and it signs in from then on', async () => {
    let { email, did, person, page } = await member()
    const next = freshEmail('new')
    const seen = (await server.mails(email)).length
    page = await act(person, page, '/account/email', { email: next })
    page = await act(person, page, '/account/email/verify', { code: '1234567' })
    assert.match(page.words, /Invalid or expired code/)
    page = await act(person, page, '/account/email/verify', { code: await server.codeAfter(next, 0) })
    assert.equal(outcome(page), 'email_updated')
    await notice(email, seen)
    await notice(next, 1)
    const again = await signIn(browser(), server, await app.authorize(server.urls.pds), next)
    assert.equal((await app.callback(again.parameters)).session.did, did)
    const old = await signIn(browser(), server, await app.authorize(server.urls.pds), email)
    assert.notEqual((await app.callback(old.parameters)).session.did, did, 'the old one is free, and leads to this account no more')
  })

  it('an address of somebody else cannot be taken, and only its reader learns of it', async () => {
    const { person, page } = await member()
    const other = await member()
    const seen = (await server.mails(other.email)).length
    const asked = await act(person, page, '/account/email', { email: other.email })
    assert.ok(asked.formWith('code'))
    const done = await act(person, asked, '/account/email/verify', { code: await server.codeAfter(other.email, seen) })
    assert.equal(outcome(done), 'email_taken')
    assert.match((await other.person.open(other.page.url)).words, new RegExp(other.email))
  })

  it('a password can be chosen, for software that wants one, and given up', async () => {
    let { did, email, person, page } = await member()
    const handle = await handleOf(did)
    await assert.rejects(login(handle, 'correct horse battery'))
    page = await act(person, page, '/account/password', { password: '1234567' })
    assert.equal(outcome(page), 'invalid_password')
    const seen = (await server.mails(email)).length
    page = await act(person, page, '/account/password', { password: 'correct horse battery' })
    assert.equal(outcome(page), 'password_set')
    await notice(email, seen)
    const agent = await login(handle, 'correct horse battery')
    assert.equal(agent.session.did, did)
    page = await act(person, page, '/account/password/remove', {})
    assert.equal(outcome(page), 'password_removed')
    await assert.rejects(login(handle, 'correct horse battery'))
    await assert.rejects(agent.sessionManager.refreshSession(), undefined, 'and what it began is over')
  })

  it('an app password is shown once, works, and ends alone', async () => {
    let { did, person, page } = await member()
    const handle = await handleOf(did)
    page = await act(person, page, '/account/app-password/add', { name: 'A client', privileged: () => false })
    const [password] = /\b[a-z0-9]{4}(-[a-z0-9]{4}){3}\b/.exec(page.words)
    const agent = await login(handle, password)
    await agent.com.atproto.repo.createRecord({ repo: did, collection: 'com.example.note', record: { $type: 'com.example.note', text: 'x' } })
    page = await person.open(`${server.urls.auth}/account`)
    assert.ok(!page.text.includes(password))
    page = await act(person, page, '/account/app-password/revoke', {}, 'A client')
    assert.equal(outcome(page), 'app_password_revoked')
    await assert.rejects(login(handle, password))
    await assert.rejects(agent.sessionManager.refreshSession())
  })

  it('the repository can be downloaded, and is what @atproto/repo verifies', async () => {
    const { did, session, person, page } = await member()
    const record = { $type: 'com.example.note', text: 'to be kept' }
    const written = await session.fetchHandler('/xrpc/com.atproto.repo.createRecord', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ repo: did, collection: 'com.example.note', record }),
    })
    assert.equal(written.status, 200)
    const form = page.forms.find(({ action }) => action === '/account/data/repo')
    const answer = await fetch(new URL(form.action, page.url), {
      method: 'POST',
      body: new URLSearchParams(form.fields.map(({ name, value }) => [name, value])),
      headers: {
        origin: server.urls.auth,
        'sec-fetch-site': 'same-origin',
        cookie: [...person.jar(new URL(page.url))].map(([name, value]) => `${name}=${value}`).join('; '),
      },
    })
    assert.match(answer.headers.get('content-disposition'), /^attachment; filename=".*\.car"$/)
    const { signingKey } = await verifyIdentity(server, did)
    const { blocks, root } = await readCarWithRoot(new Uint8Array(await answer.arrayBuffer()))
    const { creates } = await verifyRepo(blocks, root, did, signingKey)
    assert.deepEqual(creates.map(({ collection }) => collection), ['com.example.note'])
  })

  it('a key of one’s own comes first among those that may change the DID, and goes again', async () => {
    let { did, email, person, page } = await member()
    const before = (await verifyIdentity(server, did)).data.rotationKeys
    for (const [Key, what] of [[Secp256k1Keypair, 'K-256'], [P256Keypair, 'P-256']]) {
      const key = (await Key.create()).did()
      const seen = (await server.mails(email)).length
      page = await act(person, page, '/account/rotation-key/add', { key })
      assert.equal(outcome(page), 'key_added', what)
      await notice(email, seen)
      assert.deepEqual((await verifyIdentity(server, did)).data.rotationKeys, [key, ...before])
      page = await act(person, page, '/account/rotation-key/remove', {}, key)
      assert.equal(outcome(page), 'key_removed')
      assert.deepEqual((await verifyIdentity(server, did)).data.rotationKeys, before)
    }
    page = await act(person, page, '/account/rotation-key/add', { key: 'did:key:zNothing' })
    assert.equal(outcome(page), 'invalid_key')
    page = await act(person, page, '/account/rotation-key/add', { key: before[0] })
    assert.equal(outcome(page), 'key_refused')
  })

  it('an account rests, and comes back as it was', async () => {
    let { did, email, person, page } = await member()
    page = await act(person, page, '/account/deactivate', {})
    assert.equal(outcome(page), 'deactivated')
    await assert.rejects(server.xrpcBytes('com.atproto.sync.getRepo', { did }), /RepoDeactivated/)
    assert.match(page.words, /Your account is resting/)
    page = await act(person, page, '/account/reactivate', {})
    assert.equal(outcome(page), 'reactivated')
    const { signingKey } = await verifyIdentity(server, did)
    await verifyRepository(server, did, signingKey)
    const again = await signIn(browser(), server, await app.authorize(server.urls.pds), email)
    assert.equal((await app.callback(again.parameters)).session.did, did)
  })

  it('deletion wants the word, ends everything, and frees address and handle', async () => {
    let { did, email, person, page } = await member()
    const handle = await handleOf(did)
    page = await act(person, page, '/account/delete', { confirm: 'delete' })
    assert.equal(outcome(page), 'confirm_delete')
    const seen = (await server.mails(email)).length
    page = await act(person, page, '/account/delete', { confirm: 'DELETE' })
    assert.equal(page.status, 200)
    assert.match(page.words, /Account Deleted/)
    await notice(email, seen)
    assert.equal(new URL((await person.open(`${server.urls.auth}/account`)).url).pathname, '/account/login')
    await assert.rejects(app.restore(did, true), undefined, 'the app is out')
    await assert.rejects(server.xrpcBytes('com.atproto.sync.getRepo', { did }), /RepoNotFound|RepoDeleted/)
    await assert.rejects(server.xrpc('com.atproto.identity.resolveHandle', { params: { handle } }))
    const next = await member()
    assert.equal(outcome(await act(next.person, next.page, '/account/handle', { handle })), 'handle_updated')
    const again = await signIn(browser(), server, await app.authorize(server.urls.pds), email)
    assert.notEqual((await app.callback(again.parameters)).session.did, did)
  })

  it('names from elsewhere are text in pages and mails', async () => {
    let { email, person, page } = await member()
    const hostile = '"><img src=x>&amp;\u202e{{code}}'
    const seen = (await server.mails(email)).length
    page = await act(person, page, '/account/app-password/add', { name: hostile.slice(0, 32) })
    page = await person.open(`${server.urls.auth}/account`)
    assert.ok(!page.text.includes('<img src=x'))
    if (page.words.includes('img src')) assert.ok(!(await server.mail.mailAfter(email, seen)).html.includes('<img src=x'))
  })

  it('in Chromium: first and second sign-in, every section, the end', scene(async () => {
    const chromium = await startChromium(suite)
    const by = await CallbackApp.start(suite, server)
    const visitor = await Visitor.open(chromium, { name: 'settings', extraHTTPHeaders: { 'x-forwarded-for': freshAddress() } })
    const { page } = visitor
    const email = freshEmail('a.rather-long-name-for-an-address')
    const look = (label) => () => visitor.lookEverywhere(label)
    const pass = (options) => passThrough(page, server, email, { origin: by.origin, stay: true, ...options })
    const leave = async () => page.goto((await by.client.authorize(server.urls.pds)).href)

    await leave()
    await pass({ at: { email: look('email'), code: look('code'), consent: look('consent-new') } })
    const { did } = await by.session()
    const { handle } = await by.client.identityResolver.resolve(did)
    await leave()
    await pass({ account: handle, at: { choose: look('choose'), consent: look('consent') } })
    assert.equal((await by.session()).did, did)

    await page.goto(`${server.urls.auth}/account`)
    await page.getByRole('heading', { name: `@${handle}` }).waitFor()
    for (const summary of await page.locator('details > summary').all()) await summary.click()
    await visitor.lookEverywhere('account')
    const mails = (await server.mails(email)).length
    await page.goto(`${server.urls.auth}/account/confirm`)
    await visitor.lookEverywhere('confirm')
    await go(page, page.getByRole('button', { name: /^Send a code to/ }))
    await visitor.lookEverywhere('confirm-code')
    await page.getByLabel('Code', { exact: true }).fill(await server.codeAfter(email, mails))
    await go(page, button(page, 'Continue'))
    await page.waitForURL(/\/account\?/)

    const next = freshEmail('new')
    await page.getByLabel('New e-mail address').fill(next)
    await go(page, button(page, 'Change address'))
    await visitor.lookEverywhere('email-change')
    await page.getByLabel('Code', { exact: true }).fill(await server.codeAfter(next, 0))
    await go(page, button(page, 'Change address'))
    await page.getByText(next).first().waitFor()
    await page.getByLabel('Name, such as the app').fill('A client')
    await go(page, button(page, 'Create app password'))
    await page.getByText('it is not shown again').waitFor()
    await visitor.lookEverywhere('app-password')
    await page.getByText('Delete account').click()
    await page.getByLabel('Type DELETE to confirm').fill('DELETE')
    await go(page, button(page, 'Delete for good'))
    await page.getByRole('heading', { name: 'Account Deleted' }).waitFor()
    await visitor.lookEverywhere('deleted')
    await visitor.close()
  }))
})

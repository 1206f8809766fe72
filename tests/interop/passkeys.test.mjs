// Passkeys on the pages of `latchkey serve`, in Chromium with an authenticator of its own. What the browser's part does on its
// own (suggestions that step aside, clones, what was removed elsewhere) is passkey.test.mjs.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { act, openAccount, outcome } from './lib/account.mjs'
import { Authenticator } from './lib/authenticator.mjs'
import { Browser } from './lib/browser.mjs'
import { CallbackApp } from './lib/callback-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, ofThisSuite } from './lib/network.mjs'
import { button, go, passThrough } from './lib/person.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

describe('passkeys at the sign-in service, in Chromium', () => {
  const suite = ofThisSuite()
  let server, chromium, app
  before(async () => {
    server = await Server.forTest(suite)
    chromium = await startChromium(suite)
    app = await CallbackApp.start(suite, server)
  })

  const visit = (options) => Visitor.open(chromium, { extraHTTPHeaders: { 'x-forwarded-for': freshAddress() }, ...options })
  const leave = async (page) => page.goto((await app.client.authorize(server.urls.pds)).href)
  /** A browser that has no suggestions, or a person who passes over them: the authenticator would take the first at once. */
  const withoutSuggestions = (page) => page.addInitScript(() => (PublicKeyCredential.isConditionalMediationAvailable = async () => false))
  const usePasskey = (page) => button(page, 'Sign in with a passkey').click()

  /** Somebody who has made an account by signing in to the app, with the account page open in `visitor`. */
  async function member(visitor, email = freshEmail()) {
    const { page } = visitor
    await leave(page)
    await passThrough(page, server, email, { origin: app.origin })
    const { did } = await app.session()
    const seen = (await server.mails(email)).length
    await page.goto(`${server.urls.auth}/account/login?add=1`)
    await page.getByLabel('E-mail address').fill(email)
    await go(page, button(page, 'Continue'))
    await page.getByLabel('Code', { exact: true }).fill(await server.codeAfter(email, seen))
    await go(page, button(page, 'Continue'))
    await page.waitForURL(`${server.urls.auth}/account`)
    return { email, did }
  }
  async function addPasskey(page, name, look = async () => {}) {
    await go(page, button(page, 'Add a passkey'))
    await look()
    await page.getByLabel('Name of the passkey').fill(name)
    await button(page, 'Create passkey').click()
    await page.getByText('Your passkey is ready.').waitFor()
    await page.getByRole('heading', { name, exact: true }).waitFor()
  }
  const approved = async (page) => {
    await button(page, 'Approve').waitFor()
    await go(page, button(page, 'Approve'))
    return (await app.session()).did
  }

  it('one is made in the settings, named, and signs in to an app without a mail', scene(async () => {
    const visitor = await visit({ name: 'passkeys' })
    const { page } = visitor
    await withoutSuggestions(page)
    const { email, did } = await member(visitor)
    const authenticator = await Authenticator.on(page)
    const seen = (await server.mails(email)).length
    await addPasskey(page, 'Blue laptop', () => visitor.lookEverywhere('add'))
    await visitor.lookEverywhere('account')
    const notice = await server.mail.mailAfter(email, seen)
    assert.match(notice.subject + notice.text, /passkey/i)
    const [made] = await authenticator.credentials()
    assert.equal(made.isResidentCredential, true)
    assert.equal(made.rpId, 'localhost')
    assert.ok(!Buffer.from(made.userHandle, 'base64').toString().includes(email), 'nothing about the person is in it')

    // Another device of the same person, to which it was synchronised.
    const second = await visit({ name: 'passkeys-app' })
    await withoutSuggestions(second.page)
    await (await Authenticator.on(second.page)).add(made)
    const mails = (await server.mails(email)).length
    await leave(second.page)
    await second.lookEverywhere('button')
    await usePasskey(second.page)
    assert.equal(await approved(second.page), did)
    assert.equal((await server.mails(email)).filter(({ subject }) => /\d{8}/.test(subject)).length, (await server.mails(email)).slice(0, mails).filter(({ subject }) => /\d{8}/.test(subject)).length, 'no code was mailed')
    await second.close()
    await visitor.close()
  }))

  it('it is among the suggestions of the first field', scene(async () => {
    const visitor = await visit()
    const { page } = visitor
    const { did } = await member(visitor)
    await Authenticator.on(page)
    await addPasskey(page, 'Phone')
    await leave(page) // this authenticator takes what is suggested
    assert.equal(await approved(page), did)
    await visitor.close()
  }))

  it('it opens the account pages, and confirms who is there', scene(async () => {
    const visitor = await visit()
    const { page } = visitor
    await withoutSuggestions(page)
    const { email } = await member(visitor)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'Phone')
    await page.goto(`${server.urls.auth}/account/confirm`)
    await usePasskey(page)
    await page.waitForURL(`${server.urls.auth}/account`)
    await go(page, button(page, 'Sign out'))
    await page.waitForURL(`${server.urls.auth}/account/login`)
    await usePasskey(page)
    await page.waitForURL(`${server.urls.auth}/account`)
    await page.getByText(email).first().waitFor()
    assert.ok((await authenticator.credentials())[0].signCount > 1)
    await visitor.close()
  }))

  it('it wants the person, not only the device', scene(async () => {
    const visitor = await visit({ expected: /verify-authentication/ })
    const { page } = visitor
    await withoutSuggestions(page)
    await member(visitor)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'Phone')
    await authenticator.setVerified(false)
    await leave(page)
    await usePasskey(page)
    await page.getByRole('alert').filter({ hasText: /passkey/i }).waitFor()
    assert.ok(await page.getByLabel('E-mail address').isVisible(), 'and there is another way')
    await visitor.close()
  }))

  it('it has another name when one likes, and signs nobody in when it is removed', scene(async () => {
    const visitor = await visit({ expected: /verify-authentication/ })
    const { page } = visitor
    await withoutSuggestions(page)
    const { email } = await member(visitor)
    await Authenticator.on(page)
    await addPasskey(page, 'Old phone')
    const methods = page.getByRole('region', { name: 'How you sign in' })
    await methods.getByText('Rename', { exact: true }).click()
    await methods.getByLabel('Name of the passkey').fill('Older phone')
    await go(page, methods.getByRole('button', { name: 'Save' }).first())
    await page.getByRole('heading', { name: 'Older phone' }).waitFor()
    const seen = (await server.mails(email)).length
    await go(page, page.getByRole('button', { name: 'Remove Older phone' }))
    await page.getByText('That passkey does not work any more.').waitFor()
    assert.match((await server.mail.mailAfter(email, seen)).text, /Older phone/)
    await leave(page)
    await usePasskey(page)
    await page.getByRole('alert').filter({ hasText: 'That passkey did not work here.' }).waitFor()
    await visitor.close()
  }))

  it('of somebody else it can be neither renamed nor removed', scene(async () => {
    const visitor = await visit()
    const { page } = visitor
    await member(visitor)
    await Authenticator.on(page)
    await addPasskey(page, 'Mine')
    const id = await page.getByRole('button', { name: 'Remove Mine' }).getAttribute('value')
    const stranger = new Browser([server.urls.auth], { address: freshAddress() })
    const other = await visit()
    const { email } = await member(other)
    await other.close()
    let theirs = await openAccount(server, stranger, email)
    const form = theirs.forms.find(({ action }) => action === '/account/passkey/add')
    for (const [path, fields] of [['/account/passkey/remove', [['passkey', id]]], ['/account/passkey/rename', [['passkey', id], ['name', 'Theirs']]]]) {
      theirs.forms.push({ ...form, action: path, fields: [...form.fields, ...fields.map(([name, value]) => ({ name, value }))] })
      assert.equal(outcome(await act(stranger, theirs, path, {})), 'nothing')
    }
    await page.reload()
    await page.getByRole('heading', { name: 'Mine', exact: true }).waitFor()
    await visitor.close()
  }))
})

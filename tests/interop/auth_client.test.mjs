// The client of Better Auth, unmodified, says the same to our service and to Better Auth's own, and hears the same.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { authClient } from './lib/auth-client.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { startExample } from './lib/example.mjs'
import { GenuineServer } from './lib/genuine.mjs'
import { codeIn, eventually, freshEmail, ofThisSuite } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

/**
 * What a walk heard, with everything that is another each time named after when it was first seen. null and missing are the
 * same: Better Auth's store in memory leaves out what SQL has as NULL. Where the client is, is not compared.
 */
class Transcript {
  #names = new Map()
  heard = []

  keep(step, answer) {
    this.heard.push([step, this.#neutral(answer)])
    return answer
  }
  #neutral(value, key) {
    if (value instanceof Date || /^\d{4}-\d\d-\d\dT/.test(value)) return '<date>'
    if (Array.isArray(value)) return value.map((one) => this.#neutral(one))
    if (value && typeof value === 'object')
      return Object.fromEntries(
        Object.keys(value)
          .sort()
          .filter((name) => value[name] !== null && value[name] !== undefined && !['ipAddress', 'userAgent', 'statusText'].includes(name))
          .map((name) => [name, this.#neutral(value[name], name)]),
      )
    if (typeof value === 'string' && !['code', 'message'].includes(key) && (/^[\w-]{20,}$/.test(value) || value.includes('@'))) {
      if (!this.#names.has(value)) this.#names.set(value, `<${key} ${this.#names.size + 1}>`)
      return this.#names.get(value)
    }
    return value
  }
}
const ok = ({ data, error }) => {
  assert.equal(error, null)
  return data
}
const byAge = (sessions) => sessions?.toSorted((a, b) => a.createdAt - b.createdAt)

async function codeFor(mailbox, email, seen) {
  const mail = await eventually(`a mail to ${email}`, async () => (await mailbox.mails(email))[seen])
  return codeIn(mail.subject)
}

/** Two devices of somebody who has a password. */
async function withAPassword({ baseURL }) {
  const script = new Transcript()
  const email = freshEmail()
  const password = 'correct horse battery'
  const { client } = authClient({ baseURL })
  const { client: second } = authClient({ baseURL })

  script.keep('nobody', await client.getSession())
  script.keep('too short', await client.signUp.email({ name: 'Ada', email, password: 'short' }))
  script.keep('no address', await client.signUp.email({ name: 'Ada', email: 'nowhere', password }))
  script.keep('sign up', await client.signUp.email({ name: 'Ada', email: email.toUpperCase(), password }))
  script.keep('who', await client.getSession())
  script.keep('taken', await second.signUp.email({ name: 'Eve', email, password }))
  script.keep('wrong', await second.signIn.email({ email, password: 'wrong horse battery' }))
  script.keep('unknown', await second.signIn.email({ email: freshEmail(), password }))
  script.keep('sign in', await second.signIn.email({ email, password, rememberMe: false }))
  script.keep('who', await second.getSession())
  script.keep('sessions', { data: byAge(ok(await client.listSessions())) })
  script.keep('accounts', await client.listAccounts())
  script.keep('update', await client.updateUser({ name: 'Ada Lovelace', image: 'https://example.com/a.png' }))
  script.keep('nothing to update', await client.updateUser({}))
  script.keep('who', await second.getSession())
  const [, other] = byAge(ok(await client.listSessions()))
  script.keep('revoke', await client.revokeSession({ token: other.token }))
  script.keep('revoked', await second.getSession())
  script.keep('of nobody', await client.revokeSession({ token: 'x'.repeat(32) }))
  script.keep('sign in', await second.signIn.email({ email, password }))
  script.keep('the others', await client.revokeOtherSessions())
  script.keep('revoked', await second.getSession())
  script.keep('wrong password', await client.changePassword({ currentPassword: 'wrong horse battery', newPassword: 'another horse' }))
  script.keep('new password', await client.changePassword({ currentPassword: password, newPassword: 'another horse', revokeOtherSessions: true }))
  script.keep('old one', await second.signIn.email({ email, password }))
  script.keep('new one', await second.signIn.email({ email, password: 'another horse' }))
  script.keep('last account', await client.unlinkAccount({ accountId: ok(await client.listAccounts())[0].id }))
  script.keep('all', await client.revokeSessions())
  script.keep('revoked', await client.getSession())
  script.keep('without a session', await client.listSessions())
  script.keep('without a session', await client.updateUser({ name: 'Nobody' }))
  script.keep('sign in', await client.signIn.email({ email, password: 'another horse' }))
  script.keep('sign out', await client.signOut())
  script.keep('sign out', await client.signOut())
  script.keep('nobody', await client.getSession())
  return script.heard
}

/** Two devices of somebody who gets codes by mail. */
async function withACode({ baseURL, mailbox }) {
  const script = new Transcript()
  const email = freshEmail()
  const { client } = authClient({ baseURL })
  const { client: second } = authClient({ baseURL })

  script.keep('no address', await client.emailOtp.sendVerificationOtp({ email: 'nowhere', type: 'sign-in' }))
  script.keep('no type', await client.emailOtp.sendVerificationOtp({ email, type: 'sign-up' }))
  script.keep('send', await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
  const code = await codeFor(mailbox, email, 0)
  script.keep('wrong', await client.signIn.emailOtp({ email, otp: code === '00000000' ? '00000001' : '00000000' }))
  script.keep('of somebody else', await client.signIn.emailOtp({ email: freshEmail(), otp: code }))
  script.keep('sign in', await client.signIn.emailOtp({ email: email.toUpperCase(), otp: code }))
  script.keep('again', await second.signIn.emailOtp({ email, otp: code }))
  script.keep('who', await client.getSession())
  script.keep('accounts', await client.listAccounts())
  script.keep('send', await second.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
  script.keep('sign in', await second.signIn.emailOtp({ email, otp: await codeFor(mailbox, email, 1) }))
  script.keep('who', await second.getSession())
  script.keep('sessions', { data: byAge(ok(await client.listSessions())) })
  script.keep('update', await client.updateUser({ name: 'Ada' }))
  script.keep('the others', await client.revokeOtherSessions())
  script.keep('revoked', await second.getSession())
  script.keep('no password', await second.signIn.email({ email, password: 'correct horse battery' }))
  script.keep('no password', await second.signUp.email({ name: 'Eve', email: freshEmail(), password: 'correct horse battery' }))
  script.keep('sign out', await client.signOut())
  script.keep('nobody', await client.getSession())
  return script.heard
}

describe('the client of Better Auth hears the same', () => {
  const suite = ofThisSuite()
  it('with a password, from the example of an app', async (t) => {
    const genuine = await GenuineServer.start(t, { emailAndPassword: { enabled: true } })
    assert.deepEqual(await withAPassword({ baseURL: await startExample(t, 'embed') }), await withAPassword({ baseURL: genuine.origin }))
  })

  it('with a code, from latchkey serve', async (t) => {
    const genuine = await GenuineServer.start(t, {}, { otpLength: 8, expiresIn: 600, allowedAttempts: 5, storeOTP: 'hashed' })
    const server = await Server.forTest(suite)
    assert.deepEqual(
      await withACode({ baseURL: server.urls.auth, mailbox: server }),
      await withACode({ baseURL: genuine.origin, mailbox: genuine }),
    )
  })
})

describe('at latchkey serve', () => {
  const suite = ofThisSuite()
  let server
  before(async () => {
    server = await Server.forTest(suite)
  })
  const browser = () => new Browser([server.urls.auth], { address: freshAddress() })

  it('a code that a script of the page took goes on in the flow of the app', async () => {
    const app = loopbackApp(server)
    const email = freshEmail()
    const person = browser()
    const page = await person.open(await app.authorize(server.urls.pds))
    const { client } = authClient({ baseURL: server.urls.auth, person })
    ok(await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
    ok(await client.signIn.emailOtp({ email, otp: await server.codeAfter(email, 0) }))
    const { search } = new URL(page.formWith('email').action, page.url)
    const consent = await person.open(`${server.urls.auth}/auth/complete${search}`)
    assert.match(consent.title, /Create Account & Authorize/)
    const { left } = await person.submit(consent, consent.formWith('action'), {}, 'approve')
    assert.match((await app.callback(left.searchParams)).session.did, /^did:plc:/)
    // Whoever is signed in by script in another browser is nobody here.
    const stranger = browser()
    const other = await stranger.open(await app.authorize(server.urls.pds))
    const there = await stranger.open(`${server.urls.auth}/auth/complete${new URL(other.formWith('email').action, other.url).search}`)
    assert.ok(there.formWith('email'))
  })

  it('answers addresses with and without an account alike', async () => {
    const app = loopbackApp(server)
    const known = freshEmail('al-known')
    await signIn(browser(), server, await app.authorize(server.urls.pds), known)
    const walk = async (email) => {
      const { client } = authClient({ baseURL: server.urls.auth, person: browser() })
      const heard = []
      for (let i = 0; i < 4; ++i) heard.push(await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
      for (let i = 0; i < 7; ++i) heard.push(await client.signIn.emailOtp({ email, otp: '12345678' }))
      return heard
    }
    assert.deepEqual(await walk(known), await walk(known.replace('known', 'nobody')))
  })

  it('refuses what another site sends', async () => {
    const email = freshEmail()
    const { client } = authClient({ baseURL: server.urls.auth, person: browser(), origin: 'https://evil.example' })
    assert.equal((await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' })).error.status, 403)
    assert.deepEqual(await server.mails(email), [])
  })
})

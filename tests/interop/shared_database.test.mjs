// `latchkey auth` and Better Auth's own server beside each other on one database: each honours what the other has made.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { authClient } from './lib/auth-client.mjs'
import { Browser } from './lib/browser.mjs'
import { codeIn, eventually, freshEmail } from './lib/network.mjs'
import { both, engines } from './lib/shared-database.mjs'

const password = 'correct horse battery'
const ok = ({ data, error }) => {
  assert.equal(error, null)
  return data
}

/** Somebody with one browser, at both servers: the cookies are of their host, which is the same. */
function visitor({ genuine, ours }) {
  const person = new Browser([genuine.origin, ours.origin])
  const at = (server) => authClient({ baseURL: server.origin, person }).client
  return { genuine: at(genuine), ours: at(ours), person }
}
async function signInWithCode(client, server, email) {
  const seen = (await server.mails(email)).length
  ok(await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
  const mail = await eventually(`a mail to ${email}`, async () => (await server.mails(email))[seen])
  return ok(await client.signIn.emailOtp({ email, otp: codeIn(mail.subject) }))
}
const others = { genuine: 'ours', ours: 'genuine' }

for (const engine of engines)
  for (const first of ['genuine', 'ours'])
    describe(`on ${engine}, ${first} first`, () => {
      it('tables, sessions, people and their ways in are shared', async (t) => {
        const servers = await both(t, engine, first)
        await t.test('the second to come finds nothing missing that it needs', () => {
          assert.deepEqual(servers.genuine.made.sort(), first === 'genuine' ? ['account', 'session', 'user', 'verification'] : [])
        })

        for (const [here, there] of Object.entries(others))
          await t.test(`who signs up at ${here} is signed in at ${there}, and signed out at both`, async () => {
            const somebody = visitor(servers)
            const email = freshEmail(here)
            const made = ok(await somebody[here].signUp.email({ name: 'Ada', email, password, image: 'https://example.com/a.png' }))
            const seen = [ok(await somebody.genuine.getSession()), ok(await somebody.ours.getSession())]
            assert.deepEqual(seen[0], seen[1])
            assert.equal(seen[0].user.id, made.user.id)
            ok(await somebody[there].updateUser({ name: 'Ada Lovelace' }))
            assert.equal(ok(await somebody[here].getSession()).user.name, 'Ada Lovelace')
            ok(await somebody[there].signOut())
            assert.equal(ok(await somebody[here].getSession()), null)
            assert.equal(ok(await somebody[there].getSession()), null)
          })

        for (const [here, there] of Object.entries(others))
          await t.test(`a password made at ${here} is good at ${there}`, async () => {
            const email = freshEmail(here)
            ok(await visitor(servers)[here].signUp.email({ name: 'Ada', email, password }))
            const somebody = visitor(servers)
            assert.equal((await somebody[there].signIn.email({ email, password: 'wrong horse battery' })).error.code, 'INVALID_EMAIL_OR_PASSWORD')
            ok(await somebody[there].signIn.email({ email, password }))
            ok(await somebody[there].changePassword({ currentPassword: password, newPassword: 'another horse' }))
            assert.equal((await visitor(servers)[here].signIn.email({ email, password })).error.code, 'INVALID_EMAIL_OR_PASSWORD')
            ok(await visitor(servers)[here].signIn.email({ email, password: 'another horse' }))
          })

        for (const [here, there] of Object.entries(others))
          await t.test(`who came to ${here} with a code comes to ${there} with one`, async () => {
            const email = freshEmail(here)
            const { user } = await signInWithCode(visitor(servers)[here], servers[here], email)
            const again = await signInWithCode(visitor(servers)[there], servers[there], email)
            assert.equal(again.user.id, user.id)
            assert.equal(again.user.emailVerified, true)
          })

        for (const [here, there] of Object.entries(others))
          await t.test(`a device signed in at ${here} is seen and signed out at ${there}`, async () => {
            const email = freshEmail(here)
            const one = visitor(servers)
            ok(await one[here].signUp.email({ name: 'Ada', email, password }))
            const two = visitor(servers)
            ok(await two[there].signIn.email({ email, password }))
            assert.equal(ok(await two[there].listSessions()).length, 2)
            ok(await two[there].revokeOtherSessions())
            assert.equal(ok(await one[here].getSession()), null)
            assert.notEqual(ok(await two[here].getSession()), null)
          })
      })
    })

// "Sign in with Bluesky" in an app that has `latchkey auth` beside it: its page calls the client of Better Auth with the
// package of clients/js, in Chromium; the accounts are at the reference PDS, and at `latchkey dev`.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { before, describe, it } from 'node:test'
import { AtpAgent } from '@atproto/api'
import pg from 'pg'
import { ask, askToSignIn, greeting, serveApp, stranger } from './lib/app-side.mjs'
import { AuthService } from './lib/auth-service.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { passThrough } from './lib/person.mjs'
import { ReferencePds } from './lib/reference-pds.mjs'
import { StoredSession, Tokens } from './lib/stored-session.mjs'

const secret = 'a secret that this test knows, to open what is stored'
const password = 'correct horse battery staple'
const ok = ({ data, error }) => {
  assert.equal(error, null)
  return data
}

let people = 0
/** An account at that host, in the hands of its owner. */
async function newAccount(host) {
  const agent = new AtpAgent({ service: host.urls.pds })
  const account = { handle: `ada-${++people}.test`, email: freshEmail(), password }
  await agent.createAccount(account)
  return { ...account, did: agent.session.did, agent }
}

// A picture of one pixel, with something behind its end that makes each one different.
const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')

/** Publishes a profile with two pictures. Answers with what others are to see of it. */
async function publishProfile(host, { agent, did }, { displayName, description }) {
  const pictures = {}
  const urls = {}
  for (const name of ['avatar', 'banner']) {
    const bytes = Buffer.concat([pixel, randomBytes(16)])
    const { data } = await agent.uploadBlob(bytes, { encoding: 'image/png' })
    pictures[name] = data.blob
    urls[name] = `${host.urls.pds}/xrpc/com.atproto.sync.getBlob?${new URLSearchParams({ did, cid: data.blob.ref.toString() })}`
  }
  const record = { $type: 'app.bsky.actor.profile', displayName, description, ...pictures }
  await agent.com.atproto.repo.putRecord({ repo: did, collection: record.$type, rkey: 'self', record })
  for (const url of Object.values(urls)) {
    const shown = await fetch(url)
    assert.equal(shown.headers.get('content-type'), 'image/png', url)
  }
  return { displayName, description, ...urls }
}
const columnsOf = (account, { displayName, description, avatar, banner }) => ({
  name: displayName,
  image: avatar,
  bskyDid: account.did,
  bskyHandle: account.handle,
  bskyBio: description,
  bskyBanner: banner,
})
const pick = (object, like) => Object.fromEntries(Object.keys(like).map((name) => [name, object[name]]))

const servers = {
  'the reference PDS': {
    start: (t) => ReferencePds.forTest(t),
    passThrough: (host, page, account, { origin }) => host.passThrough(page, account, origin),
  },
  'latchkey dev': {
    start: (t) => Network.forTest(t),
    passThrough: (host, page, { email, mails }, { origin }) => passThrough(page, host, email, { origin, seen: mails }),
  },
}
const databases = {
  SQLite: async () => ({}),
  async PostgreSQL(t) {
    const at = Object.fromEntries(process.env.LATCHKEY_TEST_POSTGRES.split(' ').map((pair) => pair.split('=')))
    const pool = (database) => new pg.Pool({ host: at.host, user: at.user, database, max: 2 })
    const name = `app_side_${process.pid}`
    const admin = pool(at.dbname)
    await admin.query(`CREATE DATABASE ${name}`) // it goes with the cluster of this run
    await admin.end()
    const mine = pool(name)
    t.after(() => mine.end())
    return {
      env: { LATCHKEY_AUTH_DATABASE: `postgres://${at.user}@/${name}?host=${encodeURIComponent(at.host)}` },
      rows: async (sql, ...values) => (await mine.query(sql, values)).rows,
    }
  },
}
const runs = [
  { at: 'the reference PDS', on: 'SQLite' },
  { at: 'latchkey dev', on: 'SQLite' },
  { at: 'latchkey dev', on: 'PostgreSQL', skip: !process.env.LATCHKEY_TEST_POSTGRES && 'LATCHKEY_TEST_POSTGRES is not set; run under tests/postgres.sh' },
]

/** The file of SQLite, as a second process has it. */
const sqliteRows = (service) => async (sql, ...values) => {
  const database = new DatabaseSync(join(service.folder, 'data', 'auth.sqlite'), { timeout: 5000 })
  try {
    return database.prepare(sql.replace(/\$(\d)/g, '?$1')).all(...values)
  } finally {
    database.close()
  }
}

/** `latchkey auth` for the users of that app, who have accounts at `host`. */
async function serviceFor(t, app, host, { file = '', env } = {}) {
  const service = await AuthService.prepare(t, {
    env: { BETTER_AUTH_SECRET: secret, ...env },
    file: `
trustedOrigins = ["${app.origin}"]
privateNetwork = true
[atproto]
enabled = true
plcDirectory = "${host.urls.plc}"
handleHost = "${host.urls.pds}"
allowedCalls = ["com.atproto.server.getSession"]
[emailOtp]
enabled = true
${file}`,
  })
  app.baseURL = service.origin
  return service
}

for (const { at, on, skip = false } of runs)
  describe(`an app whose people have accounts at ${at}, on ${on}`, { skip }, () => {
    const suite = ofThisSuite()
    const server = servers[at]
    let host, chromium, app, service, rows
    before(async () => {
      host = await server.start(suite)
      chromium = await startChromium(suite)
      app = await serveApp(suite)
      const { env, rows: given } = await databases[on](suite)
      service = await serviceFor(suite, app, host, { env, file: '[rateLimit]\nenabled = false' })
      rows = given ?? sqliteRows(service)
      await service.start()
    })

    const stored = (account) => new StoredSession(rows, secret, account.did)
    const newVisitor = () => Visitor.open(chromium)
    /** From the app's page to the account's server and back to where `origin` says. */
    async function signIn(page, account, { origin = app.origin } = {}) {
      const mails = host.mails && (await host.mails(account.email)).length
      await askToSignIn(page, app, account.handle)
      await page.waitForURL((url) => url.origin !== app.origin, { waitUntil: 'commit' })
      await server.passThrough(host, page, { ...account, mails }, { origin })
    }
    async function signedIn(page, account) {
      await signIn(page, account)
      assert.match(await greeting(page), /^Hello, /)
      return ok(await ask(page, 'getSession'))
    }
    /** Who the account's server says is calling it, when the service calls it for the person. */
    const whoCalls = async (page) => ok(await ask(page, 'bsky.call', 'com.atproto.server.getSession')).did
    /** What the callback answers when it lets nobody in. */
    async function refusal(page, account) {
      const answered = page.waitForResponse((response) => response.url().includes('/bsky/callback') && response.status() >= 400)
      await signIn(page, account, { origin: service.origin })
      const answer = await answered
      return { status: answer.status(), ...(await answer.json()) }
    }
    /** With other variables of the environment, until the test ends. */
    async function restarted(t, env) {
      const usual = service.env
      service.env = { ...usual, ...env }
      await service.restart()
      t.after(async () => {
        service.env = usual
        await service.restart()
      })
    }

    it('signs in through the client; the profile is in the user, and in bsky.getSession afresh', scene(async () => {
      const account = await newAccount(host)
      const profile = await publishProfile(host, account, { displayName: 'Ada Lovelace', description: 'Notes on\nthe engine' })
      const { page } = await newVisitor()
      await page.goto(app.origin)
      assert.equal(await greeting(page), stranger)
      const { user } = await signedIn(page, account)
      assert.equal(await greeting(page), 'Hello, Ada Lovelace!')
      assert.deepEqual(pick(user, columnsOf(account, profile)), columnsOf(account, profile))
      assert.equal(user.emailVerified, false)
      assert.match(user.email, /\.invalid$/)
      const seen = { active: true, did: account.did, handle: account.handle, ...profile }
      assert.deepEqual(pick(ok(await ask(page, 'bsky.getSession')), seen), seen)

      const changed = await publishProfile(host, account, { displayName: 'A. A. L.', description: 'Changed' })
      assert.deepEqual(pick(ok(await ask(page, 'bsky.getSession')), changed), changed)
      // The columns follow when they sign in again.
      assert.equal(ok(await ask(page, 'getSession')).user.name, 'Ada Lovelace')
      const again = await signedIn((await newVisitor()).page, account)
      assert.equal(again.user.id, user.id)
      assert.deepEqual(pick(again.user, columnsOf(account, changed)), columnsOf(account, changed))
    }))

    // Nobody waits for an hour: what is stored says that the hour is over.
    it('an access token that is over is refreshed, once, and the new one works', scene(async () => {
      const account = await newAccount(host)
      const { page } = await newVisitor()
      await signedIn(page, account)
      const row = stored(account)
      const first = await row.read()
      assert.ok(first.expires_at > Date.now() * 1000)
      ok(await ask(page, 'bsky.restore'))
      assert.deepEqual(await row.read(), first, 'a token that is good is kept')
      const uses = {
        restore: async () => ok(await ask(page, 'bsky.restore')).did,
        getSession: async () => ok(await ask(page, 'bsky.getSession')).did,
        call: () => whoCalls(page),
      }
      for (const [name, use] of Object.entries(uses)) {
        const old = await row.read()
        await row.change({ expires_at: (Date.now() - 1000) * 1000 })
        assert.equal(await use(), account.did, name)
        const fresh = await row.read()
        assert.notEqual(fresh.access_token, old.access_token, name)
        assert.notEqual(fresh.refresh_token, old.refresh_token, name)
        assert.ok(fresh.expires_at > Date.now() * 1000)
        assert.equal(await use(), account.did, name)
        assert.deepEqual(await row.read(), fresh, 'and not again')
      }
    }))

    it('two processes that are asked at once refresh once', scene(async (t) => {
      const account = await newAccount(host)
      const { page } = await newVisitor()
      await signedIn(page, account)
      const twin = await service.twin(t)
      const cookies = await page.context().cookies(service.origin)
      const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
      const restore = async ({ api }) =>
        (await fetch(`${api}/bsky/restore`, { method: 'POST', headers: { cookie, origin: app.origin } })).json()
      const row = stored(account)
      for (let round = 0; round < 5; ++round) {
        await row.change({ expires_at: (Date.now() - 1000) * 1000 })
        const before = await row.version()
        const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => restore(i % 2 ? twin : service)))
        for (const { active, did } of answers) assert.deepEqual([active, did], [true, account.did])
        assert.equal(await row.version(), before + 1)
      }
      assert.equal(await whoCalls(page), account.did)
    }))

    it('signing out of Bluesky revokes at the server; the session of the app goes on until it is ended, too', scene(async () => {
      const account = await newAccount(host)
      const { page } = await newVisitor()
      const { user } = await signedIn(page, account)
      const { client_id: clientId } = await (await fetch(`${service.api}/bsky/client-metadata.json`)).json()
      // First: in the hands of this test the tokens work.
      const row = stored(account)
      const renewed = await new Tokens(await row.read(), clientId).refresh()
      assert.equal(renewed.status, 200)
      await row.change({ access_token: renewed.body.access_token, refresh_token: renewed.body.refresh_token })
      const taken = new Tokens(await row.read(), clientId)
      const works = await taken.call()
      assert.deepEqual([works.status, works.body.did], [200, account.did])

      assert.deepEqual(ok(await ask(page, 'bsky.signOut')), { success: true })
      assert.equal((await taken.call()).status, 401)
      const refused = await taken.refresh()
      assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_grant'])
      assert.equal(await row.read(), undefined)
      assert.equal((await ask(page, 'bsky.getSession')).error.code, 'SESSION_NOT_FOUND')
      assert.equal((await ask(page, 'bsky.call', 'com.atproto.server.getSession')).error.code, 'BSKY_SESSION_ENDED')
      assert.deepEqual(ok(await ask(page, 'bsky.restore')), { active: false })

      assert.equal(ok(await ask(page, 'getSession')).user.id, user.id)
      ok(await ask(page, 'signOut'))
      await page.getByText(stranger).waitFor()
      assert.equal((await ask(page, 'bsky.restore')).error.status, 401)
    }))

    // What follows is the same on every database, and takes its time.
    if (on !== 'SQLite') return

    it('both sessions are there after a restart of the service', scene(async () => {
      const account = await newAccount(host)
      const { page } = await newVisitor()
      const { session } = await signedIn(page, account)
      await service.restart()
      await page.reload()
      assert.match(await greeting(page), /^Hello, /)
      assert.equal(ok(await ask(page, 'getSession')).session.token, session.token)
      assert.deepEqual(ok(await ask(page, 'bsky.restore')), { active: true, did: account.did, handle: account.handle })
      assert.equal(await whoCalls(page), account.did)
    }))

    if (at === 'the reference PDS')
      it('an access token that its server no longer knows is refreshed', scene(async () => {
        const account = await newAccount(host)
        const { page } = await newVisitor()
        await signedIn(page, account)
        const old = await stored(account).read()
        await host.forgetAccessTokens()
        assert.equal((await new Tokens(old, '').call()).status, 401)
        assert.equal(await whoCalls(page), account.did)
        const fresh = await stored(account).read()
        assert.notEqual(fresh.access_token, old.access_token)
        assert.equal((await new Tokens(fresh, '').call()).status, 200)
      }))

    /** Somebody who came with a code by mail. */
    async function withCode(page, email) {
      await page.goto(app.origin)
      await greeting(page)
      ok(await ask(page, 'emailOtp.sendVerificationOtp', { email, type: 'sign-in' }))
      return ok(await ask(page, 'signIn.emailOtp', { email, otp: await service.mail.codeAfter(email, 0) })).user
    }

    it('becomes a second way in of somebody who came by mail', scene(async () => {
      const account = await newAccount(host)
      const email = freshEmail()
      const { page } = await newVisitor()
      const { id } = await withCode(page, email)
      const linked = await signedIn(page, account)
      assert.deepEqual([linked.user.id, linked.user.email, linked.user.bskyDid], [id, email, account.did])
      const accounts = ok(await ask(page, 'listAccounts'))
      assert.deepEqual(accounts.map(({ providerId, accountId }) => [providerId, accountId]), [['atproto', account.did]])
      ok(await ask(page, 'signOut'))
      const alone = await signedIn((await newVisitor()).page, account)
      assert.deepEqual([alone.user.id, alone.user.email], [id, email])
    }))

    it('does not, where linking is switched off', async (t) => {
      await restarted(t, { LATCHKEY_AUTH_LINKING: 'false' })
      await scene(async () => {
        const account = await newAccount(host)
        const { page } = await newVisitor()
        const { id } = await withCode(page, freshEmail())
        const { status, code } = await refusal(page, account)
        assert.deepEqual([status, code], [403, 'ACCOUNT_LINKING_DISABLED'])
        await page.goto(app.origin)
        const { user } = ok(await ask(page, 'getSession'))
        assert.deepEqual([user.id, user.bskyDid], [id, null])
        assert.deepEqual(ok(await ask(page, 'listAccounts')), [])
        assert.equal(await stored(account).read(), undefined)
        // Who comes with nothing else is let in.
        assert.equal((await signedIn((await newVisitor()).page, account)).user.bskyDid, account.did)
      })(t)
    })

    it('lets in only those it knows, where signing up is switched off', async (t) => {
      const [known, unknown] = [await newAccount(host), await newAccount(host)]
      let id
      await scene(async () => {
        id = (await signedIn((await newVisitor()).page, known)).user.id
      })(t)
      await restarted(t, { LATCHKEY_AUTH_ATPROTO_DISABLE_SIGN_UP: 'true' })
      await scene(async () => {
        const { page } = await newVisitor()
        const { status, code } = await refusal(page, unknown)
        assert.deepEqual([status, code], [403, 'SIGNUP_DISABLED'])
        await page.goto(app.origin)
        assert.equal(await greeting(page), stranger)
        assert.deepEqual(await rows('SELECT "id" FROM "user" WHERE "bskyDid" = $1', unknown.did), [])
        assert.equal((await signedIn((await newVisitor()).page, known)).user.id, id)
      })(t)
    })
  })

describe('the limits of signing in', () => {
  const suite = ofThisSuite()
  let host, app, service
  before(async () => {
    host = await Network.forTest(suite)
    app = await serveApp(suite)
    service = await serviceFor(suite, app, host)
    await service.start()
  })
  const tooMany = { message: 'Too many requests. Please try again later.' }
  /** From that address, which the proxy on this machine vouches for. */
  async function sends(times, address, path, init = {}) {
    const answers = []
    for (let i = 0; i < times; ++i)
      answers.push(await fetch(`${service.api}${path}`, { redirect: 'manual', ...init, headers: { 'x-forwarded-for': address, ...init.headers } }))
    return answers
  }
  async function isRefused(answer) {
    assert.equal(answer.status, 429)
    const seconds = Number(answer.headers.get('x-retry-after'))
    assert.ok(seconds > 0 && seconds <= 60, `X-Retry-After: ${seconds}`)
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.deepEqual(await answer.json(), tooMany)
  }

  it('are five in a minute for starting', async () => {
    const start = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ handle: host.urls.pds }) }
    const answers = await sends(6, '192.0.2.1', '/bsky/sign-in', start)
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 200, 429])
    await isRefused(answers[5])
    const [elsewhere] = await sends(1, '192.0.2.2', '/bsky/sign-in', start)
    assert.equal(elsewhere.status, 200)
  })

  it('are ten in a minute for coming back', async () => {
    const answers = await sends(11, '192.0.2.1', '/bsky/callback?code=x&state=y&iss=z')
    assert.deepEqual(answers.map(({ status }) => status), [...Array(10).fill(302), 429])
    await isRefused(answers[10])
    const [elsewhere] = await sends(1, '192.0.2.2', '/bsky/callback?code=x&state=y&iss=z')
    assert.equal(elsewhere.status, 302)
  })

  it('are said by the client', scene(async () => {
    const chromium = await startChromium(suite)
    const { page } = await Visitor.open(chromium, { expected: /bsky/ })
    await page.goto(app.origin)
    await greeting(page)
    const start = () => ask(page, 'signIn.bsky', { handle: 'not a handle' })
    for (let i = 0; i < 5; ++i) assert.equal((await start()).error.status, 400)
    const { error } = await start()
    assert.deepEqual([error.status, error.message], [429, tooMany.message])
  }))
})

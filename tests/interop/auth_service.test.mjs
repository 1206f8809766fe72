// `latchkey auth` with the client of Better Auth, unmodified: on SQLite and on PostgreSQL, from the app's origin and from
// others, over restarts. And its pages in Chromium.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { stat, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { authClient } from './lib/auth-client.mjs'
import { AuthService } from './lib/auth-service.mjs'
import { Browser } from './lib/browser.mjs'
import { desktop, phone, scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { button, go, passThrough } from './lib/person.mjs'
import { freshDatabase, skipped } from './lib/postgres.mjs'

const ok = ({ data, error }) => {
  assert.equal(error, null)
  return data
}
const password = 'correct horse battery'
const elsewhere = 'http://notes.localhost:8123'
const ways = `
trustedOrigins = ["${elsewhere}"]
[emailAndPassword]
enabled = true
[emailOtp]
enabled = true
[bearer]
enabled = true
[jwt]
enabled = true
[anonymous]
enabled = true
[passkey]
enabled = true
[rateLimit]
enabled = false
`

const engines = [
  { engine: 'SQLite', env: () => ({}) },
  { engine: 'PostgreSQL', env: async () => ({ LATCHKEY_AUTH_DATABASE: (await freshDatabase()).location }), skip: skipped },
]

for (const { engine, env, skip = false } of engines)
  describe(`latchkey auth on ${engine}`, { skip }, () => {
    const suite = ofThisSuite()
    let service
    before(async () => {
      service = await AuthService.prepare(suite, { file: ways, env: await env() })
    })

    it('migrate shows what is missing, makes it, and then has nothing to do', async () => {
      const shown = await service.command('migrate')
      assert.equal(shown.code, 1, shown.stderr)
      for (const what of ['table user', 'table session', 'table account', 'table verification', 'table passkey', 'table jwks', 'index session_userId_idx'])
        assert.ok(shown.stdout.includes(`missing: ${what}\n`), what)
      assert.match(shown.stdout, /Nothing was changed/)
      const made = await service.command('migrate', '--apply')
      assert.equal(made.code, 0, made.stderr)
      assert.match(made.stdout, /made: {4}table user\n/)
      for (const more of [[], ['--apply']]) {
        const again = await service.command('migrate', ...more)
        assert.equal(again.code, 0)
        assert.match(again.stdout, /^Nothing to do/)
      }
    })

    it('a person signs up, is known, signs out and in again', async () => {
      await service.start()
      const email = freshEmail()
      const { client } = authClient({ baseURL: service.origin })
      assert.equal(ok(await client.signUp.email({ name: 'Ada', email, password })).user.email, email)
      assert.equal(ok(await client.getSession()).user.name, 'Ada')
      assert.deepEqual(ok(await client.signOut()), { success: true })
      assert.equal(ok(await client.getSession()), null)
      assert.equal((await client.signIn.email({ email, password: 'wrong horse battery' })).error.code, 'INVALID_EMAIL_OR_PASSWORD')
      ok(await client.signIn.email({ email, password }))
      assert.equal(ok(await client.listSessions()).length, 1)
    })

    it('a person signs in with a code by mail', async () => {
      const email = freshEmail()
      const { client } = authClient({ baseURL: service.origin })
      ok(await client.emailOtp.sendVerificationOtp({ email, type: 'sign-in' }))
      const mail = await service.mail.mailAfter(email)
      assert.match(mail.subject, /for Our Notes$/)
      assert.equal(mail.from.value[0].address, 'login@notes.example')
      const otp = await service.mail.codeAfter(email, 0)
      assert.equal(ok(await client.signIn.emailOtp({ email, otp })).user.emailVerified, true)
      assert.equal(ok(await client.getSession()).user.email, email)
    })

    it('scripts of trusted origins may read, with cookies; those of others may not', async () => {
      const { client } = authClient({ baseURL: service.origin, origin: elsewhere })
      ok(await client.signUp.email({ name: 'Eve', email: freshEmail(), password }))
      const get = (origin) => fetch(`${service.api}/get-session`, { headers: { origin } })
      const allowed = await get(elsewhere)
      assert.equal(allowed.headers.get('access-control-allow-origin'), elsewhere)
      assert.equal(allowed.headers.get('access-control-allow-credentials'), 'true')
      assert.match(allowed.headers.get('vary'), /origin/i)
      for (const origin of ['https://evil.example', `${elsewhere}.evil.example`, 'null']) {
        const foreign = await get(origin)
        assert.equal(foreign.headers.get('access-control-allow-origin'), null, origin)
      }
      const preflight = await fetch(`${service.api}/sign-in/email`, {
        method: 'OPTIONS',
        headers: { origin: elsewhere, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
      })
      assert.equal(preflight.status, 204)
      assert.match(preflight.headers.get('access-control-allow-headers'), /content-type/)
      const { client: stranger, person } = authClient({ baseURL: service.origin, origin: 'https://evil.example' })
      person.jar(new URL(service.origin)).set('some', 'cookie')
      assert.equal((await stranger.signIn.email({ email: freshEmail(), password })).error.code, 'INVALID_ORIGIN')
    })

    it('sessions outlive a restart, and SIGTERM ends it cleanly', async () => {
      const { client } = authClient({ baseURL: service.origin })
      ok(await client.signUp.email({ name: 'Ada', email: freshEmail(), password }))
      const before_ = ok(await client.getSession())
      const { code, signal } = await service.stop()
      assert.deepEqual({ code, signal }, { code: 0, signal: null })
      await service.start()
      assert.equal(ok(await client.getSession()).session.token, before_.session.token)
    })

    it('other languages verify a session with its cookie and the secret, by bearer token, or by JWT', async () => {
      const { client, person } = authClient({ baseURL: service.origin })
      const { token } = ok(await client.signUp.email({ name: 'Ada', email: freshEmail(), password }))
      const { BETTER_AUTH_SECRET: secret } = JSON.parse(await readFile(join(service.folder, 'data', 'secrets.json'), 'utf8'))
      const cookie = decodeURIComponent(person.jar(new URL(service.origin)).get('better-auth.session_token'))
      assert.equal(cookie, `${token}.${createHmac('sha256', secret).update(token).digest('base64')}`)
      const bearer = await fetch(`${service.api}/get-session`, { headers: { authorization: `Bearer ${token}` } })
      assert.equal((await bearer.json()).session.token, token)
      const jwt = await fetch(`${service.api}/token`, { headers: { authorization: `Bearer ${token}` } })
      const claims = JSON.parse(Buffer.from((await jwt.json()).token.split('.')[1], 'base64url'))
      assert.equal(claims.iss, service.origin)
    })
  })

describe('latchkey auth is configured', () => {
  it('by a file that it prints, which says what is missing', async (t) => {
    const service = await AuthService.prepare(t)
    const { stdout } = await service.command('auth', '--print-config')
    await writeFile(service.config, stdout)
    const checked = await service.command('check-config', '--auth')
    assert.equal(checked.code, 2)
    assert.match(checked.stderr, /BETTER_AUTH_URL \(baseURL in the file\) is missing/)
    await writeFile(service.config, stdout.replace('#baseURL = "https://app.example.com"', 'baseURL = "https://notes.example"').replace('[anonymous]', '[anonymous]\nenabled = true'))
    Object.assign(service.env, { LATCHKEY_AUTH_DATA_DIRECTORY: join(service.folder, 'fresh') })
    const good = await service.command('check-config', '--auth')
    assert.equal(good.code, 0, good.stderr)
    assert.match(good.stdout, /https:\/\/notes\.example/)
    assert.equal((await stat(join(service.folder, 'fresh', 'secrets.json'))).mode & 0o777, 0o600)
  })

  it('and refuses what it does not understand, with the line', async (t) => {
    const service = await AuthService.prepare(t, { file: 'trustedOrigin = "x"\n[session]\nexpiresIn = "a week"' })
    const { code, stderr } = await service.command('auth')
    assert.equal(code, 2)
    assert.match(stderr, /auth\.toml, line 5: there is no key trustedOrigin; did you mean trustedOrigins\?/)
    assert.match(stderr, /auth\.toml, line 7: session\.expiresIn must be a whole number/)
  })

  it('so that its cookies are those of a better-auth program', async (t) => {
    const service = await AuthService.forTest(t, {
      file: '[anonymous]\nenabled = true\n[cookies]\nprefix = "my-app"\nsecure = "always"\n',
      env: { BETTER_AUTH_SECRET: 'a secret that two programs share 0123456789' },
    })
    const { client, person } = authClient({ baseURL: service.origin })
    await client.$fetch('/sign-in/anonymous', { method: 'POST' })
    const cookie = person.jar(new URL(service.origin)).get('__Secure-my-app.session_token')
    const [token, signature] = decodeURIComponent(cookie).split('.')
    assert.equal(createHmac('sha256', 'a secret that two programs share 0123456789').update(token).digest('base64'), signature)
  })
})

/** An AppView as far as it suggests handles. */
async function startAppView(t, handles) {
  const appView = { asked: [] }
  const server = http.createServer((request, answer) => {
    const url = new URL(request.url, appView.origin)
    appView.asked.push({ path: url.pathname, q: url.searchParams.get('q'), headers: request.headers })
    const actors = handles.filter((handle) => handle.startsWith(url.searchParams.get('q'))).map((handle) => ({ did: 'did:plc:x', handle, displayName: 'Not shown' }))
    answer.writeHead(200, { 'content-type': 'application/json' })
    answer.end(JSON.stringify({ actors }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  appView.origin = `http://127.0.0.1:${server.address().port}`
  return appView
}

describe('the sign-in pages of latchkey auth', () => {
  const suite = ofThisSuite()
  let service, chromium, network, appView
  before(async () => {
    network = await Network.forTest(suite)
    appView = await startAppView(suite, ['alice.bsky.social', 'alina.example.com', 'bob.bsky.social'])
    service = await AuthService.forTest(suite, {
      file: `privateNetwork = true\ntypeahead = "${appView.origin}"\n${ways}[atproto]\nenabled = true\nplcDirectory = "${network.urls.plc}"\n`,
    })
    chromium = await startChromium(suite)
  })
  const screens = [
    { size: 'desktop', viewport: desktop },
    { size: 'phone, dark', viewport: phone, colorScheme: 'dark' },
    { size: 'phone, no JavaScript', viewport: phone, javaScript: false },
  ]
  for (const { size, ...screen } of screens)
    it(`sign in by code and out: ${size}`, scene(async () => {
      const email = freshEmail()
      const visitor = await Visitor.open(chromium, { ...screen, name: screen.javaScript === false ? undefined : `service-${size.replace(/\W+/g, '-')}` })
      const { page } = visitor
      await page.goto(`${service.origin}/sign-in?callbackURL=%2Fsign-in%3Flang%3Den`)
      await page.getByLabel('Bluesky handle').waitFor()
      await visitor.look('sign-in')
      await page.getByLabel('E-mail address').fill(email)
      await go(page, button(page, 'Continue'))
      await page.getByLabel('Code', { exact: true }).waitFor()
      await visitor.look('code')
      await page.getByLabel('Code', { exact: true }).fill(await service.mail.codeAfter(email, 0))
      await go(page, button(page, 'Continue'))
      await page.getByText('You are signed in to Our Notes as').waitFor()
      await visitor.look('you')
      await go(page, button(page, 'Sign out'))
      await page.getByLabel('E-mail address').waitFor()
    }))

  for (const javaScript of [true, false])
    it(`lead to the server of a Bluesky account and back${javaScript ? '' : ', without JavaScript'}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { javaScript })
      const { page } = visitor
      await page.goto(`${service.origin}/sign-in?callbackURL=%2Fsign-in%3Flang%3Den`)
      await page.getByLabel('Bluesky handle').fill(network.urls.pds)
      await button(page, 'Continue with Bluesky').click()
      await page.waitForURL(`${network.urls.auth}/**`)
      await passThrough(page, network, freshEmail(), { origin: service.origin, javaScript })
      await page.getByText('You are signed in to Our Notes as').waitFor()
      assert.match(await page.locator('.mono').innerText(), /^did:plc:/)
    }))

  it('suggest handles while one is typed, and the browser asks nobody else for them', scene(async () => {
    const visitor = await Visitor.open(chromium, { name: 'service-typeahead' })
    const { page } = visitor
    const requests = []
    page.on('request', (request) => requests.push(new URL(request.url())))
    await page.goto(`${service.origin}/sign-in`)
    const field = page.getByLabel('Bluesky handle')
    await field.pressSequentially('ali', { delay: 20 })
    const suggested = () => page.locator('#handles option').evaluateAll((options) => options.map((option) => option.value))
    await page.locator('#handles option').nth(1).waitFor({ state: 'attached' })
    assert.deepEqual(await suggested(), ['alice.bsky.social', 'alina.example.com'])
    await visitor.look('typed')
    await field.fill('someone@example.com')
    await page.waitForResponse((answer) => answer.url().includes('q=someone'))
    await page.waitForFunction(() => document.querySelectorAll('#handles option').length === 0)
    assert.deepEqual(appView.asked.map(({ path, q }) => [path, q]), [['/xrpc/app.bsky.actor.searchActorsTypeahead', 'ali']], 'once, after a pause')
    const { headers } = appView.asked[0]
    for (const name of ['cookie', 'referer', 'origin', 'x-forwarded-for', 'authorization']) assert.equal(headers[name], undefined, name)
    assert.deepEqual([...new Set(requests.map((url) => url.origin))], [service.origin])
    await visitor.close()
  }))

  for (const javaScript of [true, false])
    it(`make an account with a password, once its address is confirmed${javaScript ? '' : ', without JavaScript'}`, scene(async (t) => {
      const service = await AuthService.forTest(t, { file: '[emailAndPassword]\nenabled = true\nrequireEmailVerification = true\n' })
      const email = freshEmail()
      const visitor = await Visitor.open(chromium, { viewport: phone, javaScript, name: javaScript ? 'service-new' : undefined })
      const { page } = visitor
      await page.goto(`${service.origin}/sign-in`)
      await visitor.look('sign-in')
      await go(page, page.getByRole('link', { name: 'Create an account' }))
      await visitor.look('new')
      await page.getByLabel('Your name').fill('Ada')
      await page.getByLabel('E-mail address').fill(email)
      await page.getByLabel('Password').fill(password)
      await go(page, button(page, 'Create an account'))
      await page.getByText(`We sent a link to ${email}.`).waitFor()
      await visitor.look('sent')
      const { text } = await service.mail.mailAfter(email)
      await page.goto(text.match(/^http\S+$/m)[0])
      await page.getByLabel('E-mail address').fill(email)
      await page.getByLabel('Password').fill(password)
      await go(page, button(page, 'Continue'))
      await page.getByText('You are signed in to Our Notes as').waitFor()
      await visitor.close()
    }))

  it('a code that is wrong is asked for again, and nobody is signed in', async () => {
    const person = new Browser([service.origin])
    const page = await person.open(`${service.origin}/sign-in`)
    const code = await person.submit(page, page.formWith('email'), { email: freshEmail() })
    const again = await person.submit(code, code.formWith('code'), { code: '00000000' })
    assert.equal(again.status, 400)
    assert.match(again.words, /Invalid or expired code/)
    assert.ok((await person.open(`${service.origin}/sign-in`)).formWith('email'))
  })
})

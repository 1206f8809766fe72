// The acceptance list of the sign-in service, line by line, against `latchkey serve`.
// Lines that need more than this have a file of their own:
//   3. the same time: bench/README.md          6. recovery.test.mjs
//   7. providers.test.mjs                      8. deleting an account: settings.test.mjs
//   9. secrets: serve.test.mjs
// Where a clock has to be moved (an expired flow, a limit that is over) it is src/dev/world.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { before, describe, it } from 'node:test'
import { Browser, codeIn, signIn } from './lib/browser.mjs'
import { serveBrowserApp } from './lib/browser-app.mjs'
import { CallbackApp } from './lib/callback-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { certificateFor, confidentialApp, loopbackApp, Site } from './lib/oauth-app.mjs'
import { passThrough } from './lib/person.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

const wrong = (code) => (code === '00000000' ? '00000001' : '00000000')

describe('the acceptance list', () => {
  const suite = ofThisSuite()
  let server, app
  before(async () => {
    server = await Server.forTest(suite)
    app = loopbackApp(server, { scope: 'atproto transition:generic repo:com.example.note' })
  })
  const browser = () => new Browser([server.urls.pds, server.urls.auth], { address: freshAddress() })
  const authorize = (options) => app.authorize(server.urls.pds, options)
  const withHint = (url, email) => {
    url.searchParams.set('login_hint', email)
    return url
  }
  /** An address that has an account, and its DID. */
  async function member(name) {
    const email = freshEmail(name)
    const { parameters } = await signIn(browser(), server, await authorize(), email)
    return { email, did: (await app.callback(parameters)).session.did }
  }
  /** At the page that asks for the code. */
  async function atTheCode(email, person = browser()) {
    const page = await person.open(await authorize())
    return { person, page: await person.submit(page, page.formWith('email'), { email }) }
  }
  /** At the page that asks for approval. */
  async function atConsent(email, person = browser()) {
    const seen = (await server.mails(email)).length
    const { page } = await atTheCode(email, person)
    return { person, page: await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, seen) }) }
  }

  describe('1. both flows, end to end', () => {
    for (const flow of [1, 2]) {
      const steps = flow === 1 ? ['send', 'code', 'consent'] : ['email', 'code', 'consent']

      it(`Flow ${flow}: @atproto/oauth-client-node`, async () => {
        const email = freshEmail()
        const url = await authorize()
        const done = await signIn(browser(), server, flow === 1 ? withHint(url, email) : url, email)
        assert.deepEqual(done.steps, steps)
        const { session } = await app.callback(done.parameters)
        const own = await (await session.fetchHandler('/xrpc/com.atproto.server.getSession')).json()
        assert.equal(own.did, session.did)
      })

      it(`Flow ${flow}: a script of 60 lines`, async (t) => {
        const email = freshEmail()
        const script = spawn(
          process.execPath,
          [join(import.meta.dirname, 'lib', 'script.mjs'), server.urls.pds, server.urls.auth, ...(flow === 1 ? [email] : [])],
          { stdio: ['pipe', 'pipe', 'inherit'] },
        )
        t.after(() => script.kill())
        const lines = createInterface(script.stdout)[Symbol.asyncIterator]()
        const { url, steps: seen } = await signIn(browser(), server, (await lines.next()).value, email)
        assert.deepEqual(seen, steps)
        script.stdin.write(`${url.href}\n`)
        const token = JSON.parse((await lines.next()).value)
        assert.match(token.sub, /^did:plc:[a-z2-7]{24}$/)
        assert.deepEqual([token.token_type, token.scope], ['DPoP', 'atproto transition:generic'])
        assert.deepEqual(await once(script, 'close'), [0, null])
      })
    }

    it('@atproto/oauth-client-browser in Chromium', scene(async () => {
      const chromium = await startChromium(suite)
      const { origin } = await serveBrowserApp(suite, { network: server })
      const visitor = await Visitor.open(chromium, { expected: /\/oauth\/(par|token)$|\/xrpc\// })
      const { page } = visitor
      const said = page.locator('output').filter({ hasText: /./ })
      await page.goto(`${origin}/`)
      await said.waitFor()
      await Promise.all([page.waitForURL((to) => to.origin !== origin, { waitUntil: 'commit' }), page.evaluate(() => void app.signIn())])
      await passThrough(page, server, freshEmail(), { origin })
      await said.waitFor()
      assert.match(await said.innerText(), /^signed in as did:plc:/)
      await visitor.close()
    }))
  })

  describe('2. pages can be opened again', () => {
    it('two GETs and a reload send one mail and keep the step', async () => {
      const email = freshEmail()
      const person = browser()
      const url = withHint(await authorize(), email)
      const first = await person.open(url)
      const second = await person.open(url)
      assert.deepEqual(await server.mails(email), [], 'opening a page sends nothing')
      await person.submit(first, first.formTo('/auth/send'))
      await person.submit(second, second.formTo('/auth/send'))
      const page = await person.open(url)
      assert.ok(page.formWith('code'), 'the step is kept')
      const next = await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, 0) })
      assert.ok((await person.open(next.url)).formWith('action'), 'and the next')
      assert.equal((await server.mails(email)).length, 1)
    })

    it('a flow that is over says so, and where to go on', async () => {
      const person = browser()
      for (const path of ['/auth/step?flow_id=none', '/auth/complete', '/auth/consent?flow_id=none']) {
        const page = await person.open(`${server.urls.auth}${path}`)
        assert.equal(page.status, 400)
        assert.match(page.words, /Authentication session expired/)
        assert.match(page.words, /Go back to the app/)
      }
      const none = await person.open(`${server.urls.auth}/oauth/authorize`)
      assert.equal(none.status, 400)
    })
  })

  describe('3. the same answers, whoever it is', () => {
    /** What is another in every answer, taken out. */
    const neutral = ({ status, headers, text }, email) => {
      const fixed = Object.entries(headers).filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name))
      return JSON.stringify([status, fixed, text])
        .replaceAll(email, 'EMAIL')
        .replace(/(flow_id=|__Host-|magic_\w+=|value=\\")[\w~.%-]{20,}/g, '$1…')
        .replace(/[A-Za-z0-9_-]{20,}/g, '…')
    }
    const same = (known, unknown) => known.forEach((answer, i) => assert.equal(answer, unknown[i], `answer ${i}`))

    it('at the sign-in of an app', async () => {
      const walk = async (email) => {
        const seen = []
        const keep = (page) => (seen.push(neutral(page, email)), page)
        const person = browser()
        keep(await person.open(withHint(await authorize(), email)))
        let page = keep(await person.open(await authorize()))
        page = keep(await person.submit(page, page.formWith('email'), { email }))
        page = keep(await person.submit(page, page.formWith('code'), { code: '1234567' }))
        for (let i = 0; i < 4; ++i) page = keep(await person.submit(page, page.formTo('/auth/resend')))
        for (let i = 0; i < 6; ++i) page = keep(await person.submit(page, page.formWith('code'), { code: '123456789' }))
        return seen
      }
      const { email } = await member('al-known')
      same(await walk(email), await walk(email.replace('al-known', 'al-nobody')))
    })

    it('at the sign-in of the account pages', async () => {
      const walk = async (email) => {
        const seen = []
        const keep = (page) => (seen.push(neutral(page, email)), page)
        const person = browser()
        let page = keep(await person.open(`${server.urls.auth}/account/login`))
        page = keep(await person.submit(page, page.formWith('email'), { email }))
        for (let i = 0; i < 6; ++i) page = keep(await person.submit(page, page.formWith('code'), { code: '1234567' }))
        return seen
      }
      const { email } = await member('al-known')
      same(await walk(email), await walk(email.replace('al-known', 'al-nobody')))
    })
  })

  describe('4. limits of codes', () => {
    it('the sixth try fails even with the right digits', async () => {
      const email = freshEmail()
      let { person, page } = await atTheCode(email)
      const code = await server.codeAfter(email, 0)
      for (let i = 0; i < 5; ++i) {
        page = await person.submit(page, page.formWith('code'), { code: wrong(code) })
        assert.match(page.words, /Invalid or expired code/)
      }
      page = await person.submit(page, page.formWith('code'), { code })
      assert.match(page.words, /Invalid or expired code/)
    })
    it('the fifth may be right', async () => {
      const email = freshEmail()
      let { person, page } = await atTheCode(email)
      const code = await server.codeAfter(email, 0)
      for (let i = 0; i < 4; ++i) page = await person.submit(page, page.formWith('code'), { code: wrong(code) })
      page = await person.submit(page, page.formWith('code'), { code })
      assert.ok(page.formWith('action'))
    })
    it('the fourth mail in a quarter of an hour is not sent, and nobody is told; also after a restart', async () => {
      const email = freshEmail()
      let { person, page } = await atTheCode(email)
      const said = []
      for (const mails of [2, 3, 3]) {
        page = await person.submit(page, page.formTo('/auth/resend'))
        said.push(page.words)
        if (mails > said.length) await server.codeAfter(email, mails - 1)
      }
      assert.equal(new Set(said).size, 1)
      await server.restart()
      page = await person.submit(page, page.formTo('/auth/resend'))
      assert.equal(page.words, said[0])
      // Mails leave in order: when one that was asked for later is here, none is under way.
      const other = freshEmail()
      await atTheCode(other)
      await server.codeAfter(other, 0)
      assert.equal((await server.mails(email)).length, 3)
      const consent = await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, 2) })
      assert.ok(consent.formWith('action'), 'the last code that was sent is good')
    })
  })

  describe('5. consent', () => {
    it('shows the scopes that are asked for', async () => {
      const { page } = await atConsent(freshEmail())
      for (const words of [/Act on your behalf/, /com\.example\.note/]) assert.match(page.words, words)
      assert.match(page.title, /Create Account & Authorize/)
      const { email } = await member()
      assert.match((await atConsent(email)).page.title, /Authorize Application/)
    })
    it('deny is access_denied, and makes no account', async () => {
      const email = freshEmail()
      const { parameters } = await signIn(browser(), server, await authorize({ state: 'my own' }), email, { decision: 'deny' })
      assert.equal(parameters.get('error'), 'access_denied')
      assert.equal(parameters.get('iss'), server.urls.pds)
      assert.ok(parameters.get('state'))
      assert.match((await atConsent(email)).page.title, /Create Account/)
    })

    describe('a forged POST issues nothing', () => {
      const post = (person, action, fields, headers = {}) =>
        person.request(new URL(action, server.urls.auth), {
          method: 'POST',
          body: new URLSearchParams({ ...fields, action: 'approve' }).toString(),
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            origin: server.urls.auth,
            'sec-fetch-site': 'same-origin',
            'sec-fetch-mode': 'navigate',
            ...headers,
          },
        })
      const issued = (page) => /[?&#]code=/.test(page.headers.location ?? '')
      const formOf = (page) => {
        const form = page.formWith('action') ?? page.forms[0]
        return { action: form.action, csrf: form.fields.find(({ name }) => name === 'csrf').value }
      }

      it('of another flow', async () => {
        const { person, page } = await atConsent(freshEmail())
        const open = await person.open(await authorize())
        const target = formOf(page).action.replace(/flow_id=[^&]*/, formOf(open).action.match(/flow_id=[^&]*/)[0])
        for (const csrf of [formOf(page).csrf, formOf(open).csrf]) assert.ok(!issued(await post(person, target, { csrf })))
      })
      it('with another address: whose it is does not depend on the form', async () => {
        const victim = await member()
        const email = freshEmail()
        const { person, page } = await atConsent(email)
        const { action, csrf } = formOf(page)
        const said = await post(person, `${action}&email=${victim.email}&did=${victim.did}`, {
          csrf,
          email: victim.email,
          did: victim.did,
          sub: victim.did,
        })
        const back = new URL(said.headers.location)
        const { session } = await app.callback(back.searchParams)
        assert.notEqual(session.did, victim.did)
        assert.equal((await server.mails(victim.email)).length, 1)
      })
      it('without a session', async () => {
        const person = browser()
        const open = await person.open(await authorize())
        const { action, csrf } = formOf(open)
        const consent = `/auth/consent${new URL(action, server.urls.auth).search}`
        assert.ok(!issued(await post(person, consent, { csrf })))
      })
      it('from another browser, without a token, from another site', async () => {
        const { person, page } = await atConsent(freshEmail())
        const { action, csrf } = formOf(page)
        assert.ok(!issued(await post(browser(), action, { csrf })))
        assert.ok(!issued(await post(person, action, {})))
        assert.ok(!issued(await post(person, action, { csrf: csrf.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) })))
        assert.ok(!issued(await post(person, action, { csrf }, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })))
        assert.ok(issued(await post(person, action, { csrf })), 'nothing else was wrong with it')
      })
    })
  })

  describe('8. settings', () => {
    it('need a session, and every form its token', async () => {
      const { email } = await member()
      const person = browser()
      let page = await person.open(`${server.urls.auth}/account/login`)
      const seen = (await server.mails(email)).length
      page = await person.submit(page, page.formWith('email'), { email })
      page = await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, seen) })
      assert.equal(new URL(page.url).pathname, '/account')
      const actions = [...new Set(page.forms.filter(({ method }) => method === 'post').map(({ action }) => new URL(action, page.url).pathname))]
      assert.ok(actions.length >= 3, `${actions}`)
      const send = (who, path, headers = {}) =>
        who.request(`${server.urls.auth}${path}`, {
          method: 'POST',
          body: 'confirm=DELETE',
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            origin: server.urls.auth,
            'sec-fetch-site': 'same-origin',
            ...headers,
          },
        })
      for (const action of actions) {
        const stranger = await send(browser(), action)
        assert.ok(stranger.status === 403 || stranger.headers.location?.endsWith('/account/login'), `${action}: ${stranger.status}`)
        assert.equal((await send(person, action)).status, 403, `${action} without a token`)
        assert.equal((await send(person, action, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })).status, 403)
      }
      assert.equal((await person.open(`${server.urls.auth}/account`)).status, 200, 'still signed in')
    })
  })

  it('8. mails escape hostile names: of the server, of an app', async (t) => {
    const hostile = 'A & B <img src=x onerror=alert(1)> "C"'
    const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
    const site = await Site.start(t, { certificate })
    const names = [hostile, 'Evil\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script>', '\u202eevil {{code}}{{{code}}}']
    const other = await Server.forTest(t, {
      env: {
        SSL_CERT_FILE: certificate.ca,
        PDS_SERVICE_NAME: hostile,
        SMTP_FROM_NAME: `${hostile}\\, Eve <eve@example.com>`,
        PDS_OAUTH_TRUSTED_CLIENTS: names.map((_, i) => `${site.origin}/${i}/client-metadata.json`).join(), // whose names are shown
      },
    })
    for (const [i, name] of names.entries()) {
      const client = await confidentialApp(other, site, { name, path: `/${i}/` })
      const email = freshEmail()
      await signIn(new Browser([other.urls.auth]), other, await client.authorize(other.urls.pds), email)
      const second = await signIn(new Browser([other.urls.auth]), other, await client.authorize(other.urls.pds), email)
      assert.equal(second.steps.at(-1), 'code')
      for (const mail of await other.mails(email)) {
        assert.doesNotMatch(mail.html, /<(img src=x|script)/)
        assert.ok(!/[\r\n]/.test(mail.subject) && !mail.headers.has('bcc'))
        assert.deepEqual(mail.envelope.rcptTo.map(({ address }) => address), [email])
        assert.deepEqual(mail.from.value.map(({ address }) => address), ['login@community.example'])
        const code = codeIn(mail.subject)
        assert.equal(mail.text.split(code).length, 2, 'a name is no template')
      }
    }
  })

  describe('9. nothing internal is open', () => {
    for (const path of ['/metrics', '/_internal/account-by-email?email=a%40example.com', '/oauth/magic-callback?request_uri=x&email=a%40example.com&approved=1'])
      it(path, async () => {
        for (const origin of [server.urls.pds, server.urls.auth])
          for (const method of ['GET', 'POST']) {
            const { status, text } = await browser().request(`${origin}${path}`, { method })
            assert.ok([401, 404, 405].includes(status), `${method} ${origin}${path}: ${status} ${text}`)
          }
      })
  })
})

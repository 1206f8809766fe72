// The public integration guide of ePDS, followed to the letter, in both flows.
import assert from 'node:assert/strict'
import { describe, it, before } from 'node:test'
import { Browser, signIn } from './lib/browser.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { guideApp } from './guide.mjs'

for (const authHost of [undefined, 'auth.localhost']) {
  describe(`the integration guide, ${authHost ? 'pages on their own host' : 'one origin'}`, () => {
    const suite = ofThisSuite()
    let network, app
    before(async () => {
      network = await Network.forTest(suite, { authHost })
      app = guideApp(network.urls)
    })
    const browser = () => new Browser([network.urls.pds, network.urls.auth])

    async function wholeLogin(flow, email, person = browser()) {
      const { par, url, cookie } = await app.login(flow === 1 ? email : undefined)
      assert.deepEqual(par.tries, [400, 201], 'PAR always asks for a nonce first')
      const { url: back, steps } = await signIn(person, network, url, email)
      assert.equal(back.origin + back.pathname, app.redirectUri)
      const signedIn = await app.callback(back.searchParams, cookie)
      return { ...signedIn, steps, back, cookie }
    }

    it('is true of the host names', () => {
      const auth = new URL(network.urls.auth)
      assert.equal(auth.hostname, authHost ?? 'localhost')
      assert.equal(auth.port, new URL(network.urls.pds).port)
    })

    for (const flow of [1, 2]) {
      it(`works in Flow ${flow}`, async () => {
        const email = freshEmail()
        const first = await wholeLogin(flow, email)
        assert.deepEqual(first.steps, flow === 1 ? ['send', 'code', 'consent'] : ['email', 'code', 'consent'])
        assert.deepEqual(first.token.tries, [400, 200], 'the token endpoint asks for a nonce, too')
        assert.equal(first.token.json.token_type, 'DPoP')
        assert.equal(first.token.json.scope, 'atproto transition:generic')
        assert.match(first.did, /^did:plc:[a-z2-7]{24}$/)
        // A random handle, not made from the address.
        assert.match(first.handle, /^[a-z0-9]{6}\.test$/)
        assert.equal(first.back.searchParams.get('iss'), network.urls.pds)
        const again = await wholeLogin(3 - flow, email)
        assert.deepEqual([again.did, again.handle], [first.did, first.handle])
      })
    }

    it('is right that an address in the PAR body is refused', async () => {
      const { par } = await app.login(undefined, { login_hint: freshEmail() })
      assert.equal(par.answer.status, 400)
      assert.deepEqual(par.json, { error: 'invalid_request', error_description: 'Invalid login_hint' })
    })

    it('sends one mail however often the page is opened', async () => {
      const email = freshEmail()
      const { url, cookie } = await app.login(email)
      const person = browser()
      const first = await person.open(url)
      await person.open(url)
      assert.equal((await network.mails(email)).length, 0, 'opening a page sends nothing')
      const page = await person.submit(first, first.formTo('/auth/send'))
      await network.codeAfter(email, 0)
      await person.submit(first, first.formTo('/auth/send'))
      const reloaded = await person.open(url)
      assert.ok(page.formWith('code') && reloaded.formWith('code'))
      const code = await network.codeAfter(email, 0)
      const consent = await person.submit(reloaded, reloaded.formWith('code'), { code })
      const done = await person.submit(consent, consent.formWith('action'), {}, 'approve')
      const { did } = await app.callback(done.left.searchParams, cookie)
      assert.ok(did)
      assert.equal((await network.mails(email)).length, 1)
    })

    it('is safe: another browser cannot go on with the request, nor another key with the code', async () => {
      const email = freshEmail()
      const { url, cookie } = await app.login(email)
      const person = browser()
      await person.open(url)
      const stranger = await browser().open(url)
      assert.equal(stranger.status, 400)
      const { url: back } = await signIn(person, network, url, email)
      const { cookie: other } = await app.login(email)
      const stolen = JSON.stringify({ ...JSON.parse(cookie), dpopPrivateJwk: JSON.parse(other).dpopPrivateJwk })
      await assert.rejects(app.callback(back.searchParams, stolen), /invalid_grant|invalid_dpop_proof/)
      assert.ok((await app.callback(back.searchParams, cookie)).did, 'who holds the key loses nothing by it')
      await assert.rejects(app.callback(back.searchParams, cookie), /invalid_grant/, 'a code is spent by its first use')
    })

    it('shows pages that no frame, cache or script can get at', async () => {
      const { url } = await app.login()
      const page = await browser().open(url)
      assert.equal(page.headers['x-frame-options'], 'DENY')
      assert.match(page.headers['content-security-policy'], /default-src 'none'/)
      assert.match(page.headers['content-security-policy'], /frame-ancestors 'none'/)
      assert.doesNotMatch(page.headers['content-security-policy'], /unsafe-inline/)
      assert.equal(page.headers['cache-control'], 'no-store')
      assert.equal(page.headers['x-content-type-options'], 'nosniff')
      assert.match(page.headers['referrer-policy'], /no-referrer|same-origin/)
      for (const cookie of page.headers['set-cookie']) {
        assert.match(cookie, /HttpOnly/i)
        assert.match(cookie, /SameSite=Lax/i)
      }
    })
  })
}

// Between the app and the sign-in pages: how the answer comes back, what `prompt` asks for, which of several people it is.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { Agent } from '@atproto/api'
import { Browser, signIn } from './lib/browser.mjs'
import { confidentialApp, loopbackApp, networkWithSite } from './lib/oauth-app.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'

describe('the answer comes back', () => {
  const suite = ofThisSuite()
  let network
  before(async () => {
    network = await Network.forTest(suite)
  })

  for (const responseMode of ['query', 'fragment', 'form_post'])
    it(`as ${responseMode}, good or bad`, async () => {
      const app = loopbackApp(network, { responseMode })
      for (const decision of ['approve', 'deny']) {
        const url = await app.authorize(network.urls.pds)
        const answer = await signIn(new Browser([network.urls.pds]), network, url, freshEmail(), { decision })
        assert.equal(answer.url.origin + answer.url.pathname, 'http://127.0.0.1/callback')
        assert.equal(answer.url.search !== '', responseMode === 'query')
        assert.equal(answer.url.hash !== '', responseMode === 'fragment')
        assert.equal(answer.parameters.get('iss'), network.urls.pds)
        assert.equal(answer.last.status, responseMode === 'form_post' ? 200 : 303)
        assert.equal(answer.last.headers['cache-control'], 'no-store')
        assert.equal(answer.last.headers['referrer-policy'], responseMode === 'form_post' ? 'same-origin' : 'no-referrer')
        if (decision === 'approve') {
          const { session } = await app.callback(answer.parameters)
          assert.match(session.did, /^did:plc:/)
        } else {
          assert.equal(answer.parameters.get('error'), 'access_denied')
          await assert.rejects(app.callback(answer.parameters), /denied/)
        }
      }
    })
})

for (const kind of ['loopback', 'confidential'])
  describe(`in a browser that knows people, for a ${kind} client`, () => {
    const suite = ofThisSuite()
    const isConfidential = kind === 'confidential'
    let network, app
    before(async () => {
      if (isConfidential) {
        const made = await networkWithSite(suite)
        network = made.network
        app = await confidentialApp(network, made.site)
      } else {
        network = await Network.forTest(suite)
        app = loopbackApp(network)
      }
    })
    const newBrowser = () => new Browser([network.urls.pds])
    // What is asked of somebody signed in who allowed all of it before: a client that cannot prove who it is asks again.
    const again = isConfidential ? [] : ['consent']

    /** One sign-in, and what came of it. */
    async function signedIn(browser, { email, input, request, ...person } = {}) {
      const url = await app.authorize(input ?? network.urls.pds, request)
      const { parameters, steps, pages } = await signIn(browser, network, url, email, person)
      if (parameters.has('error')) return { error: parameters.get('error'), steps, pages, parameters }
      const { session } = await app.callback(parameters)
      return { did: session.did, session, steps, pages, parameters }
    }
    /** Somebody new who stays signed in in the browser. */
    async function newcomer(browser, more) {
      const email = freshEmail()
      const { did } = await signedIn(browser, { email, stay: true, ...more })
      const { handle } = await app.identityResolver.resolve(did)
      return { email, did, handle }
    }
    const refused = async (browser, error, options) => {
      const answer = await signedIn(browser, { request: { prompt: 'none' }, ...options })
      assert.deepEqual([answer.error, answer.steps], [error, []])
      assert.equal(answer.parameters.get('iss'), network.urls.pds)
      assert.ok(answer.parameters.get('state'))
    }

    it('prompt=none: login_required where nobody is signed in', async () => {
      const browser = newBrowser()
      await refused(browser, 'login_required')
      await newcomer(browser, { stay: false })
      await refused(browser, 'login_required')
    })

    it(`prompt=none: ${isConfidential ? 'a code' : 'consent_required'} where somebody is`, async () => {
      const browser = newBrowser()
      const { did, handle } = await newcomer(browser)
      if (isConfidential) {
        for (const input of [undefined, handle, did]) {
          const silent = await signedIn(browser, { input, request: { prompt: 'none' } })
          assert.deepEqual([silent.did, silent.steps], [did, []])
          assert.equal((await new Agent(silent.session).com.atproto.server.getSession()).data.did, did)
        }
      } else {
        await refused(browser, 'consent_required')
      }
      await refused(newBrowser(), 'login_required')
    })

    it('prompt=none: never for somebody else than the hint says', async () => {
      const browser = newBrowser()
      await newcomer(browser)
      const other = await newcomer(newBrowser())
      await refused(browser, 'login_required', { input: other.handle })
    })

    it('prompt=none: account_selection_required where several are signed in', async () => {
      const browser = newBrowser()
      const one = await newcomer(browser)
      await newcomer(browser)
      await refused(browser, 'account_selection_required')
      if (isConfidential) assert.equal((await signedIn(browser, { input: one.did, request: { prompt: 'none' } })).did, one.did)
      else await refused(browser, 'consent_required', { input: one.did })
    })

    it('prompt=login: a code is asked for, though somebody is signed in', async () => {
      const browser = newBrowser()
      const { did, email } = await newcomer(browser)
      for (const input of [undefined, did]) {
        const answer = await signedIn(browser, { email, input, request: { prompt: 'login' } })
        assert.deepEqual(answer.steps, [input ? 'send' : 'email', 'code', ...again])
        assert.equal(answer.did, did)
      }
    })

    it('prompt=create: the way to a new account, though somebody is signed in', async () => {
      const browser = newBrowser()
      const { did } = await newcomer(browser)
      const answer = await signedIn(browser, { email: freshEmail(), request: { prompt: 'create' } })
      assert.deepEqual(answer.steps, ['email', 'code', 'consent'])
      assert.notEqual(answer.did, did)
    })

    it('prompt=consent: the page is shown, though all was allowed before', async () => {
      const browser = newBrowser()
      const { did } = await newcomer(browser)
      const answer = await signedIn(browser, { account: did, input: did, request: { prompt: 'consent' } })
      assert.deepEqual([answer.did, answer.steps], [did, ['consent']])
    })

    it('prompt=select_account: two people, each gets their own session', async () => {
      const browser = newBrowser()
      const one = await newcomer(browser)
      const two = await newcomer(browser)
      for (const who of [one, two, one]) {
        const answer = await signedIn(browser, { account: who.did, request: { prompt: 'select_account' } })
        assert.deepEqual([answer.did, answer.steps], [who.did, ['choose', ...again]])
        for (const known of [one, two]) assert.ok(answer.pages.choose.words.includes(`@${known.handle}`))
        assert.ok(!answer.pages.choose.text.includes(one.email), 'whole addresses are nobody’s business here')
      }
      // Both sessions of the app are alive, each with its own account.
      for (const who of [one, two]) {
        const session = await app.restore(who.did, true)
        assert.equal((await new Agent(session).com.atproto.server.getSession()).data.did, who.did)
      }
    })

    it('offers whoever is signed in, and another account', async () => {
      const browser = newBrowser()
      const one = await newcomer(browser)
      const known = await signedIn(browser, { account: one.did })
      assert.deepEqual([known.did, known.steps], [one.did, ['choose', ...again]])
      const email = freshEmail()
      const other = await signedIn(browser, { email })
      assert.deepEqual(other.steps, ['choose', 'email', 'code', 'consent'])
      assert.notEqual(other.did, one.did)
      assert.ok(!other.pages.consent.words.includes(one.handle))
    })

    it('goes straight on when the app names who is signed in, and asks for the code of somebody else', async () => {
      const browser = newBrowser()
      const one = await newcomer(browser)
      const two = await newcomer(newBrowser())
      const known = await signedIn(browser, { input: one.handle })
      assert.deepEqual([known.did, known.steps], [one.did, again])
      const other = await signedIn(browser, { input: two.handle, email: two.email })
      assert.deepEqual([other.did, other.steps], [two.did, ['send', 'code', ...again]])
    })
  })

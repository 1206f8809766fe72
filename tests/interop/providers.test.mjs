// Sign-in with providers at `latchkey serve`: oidc-provider twice (one with its claims in the ID token, as Google has them; one
// that tells them at its userinfo endpoint only and signs with ES256), and a server with the shape of GitHub.
import assert from 'node:assert/strict'
import { before, beforeEach, describe, it } from 'node:test'
import { act, openAccount, outcome } from './lib/account.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { CallbackApp } from './lib/callback-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { GitHub } from './lib/github.mjs'
import { eventually, freePort, freshEmail, ofThisSuite } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { OpenIdProvider } from './lib/oidc.mjs'
import { button, go } from './lib/person.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

describe('sign-in with a provider', () => {
  const suite = ofThisSuite()
  const providers = {}
  let server, app
  before(async () => {
    const port = await freePort()
    const callback = (id) => `http://localhost:${port}/api/auth/callback/${id}`
    const google = await OpenIdProvider.start(suite, { redirectUris: [callback('giant')], claimsInIdToken: true })
    const acme = await OpenIdProvider.start(suite, { redirectUris: [callback('acme-id')], alg: 'ES256' })
    const turning = await OpenIdProvider.start(suite, { redirectUris: [callback('turning')] })
    const github = await GitHub.start(suite, { redirectUri: callback('github') })
    server = await Server.forTest(suite, {
      port,
      env: {
        OIDC_GIANT_ISSUER: google.issuer,
        OIDC_GIANT_CLIENT_ID: google.clientId,
        OIDC_GIANT_CLIENT_SECRET: google.clientSecret,
        OIDC_GIANT_LABEL: 'Giant',
        OIDC_ACME_ID_ISSUER: acme.issuer,
        OIDC_ACME_ID_CLIENT_ID: acme.clientId,
        OIDC_ACME_ID_CLIENT_SECRET: acme.clientSecret,
        OIDC_ACME_ID_LABEL: 'Acme & Sons',
        OIDC_TURNING_ISSUER: turning.issuer,
        OIDC_TURNING_CLIENT_ID: turning.clientId,
        OIDC_TURNING_CLIENT_SECRET: turning.clientSecret,
        GITHUB_CLIENT_ID: github.clientId,
        GITHUB_CLIENT_SECRET: github.clientSecret,
        GITHUB_BASE_URL: github.origin,
      },
    })
    app = loopbackApp(server)
    const openId = (oidc, id, label) => ({
      id,
      label,
      server: oidc,
      origin: oidc.issuer,
      add: (email, { verified = true } = {}) => oidc.add({ email, email_verified: verified }),
      moves: (who, email) => (oidc.people.get(who).email = email),
      comes: (who) => (oidc.person = who),
    })
    Object.assign(providers, {
      giant: openId(google, 'giant', 'Giant'),
      acme: openId(acme, 'acme-id', 'Acme & Sons'),
      turning: openId(turning, 'turning', 'TURNING'),
      github: {
        id: 'github',
        label: 'GitHub',
        server: github,
        origin: github.origin,
        add: (email, { verified = true } = {}) =>
          github.add({
            emails: [
              { email: freshEmail('old'), primary: false, verified: true, visibility: null },
              { email, primary: true, verified, visibility: 'private' },
            ],
          }),
        moves: (who, email) => (github.people.get(who).emails[1].email = email),
        comes: (who) => (github.person = who),
      },
    })
  })
  const browser = (...more) => new Browser([server.urls.auth, ...Object.values(providers).map(({ origin }) => origin), ...more], { address: freshAddress() })
  /** Who does not follow to the providers. */
  const stayingBrowser = () => new Browser([server.urls.auth], { address: freshAddress() })
  const authorize = (options) => app.authorize(server.urls.pds, options)

  /** From the app to the provider and back; where that ends. */
  async function through({ label }, { person = browser(), options } = {}) {
    const page = await person.open(await authorize(options))
    return { person, page: await person.follow(page, `Continue with ${label}`) }
  }
  const approve = async ({ person, page }) => {
    assert.ok(page.formWith?.('action'), `at consent: ${page.url} ${page.words}`)
    const { left } = await person.submit(page, page.formWith('action'), {}, 'approve')
    return (await app.callback(left.searchParams)).session.did
  }
  async function member(email = freshEmail()) {
    const { parameters } = await signIn(stayingBrowser(), server, await authorize(), email)
    return { email, did: (await app.callback(parameters)).session.did }
  }
  const hasAccount = async (email) => {
    const { pages } = await signIn(stayingBrowser(), server, await authorize(), email, { decision: 'deny' })
    return !/Create Account/.test(pages.consent.title)
  }

  let turned
  it('a provider changes its keys', async () => {
    const { turning } = providers
    turning.add(freshEmail())
    turned = await approve(await through(turning))
    turning.server.rotate()
  })

  for (const name of ['giant', 'acme', 'github'])
    describe(name, () => {
      let provider
      beforeEach(() => (provider = providers[name]))

      it('makes an account the first time, and finds it by who it is from then on', async () => {
        const email = freshEmail()
        const who = provider.add(email)
        const first = await through(provider)
        assert.match(first.page.title, /Create Account & Authorize/)
        const did = await approve(first)
        assert.deepEqual(await server.mails(email), [], 'no code was needed')
        assert.equal(await approve(await through(provider)), did)
        // Another address at the provider is the same person; the same address is, by its code, too.
        provider.moves(who, freshEmail('moved'))
        assert.equal(await approve(await through(provider)), did)
        const { parameters } = await signIn(stayingBrowser(), server, await authorize(), email)
        assert.equal((await app.callback(parameters)).session.did, did)
      })

      it('with an unverified address neither links nor creates', async () => {
        const { email } = await member()
        for (const address of [email, freshEmail('nobody')]) {
          const seen = (await server.mails(address)).length
          provider.add(address, { verified: false })
          const { page } = await through(provider)
          assert.ok(!page.left && !page.formWith('action'), `not signed in: ${page.url}`)
          assert.equal(await hasAccount(address), address === email)
          assert.ok((await server.mails(address)).length <= seen + 1, 'no code but the one of the look')
        }
        // And they are not signed in the next time either.
        provider.add(email, { verified: false })
        assert.ok(!(await through(provider)).page.formWith('action'))
      })

      it('an address that has an account is linked only after its code', async () => {
        const { email, did } = await member()
        const seen = (await server.mails(email)).length
        const who = provider.add(email)
        let { person, page } = await through(provider)
        assert.ok(!page.formWith('action'))
        if (page.formTo('/auth/send')) page = await act(person, page, '/auth/send', {})
        assert.ok(page.formWith('code'), page.words)
        page = await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, seen) })
        assert.match(page.title, /Authorize Application/)
        assert.equal(await approve({ person, page }), did)
        provider.comes(who)
        assert.equal(await approve(await through(provider)), did, 'and now it is')
      })

      it('who cannot read that mailbox is not linked', async () => {
        const { email, did } = await member()
        provider.add(email)
        const seen = (await server.mails(email)).length
        let { person, page } = await through(provider)
        if (page.formTo('/auth/send')) page = await act(person, page, '/auth/send', {})
        const code = await server.codeAfter(email, seen)
        page = await person.submit(page, page.formWith('code'), { code: code === '00000000' ? '00000001' : '00000000' })
        assert.match(page.words, /Invalid or expired code/)
        // The owner signs in elsewhere; that links nothing of the stranger's.
        const { parameters } = await signIn(stayingBrowser(), server, await authorize(), email)
        assert.equal((await app.callback(parameters)).session.did, did)
        assert.ok(!(await through(provider)).page.formWith('action'), 'asked again')
      })

      it('somebody who thinks again is back where they were', async () => {
        provider.comes(undefined)
        const { page } = await through(provider)
        assert.ok(page.formWith('email'), `${page.url} ${page.words}`)
      })

      it('an answer is for the browser that asked, and once', async () => {
        provider.add(freshEmail())
        const person = new Browser([server.urls.auth], { address: freshAddress() })
        const page = await person.open(await authorize())
        const { left } = await person.follow(page, `Continue with ${provider.label}`)
        const there = new Browser([provider.origin])
        const { left: back } = await there.open(left)
        assert.equal(back.pathname, `/api/auth/callback/${provider.id}`)
        const stranger = stayingBrowser()
        await stranger.open(await authorize())
        const refused = await stranger.open(back)
        assert.ok(!refused.left && !refused.formWith('action'), 'another browser')
        // The owner's browser: either it still goes on, or the state was spent by the attempt; never twice.
        const own = await person.open(back)
        const again = await person.open(back)
        assert.ok(!again.left && (!again.formWith('action') || own.formWith('action')))
      })
    })

  it('the way back is a path of ours, whoever says otherwise', async () => {
    for (const callbackURL of ['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)']) {
      const page = await stayingBrowser().open(`${server.urls.auth}/api/auth/sign-in/social?${new URLSearchParams({ provider: 'github', callbackURL })}`)
      assert.ok(!page.left && page.status >= 400, `${callbackURL}: ${page.status}`)
    }
    const none = await stayingBrowser().open(`${server.urls.auth}/api/auth/sign-in/social?provider=nobody&callbackURL=/auth/complete`)
    assert.ok(!none.left && none.status >= 400)
  })

  describe('in the settings', () => {
    it('providers are linked and unlinked', async () => {
      const { giant, github } = providers
      const { email, did } = await member()
      const person = browser()
      let page = await openAccount(server, person, email)
      for (const provider of [giant, github]) {
        // Another address than the account's: who is signed in here has proven to be its owner.
        provider.add(freshEmail('elsewhere'))
        const seen = (await server.mails(email)).length
        page = await act(person, page, '/account/provider/link', {}, provider.id)
        assert.equal(outcome(page), 'provider_linked', page.words)
        assert.ok(await server.mail.mailAfter(email, seen))
        assert.equal(await approve(await through(provider)), did)
        page = await person.open(`${server.urls.auth}/account`)
        const link = page.forms.find(({ action }) => action === '/account/provider/unlink').buttons[0].value
        page = await act(person, page, '/account/provider/unlink', {}, link)
        assert.equal(outcome(page), 'provider_unlinked')
        const after = await through(provider)
        assert.match(after.page.title, /Create Account/, 'nobody we know')
      }
    })

    it('what is somebody else’s cannot be linked', async () => {
      const { giant } = providers
      const who = giant.add(freshEmail())
      const did = await approve(await through(giant))
      const { email } = await member()
      const person = browser()
      const page = await openAccount(server, person, email)
      giant.comes(who)
      const said = await act(person, page, '/account/provider/link', {}, giant.id)
      assert.notEqual(outcome(said), 'provider_linked')
      assert.equal(await approve(await through(giant)), did)
    })
  })

  it('in Chromium', scene(async () => {
    const chromium = await startChromium(suite)
    const by = await CallbackApp.start(suite, server)
    const visitor = await Visitor.open(chromium, { name: 'providers', extraHTTPHeaders: { 'x-forwarded-for': freshAddress() } })
    const { page } = visitor
    const leave = async () => page.goto((await by.client.authorize(server.urls.pds)).href)
    const provider = (label) => page.getByRole('link', { name: `Continue with ${label}` })
    providers.acme.add(freshEmail('a.rather-long-name-for-an-address'))
    await leave()
    await visitor.lookEverywhere('buttons')
    await go(page, provider('Acme & Sons'))
    await button(page, 'Approve').waitFor()
    await visitor.lookEverywhere('consent-new')
    await go(page, button(page, 'Approve'))
    const { did } = await by.session()
    await leave()
    await go(page, provider('Acme & Sons'))
    await go(page, button(page, 'Approve'))
    assert.equal((await by.session()).did, did)

    // In the settings it is a form that leads to the provider, and there from wherever that sends people.
    await page.goto(`${server.urls.auth}/account/login`)
    await go(page, provider('Acme & Sons'))
    await page.getByRole('heading', { name: 'How you sign in' }).waitFor()
    providers.github.add(freshEmail('elsewhere'))
    await go(page, button(page, 'Link GitHub'))
    await page.getByText('You can sign in that way from now on.').waitFor()
    await visitor.lookEverywhere('linked')

    // An address that has an account already.
    const { email } = await member()
    providers.github.add(email)
    await leave()
    await go(page, provider('GitHub'))
    await page.getByLabel('Code', { exact: true }).or(button(page, 'Send code')).first().waitFor()
    await visitor.lookEverywhere('prove')
    providers.giant.comes(undefined)
    await leave()
    await go(page, provider('Giant'))
    await page.getByRole('textbox', { name: 'E-mail address' }).waitFor()
    await visitor.lookEverywhere('thought-again')
    await visitor.close()
  }))

  // Keys are fetched once a minute at most, whatever tokens ask for; by now most of it is over.
  it('and within a minute is believed again', async () => {
    const { turning } = providers
    const there = await eventually(
      'the new keys',
      async () => {
        const came = await through(turning)
        return came.page.formWith('action') && came
      },
      { within: 70_000 },
    )
    assert.equal(await approve(there), turned)
  })
})

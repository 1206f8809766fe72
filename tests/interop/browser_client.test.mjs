// @atproto/oauth-client-browser in Chromium: an app without a server, its sessions in the browser's database.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { serveBrowserApp } from './lib/browser-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { certificateFor } from './lib/oauth-app.mjs'
import { passThrough } from './lib/person.mjs'

// The client learns its nonces from refusals, and the browser writes each of them to the console.
const expected = /\/oauth\/(par|token)$|\/xrpc\//
const collection = 'com.example.note'

/** What the page says when it has done what it does at its start. */
async function said(page) {
  const output = page.locator('output')
  await output.filter({ hasText: /./ }).waitFor()
  return output.innerText()
}

async function whoIsSignedIn(page) {
  const text = await said(page)
  const did = /^signed in as (did:plc:[a-z2-7]{24})/.exec(text)?.[1]
  assert.ok(did, `the app says: ${text}`)
  return did
}

/** From the app's page through the sign-in pages and back. */
async function signIn({ network, origin }, page, email, { input, options, url = `${origin}/`, ...rest } = {}) {
  await page.goto(url)
  await said(page)
  await Promise.all([
    // To the pages, or straight back with an answer.
    page.waitForURL((to) => to.origin !== origin || /[#?].*state=/.test(to.href), { waitUntil: 'commit' }),
    page.evaluate(([i, o]) => void app.signIn(i, o), [input, options]),
  ])
  const steps = await passThrough(page, network, email, { origin, ...rest })
  return { steps, said: await said(page) }
}
const write = (page, did, text) =>
  page.evaluate(([d, c, t]) => app.call(d, 'com.atproto.repo.createRecord', { repo: d, collection: c, record: { $type: c, text: t } }), [did, collection, text])
async function works(page, did) {
  assert.equal((await write(page, did, 'written in the browser')).status, 200)
  const own = await page.evaluate((d) => app.call(d, 'com.atproto.server.getSession'), did)
  assert.equal(own.body.did, did)
}
const refresh = (page, did) => page.evaluate((d) => app.refresh(d), did)

describe('@atproto/oauth-client-browser as a loopback client', () => {
  const suite = ofThisSuite()
  let network, chromium, site, origin
  before(async () => {
    network = await Network.forTest(suite)
    chromium = await startChromium(suite)
    site = await serveBrowserApp(suite, { network })
    origin = site.origin
  })

  for (const mode of ['fragment', 'query'])
    it(`signs in by redirect, the answer in the ${mode}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { expected })
      const { page } = visitor
      const sentTo = []
      page.on('response', (response) => sentTo.push(response.headers().location ?? ''))
      const { steps } = await signIn(site, page, freshEmail(), { url: `${origin}/?mode=${mode}`, options: { state: 'my own' } })
      assert.deepEqual(steps, ['email', 'code', 'consent'])
      const did = await whoIsSignedIn(page)
      assert.equal(await said(page), `signed in as ${did} (my own)`)
      await works(page, did)
      const back = sentTo.find((url) => url.startsWith(origin))
      assert.match(back, mode === 'fragment' ? /^[^?]+#(.*&)?code=/ : /^[^#]+\?(.*&)?code=/)
      assert.ok(!page.url().includes('code='), 'the app has taken it out of the address')
      await visitor.close()
    }))

  it('signs in in a popup, which closes itself', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    await page.goto(`${origin}/`)
    assert.equal(await said(page), 'signed out')
    const opened = visitor.context.waitForEvent('page')
    await page.evaluate((pds) => void (app.popup = app.client.signInPopup(pds)), network.urls.pds)
    const popup = visitor.watch(await opened)
    const closed = popup.waitForEvent('close')
    await popup.waitForURL((url) => url.origin === network.urls.auth)
    await passThrough(popup, network, freshEmail(), { origin })
    await closed
    const did = await page.evaluate(async () => (await app.popup).did)
    await works(page, did)
    await visitor.close()
  }))

  it('comes back to an app whose person said no', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { said } = await signIn(site, visitor.page, freshEmail(), { decision: 'Deny' })
    assert.match(said, /^_?OAuthCallbackError: access_denied/)
    await visitor.close()
  }))

  it('keeps the session over a reload, and refreshes it', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    await signIn(site, page, freshEmail())
    const did = await whoIsSignedIn(page)
    const before = await page.evaluate((d) => app.stored(d), did)
    await page.reload()
    assert.equal(await whoIsSignedIn(page), did)
    assert.deepEqual(await page.evaluate((d) => app.stored(d), did), before)
    const after = await refresh(page, did)
    assert.notEqual(after.refresh_token, before.refresh_token)
    await works(page, did)
    await visitor.close()
  }))

  it('keeps the session over a restart of the browser', scene(async (t) => {
    const profile = await temporaryFolder(t)
    let visitor = await Visitor.open(chromium, { profile, expected })
    await signIn(site, visitor.page, freshEmail())
    const did = await whoIsSignedIn(visitor.page)
    await visitor.close()
    visitor = await Visitor.open(chromium, { profile, expected })
    await visitor.page.goto(`${origin}/`)
    assert.equal(await whoIsSignedIn(visitor.page), did)
    await works(visitor.page, did)
    await refresh(visitor.page, did)
    await works(visitor.page, did)
    await visitor.close()
  }))

  it('refreshes in two tabs at once, under the browser’s lock', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const one = visitor.page
    await signIn(site, one, freshEmail())
    const did = await whoIsSignedIn(one)
    const two = await visitor.tab()
    await two.goto(`${origin}/`)
    assert.equal(await whoIsSignedIn(two), did)
    const [a, b] = await Promise.all([refresh(one, did), refresh(two, did)])
    assert.notEqual(a.refresh_token, b.refresh_token, 'one after the other, two steps')
    for (const tab of [one, two]) await works(tab, did)
    await visitor.close()
  }))

  it('refreshes in two tabs at once in a browser without locks', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    await visitor.context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }))
    const one = visitor.page
    await signIn(site, one, freshEmail())
    const did = await whoIsSignedIn(one)
    const two = await visitor.tab()
    await two.goto(`${origin}/`)
    await said(two)
    const tabs = [one, two]
    for (const tab of tabs)
      await tab.evaluate((d) => {
        app.gate.hold = true
        app.refreshed = app.refresh(d)
      }, did)
    for (const tab of tabs) await tab.waitForFunction(() => app.gate.holding)
    for (const tab of tabs) await tab.evaluate(() => app.gate.open())
    const [a, b] = await Promise.all(tabs.map((tab) => tab.evaluate(() => app.refreshed)))
    assert.equal(a.refresh_token, b.refresh_token, 'both had the same token, and get the same successor')
    for (const tab of tabs) {
      await works(tab, did)
      await refresh(tab, did)
      await works(tab, did)
    }
    visitor.complaints = visitor.complaints.filter((c) => !/Locks API not available/.test(c))
    await visitor.close()
  }))

  it('switches between two people: each has a session, and the one chosen is who the app shows', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    const people = []
    for (const steps of [['email', 'code', 'consent'], ['choose', 'email', 'code', 'consent']]) {
      const done = await signIn(site, page, freshEmail(), { stay: true })
      assert.deepEqual(done.steps, steps)
      const did = await whoIsSignedIn(page)
      people.push({ did, handle: (await page.evaluate((d) => app.client.identityResolver.resolve(d), did)).handle })
    }
    for (const { did, handle } of people) {
      const done = await signIn(site, page, undefined, { account: handle, options: { prompt: 'select_account' } })
      assert.deepEqual(done.steps, ['choose', 'consent'])
      assert.equal(await whoIsSignedIn(page), did)
      await works(page, did)
    }
    // The app still has both.
    for (const { did } of people) {
      await refresh(page, did)
      await works(page, did)
    }
    await visitor.close()
  }))

  it('may do what was left switched on, and what a permission set holds', scene(async (t) => {
    const publisher = await network.account('bookshop.test')
    await publisher.publish('test.bookshop.basic', {
      type: 'permission-set',
      title: 'Order books',
      permissions: [{ type: 'permission', resource: 'repo', collection: ['test.bookshop.order'] }],
    })
    const granted = `atproto include:test.bookshop.basic repo:${collection}`
    const granular = await serveBrowserApp(t, { network, scope: `${granted} repo:com.example.diary` })
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    const consent = async (p) => {
      assert.ok(await p.getByRole('checkbox', { name: 'Order books' }).isChecked())
      await p.locator('input[value="repo:com.example.diary"]').uncheck()
    }
    await signIn(granular, page, freshEmail(), { at: { consent } })
    const did = await whoIsSignedIn(page)
    assert.equal((await page.evaluate((d) => app.stored(d), did)).scope, granted)
    const create = (into) =>
      page.evaluate(([d, c]) => app.call(d, 'com.atproto.repo.createRecord', { repo: d, collection: c, record: { $type: c, text: 'x' } }), [did, into])
    assert.equal((await create(collection)).status, 200)
    assert.equal((await create('test.bookshop.order')).status, 200)
    const refused = await create('com.example.diary')
    assert.deepEqual([refused.status, refused.body.error], [403, 'ScopeMissingError'])
    await visitor.close()
  }))

  it('is told that nobody is signed in, or that it has to ask: prompt=none', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    const silently = () => signIn(site, page, undefined, { options: { prompt: 'none' } })
    const nobody = await silently()
    assert.deepEqual(nobody.steps, [])
    assert.match(nobody.said, /^_?OAuthCallbackError: login_required/)
    await signIn(site, page, freshEmail(), { stay: true })
    const somebody = await silently()
    assert.deepEqual(somebody.steps, [])
    assert.match(somebody.said, /^_?OAuthCallbackError: consent_required/)
    await visitor.close()
  }))

  it('signs out in one tab: the others are signed out, too, and the tokens are dead', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected })
    const { page } = visitor
    await signIn(site, page, freshEmail())
    const did = await whoIsSignedIn(page)
    const other = await visitor.tab()
    await other.goto(`${origin}/`)
    assert.equal(await whoIsSignedIn(other), did)
    await other.evaluate(async (d) => void (app.kept = await app.client.restore(d, false)), did)
    const stored = await page.evaluate((d) => app.stored(d), did)
    await page.evaluate((d) => app.client.revoke(d), did)
    // The key is still in the page that holds the session: what is refused is the token.
    const late = await other.evaluate(
      async ([url, token]) => {
        const answer = await app.kept.dpopFetch(url, { headers: { authorization: `DPoP ${token}` } })
        return { status: answer.status, challenge: answer.headers.get('www-authenticate') }
      },
      [`${network.urls.pds}/xrpc/com.atproto.server.getSession`, stored.access_token],
    )
    assert.equal(late.status, 401)
    assert.match(late.challenge, /error="invalid_token"/)
    const again = await other.evaluate(
      ([tokens]) => app.kept.server.refresh(tokens).then(() => 'refreshed', (e) => `${e.constructor.name} ${e.error}`),
      [stored],
    )
    assert.match(again, /invalid_grant/)
    for (const tab of [page, other]) {
      await tab.reload()
      assert.equal(await said(tab), 'signed out')
    }
    await visitor.close()
  }))
})

describe('@atproto/oauth-client-browser as a web site the operator trusts', () => {
  it('signs in again without a page: prompt=none', scene(async (t) => {
    const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
    const site = await serveBrowserApp(t, { certificate })
    const network = await Network.forTest(t, { env: { SSL_CERT_FILE: certificate.ca }, args: ['--trust', site.clientId] })
    site.network = network
    const visitor = await Visitor.open(await startChromium(t), { expected, ignoreHTTPSErrors: true })
    const { page } = visitor
    const silently = () => signIn(site, page, undefined, { options: { prompt: 'none' } })
    assert.match((await silently()).said, /^_?OAuthCallbackError: login_required/)
    const first = await signIn(site, page, freshEmail(), { stay: true })
    assert.deepEqual(first.steps, ['email', 'code', 'consent'])
    const did = await whoIsSignedIn(page)
    await page.evaluate((d) => app.client.revoke(d), did)
    const again = await silently()
    assert.deepEqual(again.steps, [])
    assert.equal(await whoIsSignedIn(page), did)
    await works(page, did)
    await visitor.close()
  }))
})

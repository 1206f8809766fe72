// The official OAuth client signs in against us, as an app on this computer and as a web service with keys.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { Agent } from '@atproto/api'
import { Browser, signIn } from './lib/browser.mjs'
import { certificateFor, confidentialApp, loopbackApp, MemoryStore, Site } from './lib/oauth-app.mjs'
import { freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'

const collection = 'com.example.note'

/** The whole sign-in of one person at one app. */
async function signInto(app, network, email, { browser, hint, input } = {}) {
  browser ??= new Browser([network.urls.pds, network.urls.auth])
  const url = await app.authorize(input ?? network.urls.pds, { state: 'the app’s own state' })
  if (hint) url.searchParams.set('login_hint', hint)
  const { url: back, steps } = await signIn(browser, network, url, email)
  const { session, state } = await app.callback(back.searchParams)
  assert.equal(state, 'the app’s own state')
  return { session, steps, browser, back }
}

async function writeAndRead(session) {
  const agent = new Agent(session)
  const record = { $type: collection, text: 'grüezi', at: new Date().toISOString() }
  const made = await agent.com.atproto.repo.createRecord({ repo: session.did, collection, record })
  const rkey = made.data.uri.split('/').pop()
  const read = await agent.com.atproto.repo.getRecord({ repo: session.did, collection, rkey })
  assert.deepEqual(read.data.value, record)
  assert.equal(read.data.cid, made.data.cid)
  return made.data
}

async function fails(call, pattern) {
  await assert.rejects(call, (e) => {
    assert.match(`${e.name} ${e.message} ${e.cause?.message ?? ''}`, pattern)
    return true
  })
}

/** What both kinds of client must be able to do. */
function aClient(makeApp) {
  const suite = ofThisSuite()
  let network, app

  before(async () => {
    ;({ network, app } = await makeApp(suite))
  })

  it('signs somebody new in, who gets a DID, a handle and a repository', async () => {
    const { session, steps, back } = await signInto(app, network, freshEmail())
    assert.deepEqual(steps, ['email', 'code', 'consent'])
    assert.match(session.did, /^did:plc:[a-z2-7]{24}$/)
    assert.equal(back.searchParams.get('iss'), network.urls.pds)
    const info = await session.getTokenInfo(false)
    assert.equal(info.scope, 'atproto transition:generic')
    assert.equal(new URL(info.aud).origin, network.urls.pds)
    const identity = await app.identityResolver.resolve(session.did)
    assert.match(identity.handle, /^[a-z0-9]+\.test$/)
    const own = await new Agent(session).com.atproto.server.getSession()
    assert.equal(own.data.did, session.did)
    assert.equal(own.data.handle, identity.handle)
    await writeAndRead(session)
  })

  it('goes straight to the code when the app knows the address (Flow 1)', async () => {
    const email = freshEmail()
    const { steps } = await signInto(app, network, email, { hint: email })
    assert.deepEqual(steps, ['send', 'code', 'consent'])
  })

  it('finds the same account on the second sign-in, also from another browser', async () => {
    const email = freshEmail()
    const first = await signInto(app, network, email)
    const second = await signInto(app, network, email, { browser: first.browser })
    const third = await signInto(app, network, email.toUpperCase())
    assert.equal(second.session.did, first.session.did)
    assert.equal(third.session.did, first.session.did)
  })

  it('signs in by handle and by DID', async () => {
    const email = freshEmail()
    const { session } = await signInto(app, network, email)
    const { handle } = await app.identityResolver.resolve(session.did)
    for (const input of [handle, session.did]) {
      const again = await signInto(app, network, email, { input })
      assert.equal(again.session.did, session.did)
      assert.ok(!again.steps.includes('email'), 'the request names the account')
    }
  })

  it('refreshes, and the session goes on', async () => {
    const { session } = await signInto(app, network, freshEmail())
    const before = await app.sessionGetter.getStored(session.did)
    await session.getTokenInfo(true)
    const after = await app.sessionGetter.getStored(session.did)
    assert.notEqual(after.tokenSet.refresh_token, before.tokenSet.refresh_token)
    assert.notEqual(after.tokenSet.access_token, before.tokenSet.access_token)
    await writeAndRead(session)
    const restored = await app.restore(session.did)
    await writeAndRead(restored)
  })

  it('refreshes twice at once and loses nothing', async () => {
    const { session } = await signInto(app, network, freshEmail())
    const { dpopKey, authMethod, tokenSet } = await app.sessionGetter.getStored(session.did)
    // Two processes of the app that do not know of each other hold the same token.
    const agents = await Promise.all(
      [0, 1].map(() => app.serverFactory.fromIssuer(tokenSet.iss, authMethod, dpopKey)),
    )
    const [one, two] = await Promise.all(agents.map((agent) => agent.refresh(tokenSet)))
    assert.equal(one.sub, two.sub)
    assert.equal(one.refresh_token, two.refresh_token, 'a repeat of the same step has the same successor')
    const next = await agents[0].refresh(one)
    assert.equal(next.sub, session.did)
  })

  it('signs out: neither token works afterwards', async () => {
    const { session } = await signInto(app, network, freshEmail())
    const stored = structuredClone((await app.sessionGetter.getStored(session.did)).tokenSet)
    const { dpopKey, authMethod } = await app.sessionGetter.getStored(session.did)
    await writeAndRead(session)
    await session.signOut()
    await fails(app.restore(session.did), /not.*found|deleted|revoked/i)
    const agent = await app.serverFactory.fromIssuer(stored.iss, authMethod, dpopKey)
    await fails(agent.refresh(stored), /invalid_grant/)
    const late = await agent.dpopFetch(`${network.urls.pds}/xrpc/com.atproto.repo.createRecord`, {
      method: 'POST',
      headers: { authorization: `DPoP ${stored.access_token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ repo: session.did, collection, record: { $type: collection } }),
    })
    assert.equal(late.status, 401)
  })

  it('hears access_denied when the person says no, and no account is made', async () => {
    const email = freshEmail()
    const browser = new Browser([network.urls.pds, network.urls.auth])
    const url = await app.authorize(network.urls.pds)
    const { url: back } = await signIn(browser, network, url, email, { decision: 'deny' })
    assert.equal(back.searchParams.get('error'), 'access_denied')
    await fails(app.callback(back.searchParams), /denied/i)
    await fails(
      network.xrpc('com.atproto.server.createSession', { input: { identifier: email, password: 'password' } }),
      /401/,
    )
  })

  it('gets tokens for a code only once', async () => {
    const browser = new Browser([network.urls.pds, network.urls.auth])
    const url = await app.authorize(network.urls.pds)
    const { url: back } = await signIn(browser, network, url, freshEmail())
    const state = await app.stateStore.get(back.searchParams.get('state'))
    const { session } = await app.callback(back.searchParams)
    await app.stateStore.set(back.searchParams.get('state'), state)
    await fails(app.callback(back.searchParams), /invalid_grant|code/i)
    await fails(session.getTokenInfo(true), /invalid_grant|revoked|session/i)
  })
}

describe('@atproto/oauth-client-node as a loopback client', () => {
  aClient(async (t) => {
    const network = await Network.forTest(t)
    return { network, app: loopbackApp(network) }
  })
})

for (const jwks of ['uri', 'inline']) {
  describe(`@atproto/oauth-client-node as a confidential client, keys ${jwks === 'uri' ? 'at jwks_uri' : 'in the metadata'}`, () => {
    const make = async (t) => {
      const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
      const site = await Site.start(t, { certificate })
      const network = await Network.forTest(t, { env: { SSL_CERT_FILE: certificate.ca } })
      return { network, site, app: await confidentialApp(network, site, { jwks }) }
    }
    if (jwks === 'uri') aClient(make)
    else
      it('signs in, writes, refreshes', async (t) => {
        const { network, site, app } = await make(t)
        const { session } = await signInto(app, network, freshEmail())
        await writeAndRead(session)
        await session.getTokenInfo(true)
        await writeAndRead(session)
        assert.deepEqual([...new Set(site.asked)], ['/client-metadata.json'])
      })
  })
}

describe('a confidential client', () => {
  it('is refused without its key', async (t) => {
    const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
    const site = await Site.start(t, { certificate })
    const network = await Network.forTest(t, { env: { SSL_CERT_FILE: certificate.ca } })
    const impostor = await confidentialApp(network, site)
    await confidentialApp(network, site) // publishes another key under the same kid
    await fails(impostor.authorize(network.urls.pds), /invalid_client/)
  })

  it('is refused when its site has a certificate nobody vouches for', async (t) => {
    const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
    const site = await Site.start(t, { certificate })
    const network = await Network.forTest(t)
    const app = await confidentialApp(network, site)
    await fails(app.authorize(network.urls.pds), /invalid_client/)
    assert.deepEqual(site.asked, [])
  })
})

describe('fifty requests at once', () => {
  it('refresh with the same token: one session lives, with one successor', async (t) => {
    const network = await Network.forTest(t)
    const app = loopbackApp(network)
    const { session } = await signInto(app, network, freshEmail())
    const { dpopKey, authMethod, tokenSet } = await app.sessionGetter.getStored(session.did)
    const agent = await app.serverFactory.fromIssuer(tokenSet.iss, authMethod, dpopKey)
    const answers = await Promise.all(Array.from({ length: 50 }, () => agent.refresh(tokenSet)))
    assert.equal(new Set(answers.map((a) => a.refresh_token)).size, 1)
    await app.sessionGetter.setStored(session.did, { dpopKey, authMethod, tokenSet: answers[0] })
    await session.getTokenInfo(true)
    await writeAndRead(session)
    // The token all of them used is two steps old now.
    await fails(agent.refresh(tokenSet), /invalid_grant/)
    await fails(session.getTokenInfo(true), /replayed|revoked|invalid/i)
  })
})

describe('two apps', () => {
  it('share an account but not its sessions', async (t) => {
    const network = await Network.forTest(t)
    const email = freshEmail()
    const one = loopbackApp(network)
    const two = loopbackApp(network, { sessionStore: new MemoryStore() })
    const first = await signInto(one, network, email)
    const second = await signInto(two, network, email)
    assert.equal(first.session.did, second.session.did)
    await first.session.signOut()
    await writeAndRead(second.session)
  })
})

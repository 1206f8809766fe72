// The official OAuth client signs in against us, as an app on this computer and as a web service with keys.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { Agent } from '@atproto/api'
import { Browser, signIn } from './lib/browser.mjs'
import { JoseKey } from '@atproto/oauth-client-node'
import { certificateFor, confidentialApp, loopbackApp, MemoryStore, networkWithSite, Site } from './lib/oauth-app.mjs'
import { freePorts, freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'

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
      const { network, site } = await networkWithSite(t)
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

describe('introspection', () => {
  const agentOf = async (app, did) => {
    const { dpopKey, authMethod, tokenSet } = await app.sessionGetter.getStored(did)
    return { tokenSet, agent: await app.serverFactory.fromIssuer(tokenSet.iss, authMethod, dpopKey), dpopKey }
  }
  it('tells the owning client what its tokens are, and others nothing', async (t) => {
    const { network, site } = await networkWithSite(t)
    const owner = await confidentialApp(network, site)
    const other = await confidentialApp(network, site, { path: '/other/', name: 'The Other App' })
    const email = freshEmail()
    const { session } = await signInto(owner, network, email)
    await signInto(other, network, email)
    const { agent, tokenSet, dpopKey } = await agentOf(owner, session.did)
    const asked = (who, token) => who.request('introspection', { token })
    const stranger = (await agentOf(other, session.did)).agent
    for (const token of [tokenSet.access_token, tokenSet.refresh_token]) {
      const answer = await asked(agent, token)
      assert.equal(answer.active, true)
      assert.equal(answer.sub, session.did)
      assert.equal(answer.client_id, owner.clientMetadata.client_id)
      assert.equal(answer.scope, 'atproto transition:generic')
      assert.equal(answer.cnf.jkt, await owner.runtime.calculateJwkThumbprint(dpopKey.bareJwk))
      assert.ok(answer.exp * 1000 > Date.now())
      assert.deepEqual(await asked(stranger, token), { active: false })
    }
    assert.deepEqual(await asked(agent, 'no token at all'), { active: false })
    await session.signOut()
    for (const token of [tokenSet.access_token, tokenSet.refresh_token])
      assert.deepEqual(await asked(agent, token), { active: false })
  })

  it('tells nothing to a client that has no key', async (t) => {
    const network = await Network.forTest(t)
    const app = loopbackApp(network)
    const { session } = await signInto(app, network, freshEmail())
    const { agent, tokenSet } = await agentOf(app, session.did)
    await fails(agent.request('introspection', { token: tokenSet.access_token }), /unauthorized_client/)
  })
})

describe('a confidential client', () => {
  it('loses a session with the key it began with', async (t) => {
    const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
    const site = await Site.start(t, { certificate })
    const options = { dataDir: await temporaryFolder(t), port: await freePorts(), env: { SSL_CERT_FILE: certificate.ca } }
    let network = await Network.start(options)
    t.after(() => network.kill())
    // A server that has just started has no copy of the keys.
    const restart = async () => {
      await network.stop()
      network = await Network.start(options)
    }
    const app = await confidentialApp(network, site)
    const { session } = await signInto(app, network, freshEmail())
    const { dpopKey, authMethod, tokenSet } = await app.sessionGetter.getStored(session.did)
    const agent = await app.serverFactory.fromIssuer(tokenSet.iss, authMethod, dpopKey)
    await restart()
    const refreshed = await agent.refresh(tokenSet)
    const access = () =>
      agent.dpopFetch(`${network.urls.pds}/xrpc/com.atproto.server.getSession`, { headers: { authorization: `DPoP ${refreshed.access_token}` } })
    assert.equal((await access()).status, 200)

    const published = site.documents['/jwks.json']
    site.documents['/jwks.json'] = { keys: [(await JoseKey.generate(['ES256'], 'key-2')).publicJwk] }
    await restart()
    await fails(agent.refresh(refreshed), /invalid_client/)
    assert.equal((await access()).status, 401)
    // It does not come back with the key.
    site.documents['/jwks.json'] = published
    await restart()
    await fails(agent.refresh(refreshed), /invalid_grant/)
    assert.equal((await access()).status, 401)
  })

  it('is refused without its key', async (t) => {
    const { network, site } = await networkWithSite(t)
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

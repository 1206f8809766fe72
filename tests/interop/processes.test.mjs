// Apps that run as several processes, and processes that end: theirs and ours. Nobody loses a session by it.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { Browser, signIn } from './lib/browser.mjs'
import { loopbackMetadata, networkWithSite, publishConfidential } from './lib/oauth-app.mjs'
import { freePorts, freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { AppProcess } from './lib/processes.mjs'

async function signInto(app, network) {
  const url = await app.call('authorize', network.urls.pds)
  const { url: back } = await signIn(new Browser([network.urls.pds]), network, url, freshEmail())
  return app.call('callback', back.search)
}

const lost = { name: 'TokenRefreshError' }

for (const kind of ['loopback', 'confidential']) {
  describe(`two processes of a ${kind} client`, () => {
    const suite = ofThisSuite()
    let network, pair, locked, free
    before(async () => {
      let metadata, privateJwk
      if (kind === 'loopback') {
        network = await Network.forTest(suite)
        metadata = loopbackMetadata()
      } else {
        const { network: withSite, site } = await networkWithSite(suite)
        network = withSite
        const published = await publishConfidential(site)
        metadata = published.metadata
        privateJwk = published.key.privateJwk
      }
      pair = async (lock) => {
        const options = { folder: await temporaryFolder(suite), network, metadata, privateJwk, lock }
        return Promise.all([AppProcess.start(suite, options), AppProcess.start(suite, options)])
      }
      locked = await pair(true)
      free = await pair(false)
    })
    const bothWork = async (processes, did) => {
      for (const [i, app] of processes.entries()) {
        assert.match(await app.call('write', did, `by process ${i}`), new RegExp(`^at://${did}/`))
        await app.call('refresh', did)
        assert.match(await app.call('write', did, `by process ${i}, refreshed`), new RegExp(`^at://${did}/`))
      }
    }

    it('refresh at once under the client’s lock', async () => {
      const did = await signInto(locked[0], network)
      const first = await locked[1].call('stored', did)
      const [a, b] = await Promise.all(locked.map((app) => app.call('refresh', did)))
      assert.equal(new Set([first, a, b].map((s) => s.refresh_token)).size, 3, 'one after the other, two steps')
      await bothWork(locked, did)
    })

    it('refresh at once without a lock', async () => {
      const did = await signInto(free[0], network)
      await Promise.all(free.map((app) => app.call('next', { hold: true })))
      const refreshed = Promise.all(free.map((app) => app.call('refresh', did)))
      // Both have read the same token now, and neither has sent it.
      await Promise.all(free.map((app) => app.event('holding')))
      await Promise.all(free.map((app) => app.call('release')))
      const [a, b] = await refreshed
      assert.equal(a.refresh_token, b.refresh_token)
      await bothWork(free, did)
    })

    it('refresh one after the other without a lock, the second with the token the first has used', async () => {
      const [quick, slow] = free
      const did = await signInto(quick, network)
      await slow.call('next', { hold: true })
      const late = slow.call('refresh', did)
      await slow.event('holding')
      const successor = await quick.call('refresh', did)
      await slow.call('release')
      assert.equal((await late).refresh_token, successor.refresh_token)
      await bothWork(free, did)
    })

    it('lose the session when one is two steps behind: so does a thief’s copy look', async () => {
      const [quick, slow] = free
      const did = await signInto(quick, network)
      await slow.call('next', { hold: true })
      const late = slow.call('refresh', did).catch((e) => e)
      await slow.event('holding')
      await quick.call('refresh', did)
      await quick.call('refresh', did)
      await slow.call('release')
      await late
      await assert.rejects(quick.call('refresh', did), lost)
    })

    it('notice when the other one signed out', async () => {
      const did = await signInto(locked[0], network)
      await locked[1].call('write', did, 'before')
      await locked[0].call('signOut', did)
      assert.equal(await locked[1].call('stored', did), undefined)
      await assert.rejects(locked[1].call('restore', did, 'auto'), lost)
    })

    it('go on when one of them was killed in the middle of a refresh', async () => {
      const [killed, other] = await pair(false)
      const did = await signInto(killed, network)
      const before = await killed.call('stored', did)
      await killed.call('next', { lose: true })
      await assert.rejects(killed.call('refresh', did), /the answer is lost/)
      await killed.kill()
      // The store still has the token that was used, and nobody knows its successor.
      assert.deepEqual(await other.call('stored', did), before)
      await bothWork([other], did)
    })
  })
}

describe('a restart', () => {
  it('of the app: a new process finds the session and goes on', async (t) => {
    const network = await Network.forTest(t)
    const options = { folder: await temporaryFolder(t), network, metadata: loopbackMetadata(), lock: true }
    let app = await AppProcess.start(t, options)
    const did = await signInto(app, network)
    const before = await app.call('stored', did)
    await app.kill()
    app = await AppProcess.start(t, options)
    assert.deepEqual(await app.call('restore', did, 'auto'), before, 'a token that is good is kept')
    await app.call('write', did, 'after the restart')
    assert.notEqual((await app.call('refresh', did)).refresh_token, before.refresh_token)
    await app.call('write', did, 'and refreshed')
  })

  it('of the app between leaving for the sign-in pages and coming back', async (t) => {
    const network = await Network.forTest(t)
    const options = { folder: await temporaryFolder(t), network, metadata: loopbackMetadata(), lock: true }
    let app = await AppProcess.start(t, options)
    const url = await app.call('authorize', network.urls.pds)
    await app.kill()
    const { url: back } = await signIn(new Browser([network.urls.pds]), network, url, freshEmail())
    app = await AppProcess.start(t, options)
    await app.call('write', await app.call('callback', back.search), 'after the restart')
  })

  for (const end of ['stop', 'kill'])
    it(`of the server (${end}): tokens, refresh and a request under way survive`, async (t) => {
      const dataDir = await temporaryFolder(t)
      const port = await freePorts()
      let network = await Network.start({ dataDir, port })
      t.after(() => network.kill())
      const restart = async () => {
        await network[end]()
        network = await Network.start({ dataDir, port })
      }
      const folder = await temporaryFolder(t)
      const app = await AppProcess.start(t, { folder, network, metadata: loopbackMetadata(), lock: true })
      const did = await signInto(app, network)
      const before = await app.call('stored', did)

      await restart()
      await app.call('write', did, 'with the token from before the restart')
      assert.notEqual((await app.call('refresh', did)).refresh_token, before.refresh_token)

      // An answer that was lost with the server can still be had.
      await app.call('next', { lose: true })
      await assert.rejects(app.call('refresh', did), /the answer is lost/)
      await restart()
      await app.call('refresh', did)
      await app.call('write', did, 'after the lost answer')

      // A request that was pushed before is opened, a code that was issued before is redeemed.
      const url = await app.call('authorize', network.urls.pds)
      await restart()
      const { url: back } = await signIn(new Browser([network.urls.pds]), network, url, freshEmail())
      await restart()
      const other = await app.call('callback', back.search)
      await app.call('write', other, 'with a code from before the restart')
      await app.call('write', did, 'and the first session is still there')

      await app.call('signOut', did)
      await restart()
      await assert.rejects(app.call('restore', did, 'auto'), lost)
      await app.call('write', other, 'the other one stays')
    })
})

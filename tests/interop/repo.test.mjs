// @atproto/repo verifies our repositories and proofs; @atproto/api drives our XRPC methods.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { AtpAgent } from '@atproto/api'
import { parseCid } from '@atproto/lex-data'
import { verifyProofs, verifyRecords, verifyRepo } from '@atproto/repo'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { verifyIdentity, verifyRepository } from './lib/verify.mjs'

const collection = 'com.example.note'
const password = 'correct horse battery staple'
let people = 0

/** A new account by the legacy method, as @atproto/api does it. */
async function newAccount(network) {
  const agent = new AtpAgent({ service: network.urls.pds })
  const handle = `person-${++people}.test`
  const made = await agent.createAccount({ handle, email: freshEmail(), password })
  return { agent, handle, did: made.data.did, repo: agent.com.atproto.repo }
}

describe('repositories', () => {
  const suite = ofThisSuite()
  let network
  before(async () => {
    network = await Network.forTest(suite)
  })

  it('verify when they are empty', async () => {
    const { did, handle } = await newAccount(network)
    const identity = await verifyIdentity(network, did)
    assert.equal(identity.handle, handle)
    assert.equal(identity.pds, network.urls.pds)
    const repo = await verifyRepository(network, did, identity.signingKey)
    assert.equal(repo.records.size, 0)
    const status = await network.xrpc('com.atproto.sync.getRepoStatus', { params: { did } })
    assert.deepEqual(status, { did, active: true, rev: repo.rev })
  })

  it('verify after hundreds of creates, updates and deletes, and hold exactly what was written', async () => {
    const { did, repo } = await newAccount(network)
    const { signingKey } = await verifyIdentity(network, did)
    const model = new Map()
    const note = (n) => ({ $type: collection, n, text: `note ${n} ✎`, nested: { list: [1, null, { deep: true }] } })
    // 300 creates in batches, then changes in a fixed but scrambled order.
    for (let batch = 0; batch < 3; ++batch) {
      const writes = Array.from({ length: 100 }, (_, i) => ({
        $type: 'com.atproto.repo.applyWrites#create',
        collection,
        rkey: `n${(batch * 100 + i) * 7919 % 300}`,
        value: note(batch * 100 + i),
      }))
      const { data } = await repo.applyWrites({ repo: did, writes })
      writes.forEach((w, i) => model.set(`${collection}/${w.rkey}`, data.results[i].cid))
    }
    for (let i = 0; i < 60; ++i) {
      const rkey = `n${(i * 37) % 300}`
      if (i % 3 === 0) {
        await repo.deleteRecord({ repo: did, collection, rkey })
        model.delete(`${collection}/${rkey}`)
      } else {
        const { data } = await repo.putRecord({ repo: did, collection, rkey, record: note(1000 + i) })
        model.set(`${collection}/${rkey}`, data.cid)
      }
    }
    const verified = await verifyRepository(network, did, signingKey)
    assert.deepEqual([...verified.records].sort(), [...model].sort())
    const latest = await network.xrpc('com.atproto.sync.getLatestCommit', { params: { did } })
    assert.deepEqual(latest, { cid: verified.root.toString(), rev: verified.rev })
  })

  it('do not verify with the key of somebody else', async () => {
    const one = await newAccount(network)
    const two = await newAccount(network)
    const { signingKey } = await verifyIdentity(network, two.did)
    const { signingKey: right } = await verifyIdentity(network, one.did)
    const repo = await verifyRepository(network, one.did, right)
    await assert.rejects(verifyRepo(repo.blocks, repo.root, one.did, signingKey), /signature/)
    await assert.rejects(verifyRepo(repo.blocks, repo.root, two.did, right), /did/)
  })

  it('prove one record, and the absence of another', async () => {
    const { did, repo } = await newAccount(network)
    const { signingKey } = await verifyIdentity(network, did)
    const cids = []
    for (let i = 0; i < 30; ++i) {
      const { data } = await repo.putRecord({ repo: did, collection, rkey: `r${i}`, record: { $type: collection, i } })
      cids.push(parseCid(data.cid))
    }
    for (const i of [0, 7, 29]) {
      const proof = await network.xrpcBytes('com.atproto.sync.getRecord', { did, collection, rkey: `r${i}` })
      const claims = [
        { collection, rkey: `r${i}`, cid: cids[i] },
        { collection, rkey: `r${i}`, cid: cids[(i + 1) % 30] },
      ]
      const { verified, unverified } = await verifyProofs(proof, claims, did, signingKey)
      assert.deepEqual([verified, unverified], [[claims[0]], [claims[1]]])
      const records = await verifyRecords(proof, did, signingKey)
      assert.deepEqual(records.map((r) => [r.rkey, r.record.i]), [[`r${i}`, i]])
      const whole = await network.xrpcBytes('com.atproto.sync.getRepo', { did })
      assert.ok(proof.length < whole.length, 'a proof is smaller than the repository')
    }
    const absence = await network.xrpcBytes('com.atproto.sync.getRecord', { did, collection, rkey: 'nowhere' })
    const claim = { collection, rkey: 'nowhere', cid: null }
    assert.deepEqual((await verifyProofs(absence, [claim], did, signingKey)).verified, [claim])
  })
})

describe('@atproto/api with a password session', () => {
  const suite = ofThisSuite()
  let network
  before(async () => {
    network = await Network.forTest(suite)
  })

  it('creates an account, signs in by handle, by DID and by e-mail', async () => {
    const agent = new AtpAgent({ service: network.urls.pds })
    const email = freshEmail()
    const { data } = await agent.createAccount({ handle: 'anna.test', email, password })
    for (const identifier of ['anna.test', data.did, email]) {
      const again = new AtpAgent({ service: network.urls.pds })
      await again.login({ identifier, password })
      assert.equal(again.session.did, data.did)
      assert.equal((await again.com.atproto.server.getSession()).data.email, email)
    }
    const stranger = new AtpAgent({ service: network.urls.pds })
    await assert.rejects(stranger.login({ identifier: 'anna.test', password: 'wrong password' }), { status: 401 })
    await assert.rejects(stranger.login({ identifier: 'nobody.test', password }), { status: 401 })
    assert.equal((await agent.resolveHandle({ handle: 'anna.test' })).data.did, data.did)
    await assert.rejects(
      agent.createAccount({ handle: 'anna.test', email: freshEmail(), password }),
      { status: 400, message: 'Handle already taken: anna.test' },
    )
  })

  it('creates, reads, lists, puts and deletes records', async () => {
    const { did, repo } = await newAccount(network)
    const record = { $type: collection, text: 'one', createdAt: new Date().toISOString() }
    const made = (await repo.createRecord({ repo: did, collection, record })).data
    const rkey = made.uri.split('/').pop()
    assert.equal(made.uri, `at://${did}/${collection}/${rkey}`)
    const read = (await repo.getRecord({ repo: did, collection, rkey })).data
    assert.deepEqual(read, { uri: made.uri, cid: made.cid, value: record })

    const changed = { ...record, text: 'two' }
    const put = (await repo.putRecord({ repo: did, collection, rkey, record: changed, swapRecord: made.cid })).data
    assert.notEqual(put.cid, made.cid)
    await assert.rejects(
      repo.putRecord({ repo: did, collection, rkey, record, swapRecord: made.cid }),
      { error: 'InvalidSwap' },
    )
    const again = (await repo.putRecord({ repo: did, collection, rkey, record: changed })).data
    assert.equal(again.cid, put.cid)

    await repo.deleteRecord({ repo: did, collection, rkey })
    await repo.deleteRecord({ repo: did, collection, rkey })
    await assert.rejects(repo.getRecord({ repo: did, collection, rkey }), { error: 'RecordNotFound' })
  })

  it('applies several writes as one commit, or none of them', async () => {
    const { did, repo } = await newAccount(network)
    const write = (kind, rkey, value) => ({ $type: `com.atproto.repo.applyWrites#${kind}`, collection, rkey, value })
    const value = (n) => ({ $type: collection, n })
    await repo.applyWrites({ repo: did, writes: [write('create', 'a', value(1)), write('create', 'b', value(2))] })
    const before = (await network.xrpc('com.atproto.sync.getLatestCommit', { params: { did } })).rev
    const { data } = await repo.applyWrites({
      repo: did,
      writes: [write('update', 'a', value(3)), write('delete', 'b'), write('create', 'c', value(4))],
    })
    assert.deepEqual(data.results.map((r) => r.$type.split('#')[1]), ['updateResult', 'deleteResult', 'createResult'])
    assert.ok(data.commit.rev > before)
    await assert.rejects(
      repo.applyWrites({ repo: did, writes: [write('create', 'd', value(5)), write('create', 'a', value(6))] }),
      { status: 400 },
    )
    const list = (await repo.listRecords({ repo: did, collection })).data.records
    assert.deepEqual(list.map((r) => [r.uri.split('/').pop(), r.value.n]).sort(), [['a', 3], ['c', 4]])
  })

  it('lists records page by page, both ways', async () => {
    const { did, repo, handle } = await newAccount(network)
    const writes = Array.from({ length: 25 }, (_, i) => ({
      $type: 'com.atproto.repo.applyWrites#create',
      collection,
      rkey: `k${String(i).padStart(2, '0')}`,
      value: { $type: collection, i },
    }))
    await repo.applyWrites({ repo: did, writes })
    for (const reverse of [false, true]) {
      const seen = []
      let cursor
      do {
        const page = (await repo.listRecords({ repo: handle, collection, limit: 10, cursor, reverse })).data
        seen.push(...page.records.map((r) => r.value.i))
        cursor = page.cursor
      } while (cursor)
      const expected = writes.map((_, i) => i)
      assert.deepEqual(seen, reverse ? expected : expected.reverse())
    }
    const description = (await repo.describeRepo({ repo: handle })).data
    assert.deepEqual(description.collections, [collection])
    assert.equal(description.handleIsCorrect, true)
    assert.equal(description.didDoc.id, did)
  })

  it('keeps what JSON and CBOR have in common: unicode, numbers, bytes, links', async () => {
    const { did, agent } = await newAccount(network)
    const record = {
      $type: collection,
      text: 'e\u0301 👩‍👩‍👧 \u0000 "quoted" \\ /',
      numbers: [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
      nothing: null,
      bytes: { $bytes: 'AAEC/w' },
      link: { $link: 'bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a' },
      aa: 1,
      b: 2,
    }
    // @atproto/api would rewrite links and bytes on the way: plain JSON here.
    const answer = await network.xrpc('com.atproto.repo.createRecord', {
      input: { repo: did, collection, rkey: 'all', record },
      headers: { authorization: `Bearer ${agent.session.accessJwt}` },
    })
    const read = await network.xrpc('com.atproto.repo.getRecord', { params: { repo: did, collection, rkey: 'all' } })
    assert.deepEqual(read.value, record)
    assert.equal(read.cid, answer.cid)
    const { signingKey } = await verifyIdentity(network, did)
    const verified = await verifyRepository(network, did, signingKey)
    assert.equal(verified.records.get(`${collection}/all`), answer.cid)
  })

  it('refreshes its session, and signs out', async () => {
    const { agent, did } = await newAccount(network)
    const first = { ...agent.session }
    const resumed = new AtpAgent({ service: network.urls.pds })
    await resumed.resumeSession(first)
    assert.equal(resumed.session.did, did)
    assert.notEqual(resumed.session.refreshJwt, first.refreshJwt)
    await resumed.com.atproto.repo.createRecord({ repo: did, collection, record: { $type: collection } })
    const last = resumed.session.refreshJwt
    await resumed.logout()
    await assert.rejects(
      agent.com.atproto.server.refreshSession(undefined, { headers: { authorization: `Bearer ${last}` } }),
      { status: 400 },
    )
  })

  it('is refused in the repository of somebody else', async () => {
    const one = await newAccount(network)
    const two = await newAccount(network)
    await assert.rejects(
      one.repo.createRecord({ repo: two.did, collection, record: { $type: collection } }),
      (e) => e.status === 400 || e.status === 401 || e.status === 403,
    )
  })

  it('finds every repository in listRepos', async () => {
    const { did } = await newAccount(network)
    const found = new Map()
    let cursor
    do {
      const page = await network.xrpc('com.atproto.sync.listRepos', { params: { limit: 3, ...(cursor ? { cursor } : {}) } })
      for (const r of page.repos) found.set(r.did, r)
      cursor = page.cursor
    } while (cursor)
    assert.ok(found.has(did))
    for (const r of found.values()) {
      const latest = await network.xrpc('com.atproto.sync.getLatestCommit', { params: { did: r.did } })
      assert.deepEqual([r.head, r.rev, r.active], [latest.cid, latest.rev, true])
    }
  })
})

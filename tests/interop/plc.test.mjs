// @did-plc/lib as a client of our PLC directory, and as the judge of its logs.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { DidResolver } from '@atproto/identity'
import plc from '@did-plc/lib'
import { Network, ofThisSuite } from './lib/network.mjs'

describe('the PLC directory', () => {
  const suite = ofThisSuite()
  let network, client
  before(async () => {
    network = await Network.forTest(suite)
    client = new plc.Client(network.urls.plc)
  })

  async function newDid(Keypair = Secp256k1Keypair) {
    const [signing, owner, server] = await Promise.all([1, 2, 3].map(() => Keypair.create()))
    const did = await client.createDid({
      signingKey: signing.did(),
      handle: 'alice.test',
      pds: 'https://pds.example',
      rotationKeys: [owner.did(), server.did()],
      signer: server,
    })
    return { did, signing, owner, server }
  }
  const refused = (call, status, pattern = /./) =>
    assert.rejects(call, (e) => {
      assert.equal(e.status, status)
      assert.match(`${e.message} ${JSON.stringify(e.data)}`, pattern)
      return true
    })

  for (const Keypair of [Secp256k1Keypair, P256Keypair]) {
    it(`lives through a whole life with ${Keypair.name}`, async () => {
      const { did, signing, owner, server } = await newDid(Keypair)
      const first = await client.getDocumentData(did)
      assert.deepEqual(first, {
        did,
        rotationKeys: [owner.did(), server.did()],
        verificationMethods: { atproto: signing.did() },
        alsoKnownAs: ['at://alice.test'],
        services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example' } },
      })

      await client.updateHandle(did, server, 'bob.test')
      const key = await Keypair.create()
      await client.updateAtprotoKey(did, server, key.did())
      await client.updatePds(did, owner, 'https://elsewhere.example')
      const rotated = await Keypair.create()
      await client.updateRotationKeys(did, owner, [rotated.did()])
      await refused(client.updateHandle(did, server, 'eve.test'), 400, /signature/i)

      const resolver = new DidResolver({ plcUrl: network.urls.plc, fetch: globalThis.fetch })
      const now = await resolver.resolveAtprotoData(did)
      assert.deepEqual(now, { did, signingKey: key.did(), handle: 'bob.test', pds: 'https://elsewhere.example' })

      const log = await client.getOperationLog(did)
      assert.equal(log.length, 5)
      assert.deepEqual(await plc.validateOperationLog(did, log), await client.getDocumentData(did))
      const audit = await client.getAuditableLog(did)
      assert.deepEqual(audit.map((e) => e.operation), log)
      assert.ok(audit.every((e) => e.did === did && e.nullified === false))
      assert.deepEqual(await client.getLastOp(did), log.at(-1))

      await client.tombstone(did, rotated)
      await refused(client.getDocument(did), 410)
      await refused(client.getDocumentData(did), 410)
      assert.equal((await client.getLastOp(did)).type, 'plc_tombstone')
      assert.equal(await plc.validateOperationLog(did, await client.getOperationLog(did)), null)
      await refused(client.sendOperation(did, await plc.updateHandleOp(log.at(-1), rotated, 'ghost.test')), 400)
    })
  }

  it('gives a DID back to the key that stands higher', async () => {
    const { did, owner, server } = await newDid()
    const genesis = await client.getLastOp(did)
    const thief = await Secp256k1Keypair.create()
    await client.updateRotationKeys(did, server, [thief.did()])
    const stolen = await client.getLastOp(did)
    const rescue = await plc.updateRotationKeysOp(genesis, owner, [owner.did()])
    await client.sendOperation(did, rescue)
    assert.deepEqual((await client.getDocumentData(did)).rotationKeys, [owner.did()])
    const audit = await client.getAuditableLog(did)
    assert.deepEqual(audit.map((e) => e.nullified), [false, true, false])
    assert.deepEqual(audit[1].operation, stolen)
    assert.deepEqual(await client.getOperationLog(did), [genesis, rescue])
  })

  it('does not let the lower key take back what the higher one did', async () => {
    const { did, owner, server } = await newDid()
    const genesis = await client.getLastOp(did)
    await client.updateHandle(did, owner, 'mine.test')
    await refused(client.sendOperation(did, await plc.updateHandleOp(genesis, server, 'yours.test')), 400)
  })

  it('takes no new genesis of the old kind, as plc.directory does', async () => {
    const [signing, recovery] = await Promise.all([1, 2].map(() => Secp256k1Keypair.create()))
    const old = await plc.deprecatedSignCreate(
      {
        type: 'create',
        signingKey: signing.did(),
        recoveryKey: recovery.did(),
        handle: 'old.test',
        service: 'https://pds.example',
        prev: null,
      },
      signing,
    )
    await refused(client.sendOperation(await plc.didForCreateOp(old), old), 400, /create/)
  })

  it('refuses forged, foreign and broken operations', async () => {
    const { did, server } = await newDid()
    const other = await newDid()
    const last = await client.getLastOp(did)
    const good = await plc.updateHandleOp(last, server, 'good.test')
    await refused(client.sendOperation(did, { ...good, alsoKnownAs: ['at://evil.test'] }), 400, /signature/i)
    await refused(client.sendOperation(other.did, good), 400)
    await refused(client.sendOperation(did, { ...good, sig: undefined }), 400)
    await refused(client.sendOperation(did, { ...good, extra: 1 }), 400)
    await refused(client.getDocument('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'), 404)
    await client.sendOperation(did, good)
    await client.sendOperation(did, good) // who heard no answer may ask again
    assert.deepEqual(await client.getOperationLog(did), [last, good])
    await refused(client.sendOperation(did, await plc.updateHandleOp(last, server, 'fork.test')), 400)
  })

  it('exports everything, in order, from any moment', async () => {
    const { did, server } = await newDid()
    await client.updateHandle(did, server, 'later.test')
    const all = await client.export()
    const times = all.map((e) => Date.parse(e.createdAt))
    assert.deepEqual(times, [...times].sort((a, b) => a - b))
    const own = all.filter((e) => e.did === did)
    assert.deepEqual(own.map((e) => e.cid), (await client.getAuditableLog(did)).map((e) => e.cid))
    const rest = await client.export(all[0].createdAt)
    assert.ok(rest.length < all.length && rest.some((e) => e.did === did))
    assert.deepEqual(await client.export(undefined, 2), all.slice(0, 2))
    await client.health()
  })
})

// What we publish, checked by the reference's own verifiers.
import assert from 'node:assert/strict'
import { ensureAtpDocument } from '@atproto/identity'
import { readCarWithRoot, verifyRepo } from '@atproto/repo'
import plc from '@did-plc/lib'

/** The identity of a DID, from the directory's log alone: every operation is validated. */
export async function verifyIdentity(network, did) {
  const client = new plc.Client(network.urls.plc)
  const log = await client.getOperationLog(did)
  for (const operation of log) await plc.assureValidOp(operation)
  const data = await plc.validateOperationLog(did, log)
  assert.ok(data, `${did} is a tombstone`)
  const document = await client.getDocument(did)
  const atproto = ensureAtpDocument(document)
  assert.equal(atproto.did, did)
  assert.equal(atproto.signingKey, data.verificationMethods.atproto)
  assert.equal(atproto.pds, data.services.atproto_pds.endpoint)
  assert.equal(`at://${atproto.handle}`, data.alsoKnownAs[0])
  return { ...atproto, data, log }
}

/** The whole repository, with every hash and the signature; answers path -> record. */
export async function verifyRepository(network, did, signingKey) {
  const bytes = await network.xrpcBytes('com.atproto.sync.getRepo', { did })
  const car = await readCarWithRoot(bytes)
  const repo = await verifyRepo(car.blocks, car.root, did, signingKey)
  return {
    bytes,
    root: car.root,
    blocks: car.blocks,
    rev: repo.commit.rev,
    records: new Map(repo.creates.map((c) => [`${c.collection}/${c.rkey}`, c.cid.toString()])),
  }
}

// Blobs by @atproto/api: uploaded, referred to, read back, gone; and the archive of an account's page.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { Agent, AtpAgent } from '@atproto/api'
import { readCarWithRoot, verifyRepo } from '@atproto/repo'
import { openAccount } from './lib/account.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { verifyIdentity } from './lib/verify.mjs'

const run = promisify(execFile)
let people = 0

// A picture of one pixel, with something behind its end that makes each one different.
const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const picture = () => Buffer.concat([pixel, randomBytes(16)])

async function newAccount(network) {
  const agent = new AtpAgent({ service: network.urls.pds })
  const email = freshEmail()
  await agent.createAccount({ handle: `uploader-${++people}.test`, email, password: 'correct horse battery staple' })
  return { agent, email, did: agent.session.did }
}

async function post(agent, blob) {
  const { data } = await agent.com.atproto.repo.createRecord({
    repo: agent.did,
    collection: 'app.bsky.feed.post',
    record: {
      $type: 'app.bsky.feed.post',
      text: 'a picture',
      createdAt: new Date().toISOString(),
      embed: { $type: 'app.bsky.embed.images', images: [{ alt: 'one pixel', image: blob }] },
    },
  })
  return data.uri.split('/').at(-1)
}

describe('blobs', () => {
  const suite = ofThisSuite()
  let network
  before(async () => {
    network = await Network.forTest(suite)
  })
  const blobsOf = async (agent) => (await agent.com.atproto.sync.listBlobs({ did: agent.did })).data.cids

  it('are uploaded, shown while a record refers to them, and gone afterwards', async () => {
    const { agent, did } = await newAccount(network)
    const bytes = picture()
    const { data } = await agent.uploadBlob(bytes, { encoding: 'image/png' })
    assert.equal(data.blob.mimeType, 'image/png')
    assert.equal(data.blob.size, bytes.length)
    const cid = data.blob.ref.toString()
    const get = () => agent.com.atproto.sync.getBlob({ did, cid })
    await assert.rejects(get(), { error: 'BlobNotFound' })

    const rkey = await post(agent, data.blob)
    const shown = await get()
    assert.deepEqual(Buffer.from(shown.data), bytes)
    assert.equal(shown.headers['content-type'], 'image/png')
    assert.equal(shown.headers['content-length'], String(bytes.length))
    assert.equal(shown.headers['x-content-type-options'], 'nosniff')
    assert.equal(shown.headers['content-disposition'], `attachment; filename="${cid}"`)
    assert.equal(shown.headers['content-security-policy'], `default-src 'none'; sandbox`)
    const head = await fetch(`${network.urls.pds}/xrpc/com.atproto.sync.getBlob?did=${did}&cid=${cid}`, { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), String(bytes.length))
    assert.deepEqual(await blobsOf(agent), [cid])
    const status = (await agent.com.atproto.server.checkAccountStatus()).data
    assert.deepEqual([status.expectedBlobs, status.importedBlobs], [1, 1])
    assert.deepEqual((await agent.com.atproto.repo.listMissingBlobs()).data.blobs, [])

    await agent.com.atproto.repo.deleteRecord({ repo: did, collection: 'app.bsky.feed.post', rkey })
    await assert.rejects(get(), { error: 'BlobNotFound' })
    assert.deepEqual(await blobsOf(agent), [])
    await assert.rejects(post(agent, data.blob), { error: 'BlobNotFound' })
  })

  it('of many kilobytes arrive whole, also in chunks, up to the limit and no further', async () => {
    const { agent, did } = await newAccount(network)
    const limit = (await agent.com.atproto.server.describeServer()).data.blobUploadLimit
    const bytes = randomBytes(limit)
    const { data } = await agent.uploadBlob(bytes, { encoding: 'application/octet-stream' })
    await agent.com.atproto.repo.createRecord({
      repo: did,
      collection: 'com.example.file',
      record: { $type: 'com.example.file', file: data.blob },
    })
    const { data: back } = await agent.com.atproto.sync.getBlob({ did, cid: data.blob.ref.toString() })
    assert.equal(createHash('sha256').update(back).digest('hex'), createHash('sha256').update(bytes).digest('hex'))
    await assert.rejects(agent.uploadBlob(randomBytes(limit + 1), { encoding: 'application/octet-stream' }), { status: 413 })

    // Nobody knows beforehand how long it will be.
    const chunked = (size) =>
      new Promise((resolve, reject) => {
        const ask = request(new URL('/xrpc/com.atproto.repo.uploadBlob', network.urls.pds), {
          method: 'POST',
          headers: { 'content-type': 'text/plain', authorization: `Bearer ${agent.session.accessJwt}`, 'transfer-encoding': 'chunked' },
        })
        let answered = false
        ask.on('error', (error) => answered || reject(error)) // the server hangs up on what it refused
        ask.on('response', (answer) => {
          answered = true
          answer.resume()
          resolve(answer.statusCode)
        })
        for (let sent = 0; sent < size; sent += 10_000) ask.write(Buffer.alloc(Math.min(10_000, size - sent), 'x'))
        ask.end()
      })
    assert.equal(await chunked(300_000), 200)
    assert.equal(await chunked(limit + 1), 413)
    const refused = await fetch(`${network.urls.pds}/xrpc/com.atproto.repo.uploadBlob`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: Buffer.alloc(1000),
    })
    assert.equal(refused.status, 401)
  })

  it('may come packed, and count unpacked', async () => {
    const { agent } = await newAccount(network)
    const limit = (await agent.com.atproto.server.describeServer()).data.blobUploadLimit
    const send = (body) =>
      fetch(`${network.urls.pds}/xrpc/com.atproto.repo.uploadBlob`, {
        method: 'POST',
        headers: { 'content-type': 'image/png', 'content-encoding': 'gzip', authorization: `Bearer ${agent.session.accessJwt}` },
        body,
      })
    const bytes = picture()
    const { data } = await agent.uploadBlob(bytes, { encoding: 'image/png' })
    const { blob } = await (await send(gzipSync(bytes))).json()
    assert.equal(blob.ref.$link, data.blob.ref.toString())
    assert.equal((await send(gzipSync(Buffer.alloc(limit + 1)))).status, 413)
    assert.equal((await send(bytes)).status, 400)
  })

  it('a service that was given a token uploads for the account', async () => {
    const { agent, did } = await newAccount(network)
    const { did: aud } = (await agent.com.atproto.server.describeServer()).data
    const { data } = await agent.com.atproto.server.getServiceAuth({ aud, lxm: 'com.atproto.repo.uploadBlob' })
    const answer = await fetch(`${network.urls.pds}/xrpc/com.atproto.repo.uploadBlob`, {
      method: 'POST',
      headers: { 'content-type': 'image/png', authorization: `Bearer ${data.token}` },
      body: picture(),
    })
    assert.equal(answer.status, 200)
    const rkey = await post(agent, (await answer.json()).blob)
    assert.ok(rkey)
    assert.equal((await blobsOf(agent)).length, 1)
    assert.ok(did)
  })

  it('come with the repository in the archive of the account’s page', async (t) => {
    const email = freshEmail()
    const person = new Browser([network.urls.auth])
    const app = loopbackApp(network)
    const { parameters } = await signIn(person, network, await app.authorize(network.urls.pds), email)
    const { session } = await app.callback(parameters)
    const { did } = session
    const agent = new Agent(session)
    const kept = new Map()
    for (let i = 0; i < 3; ++i) {
      const bytes = Buffer.concat([picture(), randomBytes(i * 100_000)])
      const { data } = await agent.uploadBlob(bytes, { encoding: 'image/png' })
      await post(agent, data.blob)
      kept.set(data.blob.ref.toString(), bytes)
    }
    await agent.uploadBlob(picture(), { encoding: 'image/png' }) // no record refers to it
    const page = await openAccount(network, person, email)
    const form = page.forms.find(({ action }) => action === '/account/data/archive')
    const ask = (cookie) =>
      fetch(new URL(form.action, page.url), {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams(form.fields.map(({ name, value }) => [name, value])),
        headers: { origin: network.urls.auth, 'sec-fetch-site': 'same-origin', ...(cookie ? { cookie } : {}) },
      })
    const cookies = [...person.jar(new URL(page.url))].map(([name, value]) => `${name}=${value}`).join('; ')
    assert.notEqual((await ask('')).headers.get('content-type'), 'application/x-tar', 'for the owner alone')
    const answer = await ask(cookies)
    assert.equal(answer.headers.get('content-type'), 'application/x-tar')
    assert.match(answer.headers.get('content-disposition'), /^attachment; filename=".*\.tar"$/)

    const folder = await temporaryFolder(t)
    await writeFile(join(folder, 'account.tar'), new Uint8Array(await answer.arrayBuffer()))
    await run('tar', ['-xf', 'account.tar'], { cwd: folder })
    assert.deepEqual((await readdir(folder)).sort(), ['account.tar', 'blobs', 'repo.car'])
    assert.deepEqual((await readdir(join(folder, 'blobs'))).sort(), [...kept.keys()].sort())
    for (const [cid, bytes] of kept) assert.deepEqual(await readFile(join(folder, 'blobs', cid)), bytes)
    const { signingKey } = await verifyIdentity(network, did)
    const { blocks, root } = await readCarWithRoot(new Uint8Array(await readFile(join(folder, 'repo.car'))))
    const { creates } = await verifyRepo(blocks, root, did, signingKey)
    assert.equal(creates.length, 3)
  })
})

// An app in a process of its own, built on the official client: sessions in files, so that several processes can share
// them. Started by processes.mjs, which sends {id, call, args} and gets {id, result} or {id, error}.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { JoseKey, NodeOAuthClient } from '@atproto/oauth-client-node'

const { folder, urls, metadata, privateJwk, lock } = JSON.parse(process.argv[2])

class FileStore {
  constructor(name) {
    this.name = name
  }
  path(key) {
    return join(folder, `${this.name}-${encodeURIComponent(key)}.json`)
  }
  async get(key) {
    try {
      return JSON.parse(await readFile(this.path(key), 'utf8'))
    } catch (e) {
      if (e.code === 'ENOENT') return undefined
      throw e
    }
  }
  /** At once, or not at all: others read while we write. */
  async set(key, value) {
    const draft = `${this.path(key)}.${process.pid}`
    await writeFile(draft, JSON.stringify(value))
    await rename(draft, this.path(key))
  }
  async del(key) {
    await rm(this.path(key), { force: true })
  }
}

/** What the client's documentation asks for where several processes share a store: here a folder is the lock. */
async function lockBetweenProcesses(name, work) {
  const path = join(folder, `lock-${encodeURIComponent(name)}`)
  while (
    await mkdir(path).catch((e) => {
      if (e.code !== 'EEXIST') throw e
      return true
    })
  )
    await pause(5)
  try {
    return await work()
  } finally {
    await rm(path, { recursive: true })
  }
}

// What a test does to the next token request: nothing, hold it until told, or lose its answer.
let next = {}
let release
async function watchedFetch(input, init) {
  const request = new Request(input, init)
  const { hold, lose } = new URL(request.url).pathname === '/oauth/token' ? next : {}
  if (hold) {
    next = {}
    process.send({ event: 'holding' })
    await new Promise((resolve) => (release = resolve))
  }
  const answer = await fetch(request)
  if (lose && answer.ok) {
    next = {}
    await answer.arrayBuffer()
    throw new TypeError('the answer is lost')
  }
  return answer
}

const app = new NodeOAuthClient({
  allowHttp: true,
  handleResolver: urls.pds,
  plcDirectoryUrl: urls.plc,
  stateStore: new FileStore('state'),
  sessionStore: new FileStore('session'),
  requestLock: lock ? lockBetweenProcesses : undefined,
  fetch: watchedFetch,
  clientMetadata: metadata,
  ...(privateJwk ? { keyset: [await JoseKey.fromJWK(privateJwk)] } : {}),
})

const calls = {
  authorize: async (input, options) => (await app.authorize(input, options)).href,
  callback: async (search) => (await app.callback(new URLSearchParams(search))).session.did,
  /** `refresh`: true, false or 'auto', as the client has it. */
  restore: async (did, refresh) => (await app.restore(did, refresh)).getTokenSet(false),
  /** One refresh, and what came of it, whatever others store meanwhile. */
  refresh: async (did) => (await app.sessionGetter.getSession(did, true)).tokenSet,
  stored: async (did) => (await app.sessionGetter.getStored(did))?.tokenSet,
  async write(did, text) {
    const session = await app.restore(did, false)
    const collection = 'com.example.note'
    const answer = await session.fetchHandler('/xrpc/com.atproto.repo.createRecord', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ repo: did, collection, record: { $type: collection, text } }),
    })
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
    return (await answer.json()).uri
  },
  signOut: async (did) => (await app.restore(did, false)).signOut(),
  next: async (what) => void (next = what),
  release: async () => release(),
}

process.on('message', async ({ id, call, args }) => {
  try {
    process.send({ id, result: await calls[call](...args) })
  } catch (e) {
    process.send({ id, error: { name: e.constructor.name, message: e.message, cause: e.cause?.message } })
  }
})
process.on('disconnect', () => process.exit())
process.send({ event: 'ready' })

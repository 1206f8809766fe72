// kill -9 in the middle of sign-ups and writes: what was acknowledged is there afterwards, and nothing is half made.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Browser, signIn } from './lib/browser.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { freePorts, freshEmail, Network, temporaryFolder } from './lib/network.mjs'
import { verifyIdentity, verifyRepository } from './lib/verify.mjs'
import { Agent } from '@atproto/api'

const collection = 'com.example.note'
const password = 'correct horse battery staple'
const max_rounds = 4
const enough = 12_000 // milliseconds; a slow machine does fewer rounds, but two
const workers = 4

/** mulberry32: the same run again with CRASH_SEED. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

it('everything acknowledged survives, and nothing exists by half', async (t) => {
  const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
  t.diagnostic(`CRASH_SEED=${seed}`)
  const next = random(seed)
  const dataDir = await temporaryFolder(t)
  const port = await freePorts()

  /** Acknowledged only: who, how they sign in, their records. */
  const accounts = []
  let operations = 0
  let network = await Network.start({ dataDir, port })
  t.after(() => network.kill())

  async function passwordAccount() {
    const input = { handle: `p${accounts.length}-${Math.floor(next() * 1e9)}.test`, email: freshEmail(), password }
    const made = await network.xrpc('com.atproto.server.createAccount', { input })
    return { kind: 'password', did: made.did, email: input.email, records: new Map(), pending: new Set() }
  }

  async function emailSignIn(email) {
    const app = loopbackApp(network)
    const { url } = await signIn(
      new Browser([network.urls.pds]),
      network,
      await app.authorize(network.urls.pds),
      email,
    )
    return (await app.callback(url.searchParams)).session
  }

  async function write(account, rkey, call) {
    const path = `${collection}/${rkey}`
    account.pending.add(path)
    const record = { $type: collection, text: `${rkey} of ${account.email}` }
    const { cid } = await call({ repo: account.did, collection, rkey, record })
    account.records.set(path, cid)
    account.pending.delete(path)
  }
  async function writerOf(account) {
    if (account.session) {
      const agent = new Agent(account.session)
      return async (input) => (await agent.com.atproto.repo.putRecord(input)).data
    }
    const session = await network.xrpc('com.atproto.server.createSession', {
      input: { identifier: account.email, password },
    })
    const headers = { authorization: `Bearer ${session.accessJwt}` }
    return (input) => network.xrpc('com.atproto.repo.putRecord', { input, headers })
  }

  const begin = Date.now()
  let round = 0
  for (; round < max_rounds && (round < 2 || Date.now() - begin < enough); ++round) {
    const stopAfter = operations + 12 + Math.floor(next() * 30)
    let dead = false
    let death
    const acknowledged = () => {
      if (++operations >= stopAfter && !dead) {
        dead = true // from here on a failure is what we wanted
        // A moment later: the others are anywhere in their requests.
        death = pause(next() * 10).then(() => network.kill())
      }
    }
    // What fails after the kill was never acknowledged; what fails before it is a fault.
    const mayDie = async (work) => {
      try {
        await work()
      } catch (e) {
        if (!dead) throw e
      }
    }
    const worker = async (index) => {
      while (!dead)
        await mayDie(async () => {
          let account
          if ((index + round) % 2) {
            account = await passwordAccount()
          } else {
            const email = freshEmail('mail')
            const session = await emailSignIn(email)
            account = { kind: 'email', did: session.did, email, session, records: new Map(), pending: new Set() }
          }
          accounts.push(account)
          acknowledged()
          const call = await writerOf(account)
          for (let i = Math.floor(next() * 4); i > 0 && !dead; --i) {
            await write(account, `r${round}-${i}`, call)
            acknowledged()
          }
          const old = accounts[Math.floor(next() * accounts.length)]
          if (old.kind === 'password') {
            await write(old, `again-${round}-${index}`, await writerOf(old))
            acknowledged()
          }
        })
    }
    await Promise.all(Array.from({ length: workers }, (_, i) => worker(i)))
    await death
    network = await Network.start({ dataDir, port })
    for (const account of accounts) delete account.session
  }

  // 1. Every acknowledged account is the account its owner signs in to, with its records.
  for (const account of accounts) {
    const identity = await verifyIdentity(network, account.did)
    const repo = await verifyRepository(network, account.did, identity.signingKey)
    for (const [path, cid] of account.records) {
      // A write whose answer was lost may have come after the one that was acknowledged, or not.
      if (account.pending.has(path)) assert.ok(repo.records.has(path))
      else assert.equal(repo.records.get(path), cid, `${path} of ${account.did}`)
    }
    const session =
      account.kind === 'password'
        ? await network.xrpc('com.atproto.server.createSession', { input: { identifier: account.email, password } })
        : undefined
    if (session) assert.equal(session.did, account.did)
  }
  const people = accounts.filter((a) => a.kind === 'email')
  for (const account of people) {
    account.session = await emailSignIn(account.email)
    assert.equal(account.session.did, account.did)
  }

  // 2. Every DID of the directory is an account with a repository that verifies; no account is without one.
  const lines = (await (await fetch(`${network.urls.plc}/export?count=1000`)).text()).trim().split('\n')
  const dids = new Set(lines.map((line) => JSON.parse(line).did))
  const repos = new Set()
  let cursor
  do {
    const page = await network.xrpc('com.atproto.sync.listRepos', { params: { limit: 1000, ...(cursor ? { cursor } : {}) } })
    for (const repo of page.repos) repos.add(repo.did)
    cursor = page.cursor
  } while (cursor)
  assert.deepEqual([...repos].sort(), [...dids].sort(), 'directory and server know the same DIDs')
  const known = new Set(accounts.map((a) => a.did))
  for (const did of dids) {
    if (known.has(did)) continue
    const identity = await verifyIdentity(network, did)
    await verifyRepository(network, did, identity.signingKey)
    const about = await network.xrpc('com.atproto.repo.describeRepo', { params: { repo: did } })
    assert.equal(about.handleIsCorrect, true)
  }

  // 3. And everybody can go on writing.
  for (const account of [accounts[0], accounts.at(-1), ...people.slice(0, 2)]) {
    await write(account, 'afterwards', await writerOf(account))
    const { signingKey } = await verifyIdentity(network, account.did)
    const repo = await verifyRepository(network, account.did, signingKey)
    assert.equal(repo.records.get(`${collection}/afterwards`), account.records.get(`${collection}/afterwards`))
  }
  assert.equal((await network.stop()).code, 0)
  t.diagnostic(`${round} rounds, ${operations} acknowledged operations, ${accounts.length} accounts, ${dids.size} DIDs`)
})

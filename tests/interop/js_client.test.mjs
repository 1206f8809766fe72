// The npm package of clients/js in the client of better-auth, unmodified: what it sends, what it hears, and what the compiler says.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { createAuthClient } from 'better-auth/client'
import { emailOTPClient } from 'better-auth/client/plugins'
import { complaints, imported, packageName, projectWithClient } from './lib/js-package.mjs'
import { eventually, ofThisSuite } from './lib/network.mjs'

/** Writes down what it is asked, and answers what the test says: by method and path, or null with 200. */
class Recorder {
  heard = []
  answers = new Map()

  static async start(t) {
    const recorder = new Recorder()
    const server = http.createServer(async (request, answer) => {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const [path] = request.url.split('?')
      const asked = `${request.method} ${path}`
      recorder.heard.push({ asked, query: request.url.slice(path.length), headers: request.headers, body: Buffer.concat(chunks) })
      const { status = 200, json = null, text = JSON.stringify(json), type = 'application/json' } = recorder.answers.get(asked) ?? {}
      answer.writeHead(status, type ? { 'content-type': type } : {}).end(text)
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    recorder.origin = `http://127.0.0.1:${server.address().port}`
    return recorder
  }
  at(asked, answer) {
    this.answers.set(asked, answer)
  }
  get last() {
    return this.heard.at(-1)
  }
  count(asked) {
    return this.heard.filter((one) => one.asked === asked).length
  }
}

const suite = ofThisSuite()
let project, atprotoAuthClient
before(async () => {
  project = await projectWithClient(suite)
  ;({ atprotoAuthClient } = await imported(project))
})

async function setUp(t, options = {}) {
  const server = await Recorder.start(t)
  const credentials = []
  const client = createAuthClient({
    baseURL: server.origin,
    plugins: [atprotoAuthClient(), emailOTPClient()],
    fetchOptions: {
      customFetchImpl(url, init) {
        credentials.push(init.credentials)
        return fetch(url, init)
      },
    },
    ...options,
  })
  return { server, client, credentials }
}
const sessionAsked = 'GET /api/auth/get-session'

describe('the package', () => {
  it('is its own files and needs no others', async () => {
    const folder = join(project, 'node_modules', packageName)
    assert.deepEqual((await readdir(folder)).sort(), ['LICENSE', 'README.md', 'index.d.ts', 'index.js', 'package.json'])
    const { dependencies, license, exports } = JSON.parse(await readFile(join(folder, 'package.json')))
    assert.equal(dependencies, undefined)
    assert.equal(license, 'MIT')
    assert.deepEqual(exports, { '.': { types: './index.d.ts', default: './index.js' } })
    assert.doesNotMatch(await readFile(join(folder, 'index.js'), 'utf8'), /^import /m)
  })

  it('has types that let right programs pass and stop wrong ones', async () => {
    assert.equal(await complaints(project, 'js_client.ts'), '')
  })
})

describe('signIn.bsky', () => {
  it('posts handle and callbackURL, with the cookies of the page', async (t) => {
    const { server, client, credentials } = await setUp(t)
    server.at('POST /api/auth/bsky/sign-in', { json: { url: 'https://pds.example/oauth/authorize?x=1', redirect: true } })
    const { data, error } = await client.signIn.bsky({ handle: 'alice.test', callbackURL: '/dashboard' })
    assert.equal(error, null)
    assert.deepEqual(data, { url: 'https://pds.example/oauth/authorize?x=1', redirect: true })
    assert.equal(server.last.asked, 'POST /api/auth/bsky/sign-in')
    assert.equal(server.last.headers['content-type'], 'application/json')
    assert.deepEqual(JSON.parse(server.last.body), { handle: 'alice.test', callbackURL: '/dashboard' })
    assert.deepEqual(credentials, ['include'])
  })

  it('makes the browser go to the authorization server', async (t) => {
    const { server, client } = await setUp(t)
    server.at('POST /api/auth/bsky/sign-in', { json: { url: 'https://pds.example/oauth/authorize', redirect: true } })
    globalThis.window = { location: { href: 'https://app.example/' } }
    t.after(() => delete globalThis.window)
    await client.signIn.bsky({ handle: 'alice.test' })
    assert.equal(window.location.href, 'https://pds.example/oauth/authorize')
  })

  it('takes fetch options beside its fields and behind them, and sends none of them', async (t) => {
    const { server, client } = await setUp(t)
    const data = { handle: 'alice.test' }
    await client.signIn.bsky({ ...data, fetchOptions: { headers: { 'x-one': '1' } } })
    assert.deepEqual([server.last.headers['x-one'], JSON.parse(server.last.body)], ['1', data])
    await client.signIn.bsky(data, { headers: { 'x-two': '2' }, method: 'GET' })
    assert.deepEqual([server.last.headers['x-two'], server.last.asked], ['2', 'POST /api/auth/bsky/sign-in'])
  })

  it('stands beside the ways in of other plugins', async (t) => {
    const { server, client } = await setUp(t)
    await client.signIn.emailOtp({ email: 'a@example.com', otp: '1' })
    assert.equal(server.last.asked, 'POST /api/auth/sign-in/email-otp')
    await client.signIn.bsky({ handle: 'alice.test' })
    assert.equal(server.last.asked, 'POST /api/auth/bsky/sign-in')
  })

  it('goes below the path of an app of its own', async (t) => {
    const { server, client } = await setUp(t, { basePath: '/login' })
    await client.signIn.bsky({ handle: 'alice.test' })
    assert.equal(server.last.asked, 'POST /login/bsky/sign-in')
  })
})

describe('the session', () => {
  it('getSession asks for it with its profile', async (t) => {
    const { server, client, credentials } = await setUp(t)
    const profile = { active: true, did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz', handle: 'alice.test' }
    server.at('GET /api/auth/bsky/session', { json: profile })
    assert.deepEqual(await client.bsky.getSession(), { data: profile, error: null })
    assert.equal(server.last.headers['content-type'], undefined)
    assert.equal(server.last.body.length, 0)
    assert.deepEqual(credentials, ['include'])
  })

  it('restore looks whether it is there', async (t) => {
    const { server, client, credentials } = await setUp(t)
    const session = { active: true, did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' }
    server.at('POST /api/auth/bsky/restore', { json: session })
    assert.deepEqual(await client.bsky.restore(), { data: session, error: null })
    assert.deepEqual(JSON.parse(server.last.body), {})
    assert.deepEqual(credentials, ['include'])
  })

  it('signOut ends it, and useSession looks again', async (t) => {
    const { server, client } = await setUp(t)
    const signals = []
    t.after(client.useSession.subscribe(() => {}))
    t.after(client.$store.atoms.$sessionSignal.listen((value) => signals.push(value)))
    // Refused: nothing has changed.
    server.at('POST /api/auth/bsky/sign-out', { status: 401, json: { code: 'UNAUTHORIZED', message: 'Unauthorized' } })
    assert.equal((await client.bsky.signOut()).error.status, 401)
    server.at('POST /api/auth/bsky/sign-out', { json: { success: true } })
    assert.deepEqual(await client.bsky.signOut(), { data: { success: true }, error: null })
    assert.equal(server.count(sessionAsked), 0)
    await eventually('another look at the session', () => server.count(sessionAsked) === 1)
    assert.equal(signals.length, 1)
    // getSession and restore change nothing either.
    await client.bsky.getSession()
    await client.bsky.restore()
    await client.bsky.signOut()
    await eventually('another look at the session', () => server.count(sessionAsked) === 2)
    assert.equal(signals.length, 2)
  })
})

describe('what the server refuses', () => {
  it('is a value with code, message and status', async (t) => {
    const { server, client } = await setUp(t)
    server.at('POST /api/auth/bsky/sign-in', { status: 403, json: { code: 'SIGNUP_DISABLED', message: 'Sign up is disabled' } })
    assert.deepEqual(await client.signIn.bsky({ handle: 'alice.test' }), {
      data: null,
      error: { code: 'SIGNUP_DISABLED', message: 'Sign up is disabled', status: 403, statusText: 'Forbidden' },
    })
  })

  it('is a status alone where it says no more', async (t) => {
    const { server, client } = await setUp(t)
    server.at('GET /api/auth/bsky/session', { status: 401, text: '', type: null })
    assert.deepEqual((await client.bsky.getSession()).error, { status: 401, statusText: 'Unauthorized' })
    server.at('GET /api/auth/bsky/session', { status: 502, text: '<h1>Bad gateway</h1>', type: 'text/html' })
    assert.deepEqual((await client.bsky.getSession()).error, { status: 502, statusText: 'Bad Gateway' })
  })

  it('is thrown for whoever asks for that', async (t) => {
    const { server, client } = await setUp(t)
    server.at('POST /api/auth/bsky/restore', { status: 429, json: { message: 'Too many requests. Please try again later.' } })
    await assert.rejects(client.bsky.restore({ fetchOptions: { throw: true } }), { status: 429 })
    server.at('POST /api/auth/bsky/restore', { json: { active: true, did: 'did:web:a.test' } })
    assert.deepEqual(await client.bsky.restore({ fetchOptions: { throw: true } }), { active: true, did: 'did:web:a.test' })
  })
})

describe('bsky.call', () => {
  it('asks a query, a list as one name several times', async (t) => {
    const { server, client, credentials } = await setUp(t)
    const profiles = { profiles: [{ did: 'did:web:a.test', createdAt: '2026-01-02T03:04:05.678Z' }] }
    server.at('GET /api/auth/bsky/xrpc/app.bsky.actor.getProfiles', { json: profiles })
    const answer = await client.bsky.call('app.bsky.actor.getProfiles', {
      params: { actors: ['a.test', 'b&c.test'], limit: 2, all: false, cursor: undefined },
    })
    // Dates of better-auth's own answers become Date; what records say stays what they say.
    assert.deepEqual(answer, { data: profiles, error: null })
    assert.deepEqual(
      [...new URLSearchParams(server.last.query)],
      [
        ['actors', 'a.test'],
        ['actors', 'b&c.test'],
        ['limit', '2'],
        ['all', 'false'],
      ],
    )
    assert.deepEqual(credentials, ['include'])
  })

  it('runs a procedure with JSON, with bytes, with nothing', async (t) => {
    const { server, client } = await setUp(t)
    const input = { collection: 'app.bsky.feed.post', record: { text: 'hello', createdAt: '2026-01-02T03:04:05.678Z' } }
    await client.bsky.call('com.atproto.repo.createRecord', { input, headers: { 'atproto-proxy': 'did:web:api.example#svc' } })
    assert.equal(server.last.asked, 'POST /api/auth/bsky/xrpc/com.atproto.repo.createRecord')
    assert.equal(server.last.headers['content-type'], 'application/json')
    assert.equal(server.last.headers['atproto-proxy'], 'did:web:api.example#svc')
    assert.deepEqual(JSON.parse(server.last.body), input)

    const bytes = new Uint8Array([0, 255, 1, 254])
    await client.bsky.call('com.atproto.repo.uploadBlob', { input: bytes, headers: { 'content-type': 'image/png' } })
    assert.equal(server.last.headers['content-type'], 'image/png')
    assert.deepEqual(new Uint8Array(server.last.body), bytes)
    await client.bsky.call('com.atproto.repo.uploadBlob', { input: new Blob([bytes]), headers: { 'content-type': 'image/png' } })
    assert.deepEqual(new Uint8Array(server.last.body), bytes)

    await client.bsky.call('com.atproto.server.deactivateAccount', { method: 'POST' })
    assert.equal(server.last.asked, 'POST /api/auth/bsky/xrpc/com.atproto.server.deactivateAccount')
    assert.equal(server.last.body.length, 0)
  })

  it('answers with what is no JSON as it is', async (t) => {
    const { server, client } = await setUp(t)
    const asked = 'GET /api/auth/bsky/xrpc/com.example.thing'
    for (const [type, text] of [['text/plain', 'hello'], ['text/plain', ''], ['application/json', '']]) {
      server.at(asked, { text, type })
      assert.deepEqual(await client.bsky.call('com.example.thing'), { data: text || null, error: null })
    }
    server.at(asked, { text: 'CAR', type: 'application/vnd.ipld.car' })
    assert.equal(await (await client.bsky.call('com.example.thing')).data.text(), 'CAR')
  })

  it('hands the error of the method on', async (t) => {
    const { server, client } = await setUp(t)
    server.at('GET /api/auth/bsky/xrpc/com.atproto.repo.getRecord', {
      status: 400,
      json: { error: 'RecordNotFound', message: 'Could not locate record' },
    })
    const { data, error } = await client.bsky.call('com.atproto.repo.getRecord')
    assert.equal(data, null)
    assert.deepEqual(error, { error: 'RecordNotFound', message: 'Could not locate record', status: 400, statusText: 'Bad Request' })
    await assert.rejects(client.bsky.call('com.atproto.repo.getRecord', { throw: true }), { status: 400 })
  })

  it('AttackMethodName_APathInsteadOfANameAsksNothing', async (t) => {
    const { server, client } = await setUp(t)
    for (const name of ['../sign-out', '..', 'com.atproto/../../delete-user', 'com.atproto.repo?x=1', 'com.atproto.repo#x', '', 'nodots'])
      await assert.rejects(client.bsky.call(name, { input: {} }), TypeError, name)
    assert.deepEqual(server.heard, [])
  })
})

// The programs of examples/ at a local network, as people use them.
import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { build } from 'esbuild'
import { act, openAccount } from './lib/account.mjs'
import { authClient } from './lib/auth-client.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { Example } from './lib/example.mjs'
import { imported, packageName, projectWithClient } from './lib/js-package.mjs'
import { eventually, freePort, freshEmail, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { passThrough } from './lib/person.mjs'

const suite = ofThisSuite()
let network
before(async () => {
  network = await Network.forTest(suite)
})

const address = /^ {2}(http\S+)$/
const dev = () => ['--dev', network.urls.pds, network.urls.plc]
const browser = () => new Browser([network.urls.pds])

/** Does what the program asks for: signs in at the address it says, and goes where that leads. */
async function obey(program, email, options, person = browser()) {
  const { url } = await signIn(person, network, await program.says(address), email, options)
  return person.request(url)
}

let made = 0
async function account() {
  const email = freshEmail('example')
  const handle = `example-${process.pid}-${++made}.test`
  const input = { handle, email, password: 'correct horse battery staple' }
  const { did } = await network.xrpc('com.atproto.server.createAccount', { input })
  return { did, handle, email }
}
const posts = async (did) => {
  const params = { repo: did, collection: 'app.bsky.feed.post', reverse: true }
  const { records } = await network.xrpc('com.atproto.repo.listRecords', { params })
  return records.map((record) => record.value.text)
}

describe('login-cli', () => {
  it('says who signed in, somebody new too', async (t) => {
    const program = new Example(t, 'login-cli', [...dev(), network.urls.pds])
    const page = await obey(program, freshEmail())
    assert.deepEqual([page.status, page.text], [200, 'Done. You can close this page.\n'])
    assert.equal(await program.ended, 0, program.stderr)
    const did = await program.says(/^DID {5}(did:plc:\S+)$/)
    const handle = await program.says(/^handle {2}(\S+\.test)$/)
    await program.says(/^its server, (http\S+), answers 200:$/)
    const session = JSON.parse(program.lines.at(-1))
    assert.deepEqual([session.did, session.handle], [did, handle])
  })

  it('takes a handle', async (t) => {
    const { did, handle, email } = await account()
    const program = new Example(t, 'login-cli', [...dev(), `@${handle}`])
    await obey(program, email)
    assert.equal(await program.ended, 0, program.stderr)
    assert.equal(await program.says(/^DID {5}(\S+)$/), did)
  })

  it('ends with words when the person says no, and when there is nobody', async (t) => {
    const refused = new Example(t, 'login-cli', [...dev(), network.urls.pds])
    await obey(refused, freshEmail(), { decision: 'deny' })
    assert.equal(await refused.ended, 1)
    assert.match(refused.stderr, /^login-cli: Signing in was cancelled\./m)
    const nobody = new Example(t, 'login-cli', [...dev(), 'nobody-at-all.test'])
    assert.equal(await nobody.ended, 1)
    assert.match(nobody.stderr, /^login-cli: \S/m)
    assert.deepEqual(nobody.lines, [])
  })

  it('AttackPlantedCallback_AnAnswerNobodyAskedForChangesNothing', async (t) => {
    const program = new Example(t, 'login-cli', [...dev(), network.urls.pds])
    const person = browser()
    const { url } = await signIn(person, network, await program.says(address), freshEmail())
    for (const state of ['', 'x', `${url.searchParams.get('state')}x`]) {
      const planted = new URL(url)
      planted.searchParams.set('state', state)
      assert.equal((await person.request(planted)).status, 400)
    }
    assert.equal((await person.request(url)).status, 200)
    assert.equal(await program.ended, 0, program.stderr)
  })

  it('speaks plain HTTP with nobody unless it is told to', async (t) => {
    const program = new Example(t, 'login-cli', [network.urls.pds])
    assert.equal(await program.ended, 1)
    assert.match(program.stderr, /^login-cli: \S/m)
  })
})

describe('bot', () => {
  it('signs in once and posts, run after run, two at once too', async (t) => {
    const { did, handle, email } = await account()
    const database = join(await temporaryFolder(t), 'bot.db')
    const bot = (text) => new Example(t, 'bot', [...dev(), database, handle, text])
    const first = bot('It rains.')
    await obey(first, email)
    assert.equal(await first.ended, 0, first.stderr)
    assert.deepEqual(await posts(did), ['It rains.'])
    assert.equal((await stat(`${database}.secrets`)).mode & 0o777, 0o600)

    const second = bot('It still rains.')
    assert.equal(await second.ended, 0, second.stderr)
    assert.equal(second.lines.length, 1)
    assert.match(JSON.parse(second.lines[0]).uri, new RegExp(`^at://${did}/app.bsky.feed.post/`))

    const both = [bot('The sun!'), bot('The moon!')]
    for (const one of both) assert.equal(await one.ended, 0, one.stderr)
    assert.deepEqual((await posts(did)).sort(), ['It rains.', 'It still rains.', 'The moon!', 'The sun!'])
    // What it may do is to post.
    assert.doesNotMatch(await readFile(database, 'latin1'), /refresh_token|access_token/)
  })

  it('asks again when its owner has taken the access away', async (t) => {
    const { did, handle, email } = await account()
    const database = join(await temporaryFolder(t), 'bot.db')
    const say = async (text) => {
      const bot = new Example(t, 'bot', [...dev(), database, handle, text])
      await obey(bot, email)
      assert.equal(await bot.ended, 0, bot.stderr)
    }
    await say('Hello.')
    const owner = browser()
    await act(owner, await openAccount(network, owner, email), '/account/sessions/revoke-all', { apps: () => true })
    await say('Hello again.')
    assert.deepEqual((await posts(did)).sort(), ['Hello again.', 'Hello.'])
  })

  it('asks again when somebody else is to post', async (t) => {
    const database = join(await temporaryFolder(t), 'bot.db')
    for (const { did, handle, email } of [await account(), await account()]) {
      const bot = new Example(t, 'bot', [...dev(), database, did, `This is ${handle}.`])
      await obey(bot, email)
      assert.equal(await bot.ended, 0, bot.stderr)
      assert.deepEqual(await posts(did), [`This is ${handle}.`])
    }
  })
})

describe('beast-app', () => {
  let project
  before(async () => {
    project = await projectWithClient(suite)
  })
  async function start(t) {
    const args = [...dev(), String(await freePort()), join(await temporaryFolder(t), 'app.db')]
    const run = async () => {
      const program = new Example(t, 'beast-app', args)
      return { program, url: await program.says(/^(http:.*)$/) }
    }
    return { ...(await run()), again: run }
  }

  it('knows who signed in, through a restart and until they sign out', async (t) => {
    const { atprotoAuthClient } = await imported(project)
    const { did, handle, email } = await account()
    const app = await start(t)
    const { client, person } = authClient({ baseURL: app.url, person: browser(), plugins: [atprotoAuthClient()] })
    const hello = async () => (await person.request(app.url)).text
    assert.equal(await hello(), 'Please sign in.\n')
    assert.equal((await client.signIn.bsky({ handle: 'alice' })).error.code, 'INVALID_HANDLE')
    assert.equal((await client.bsky.getSession()).error.status, 401)

    const started = await client.signIn.bsky({ handle, callbackURL: '/' })
    assert.equal(started.error, null)
    const { url } = await signIn(person, network, started.data.url, email)
    assert.equal(url.origin, app.url)
    person.stays.add(app.url)
    assert.equal((await person.open(url)).text, `Hello, @${handle}. You are ${did}.\n`)

    const { data: session } = await client.getSession()
    assert.deepEqual([session.user.bskyDid, session.user.bskyHandle], [did, handle])
    const { data: account_ } = await client.bsky.getSession()
    assert.deepEqual([account_.active, account_.did, account_.handle], [true, did, handle])
    assert.deepEqual((await client.bsky.restore()).data, { active: true, did, handle })
    assert.equal((await client.bsky.call('com.atproto.server.getSession')).data.did, did)
    assert.equal((await client.bsky.call('com.atproto.repo.createRecord', { input: {} })).error.code, 'CALL_NOT_ALLOWED')

    assert.equal(await app.program.stop(), 0)
    await app.again()
    assert.match(await hello(), /^Hello, /)
    assert.equal((await client.bsky.call('com.atproto.server.getSession')).data.did, did)

    assert.deepEqual((await client.bsky.signOut()).data, { success: true })
    assert.deepEqual((await client.bsky.restore()).data, { active: false })
    assert.match(await hello(), /^Hello, /)
    await client.signOut()
    assert.equal(await hello(), 'Please sign in.\n')
  })

  it('answers one request after the other on a connection, HEAD without a body', async (t) => {
    const { url } = await start(t)
    const { port, host } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`HEAD / HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /nothing HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    let heard = ''
    for await (const chunk of socket) heard += chunk
    const [head, second, body] = heard.split('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 .*^content-length: 16\r?$/ims)
    assert.match(second, /^HTTP\/1\.1 404 /)
    assert.equal(JSON.parse(body).error, 'NotFound')
  })

  it('with the client of better-auth in Chromium', scene(async (t) => {
    const { did, handle, email } = await account()
    const app = await start(t)
    const { outputFiles } = await build({
      stdin: {
        contents: `
          import { createAuthClient } from 'better-auth/client'
          import { atprotoAuthClient } from '${packageName}'
          window.client = createAuthClient({ plugins: [atprotoAuthClient()] })
          window.seen = []
          client.useSession.subscribe(({ data, isPending }) => isPending || seen.push(data?.user.bskyDid ?? null))`,
        resolveDir: project,
      },
      bundle: true,
      write: false,
    })
    const visitor = await Visitor.open(await startChromium(t), {})
    await visitor.context.route(`${app.url}/page`, (route) =>
      route.fulfill({ contentType: 'text/html', body: `<!doctype html><html lang="en"><title>The app</title><link rel="icon" href="data:,"><script>${outputFiles[0].text.replaceAll('</script', '<\\/script')}</script>` }),
    )
    const { page } = visitor
    const seen = (value) => eventually(`useSession with ${value}`, async () => (await page.evaluate(() => window.seen?.at(-1))) === value)
    await page.goto(`${app.url}/page`)
    await seen(null)
    await Promise.all([
      page.waitForURL((url) => url.origin === network.urls.pds),
      page.evaluate((handle) => void window.client.signIn.bsky({ handle, callbackURL: '/' }), handle),
    ])
    // The first mail to this address, which may be there by now.
    const mailbox = { mails: async () => [], codeAfter: (to, seen) => network.codeAfter(to, seen) }
    await passThrough(page, mailbox, email, { origin: app.url })
    await page.getByText(`Hello, @${handle}.`).waitFor()
    await page.goto(`${app.url}/page`)
    await seen(did)
    assert.deepEqual(await page.evaluate(async () => (await window.client.bsky.restore()).data), { active: true, did, handle })
    assert.equal(await page.evaluate(async () => (await window.client.bsky.call('com.atproto.server.getSession')).data.handle), handle)
    const looks = await page.evaluate(() => window.seen.length)
    await page.evaluate(() => window.client.bsky.signOut())
    assert.deepEqual(await page.evaluate(async () => (await window.client.bsky.restore()).data), { active: false })
    await page.evaluate(() => window.client.signOut())
    await seen(null)
    assert.ok((await page.evaluate(() => window.seen.length)) > looks)
    await visitor.close()
  }))
})

// The sample configurations of examples/forward-auth, in the real nginx and the real Caddy: an app that contains no code for
// it gets to know who its users are, and nobody else can say so.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { AuthService } from './lib/auth-service.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { eventually, freshEmail, freePort, Network, ofThisSuite, temporaryFolder } from './lib/network.mjs'

const samples = new URL('../../examples/forward-auth/', import.meta.url)

/** An app that answers with what it was asked. */
async function startApp(t) {
  const app = { asked: [] }
  const server = http.createServer((request, answer) => {
    app.asked.push(request)
    answer.setHeader('content-type', 'application/json')
    // Every field as it came, not only the last of a name.
    answer.end(JSON.stringify({ path: request.url, raw: request.rawHeaders.filter((_, i) => i % 2 === 0), headers: request.headers }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  app.port = server.address().port
  return app
}

/** A sample with the ports of this test in the place of its own. */
async function sample(name, { publicPort, app, service }) {
  const text = await readFile(new URL(name, samples), 'utf8')
  const out = text.replaceAll(/\b8080\b/g, publicPort).replaceAll(/\b8000\b/g, app).replaceAll(/\b3005\b/g, service)
  assert.notEqual(out, text)
  return out
}

async function startProxy(t, command, args, publicPort, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const said = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk))
  await once(child, 'spawn')
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await eventually(`${command} to listen`, async () => {
    if (child.exitCode !== null) throw new Error(`${command} ended:\n${said.join('')}`)
    return fetch(`http://127.0.0.1:${publicPort}/`, { redirect: 'manual', headers: { host: `localhost:${publicPort}` } })
      .then(() => true)
      .catch(() => false)
  })
}

async function nginx(t, ports) {
  const folder = await temporaryFolder(t)
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`)
  const text = (await sample('nginx.conf', ports)).replace(/^http \{$/m, `http {\n  access_log off;\n  ${own.join('\n  ')}`)
  const file = join(folder, 'nginx.conf')
  await writeFile(file, text)
  const args = ['-p', folder, '-c', file, '-e', 'stderr', '-g', `daemon off; master_process off; pid ${folder}/nginx.pid;`]
  await startProxy(t, '/usr/sbin/nginx', args, ports.publicPort)
}

async function caddy(t, ports) {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'Caddyfile')
  // No administration port, which all Caddys of a machine would share.
  await writeFile(file, `{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n${await sample('Caddyfile', ports)}`)
  await startProxy(t, 'caddy', ['run', '--adapter', 'caddyfile', '--config', file], ports.publicPort, {
    XDG_DATA_HOME: folder,
    XDG_CONFIG_HOME: folder,
    HOME: folder,
  })
}

for (const [name, start] of Object.entries({ nginx, caddy })) {
  describe(`behind ${name}`, () => {
    const suite = ofThisSuite()
    let app, service, network
    before(async () => {
      const publicPort = await freePort()
      app = await startApp(suite)
      network = await Network.forTest(suite)
      service = await AuthService.forTest(suite, {
        publicPort,
        file: `
          privateNetwork = true
          [emailAndPassword]
          enabled = true
          [rateLimit]
          enabled = false
          [atproto]
          enabled = true
          plcDirectory = "${network.urls.plc}"
          allowedCalls = ["com.atproto.server.getSession"]
        `,
      })
      await start(suite, { publicPort, app: app.port, service: service.port })
    })
    const browser = () => new Browser([service.origin])
    const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }
    const ask = (person, path, headers = navigation) => person.request(`${service.origin}${path}`, { headers })
    const seen = (page) => JSON.parse(page.text)
    // Caddy hands empty fields on, nginx leaves them out: both say that there is none.
    const identity = (page) => Object.fromEntries(Object.entries(seen(page).headers).filter(([field, value]) => /^x.auth/.test(field) && value !== ''))

    /** Somebody with a password. */
    async function member() {
      const person = browser()
      const email = freshEmail()
      const answer = await person.request(`${service.api}/sign-up/email`, {
        method: 'POST',
        body: JSON.stringify({ name: 'Ada', email, password: 'correct horse battery' }),
        headers: { 'content-type': 'application/json', origin: service.origin },
      })
      assert.equal(answer.status, 200, answer.text)
      return { person, email, id: JSON.parse(answer.text).user.id }
    }

    it('a browser is sent to sign in, and comes back to where it wanted to', async () => {
      const { email } = await member()
      const person = browser()
      const first = await ask(person, '/notes?tag=a%20b&x=1')
      assert.equal(first.status, 302)
      const to = new URL(first.headers.location)
      assert.equal(to.origin + to.pathname, `${service.origin}/sign-in`)
      assert.equal(to.searchParams.get('callbackURL'), `${service.origin}/notes?tag=a%20b&x=1`)
      const page = await person.open(`${service.origin}/notes?tag=a%20b&x=1`)
      assert.match(page.title, /Our Notes/)
      const back = await person.submit(page, page.formWith('password'), { email, password: 'correct horse battery' })
      assert.equal(seen(back).path, '/notes?tag=a%20b&x=1')
      assert.ok(identity(back)['x-auth-user'])
    })

    it('a script gets 401', async () => {
      const before = app.asked.length
      const scripts = { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin', accept: '*/*' }
      const answer = await ask(browser(), '/notes', scripts)
      assert.equal(answer.status, 401)
      assert.equal(answer.headers.location, undefined)
      const program = await fetch(`${service.origin}/notes`, { redirect: 'manual' })
      assert.equal(program.status, 401)
      assert.equal(app.asked.length, before, 'the app was not asked')
    })

    it('the app knows the user, and an address that is not verified stays out', async () => {
      const { person, id } = await member()
      const page = await ask(person, '/notes')
      assert.equal(page.status, 200)
      assert.deepEqual(identity(page), { 'x-auth-user': id })
    })

    it('the app knows the DID of who signed in with Bluesky', async () => {
      const person = browser()
      const page = await person.open(`${service.origin}/notes/1`)
      const { left } = await person.submit(page, page.formWith('handle'), { handle: network.urls.pds })
      assert.equal(left.origin, network.urls.pds)
      person.stays = new Set([network.urls.pds])
      const { url } = await signIn(person, network, left.href, freshEmail())
      person.stays = new Set([service.origin, service.origin.replace('localhost', '127.0.0.1')])
      const back = await person.open(url.href)
      assert.equal(seen(back).path, '/notes/1')
      assert.match(identity(back)['x-auth-did'], /^did:plc:[a-z2-7]{24}$/)
      assert.ok(identity(back)['x-auth-user'])

      // And calls its server for the person, as far as the operator allows it.
      const scripts = { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }
      const allowed = await ask(person, '/api/auth/bsky/xrpc/com.atproto.server.getSession', scripts)
      assert.equal(JSON.parse(allowed.text).did, identity(back)['x-auth-did'])
      const refused = await ask(person, '/api/auth/bsky/xrpc/com.atproto.server.checkAccountStatus', scripts)
      assert.equal(refused.status, 403)
      assert.equal(JSON.parse(refused.text).code, 'CALL_NOT_ALLOWED')
    })

    // Everything that some app reads as one of the four headers.
    const forged = {
      'X-Auth-User': 'evil',
      'x-auth-did': 'did:plc:evil',
      'X-AUTH-HANDLE': 'evil.example',
      'X-Auth-Email': 'evil@example.com',
      X_Auth_Did: 'did:plc:evil',
      'X-Auth_Did': 'did:plc:evil',
      'X_Auth-User': 'evil',
    }

    it('AttackForwardAuth_HeadersOfAClientNeverReachTheApp', async () => {
      const { person, id } = await member()
      for (const path of ['/notes', '/public/page']) {
        const page = await ask(person, path, { ...navigation, ...forged })
        assert.equal(page.status, 200)
        assert.deepEqual(identity(page), path === '/notes' ? { 'x-auth-user': id } : {})
        const fields = seen(page).raw.filter((field) => /^x.auth/i.test(field)).map((field) => field.toLowerCase())
        assert.equal(new Set(fields).size, fields.length, 'no field twice')
        assert.ok(fields.every((field) => /^x-auth-(user|did|handle|email)$/.test(field)), `${fields}`)
      }
      const before = app.asked.length
      assert.equal((await ask(browser(), '/notes', { ...navigation, ...forged })).status, 302)
      assert.equal(app.asked.length, before)
    })

    it('AttackForwardAuth_ForwardedHeadersOfAClientDoNotMoveTheReturnAddress', async () => {
      const lies = { 'x-forwarded-host': 'evil.example', 'x-forwarded-uri': '//evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-method': 'GET' }
      const answer = await ask(browser(), '/notes', { ...navigation, ...lies })
      assert.equal(answer.status, 302)
      assert.equal(new URL(answer.headers.location).searchParams.get('callbackURL'), `${service.origin}/notes`)
    })

    it('AttackForwardAuth_AForeignHostIsSentNowhere', async () => {
      // Another name of this machine, or one that somebody points here.
      const answer = await new Promise((resolve, reject) => {
        const socket = net.connect(new URL(service.origin).port, '127.0.0.1', () => {
          socket.end('GET /notes HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n')
        })
        let text = ''
        socket.on('data', (chunk) => (text += chunk))
        socket.on('end', () => resolve(text))
        socket.on('error', reject)
      })
      assert.doesNotMatch(answer, /^location:/im)
      assert.doesNotMatch(answer, /x-auth/i)
    })

    it('signing out closes the app again', async () => {
      const { person } = await member()
      assert.equal((await ask(person, '/notes')).status, 200)
      const page = await person.open(`${service.origin}/sign-in`)
      await person.submit(page, page.formTo('/sign-in/out'))
      assert.equal((await ask(person, '/notes')).status, 302)
    })
  })
}

// Starts `latchkey dev` and other commands of the binary under test, and ends exactly what it started.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'

export const binary = process.env.LATCHKEY_BIN
if (!binary) throw new Error('LATCHKEY_BIN must name the latchkey binary')

/** Stands in for a test's context where a whole describe() shares something. */
export function ofThisSuite() {
  const ends = []
  after(async () => {
    for (const end of ends.reverse()) await end()
  })
  return { after: (end) => ends.push(end) }
}

/** A folder of its own for a test. */
export async function temporaryFolder(t) {
  const path = await mkdtemp(join(tmpdir(), 'latchkey-interop-'))
  t?.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Asks until there is an answer. For what happens in other processes only. */
export async function eventually(what, ask, { within = 10_000 } = {}) {
  const end = Date.now() + within
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== null && answer !== false) return answer
    if (Date.now() > end) throw new Error(`gave up waiting for ${what}`)
    await pause(20)
  }
}

/** Four ports in a row, as `latchkey dev --port` wants them. */
export async function freePorts() {
  const isFree = (port) =>
    new Promise((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
  for (let port = 20_000 + ((process.pid * 7) % 10_000); ; port += 4)
    if ((await Promise.all([0, 1, 2, 3].map((i) => isFree(port + i)))).every(Boolean)) return port
}

/** One port that is free now. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

// What a test leaves running when it fails ends with the test process.
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** One run of the binary: its output, its end. */
export class Run {
  constructor(args, env = {}) {
    this.stdout = ''
    this.stderr = ''
    this.child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(this.child)
    this.child.stdout.on('data', (chunk) => (this.stdout += chunk))
    this.child.stderr.on('data', (chunk) => (this.stderr += chunk))
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      running.delete(this.child)
      return { code, signal }
    })
  }

  /** The first line on stdout, or an error with what was said instead. */
  async firstLine() {
    const lines = createInterface({ input: this.child.stdout })
    const line = await Promise.race([once(lines, 'line').then(([text]) => text), this.ended.then(() => undefined)])
    if (line === undefined) throw new Error(`latchkey ended early:\n${this.stderr}`)
    return line
  }

  async stop() {
    this.child.kill('SIGTERM')
    const end = await Promise.race([this.ended, pause(10_000, undefined, { ref: false })])
    if (!end) {
      this.child.kill('SIGKILL')
      throw new Error(`latchkey did not end on SIGTERM:\n${this.stderr}`)
    }
    return end
  }

  async kill() {
    this.child.kill('SIGKILL')
    return this.ended
  }
}

/** Where accounts live: `urls.pds` and its methods. */
export class Host {
  async xrpc(method, { params, input, headers = {} } = {}) {
    const url = new URL(`/xrpc/${method}`, this.urls.pds)
    for (const [name, value] of Object.entries(params ?? {})) url.searchParams.set(name, value)
    const answer = await fetch(url, {
      method: input ? 'POST' : 'GET',
      headers: { ...(input ? { 'content-type': 'application/json' } : {}), ...headers },
      body: input ? JSON.stringify(input) : undefined,
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }
  /** An account with a password, for what other software does in a test. */
  async account(handle) {
    const made = await this.xrpc('com.atproto.server.createAccount', {
      input: { handle, email: freshEmail(), password: 'correct horse battery staple' },
    })
    const headers = { authorization: `Bearer ${made.accessJwt}` }
    return {
      did: made.did,
      /** Publishes a lexicon. */
      publish: (nsid, main) =>
        this.xrpc('com.atproto.repo.putRecord', {
          headers,
          input: {
            repo: made.did,
            collection: 'com.atproto.lexicon.schema',
            rkey: nsid,
            record: { $type: 'com.atproto.lexicon.schema', lexicon: 1, id: nsid, defs: { main } },
          },
        }),
    }
  }
  async xrpcBytes(method, params) {
    const url = new URL(`/xrpc/${method}`, this.urls.pds)
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
    const answer = await fetch(url)
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`)
    return new Uint8Array(await answer.arrayBuffer())
  }
}

/** A whole network. `urls` are those of `latchkey dev --json`. */
export class Network extends Host {
  static async start({ dataDir, port = 0, authHost, env, args = [] } = {}) {
    const network = new Network()
    network.run = new Run(
      [
        'dev',
        '--json',
        '--port',
        String(port),
        ...(dataDir ? ['--data-dir', dataDir] : []),
        ...(authHost ? ['--auth-host', authHost] : []),
        ...args,
      ],
      env,
    )
    network.urls = JSON.parse(await network.run.firstLine())
    return network
  }

  /** For tests: started now, ended with the test, which fails when the end is not clean. */
  static async forTest(t, options) {
    const network = await Network.start(options)
    t.after(async () => {
      if (network.run.child.exitCode !== null || network.run.child.signalCode !== null) return
      const end = await network.run.stop()
      if (end.code !== 0) throw new Error(`latchkey ended with ${JSON.stringify(end)}:\n${network.run.stderr}`)
    })
    return network
  }

  stop() {
    return this.run.stop()
  }
  kill() {
    return this.run.kill()
  }

  async mails(to) {
    const answer = await fetch(`${this.urls.mailbox}/api/messages?to=${encodeURIComponent(to)}`)
    return answer.json()
  }

  /** The code of the mail after the `seen` ones that were there before. */
  async codeAfter(to, seen) {
    const mail = await eventually(`a mail to ${to}`, async () => (await this.mails(to))[seen])
    return codeIn(mail.subject)
  }
}

const code8 = /\b\d{8}\b/
export const hasCode = (subject) => code8.test(subject)
export function codeIn(subject) {
  const code = code8.exec(subject)?.[0]
  if (!code) throw new Error(`no code in: ${subject}`)
  return code
}

let counter = 0
/** An address nobody else in this run has. */
export function freshEmail(name = 'person') {
  return `${name}-${process.pid}-${++counter}@example.com`
}

// Servers under load, and what it costs them: the processor time of all their threads, read from outside.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Nanoseconds. The threads live as long as their process, so none is missed. */
async function cpuNow(pid) {
  const tasks = await readdir(`/proc/${pid}/task`)
  const times = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0')))
  const sum = times.reduce((all, text) => all + Number(text.split(' ')[0]), 0)
  if (sum === 0) throw new Error('no processor times in /proc (CONFIG_SCHEDSTATS)')
  return sum
}

/** The same when the server has become quiet: what a request left behind belongs to it. */
async function cpuWhenQuiet(pid) {
  let before = await cpuNow(pid)
  for (let quiet = 0, tries = 0; quiet < 3 && tries < 500; ++tries) {
    await pause(10)
    const now = await cpuNow(pid)
    quiet = now - before < 100_000 ? quiet + 1 : 0
    before = now
  }
  return before
}

const endOfHead = Buffer.from('\r\n\r\n')

/** How long the answer at the start of `bytes` is; undefined while it is not complete. */
function lengthOf(bytes) {
  const head = bytes.indexOf(endOfHead)
  if (head < 0) return undefined
  const text = bytes.toString('latin1', 0, head)
  const body = head + endOfHead.length
  if (!/^transfer-encoding: *chunked/im.test(text)) return body + Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0)
  const last = bytes.indexOf('\r\n0\r\n\r\n', head)
  return last < 0 ? undefined : last + 7
}

/** An answer as it came. What it says is looked at when nobody measures any more. */
class Answer {
  constructor(bytes) {
    const head = bytes.indexOf(endOfHead)
    const [first, ...lines] = bytes.toString('latin1', 0, head).split('\r\n')
    this.status = Number(first.split(' ')[1])
    this.headers = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
    this.text = bytes.toString('utf8', head + endOfHead.length)
    if (this.header('transfer-encoding') !== 'chunked') return
    let whole = ''
    for (let rest = bytes.subarray(head + endOfHead.length), size; (size = parseInt(rest.toString('latin1', 0, 16), 16)) > 0; ) {
      const begin = rest.indexOf('\r\n') + 2
      whole += rest.toString('utf8', begin, begin + size)
      rest = rest.subarray(begin + size + 2)
    }
    this.text = whole
  }
  header(name) {
    return this.headers.find(([one]) => one === name)?.[1]
  }
  /** The Cookie header with what it set. */
  get cookies() {
    return this.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value.split(';')[0]).join('; ')
  }
}

/** A keep-alive connection. Bare sockets: a client that is slower than the server would let it fall asleep between requests. */
class Connection {
  #bytes = Buffer.alloc(0)
  #answered

  static async open(port) {
    const connection = new Connection()
    connection.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(connection.socket, 'connect')
    connection.socket.on('data', (more) => connection.#take(more))
    connection.socket.on('close', () => connection.#answered?.reject(new Error('the server hung up')))
    return connection
  }

  #take(more) {
    this.#bytes = this.#bytes.length ? Buffer.concat([this.#bytes, more]) : more
    const length = lengthOf(this.#bytes)
    if (length === undefined || this.#bytes.length < length) return
    const answer = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    this.#answered.resolve(answer)
  }

  ask(request) {
    this.#answered = Promise.withResolvers()
    this.socket.write(request, 'latin1')
    return this.#answered.promise
  }

  close() {
    this.#answered = undefined
    this.socket.destroy()
  }
}

export class UnderLoad {
  constructor(pid, port) {
    Object.assign(this, { pid, port, host: `localhost:${port}` })
  }

  /** The text of a request. */
  request(method, path, headers = {}, body = '') {
    const lines = Object.entries({ host: this.host, ...headers, ...(body ? { 'content-length': Buffer.byteLength(body) } : {}) })
    return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
  }

  /** All requests over 8 fresh connections. Every answer must have the status. Microseconds are those of one request. */
  async send(requests, status = 200) {
    const connections = await Promise.all(Array.from({ length: 8 }, () => Connection.open(this.port)))
    const came = new Array(requests.length)
    const before = await cpuWhenQuiet(this.pid)
    let next = 0
    await Promise.all(
      connections.map(async (connection) => {
        for (let i; (i = next++) < requests.length; ) came[i] = await connection.ask(requests[i])
      }),
    )
    const micros = ((await cpuWhenQuiet(this.pid)) - before) / 1000 / requests.length
    for (const connection of connections) connection.close()
    const answers = came.map((bytes) => new Answer(bytes))
    const bad = answers.findIndex((answer) => answer.status !== status)
    if (bad >= 0) throw new Error(`${answers[bad].status} ${answers[bad].text} to ${requests[bad]}`)
    return { answers, micros }
  }
}

/** better-auth-app.mjs. Its folder and options are those of the process; ends with the test. */
export async function startBetterAuth(t, options) {
  const child = fork(join(import.meta.dirname, 'better-auth-app.mjs'), [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ended = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const [message] = await Promise.race([once(child, 'message'), ended.then(() => [])])
  if (!message?.ready) throw new Error('the app on Better Auth ended early')
  return child.pid
}

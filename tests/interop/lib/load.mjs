// Servers under load, and what it costs them: the processor time of all their threads, read from outside.
import { fork } from 'node:child_process'
import http from 'node:http'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
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

export class UnderLoad {
  constructor(pid, port) {
    Object.assign(this, { pid, port })
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  }

  /** `path`, or one with the parameters that a redirect to us has. */
  ask({ method = 'GET', path, headers = {}, body }) {
    return new Promise((resolve, reject) => {
      const request = http.request(
        { host: '127.0.0.1', port: this.port, method, path, agent: this.agent, headers: { host: `localhost:${this.port}`, ...headers } },
        (answer) => {
          const chunks = []
          answer.on('data', (chunk) => chunks.push(chunk))
          answer.on('error', reject)
          answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() }))
        },
      )
      request.on('error', reject)
      request.end(body)
    })
  }

  /** All requests over 8 connections. Every answer must have the status. */
  async send(requests, status = 200) {
    const answers = new Array(requests.length)
    const before = await cpuWhenQuiet(this.pid)
    let next = 0
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i; (i = next++) < requests.length; ) {
          answers[i] = await this.ask(requests[i])
          if (answers[i].status !== status) throw new Error(`${requests[i].path}: ${answers[i].status} ${answers[i].text}`)
        }
      }),
    )
    return { answers, micros: ((await cpuWhenQuiet(this.pid)) - before) / 1000 / requests.length }
  }

  close() {
    this.agent.destroy()
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

/** The Cookie header with what an answer set. */
export const cookiesOf = (answer) => (answer.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ')

// Apps in processes of their own (app-process.mjs), as seen by the test.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export class AppProcess {
  #calls = new Map()
  #events = new Map() // name -> how often it came without anybody waiting, or who waits
  #next = 0

  /** `lock`: whether the client gets a lock that all processes of `folder` share. */
  static async start(t, { folder, network, metadata, privateJwk, lock }) {
    const process = new AppProcess()
    process.child = fork(
      join(import.meta.dirname, 'app-process.mjs'),
      [JSON.stringify({ folder, urls: network.urls, metadata, privateJwk, lock })],
      { stdio: ['ignore', 'inherit', 'pipe', 'ipc'], execArgv: [] },
    )
    process.stderr = ''
    process.child.stderr.on('data', (chunk) => (process.stderr += chunk))
    process.child.on('message', (message) => process.#hear(message))
    process.ended = once(process.child, 'close').then(() => {
      for (const { reject } of process.#calls.values()) reject(new Error(`the app’s process ended:\n${process.stderr}`))
      for (const waiting of process.#events.values()) waiting.reject?.(new Error(`the app’s process ended:\n${process.stderr}`))
    })
    t.after(() => process.kill())
    await process.event('ready')
    return process
  }

  #hear({ id, event, result, error }) {
    if (event) {
      const waiting = this.#events.get(event)
      if (waiting) waiting.resolve()
      else this.#events.set(event, Promise.withResolvers()).get(event).resolve()
      return
    }
    const { resolve, reject } = this.#calls.get(id)
    this.#calls.delete(id)
    if (error) reject(Object.assign(new Error(error.message, { cause: error.cause && new Error(error.cause) }), { name: error.name }))
    else resolve(result)
  }

  /** Resolves when the event has come since it was last asked for. */
  async event(name) {
    if (!this.#events.has(name)) this.#events.set(name, Promise.withResolvers())
    await this.#events.get(name).promise
    this.#events.delete(name)
  }

  call(call, ...args) {
    const id = ++this.#next
    const answer = Promise.withResolvers()
    this.#calls.set(id, answer)
    this.child.send({ id, call, args })
    return answer.promise
  }

  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

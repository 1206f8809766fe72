// The programs of examples/, built beside the binary under test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { binary, freePort, temporaryFolder } from './network.mjs'

/** One run of an example: what it says line by line, and its end. Ended with the test when it is still there. */
export class Example {
  #waiting = []
  lines = []

  constructor(t, name, args) {
    this.child = spawn(join(dirname(binary), 'examples', name, name), args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.stderr = ''
    this.child.stderr.on('data', (chunk) => (this.stderr += chunk))
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.lines.push(line)
      this.#wake()
    })
    this.ended = once(this.child, 'close').then(([code]) => {
      this.code = code
      this.#wake()
      return code
    })
    t.after(async () => {
      this.child.kill('SIGTERM')
      await this.ended
    })
  }
  #wake() {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** What the first group of the pattern matches in a line, as soon as there is one. */
  async says(pattern) {
    for (;;) {
      for (const line of this.lines) {
        const found = pattern.exec(line)
        if (found) return found[1]
      }
      if (this.code !== undefined) throw new Error(`it ended with ${this.code} and never said ${pattern}:\n${this.lines.join('\n')}\n${this.stderr}`)
      await new Promise((resolve) => this.#waiting.push(resolve))
    }
  }
  stop() {
    this.child.kill('SIGTERM')
    return this.ended
  }
}

/** Starts one that is a server; answers with the address it prints. It gets a port and a database. */
export async function startExample(t, name) {
  const program = new Example(t, name, [String(await freePort()), join(await temporaryFolder(t), 'app.db')])
  return program.says(/^(http:.*)$/)
}

// `latchkey auth` as an operator runs it: a configuration file, a few variables, and mail over SMTP.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MailServer } from './mail-server.mjs'
import { eventually, freePort, Run, temporaryFolder } from './network.mjs'
import { clean } from './serve.mjs'

/** Nothing of whoever runs the tests may decide anything. */
const nothing = {
  ...clean,
  ...Object.fromEntries(Object.keys(process.env).filter((name) => name.startsWith('BETTER_AUTH')).map((name) => [name, undefined])),
}

export class AuthService {
  /** `publicPort`: where a proxy in front listens; `file`: lines of the configuration file; `env`: more variables. */
  static async prepare(t, { publicPort, file = '', env = {}, mail } = {}) {
    const service = new AuthService()
    service.mail = mail ?? (await MailServer.start(t))
    service.folder = await temporaryFolder(t)
    service.port = await freePort()
    service.origin = `http://localhost:${publicPort ?? service.port}`
    service.api = `${service.origin}/api/auth`
    service.config = join(service.folder, 'auth.toml')
    await writeFile(
      service.config,
      [
        `baseURL = "${service.origin}"`,
        `listen = "127.0.0.1:${service.port}"`,
        `dataDirectory = "${join(service.folder, 'data')}"`,
        'appName = "Our Notes"',
        file,
        '[mail]',
        'host = "127.0.0.1"',
        `port = ${service.mail.port}`,
        'from = "login@notes.example"',
        '',
      ].join('\n'),
    )
    service.env = { ...nothing, ...env }
    t.after(async () => {
      if (!service.running) return
      const { code } = await service.stop()
      if (code !== 0) throw new Error(`latchkey auth ended with ${code}:\n${service.run.stderr}`)
    })
    return service
  }
  static async forTest(t, options) {
    const service = await AuthService.prepare(t, options)
    await service.start()
    return service
  }

  /** Another process, over the same configuration and data, until the test ends. */
  async twin(t) {
    const twin = Object.assign(new AuthService(), this, { run: undefined, port: await freePort() })
    twin.origin = `http://localhost:${twin.port}`
    twin.api = `${twin.origin}/api/auth`
    twin.env = { ...this.env, LATCHKEY_AUTH_LISTEN: `127.0.0.1:${twin.port}` }
    t.after(() => twin.running && twin.stop())
    await twin.start()
    return twin
  }

  get running() {
    return this.run !== undefined && this.run.child.exitCode === null && this.run.child.signalCode === null
  }
  /** Returns when it answers. */
  async start() {
    const run = new Run(['auth', '--config', this.config], this.env)
    this.run = run
    await eventually('an answer of latchkey auth', async () => {
      if (!this.running) throw new Error(`latchkey auth ended early:\n${run.stderr}`)
      return fetch(`http://127.0.0.1:${this.port}/health`).then((r) => r.ok).catch(() => false)
    })
  }
  stop() {
    return this.run.stop()
  }
  async restart() {
    await this.stop()
    await this.start()
  }
  /** Another command with this configuration, to its end. */
  async command(...args) {
    const run = new Run([...args, '--config', this.config], this.env)
    const { code } = await run.ended
    return { code, stdout: run.stdout, stderr: run.stderr }
  }
}

// `latchkey serve` as an operator runs it: configured by variables, with a PLC directory beside it and mail over SMTP.
import { join } from 'node:path'
import { MailServer } from './mail-server.mjs'
import { eventually, freePort, Host, Run, temporaryFolder } from './network.mjs'

/** Nothing of whoever runs the tests may decide anything. */
export const clean = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^(PDS|AUTH|SMTP|EMAIL|DB|MAGIC|LATCHKEY|SESSION|LOG|OIDC|GOOGLE|GITHUB|SENDGRID|AWS|POSTMARK|SSL)_/.test(name))
    .map((name) => [name, undefined]),
)

export class Server extends Host {
  /**
   * What `start()` needs, on a free port. `mail`: a MailServer, a fresh one if not given. `authHost`: where the sign-in pages
   * are, if not at the origin of the PDS. `env`: more variables, or a function that makes them of `urls`. What is given as
   * undefined is not set.
   */
  static async prepare(t, { mail, authHost, env = {}, port } = {}) {
    const server = new Server()
    server.mail = mail ?? (await MailServer.start(t))
    const folder = await temporaryFolder(t)
    const plc = new Run(['plc', '--port', '0', '--data-dir', join(folder, 'plc')], clean)
    t.after(() => plc.stop())
    server.plc = plc
    server.port = port ?? (await freePort())
    const pds = `http://localhost:${server.port}`
    server.urls = { pds, auth: authHost ? `http://${authHost}:${server.port}` : pds, plc: /http:\S+/.exec(await plc.firstLine())[0] }
    server.dataDir = join(folder, 'data')
    server.env = {
      ...clean,
      PDS_HOSTNAME: 'localhost',
      PDS_PORT: String(server.port),
      AUTH_HOSTNAME: authHost,
      PDS_DEV_MODE: 'true',
      PDS_DISABLE_SSRF_PROTECTION: 'true',
      PDS_INVITE_REQUIRED: 'false',
      LATCHKEY_CODES_PER_MINUTE: '1000',
      PDS_DID_PLC_URL: server.urls.plc,
      PDS_DATA_DIRECTORY: server.dataDir,
      PDS_SERVICE_NAME: 'Our Community',
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(server.mail.port),
      SMTP_FROM: 'login@community.example',
      SMTP_FROM_NAME: 'Our Community',
      ...(typeof env === 'function' ? env(server.urls) : env),
    }
    t.after(async () => {
      if (!server.running) return
      const { code } = await server.stop()
      if (code !== 0) throw new Error(`latchkey ended with ${code}:\n${server.run.stderr}`)
    })
    return server
  }

  /** Prepared and started. */
  static async forTest(t, options) {
    const server = await Server.prepare(t, options)
    await server.start()
    return server
  }

  get running() {
    return this.run !== undefined && this.run.child.exitCode === null && this.run.child.signalCode === null
  }

  /** Returns when it answers. */
  async start(env = {}) {
    const run = new Run(['serve'], { ...this.env, ...env })
    this.run = run
    await eventually(`an answer of ${this.urls.pds}`, async () => {
      if (!this.running) throw new Error(`latchkey ended early:\n${run.stderr}`)
      return fetch(`${this.urls.pds}/xrpc/_health`).then((r) => r.ok).catch(() => false)
    })
    return run
  }
  stop() {
    return this.run.stop()
  }
  kill() {
    return this.run.kill()
  }
  async restart(env) {
    await this.stop()
    return this.start(env)
  }
  /** Another command of the same configuration, to its end. */
  async command(...args) {
    const run = new Run(args, this.env)
    const { code } = await run.ended
    return { code, stdout: run.stdout, stderr: run.stderr }
  }

  mails(to) {
    return this.mail.mails(to)
  }
  codeAfter(to, seen) {
    return this.mail.codeAfter(to, seen)
  }
}

let person = 0
/** The address of somebody's computer: the limits of addresses shall not make one test depend on another. */
export function freshAddress() {
  person += 1
  return `198.51.${100 + (person >> 8)}.${person & 255}`
}

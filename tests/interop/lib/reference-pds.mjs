// The PDS of @atproto/pds in a process of its own, beside the directory of `latchkey plc`.
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { clean } from './serve.mjs'
import { freePort, Host, Run, temporaryFolder } from './network.mjs'

const hex = (bytes) => randomBytes(bytes).toString('hex')

export class ReferencePds extends Host {
  static async forTest(t) {
    const host = new ReferencePds()
    const directory = new Run(['plc', '--port', '0'], clean)
    t.after(() => directory.stop())
    const plc = /http:\S+/.exec(await directory.firstLine())[0]
    const port = await freePort()
    const folder = await temporaryFolder(t)
    host.urls = { pds: `http://localhost:${port}`, plc }
    host.env = {
      PDS_PORT: String(port),
      PDS_HOSTNAME: 'localhost',
      PDS_DEV_MODE: 'true',
      PDS_DATA_DIRECTORY: folder,
      PDS_BLOBSTORE_DISK_LOCATION: join(folder, 'blobs'),
      PDS_DID_PLC_URL: plc,
      PDS_JWT_SECRET: hex(32),
      PDS_ADMIN_PASSWORD: hex(16),
      PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: hex(32),
      PDS_DPOP_SECRET: hex(32),
      PDS_INVITE_REQUIRED: 'false',
      PDS_DISABLE_SSRF_PROTECTION: 'true',
      LOG_ENABLED: '0',
    }
    await host.start()
    t.after(() => host.stop())
    return host
  }

  async start() {
    this.child = fork(join(import.meta.dirname, 'reference-pds-process.mjs'), [], {
      env: { ...process.env, ...clean, ...this.env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    })
    let said = ''
    this.child.stderr.on('data', (chunk) => (said += chunk))
    this.ended = once(this.child, 'close')
    const [message] = await Promise.race([once(this.child, 'message'), this.ended])
    if (!message?.ready) throw new Error(`the reference PDS ended early:\n${said}`)
  }
  async stop() {
    this.child.kill('SIGTERM')
    await this.ended
  }

  /** What the owner of an account does at its pages, in Chromium, until the browser is at `origin`. */
  async passThrough(page, { handle, password }, origin) {
    await page.locator(`input[name=username][value="${handle}"]`).waitFor() // the app has said who is to sign in
    await page.locator('input[name=password]').fill(password)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByRole('button', { name: 'Authorize', exact: true }).click()
    await page.waitForURL((url) => url.origin === origin)
  }

  /** With another secret it no longer knows the access tokens it gave out; refresh tokens are rows. */
  async forgetAccessTokens() {
    await this.stop()
    this.env.PDS_JWT_SECRET = hex(32)
    await this.start()
  }
}

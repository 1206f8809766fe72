// Better Auth's own server and `latchkey auth` on one database, with one secret.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { getMigrations } from 'better-auth/db/migration'
import { GenuineServer } from './genuine.mjs'
import { MailServer } from './mail-server.mjs'
import { eventually, freePort, Run, temporaryFolder } from './network.mjs'
import { freshDatabase, skipped } from './postgres.mjs'
import { clean } from './serve.mjs'

const secret = 'one secret for both of them, which is long enough'

/** A database of its own: what the genuine server is given, and where ours finds it. */
const databases = {
  async SQLite(t) {
    const file = join(await temporaryFolder(t), 'app.db')
    return { location: file, open: () => new DatabaseSync(file, { timeout: 5000 }), close: (database) => database.close() }
  },
  async PostgreSQL() {
    const { location, pool } = await freshDatabase()
    return { location, open: pool, close: (database) => database.end() }
  },
}
export const engines = ['SQLite', ...(skipped ? [] : ['PostgreSQL'])]

export class Genuine {
  static async start(t, { open, close }) {
    const database = open()
    const options = { secret, database, emailAndPassword: { enabled: true } }
    const { toBeCreated, toBeAdded, runMigrations } = await getMigrations(options)
    await runMigrations()
    const server = await GenuineServer.start(t, options, { otpLength: 8, storeOTP: 'hashed' })
    t.after(() => close(database))
    // What it found missing.
    server.made = [...toBeCreated, ...toBeAdded].map(({ table }) => table)
    return server
  }
}

export class Ours {
  static async start(t, { location }) {
    const ours = new Ours()
    const port = await freePort()
    ours.origin = `http://localhost:${port}`
    ours.mail = await MailServer.start(t)
    ours.env = {
      ...clean,
      BETTER_AUTH_URL: ours.origin,
      BETTER_AUTH_SECRET: secret,
      LATCHKEY_AUTH_LISTEN: `127.0.0.1:${port}`,
      LATCHKEY_AUTH_DATABASE: location,
      LATCHKEY_AUTH_DATA_DIRECTORY: join(await temporaryFolder(t), 'data'),
      LATCHKEY_AUTH_RATE_LIMIT: 'false',
      LATCHKEY_AUTH_PASSWORD: 'true',
      LATCHKEY_AUTH_EMAIL_OTP: 'true',
      LATCHKEY_CODES_PER_MINUTE: '1000',
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(ours.mail.port),
      SMTP_FROM: 'login@app.example',
    }
    const run = new Run(['auth'], ours.env)
    t.after(async () => {
      const { code } = await run.stop()
      if (code !== 0) throw new Error(`latchkey auth ended with ${code}:\n${run.stderr}`)
    })
    await eventually(`an answer of ${ours.origin}`, async () => {
      if (run.child.exitCode !== null) throw new Error(`latchkey auth ended early:\n${run.stderr}`)
      return fetch(`http://127.0.0.1:${port}/api/auth/ok`).then((r) => r.ok).catch(() => false)
    })
    return ours
  }
  mails(to) {
    return this.mail.mails(to)
  }
}

/** Both, in that order of coming to the database. */
export async function both(t, engine, first) {
  const database = await databases[engine](t)
  if (first === 'genuine') {
    const genuine = await Genuine.start(t, database)
    return { genuine, ours: await Ours.start(t, database) }
  }
  const ours = await Ours.start(t, database)
  return { ours, genuine: await Genuine.start(t, database) }
}

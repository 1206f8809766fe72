// Databases of the private PostgreSQL that tests/postgres.sh runs. They go with it.
import pg from 'pg'

const conninfo = process.env.LATCHKEY_TEST_POSTGRES
/** For tests that need it: why they are skipped, or false. */
export const skipped = !conninfo && 'LATCHKEY_TEST_POSTGRES is not set; run under tests/postgres.sh'

let made = 0
/** A fresh one: where latchkey finds it, and connections to it for JavaScript. */
export async function freshDatabase() {
  const { host, dbname, user } = Object.fromEntries(conninfo.split(' ').map((pair) => pair.split('=')))
  const pool = (database) => new pg.Pool({ host, user, database, max: 4 })
  const name = `interop_${process.pid}_${++made}`
  const admin = pool(dbname)
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  return { location: `postgres:///${name}?host=${encodeURIComponent(host)}&user=${user}`, pool: () => pool(name) }
}

// Two processes of `latchkey serve` on one PostgreSQL, behind a proxy that gives each request to the other one.
// Runs under tests/postgres.sh.
import assert from 'node:assert/strict'
import { createServer, connect } from 'node:net'
import { before, describe, it } from 'node:test'
import { Browser, signIn } from './lib/browser.mjs'
import { freePort, freshEmail, ofThisSuite } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { freshDatabase, skipped } from './lib/postgres.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

const wrong = (code) => (code === '00000000' ? '00000001' : '00000000')

/** In turn, and past those that are not there. */
async function proxy(t, port, behind) {
  let turn = 0
  const server = createServer((client) => {
    client.on('error', () => {})
    const to = (tries) => {
      const next = connect({ port: behind[turn++ % behind.length], host: '127.0.0.1' })
      next.on('connect', () => client.pipe(next).pipe(client))
      next.on('error', () => (next.connecting || tries === 0 ? client.destroy() : to(tries - 1)))
      client.on('close', () => next.destroy())
    }
    to(behind.length)
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => server.close())
}

describe('two processes on one PostgreSQL', { skip: skipped }, () => {
  const suite = ofThisSuite()
  let one, two, app
  before(async () => {
    const port = await freePort()
    const behind = [await freePort(), await freePort()]
    one = await Server.prepare(suite, {
      port,
      env: {
        PDS_PUBLIC_URL: `http://localhost:${port}`,
        PDS_PORT: String(behind[0]),
        DB_LOCATION: (await freshDatabase()).location,
      },
    })
    await proxy(suite, port, behind)
    await one.start()
    two = Object.assign(Object.create(Server.prototype), one, { env: { ...one.env, PDS_PORT: String(behind[1]) } })
    suite.after(() => two.running && two.stop())
    await two.start()
    app = loopbackApp(one)
  })
  const browser = () => new Browser([one.urls.pds], { address: freshAddress() })
  const atTheCode = async (email) => {
    const person = browser()
    const page = await person.open(await app.authorize(one.urls.pds))
    return { person, page: await person.submit(page, page.formWith('email'), { email }) }
  }
  const bothWorked = async () => {
    for (const { run } of [one, two]) assert.match(run.stderr, /"path":"\/auth\//, 'this process has seen pages')
  }

  it('sign somebody in together, and refresh', async () => {
    const email = freshEmail()
    const { parameters, steps } = await signIn(browser(), one, await app.authorize(one.urls.pds), email)
    assert.deepEqual(steps, ['email', 'code', 'consent'])
    const { session } = await app.callback(parameters)
    for (let i = 0; i < 4; ++i) {
      const restored = await app.restore(session.did, true)
      assert.equal((await (await restored.fetchHandler('/xrpc/com.atproto.server.getSession')).json()).did, session.did)
    }
    const again = await signIn(browser(), one, await app.authorize(one.urls.pds), email)
    assert.equal((await app.callback(again.parameters)).session.did, session.did)
    await bothWorked()
  })

  it('count mails together, also after a restart', async () => {
    const email = freshEmail()
    const { person, page } = await atTheCode(email)
    for (let i = 0; i < 6; ++i) await person.submit(page, page.formTo('/auth/resend'))
    await two.restart()
    for (let i = 0; i < 4; ++i) await person.submit(page, page.formTo('/auth/resend'))
    await one.codeAfter(email, 2)
    await Promise.all([one.restart(), two.restart()]) // which waits for mails under way
    assert.equal((await one.mails(email)).length, 3)
  })

  it('count tries together', async () => {
    const email = freshEmail()
    let { person, page } = await atTheCode(email)
    const code = await one.codeAfter(email, 0)
    for (let i = 0; i < 5; ++i) page = await person.submit(page, page.formWith('code'), { code: wrong(code) })
    page = await person.submit(page, page.formWith('code'), { code })
    assert.match(page.words, /Invalid or expired code/)
  })

  it('one goes on when the other is gone', async () => {
    const email = freshEmail()
    const { person, page } = await atTheCode(email)
    const code = await one.codeAfter(email, 0)
    await two.kill()
    const consent = await person.submit(page, page.formWith('code'), { code })
    assert.ok(consent.formWith('action'))
    const { left } = await person.submit(consent, consent.formWith('action'), {}, 'approve')
    assert.ok((await app.callback(left.searchParams)).session.did)
  })
})

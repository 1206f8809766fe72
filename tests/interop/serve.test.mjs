// `latchkey serve` as an operator runs it: configured by variables, mail over SMTP.
import assert from 'node:assert/strict'
import { readFile, stat, readdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { Browser, codeIn, signIn } from './lib/browser.mjs'
import { MailServer } from './lib/mail-server.mjs'
import { certificateFor } from './lib/oauth-app.mjs'
import { guideApp } from './guide.mjs'
import { eventually, freePort, freshEmail, Run, temporaryFolder } from './lib/network.mjs'
import { clean, Server } from './lib/serve.mjs'

async function login(server, email) {
  const app = guideApp(server.urls)
  const { url, cookie } = await app.login(email)
  const { url: back } = await signIn(new Browser([server.urls.pds]), server, url, email)
  return app.callback(back.searchParams, cookie)
}

describe('latchkey serve', () => {
  it('signs people in with a code that came by SMTP, and knows them after a restart', async (t) => {
    const server = await Server.forTest(t)
    const { mail, dataDir } = server
    const email = freshEmail()
    const first = await login(server, email)
    assert.match(first.did, /^did:plc:/)
    assert.match(first.handle, /^[a-z0-9]{6}\.test$/)

    const [welcome] = await mail.mails(email)
    assert.equal(welcome.envelope.mailFrom.address, 'login@community.example')
    assert.deepEqual(welcome.from.value, [{ address: 'login@community.example', name: 'Our Community' }])
    const code = codeIn(welcome.subject)
    assert.equal(welcome.subject, `${code} — Welcome to Our Community`)
    for (const part of [welcome.text, welcome.html]) {
      assert.ok(part.includes(code))
      assert.match(part, /10 minutes/)
    }
    assert.ok(welcome.messageId && welcome.date)
    assert.equal(welcome.headers.get('auto-submitted'), 'auto-generated')

    assert.equal((await server.stop()).code, 0)
    const run = await server.start()
    const again = await login(server, email)
    assert.equal(again.did, first.did)
    const [, second] = await mail.mails(email)
    assert.equal(second.subject, `${codeIn(second.subject)} is your sign-in code for Our Community`)

    // Logs carry no code, no whole address, no token.
    for (const secret of [code, email, first.token.json.access_token, first.token.json.refresh_token])
      assert.ok(!(run.stderr + run.stdout).includes(secret), 'a secret in the log')
    // Secrets that were made at the first run are the server's own.
    const secrets = await stat(`${dataDir}/secrets.json`)
    assert.equal(secrets.mode & 0o777, 0o600)
    const text = await readFile(`${dataDir}/secrets.json`, 'utf8')
    assert.ok(JSON.parse(text).PDS_JWT_SECRET.length >= 32)
  })

  it('logs in at a mail server with STARTTLS, given by PDS_EMAIL_SMTP_URL', async (t) => {
    const certificate = await certificateFor('localhost', await temporaryFolder(t))
    const mail = await MailServer.start(t, { login: { user: 'apikey', pass: 'p@ss/word' }, certificate })
    const server = await Server.forTest(t, {
      mail,
      env: {
        SMTP_HOST: undefined,
        SMTP_PORT: undefined,
        PDS_EMAIL_SMTP_URL: `smtp://apikey:p%40ss%2Fword@localhost:${mail.port}`,
        SSL_CERT_FILE: certificate.ca,
      },
    })
    const email = freshEmail()
    assert.ok((await login(server, email)).did)
    const [message] = await mail.mails(email)
    assert.equal(message.user, 'apikey')
    assert.equal(message.secure, true)
  })

  it('sends its password to no mail server without TLS', async (t) => {
    const mail = await MailServer.start(t, {
      login: { user: 'apikey', pass: 'secret' },
      smtp: { allowInsecureAuth: true, hideSTARTTLS: true },
    })
    const { urls, run } = await Server.forTest(t, {
      mail,
      env: { SMTP_HOST: undefined, SMTP_PORT: undefined, PDS_EMAIL_SMTP_URL: `smtp://apikey:secret@localhost:${mail.port}` },
    })
    const { url } = await guideApp(urls).login()
    const person = new Browser([urls.pds])
    const page = await person.open(url)
    await person.submit(page, page.formWith('email'), { email: freshEmail() })
    await eventually('the failure in the log', async () => /mail not sent/.test(run.stderr))
    assert.match(run.stderr, /"kind":"tls"/)
    assert.deepEqual([mail.received, mail.logins], [[], 0])
  })

  it('goes on when the mail server is away: the answer is the same, the person can ask again', async (t) => {
    const { urls } = await Server.forTest(t, { env: { SMTP_PORT: String(await freePort()) } })
    const app = guideApp(urls)
    const { url } = await app.login()
    const person = new Browser([urls.pds])
    const page = await person.open(url)
    const next = await person.submit(page, page.formWith('email'), { email: freshEmail() })
    assert.equal(next.status, 200)
    assert.ok(next.formWith('code') && next.formTo('/auth/resend'))
  })

  it('mails no more codes a minute than it may, and tells nobody', async (t) => {
    const server = await Server.forTest(t, { env: { LATCHKEY_CODES_PER_MINUTE: '2' } })
    const emails = [freshEmail(), freshEmail(), freshEmail()]
    const said = []
    for (const email of emails) {
      const person = new Browser([server.urls.pds])
      const { url } = await guideApp(server.urls).login()
      const page = await person.open(url)
      said.push((await person.submit(page, page.formWith('email'), { email })).words)
    }
    assert.equal(new Set(said).size, 1)
    for (const email of emails.slice(0, 2)) await server.codeAfter(email, 0)
    assert.equal((await server.stop()).code, 0) // which waits for mails under way
    assert.deepEqual(await server.mails(emails[2]), [])
  })

  it('takes nobody new without an invitation unless that is allowed', async (t) => {
    const server = await Server.forTest(t, { env: { PDS_INVITE_REQUIRED: undefined } })
    const { urls } = server
    const email = freshEmail()
    const app = guideApp(urls)
    const wish = async (decision) =>
      signIn(new Browser([urls.pds]), server, (await app.login(email)).url, email, { decision })
    await assert.rejects(wish('approve'), /Enter the invite code you were given/)
    const { url: back } = await wish('deny')
    assert.equal(back.searchParams.get('error'), 'access_denied')
    assert.equal(back.searchParams.get('iss'), urls.pds)
    const repos = await (await fetch(`${urls.pds}/xrpc/com.atproto.sync.listRepos`)).json()
    assert.deepEqual(repos.repos, [])
  })
})

it('latchkey migrate shows what the database of serve lacks, makes it, and then has nothing to do', async (t) => {
  const server = await Server.prepare(t)
  const shown = await server.command('migrate')
  assert.equal(shown.code, 1, shown.stderr)
  assert.match(shown.stdout, /^missing: step 1 of pds$/m)
  assert.match(shown.stdout, /Nothing was changed/)
  const made = await server.command('migrate', '--apply')
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /^made: {4}step 1 of pds$/m)
  const again = await server.command('migrate')
  assert.equal(again.code, 0)
  assert.match(again.stdout, /^Nothing to do/)
})

describe('latchkey serve does not start', () => {
  const good = (dataDir) => ({
    ...clean,
    PDS_HOSTNAME: 'pds.example.com',
    PDS_DATA_DIRECTORY: dataDir,
    SMTP_HOST: 'mail.example.com',
    SMTP_USER: 'login',
    SMTP_PASS: 'a password of the mail server',
    SMTP_FROM: 'login@example.com',
  })

  it('without configuration: it says everything that is missing at once', async (t) => {
    const dataDir = await temporaryFolder(t)
    const run = new Run(['serve'], { ...clean, PDS_DATA_DIRECTORY: dataDir })
    assert.equal((await run.ended).code, 2)
    for (const name of ['PDS_HOSTNAME', 'SMTP_HOST', 'SMTP_FROM']) assert.match(run.stderr, new RegExp(`- .*${name}`))
    assert.deepEqual(await readdir(dataDir), [], 'and leaves nothing behind')
  })

  const cases = [
    ['PDS_JWT_SECRET', '', 'empty'],
    ['PDS_JWT_SECRET', 'short', 'too short'],
    ['PDS_JWT_SECRET', 'a'.repeat(64), 'easy to guess'],
    ['AUTH_SESSION_SECRET', 'changeme', 'too short'],
    ['PDS_DPOP_SECRET', '0'.repeat(64), 'easy to guess'],
    ['PDS_ADMIN_PASSWORD', 'admin', 'too short'],
    ['PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX', 'nothex', '64 hexadecimal'],
    ['PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX', '0'.repeat(64), '64 hexadecimal'],
    ['PDS_HOSTNAME', 'https://pds.example.com', 'no host name'],
    ['PDS_HOSTNAME', 'PDS.example.com', 'no host name'],
    ['AUTH_HOSTNAME', 'auth.elsewhere.com', 'AUTH_HOSTNAME must be'],
    ['PDS_PUBLIC_URL', 'http://pds.example.com', 'must be https'],
    ['SMTP_FROM', 'not an address', 'no e-mail address'],
    ['SMTP_PASS', undefined, 'SMTP_PASS is missing'],
    ['PDS_PORT', 'http', 'PDS_PORT'],
  ]
  for (const [name, value, words] of cases)
    it(`with ${name}=${value === undefined ? '(unset)' : value.slice(0, 24)}`, async (t) => {
      const run = new Run(['check-config'], { ...good(await temporaryFolder(t)), [name]: value })
      assert.equal((await run.ended).code, 2)
      const lines = run.stderr.split('\n').filter((line) => line.startsWith('  - '))
      assert.equal(lines.length, 1, run.stderr)
      assert.ok(lines[0].includes(name) && lines[0].includes(words), lines[0])
    })

  it('and with a good configuration check-config says so', async (t) => {
    const run = new Run(['check-config'], good(await temporaryFolder(t)))
    assert.equal((await run.ended).code, 0, run.stderr)
    assert.match(run.stdout, /https:\/\/pds\.example\.com and https:\/\/auth\.pds\.example\.com/)
  })
})

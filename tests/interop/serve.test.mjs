// `latchkey serve` as an operator runs it: configured by variables, mail over SMTP.
import assert from 'node:assert/strict'
import { readFile, stat, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { simpleParser } from 'mailparser'
import { SMTPServer } from 'smtp-server'
import { Browser, codeIn, signIn } from './lib/browser.mjs'
import { certificateFor } from './lib/oauth-app.mjs'
import { guideApp } from './guide.mjs'
import { freshEmail, Run, temporaryFolder, eventually } from './lib/network.mjs'

/** A mail server that takes everything. */
class MailSink {
  static async start(t, options = {}) {
    const sink = new MailSink()
    sink.received = []
    sink.logins = 0
    sink.server = new SMTPServer({
      authOptional: true,
      disabledCommands: options.login ? [] : ['AUTH', 'STARTTLS'],
      onAuth(auth, session, done) {
        sink.logins += 1
        const ok = auth.username === options.login?.user && auth.password === options.login?.pass
        done(ok ? null : new Error('wrong password'), ok ? { user: auth.username } : undefined)
      },
      onData(stream, session, done) {
        simpleParser(stream).then((mail) => {
          sink.received.push({ envelope: session.envelope, user: session.user, secure: session.secure, mail })
          done()
        }, done)
      },
      ...options.smtp,
    })
    await new Promise((resolve) => sink.server.listen(0, '127.0.0.1', resolve))
    sink.port = sink.server.server.address().port
    t.after(() => new Promise((resolve) => sink.server.close(resolve)))
    return sink
  }
  async mails(to) {
    return this.received.filter((m) => m.envelope.rcptTo.some((r) => r.address === to))
  }
  async codeAfter(to, seen) {
    const { mail } = await eventually(`a mail to ${to}`, async () => (await this.mails(to))[seen])
    return codeIn(mail.subject)
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

// Nothing of whoever runs the tests may decide anything.
const clean = Object.fromEntries(
  Object.keys(process.env)
    .filter((name) => /^(PDS|AUTH|SMTP|EMAIL|DB|MAGIC|LATCHKEY|SESSION|LOG|OIDC|GOOGLE|GITHUB)_/.test(name))
    .map((name) => [name, undefined]),
)

async function started(run, url) {
  await eventually(`an answer of ${url}`, async () => {
    if (run.child.exitCode !== null) throw new Error(`latchkey ended early:\n${run.stderr}`)
    return fetch(`${url}/xrpc/_health`).then((r) => r.ok).catch(() => false)
  })
}

async function serve(t, { mail, env = {} } = {}) {
  const plc = new Run(['plc', '--port', '0', '--data-dir', await temporaryFolder(t)], clean)
  t.after(() => plc.stop())
  const plcUrl = /http:\S+/.exec(await plc.firstLine())[0]
  const port = await freePort()
  const dataDir = await temporaryFolder(t)
  const variables = {
    ...clean,
    PDS_HOSTNAME: 'localhost',
    PDS_PORT: String(port),
    PDS_DEV_MODE: 'true',
    PDS_DISABLE_SSRF_PROTECTION: 'true',
    PDS_INVITE_REQUIRED: 'false',
    PDS_DID_PLC_URL: plcUrl,
    PDS_DATA_DIRECTORY: dataDir,
    PDS_SERVICE_NAME: 'Our Community',
    SMTP_HOST: '127.0.0.1',
    SMTP_PORT: String(mail.port),
    SMTP_FROM: 'login@community.example',
    SMTP_FROM_NAME: 'Our Community',
    ...env,
  }
  const url = `http://localhost:${port}`
  const start = async () => {
    const run = new Run(['serve'], variables)
    await started(run, url)
    return run
  }
  return { start, urls: { pds: url, auth: url, plc: plcUrl }, dataDir, plc }
}

async function login(urls, mail, email) {
  const app = guideApp(urls)
  const { url, cookie } = await app.login(email)
  const { url: back } = await signIn(new Browser([urls.pds]), mail, url, email)
  return app.callback(back.searchParams, cookie)
}

describe('latchkey serve', () => {
  it('signs people in with a code that came by SMTP, and knows them after a restart', async (t) => {
    const mail = await MailSink.start(t)
    const { start, urls, dataDir } = await serve(t, { mail })
    let run = await start()
    const email = freshEmail()
    const first = await login(urls, mail, email)
    assert.match(first.did, /^did:plc:/)
    assert.match(first.handle, /^[a-z0-9]{6}\.test$/)

    const [{ mail: welcome, envelope }] = await mail.mails(email)
    assert.equal(envelope.mailFrom.address, 'login@community.example')
    assert.deepEqual(welcome.from.value, [{ address: 'login@community.example', name: 'Our Community' }])
    const code = codeIn(welcome.subject)
    assert.equal(welcome.subject, `${code} — Welcome to Our Community`)
    for (const part of [welcome.text, welcome.html]) {
      assert.ok(part.includes(code))
      assert.match(part, /10 minutes/)
    }
    assert.ok(welcome.messageId && welcome.date)
    assert.equal(welcome.headers.get('auto-submitted'), 'auto-generated')

    assert.equal((await run.stop()).code, 0)
    run = await start()
    t.after(() => run.stop())
    const again = await login(urls, mail, email)
    assert.equal(again.did, first.did)
    const [, { mail: second }] = await mail.mails(email)
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
    const mail = await MailSink.start(t, {
      login: { user: 'apikey', pass: 'p@ss/word' },
      smtp: { authOptional: false, key: certificate.key, cert: certificate.cert },
    })
    const { start, urls } = await serve(t, {
      mail,
      env: {
        SMTP_HOST: undefined,
        SMTP_PORT: undefined,
        PDS_EMAIL_SMTP_URL: `smtp://apikey:p%40ss%2Fword@localhost:${mail.port}`,
        SSL_CERT_FILE: certificate.ca,
      },
    })
    const run = await start()
    t.after(() => run.stop())
    const email = freshEmail()
    assert.ok((await login(urls, mail, email)).did)
    const [message] = await mail.mails(email)
    assert.equal(message.user, 'apikey')
    assert.equal(message.secure, true)
  })

  it('sends its password to no mail server without TLS', async (t) => {
    const mail = await MailSink.start(t, {
      login: { user: 'apikey', pass: 'secret' },
      smtp: { allowInsecureAuth: true, hideSTARTTLS: true },
    })
    const { start, urls } = await serve(t, {
      mail,
      env: { SMTP_HOST: undefined, SMTP_PORT: undefined, PDS_EMAIL_SMTP_URL: `smtp://apikey:secret@localhost:${mail.port}` },
    })
    const run = await start()
    t.after(() => run.stop())
    const { url } = await guideApp(urls).login()
    const person = new Browser([urls.pds])
    const page = await person.open(url)
    await person.submit(page, page.formWith('email'), { email: freshEmail() })
    await eventually('the failure in the log', async () => /sign-in mail not sent/.test(run.stderr))
    assert.match(run.stderr, /"kind":"tls"/)
    assert.deepEqual([mail.received, mail.logins], [[], 0])
  })

  it('goes on when the mail server is away: the answer is the same, the person can ask again', async (t) => {
    const mail = await MailSink.start(t)
    const { start, urls } = await serve(t, { mail, env: { SMTP_PORT: String(await freePort()) } })
    const run = await start()
    t.after(() => run.stop())
    const app = guideApp(urls)
    const { url } = await app.login()
    const person = new Browser([urls.pds])
    const page = await person.open(url)
    const next = await person.submit(page, page.formWith('email'), { email: freshEmail() })
    assert.equal(next.status, 200)
    assert.ok(next.formWith('code') && next.formTo('/auth/resend'))
  })

  it('takes nobody new without an invitation unless that is allowed', async (t) => {
    const mail = await MailSink.start(t)
    const { start, urls } = await serve(t, { mail, env: { PDS_INVITE_REQUIRED: undefined } })
    const run = await start()
    t.after(() => run.stop())
    const app = guideApp(urls)
    const email = freshEmail()
    const { url } = await app.login(email)
    const { url: back } = await signIn(new Browser([urls.pds]), mail, url, email)
    assert.equal(back.searchParams.get('error'), 'access_denied')
    assert.equal(back.searchParams.get('iss'), urls.pds)
  })
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

// Mails of `latchkey serve` on their way through a real SMTP server that is away, says no, or is not what it should be.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { Browser } from './lib/browser.mjs'
import { MailServer } from './lib/mail-server.mjs'
import { eventually, freePort, freshEmail, ofThisSuite, temporaryFolder } from './lib/network.mjs'
import { certificateFor } from './lib/oauth-app.mjs'
import { Server } from './lib/serve.mjs'

/** Somebody asks for a code at the account pages; answers with the page that takes it. */
async function askForACode(server, email) {
  const person = new Browser([server.urls.auth])
  const page = await person.open(`${server.urls.auth}/account/login`)
  return { person, page: await person.submit(page, page.formWith('email'), { email }) }
}
const isSaid = (server, words) => eventually(`${words} in the log`, async () => words.test(server.run.stderr))
const late = { within: 20_000 } // the first retries come after seconds

describe('a mail', { concurrency: true }, () => {
  it('waits for a server that is away, through kill -9, and its code is good', async (t) => {
    const mail = await MailServer.start(t)
    const server = await Server.forTest(t, { mail })
    await mail.down()
    const email = freshEmail()
    const { person, page } = await askForACode(server, email)
    await isSaid(server, /mail not sent yet/)
    await server.kill()
    await server.start()
    await mail.up()
    const { subject, messageId } = await mail.mailAfter(email, 0, late)
    assert.ok(messageId)
    const next = await person.submit(page, page.formWith('code'), { code: /\d{8}/.exec(subject)[0] })
    assert.doesNotMatch(next.words, /Invalid or expired code/)
    // Nothing of a mail is readable where it waited.
    assert.ok(!(server.run.stdout + server.run.stderr).includes(email))
  })

  it('is handed in again, as the same mail, when the server says not now', async (t) => {
    const server = await Server.forTest(t)
    const { mail } = server
    mail.refuse('data', 451, 'Greylisted, please come back')
    const email = freshEmail()
    await askForACode(server, email)
    await isSaid(server, /Greylisted/)
    const taken = await mail.mailAfter(email, 0, late)
    const [refused] = mail.refused
    assert.deepEqual([taken.messageId, taken.date, taken.text], [refused.messageId, refused.date, refused.text])
    assert.equal((await server.stop()).code, 0)
    assert.equal((await server.mails(email)).length, 1)
  })

  it('is not handed in again when the server says never, and the next person gets theirs', async (t) => {
    const server = await Server.forTest(t)
    const { mail } = server
    mail.refuse('to', 550, 'No such mailbox')
    const [nobody, somebody] = [freshEmail(), freshEmail()]
    await askForACode(server, nobody)
    await isSaid(server, /No such mailbox/)
    await askForACode(server, somebody)
    await mail.mailAfter(somebody)
    const { conversations } = mail
    await server.restart() // which would take up what waits
    const third = freshEmail()
    await askForACode(server, third)
    await mail.mailAfter(third)
    assert.equal(mail.conversations, conversations + 1)
    assert.deepEqual(await mail.mails(nobody), [])
  })
})

describe('mails', { concurrency: true }, () => {
  it('are signed for their domain', async (t) => {
    const key = join(await temporaryFolder(t), 'dkim.pem')
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key])
    const server = await Server.forTest(t, {
      env: { LATCHKEY_DKIM_DOMAIN: 'community.example', LATCHKEY_DKIM_SELECTOR: 's1', LATCHKEY_DKIM_PRIVATE_KEY_FILE: key },
    })
    const email = freshEmail()
    await askForACode(server, email)
    const mail = await server.mail.mailAfter(email)
    assert.match(mail.headerLines[0].line, /^DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed\/relaxed;/)
    assert.match(mail.messageId, /@community\.example>$/)
  })

  it('use the templates of the operator', async (t) => {
    const folder = join(await temporaryFolder(t), 'templates')
    const server = await Server.prepare(t, { env: { LATCHKEY_TEMPLATE_DIRECTORY: folder } })
    assert.equal((await server.command('templates', 'export', folder)).code, 0)
    assert.ok((await readdir(folder)).includes('mail_code.txt'))
    await appendFile(join(folder, 'mail_code.txt'), '\nGreetings from the operator.\n')
    await writeFile(join(folder, 'notes.md'), '{{{')
    assert.equal((await server.command('templates', 'export', folder)).code, 1, 'somebody has changed one')
    await server.start()
    const email = freshEmail()
    await askForACode(server, email)
    assert.match((await server.mail.mailAfter(email)).text, /Greetings from the operator/, 'and it was not overwritten')
  })

  it('and their templates cannot stop them later: a wrong one stops the start, with file and line', async (t) => {
    const folder = await temporaryFolder(t)
    await writeFile(join(folder, 'mail_code.html'), '<p>\n{{{code}}}\n</p>')
    const server = await Server.prepare(t, { env: { LATCHKEY_TEMPLATE_DIRECTORY: folder } })
    const { code, stderr } = await server.command('check-config')
    assert.equal(code, 2)
    assert.ok(stderr.includes(`${join(folder, 'mail_code.html')}:2: unescaped output`), stderr)
  })
})

describe('latchkey mail test says in plain words what is wrong:', { concurrency: true }, () => {
  const suite = ofThisSuite()
  let certificate, other
  before(async () => {
    certificate = await certificateFor('localhost', await temporaryFolder(suite))
    other = await certificateFor('mail.example.com', await temporaryFolder(suite))
  })
  const login = { user: 'login', pass: 'p@ss/word' }
  const cases = [
    {
      name: 'nothing',
      options: () => ({ login, certificate }),
      says: [/ok .*answers on port/, /ok .*encrypted/, /ok .*login as "login" is right/, /ok .*may come from login@community\.example/, /ok .*took the mail/],
      arrives: true,
    },
    { name: 'a port nobody listens on', env: async () => ({ SMTP_PORT: String(await freePort()) }), says: [/WRONG .*does not take connections on port \d+/] },
    { name: 'a name that does not exist', env: async () => ({ SMTP_HOST: 'mail.invalid' }), says: [/WRONG .*mail\.invalid was not found/] },
    { name: 'a password', options: () => ({ login: { ...login, pass: 'another' }, certificate }), says: [/ok .*encrypted/, /WRONG .*does not take the user "login" with this password/] },
    { name: 'an authority nobody knows', options: () => ({ login, certificate }), env: async () => ({ SSL_CERT_FILE: undefined }), says: [/WRONG .*comes from nobody this machine trusts/] },
    { name: 'a certificate for another name', options: () => ({ login, certificate: other }), env: async () => ({ SSL_CERT_FILE: other.ca }), says: [/WRONG .*not one for localhost/] },
    { name: 'a server without TLS', options: () => ({ login, smtp: { allowInsecureAuth: true, hideSTARTTLS: true } }), says: [/WRONG .*does not encrypt on port/] },
    { name: 'the sender', options: () => ({ login, certificate }), refuse: ['from', 553, 'Sender not allowed'], says: [/WRONG .*takes no mails from login@community\.example: .*Sender not allowed/] },
    { name: 'the recipient', options: () => ({ login, certificate }), refuse: ['to', 550, 'No such mailbox'], says: [/WRONG .*takes no mails for .*: .*No such mailbox/] },
    { name: 'the mail', options: () => ({ login, certificate }), refuse: ['data', 554, 'Looks like spam'], says: [/WRONG .*did not take the mail: .*Looks like spam/] },
  ]
  for (const { name, options = () => ({ login, certificate }), env = async () => ({}), refuse, says, arrives = false } of cases)
    it(name, async (t) => {
      const mail = await MailServer.start(t, options())
      if (refuse) mail.refuse(...refuse)
      const server = await Server.prepare(t, {
        mail,
        env: { SMTP_HOST: 'localhost', SMTP_USER: login.user, SMTP_PASS: login.pass, SSL_CERT_FILE: certificate.ca, ...(await env()) },
      })
      const email = freshEmail()
      const { code, stdout } = await server.command('mail', 'test', email)
      for (const words of says) assert.match(stdout, words)
      assert.equal((await mail.mails(email)).length, arrives ? 1 : 0)
      // A network without DNS has no records of the sender either, which is one more thing to mend.
      if (!arrives) assert.equal(code, 1)
      assert.ok(!stdout.includes(login.pass), 'the password is nobody’s business')
    })
})

// A mail server of a test: takes mails over SMTP and keeps them, asks for TLS and a login, refuses when told, is away when told.
import { simpleParser } from 'mailparser'
import { SMTPServer } from 'smtp-server'
import { codeIn, hasCode } from './network.mjs'

const reply = ({ code, message }) => Object.assign(new Error(message), { responseCode: code })

export class MailServer {
  #refusals = []
  #waiting = new Set()
  /** Every mail that was taken, as mailparser reads it, with its `envelope`, and `user` and `secure` of the conversation. */
  received = []
  /** Those that were here as a whole, and not taken. */
  refused = []
  /** How often somebody came, and how often somebody tried to log in. */
  conversations = 0
  logins = 0

  /**
   * `login`: {user, pass}, without which nobody may send. `certificate`: {key, cert}; with it there is STARTTLS, or TLS from
   * the first byte with `secure`. `smtp`: more options of smtp-server.
   */
  static async start(t, { login, certificate, secure = false, port = 0, smtp = {} } = {}) {
    const mail = new MailServer()
    mail.port = port
    mail.options = {
      secure,
      authOptional: !login,
      disabledCommands: [...(login ? [] : ['AUTH']), ...(certificate && !secure ? [] : ['STARTTLS'])],
      ...(certificate ? { key: certificate.key, cert: certificate.cert } : {}),
      onConnect: (session, done) => {
        mail.conversations += 1
        mail.#answer('connect', done)
      },
      onAuth(auth, session, done) {
        mail.logins += 1
        const ok = auth.username === login?.user && auth.password === login?.pass
        done(ok ? null : reply({ code: 535, message: 'Authentication credentials invalid' }), ok ? { user: auth.username } : undefined)
      },
      onMailFrom: (address, session, done) => mail.#answer('from', done),
      onRcptTo: (address, session, done) => mail.#answer('to', done),
      onData: (stream, session, done) =>
        simpleParser(stream).then((parsed) => {
          Object.assign(parsed, { envelope: session.envelope, user: session.user, secure: session.secure })
          const refusal = mail.#refusal('data')
          if (refusal) {
            mail.refused.push(parsed)
            return done(reply(refusal))
          }
          mail.#take(parsed)
          done()
        }, done),
      ...smtp,
    }
    await mail.up()
    t.after(() => mail.down())
    return mail
  }

  /** The next `times` conversations that come to `stage` (connect, from, to, data) are answered like this. */
  refuse(stage, code, message, { times = 1 } = {}) {
    this.#refusals.push({ stage, code, message, times })
  }
  #refusal(stage) {
    const refusal = this.#refusals.find((r) => r.stage === stage && r.times > 0)
    if (refusal) refusal.times -= 1
    return refusal
  }
  #answer(stage, done) {
    const refusal = this.#refusal(stage)
    done(refusal ? reply(refusal) : null)
  }

  /** Back, at the port it had. */
  async up() {
    const server = new SMTPServer({ disableReverseLookup: true, closeTimeout: 100, ...this.options })
    server.on('error', () => {}) // a client that hangs up
    await new Promise((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = server.server.address().port
    this.server = server
  }
  /** Away: connections are refused. */
  async down() {
    const server = this.server
    this.server = undefined
    if (server) await new Promise((resolve) => server.close(resolve))
  }

  #take(mail) {
    this.received.push(mail)
    for (const waiting of this.#waiting) waiting()
  }
  /** The mails to `to` so far. */
  async mails(to) {
    return this.received.filter((mail) => mail.envelope.rcptTo.some(({ address }) => address === to))
  }
  /** The mail to `to` after the `seen` ones that were there before, as soon as it is here. */
  async mailAfter(to, seen = 0, { within = 10_000 } = {}) {
    const heard = Promise.withResolvers()
    const look = () => this.mails(to).then((mails) => mails[seen] && heard.resolve(mails[seen]))
    const timer = setTimeout(() => heard.reject(new Error(`gave up waiting for mail ${seen + 1} to ${to}`)), within)
    this.#waiting.add(look)
    try {
      await look()
      return await heard.promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(look)
    }
  }
  /** The link to `path` of the next mail that has one. */
  async linkAfter(to, seen, path) {
    for (;;) {
      const link = linkIn(await this.mailAfter(to, seen++), path)
      if (link) return link
    }
  }
  /** The code of the next mail that has one: notices come in between. */
  async codeAfter(to, seen) {
    for (;;) {
      const { subject } = await this.mailAfter(to, seen++)
      if (hasCode(subject)) return codeIn(subject)
    }
  }
}

/** Where a mail sends its reader: the first link of its text that goes to `path`. */
function linkIn(mail, path) {
  return [...mail.text.matchAll(/https?:\/\/[^\s<>"]+/g)].map(([url]) => new URL(url)).find((url) => url.pathname === path)?.href
}

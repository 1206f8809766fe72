// How well can the time of an answer tell whether an address has an account? `bench/run alike` asks 2,000 times at every
// place that takes an address or a code, in random order, and compares the two halves: the medians, and how often a guess from
// the time alone would be right (50 % says nothing). p is that of the Mann-Whitney test: how often as large a difference comes
// by chance; below 1 in 1,000 the row is marked.
import http from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { addBackup, openAccount } from './lib/account.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { freshAddress, Server } from './lib/serve.mjs'
import { guideApp } from './guide.mjs'

const tries = Number(process.env.LATCHKEY_ALIKE_TRIES ?? 2000)
const wanted = process.env.LATCHKEY_ALIKE_PLACE ?? ''

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** How often a value of `b` is larger than one of `a`, and how probable such a difference is by chance. */
function compare(a, b) {
  const all = [...a.map((value) => ({ value, a: true })), ...b.map((value) => ({ value, a: false }))].sort((x, y) => x.value - y.value)
  const ranks = all.reduce((sum, { a: ofA }, i) => (ofA ? sum : sum + i + 1), 0)
  const larger = (ranks - (b.length * (b.length + 1)) / 2) / (a.length * b.length)
  const z = (larger - 0.5) / Math.sqrt((a.length + b.length + 1) / (12 * a.length * b.length))
  return { larger, p: erfc(Math.abs(z) / Math.SQRT2) }
}
/** Abramowitz and Stegun, 7.1.26. */
function erfc(x) {
  const t = 1 / (1 + 0.3275911 * x)
  return t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x)
}
function shuffled(values) {
  for (let i = values.length - 1; i > 0; --i) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[values[i], values[j]] = [values[j], values[i]]
  }
  return values
}

/** Microseconds until the first byte of the answer, over one connection that stays. */
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
function timed(url, headers, body) {
  return new Promise((resolve, reject) => {
    const { port, pathname, search, host } = new URL(url)
    const request = http.request(
      { host: '127.0.0.1', port, path: pathname + search, method: 'POST', agent, headers: { host, ...headers, 'content-length': Buffer.byteLength(body) } },
      (answer) => {
        const took = Number(process.hrtime.bigint() - begin) / 1000
        answer.resume()
        answer.on('end', () => resolve(took))
      },
    )
    request.on('error', reject)
    const begin = process.hrtime.bigint()
    request.end(body)
  })
}

/** The request with which `person` would send a form. */
function submission(person, page, form, values) {
  const fields = new URLSearchParams(form.fields.filter(({ type }) => type !== 'checkbox').map(({ name, value }) => [name, values[name] ?? value ?? '']))
  return [
    new URL(form.action, page.url).href,
    {
      'content-type': 'application/x-www-form-urlencoded',
      origin: new URL(page.url).origin,
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'navigate',
      'x-forwarded-for': person.address,
      cookie: [...person.jar(new URL(page.url))].map(([name, value]) => `${name}=${value}`).join('; '),
    },
    fields.toString(),
  ]
}
function call(server, path, input) {
  return [
    `${server.urls.auth}/api/auth${path}`,
    { 'content-type': 'application/json', origin: server.urls.auth, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'x-forwarded-for': freshAddress() },
    JSON.stringify(input),
  ]
}

test('answers to addresses with and without an account', { timeout: 3_600_000 }, async (t) => {
  const server = await Server.forTest(t, { env: { LATCHKEY_CODES_PER_MINUTE: '1000000', LOG_LEVEL: 'warn' } })
  const app = guideApp(server.urls)
  // Before each try: a mail of the last one still on its way would blur this one's time.
  const mails = new DatabaseSync(join(server.dataDir, 'latchkey.sqlite'), { readOnly: true }).prepare('SELECT count(*) AS waiting FROM mail_queue')
  const quiet = async () => {
    while (mails.get().waiting > 0) await pause(1)
  }
  const browser = () => new Browser([server.urls.auth], { address: freshAddress() })

  const atTheApp = async () => {
    const person = browser()
    return { person, page: await person.open((await app.login()).url) }
  }
  const atTheAccount = async (path) => {
    const person = browser()
    return { person, page: await person.open(`${server.urls.auth}${path}`) }
  }
  const atRecovery = async () => {
    const { person, page } = await atTheApp()
    return { person, page: await person.follow(page, 'Recover with backup e-mail') }
  }
  const typed = async ({ person, page }, email) => ({ person, page: await person.submit(page, page.formWith('email'), { email }) })
  const address = ({ person, page }, email) => submission(person, page, page.formWith('email'), { email })
  const wrongCode = ({ person, page }) => submission(person, page, page.formWith('code'), { code: '123456789' })
  const backupOf = (email) => `backup.of.${email}`
  const verification = (email) => call(server, '/email-otp/send-verification-otp', { email, type: 'email-verification' })

  // Each pair of places has addresses of its own: no limit is reached, and everybody has had one code before, so that all
  // have the same number left.
  const signUp = async (email) => signIn(browser(), server, (await app.login()).url, email)
  const pairs = [
    {
      known: signUp,
      unknown: async (email) => typed(await atTheApp(), email),
      places: {
        'sign-in, address': async (email) => address(await atTheApp(), email),
        'sign-in, wrong code': async (email) => wrongCode(await typed(await atTheApp(), email)),
      },
    },
    {
      known: signUp,
      unknown: async (email) => typed(await atTheApp(), email),
      places: {
        'account, address': async (email) => address(await atTheAccount('/account/login'), email),
        'account, wrong code': async (email) => wrongCode(await typed(await atTheAccount('/account/login'), email)),
      },
    },
    {
      known: signUp,
      unknown: async (email) => typed(await atTheApp(), email),
      places: {
        'API, address': async (email) => call(server, '/email-otp/send-verification-otp', { email, type: 'sign-in' }),
        'API, wrong code': async (email) => call(server, '/sign-in/email-otp', { email, otp: '12345678' }),
      },
    },
    {
      // Users of the routes: only their address gets this kind of code.
      known: async (email) => {
        await timed(...call(server, '/email-otp/send-verification-otp', { email, type: 'sign-in' }))
        await timed(...call(server, '/sign-in/email-otp', { email, otp: await server.codeAfter(email, 0) }))
      },
      unknown: async (email) => typed(await atTheApp(), email),
      places: {
        'API, verification': verification,
        'API, wrong verification': async (email) => {
          await timed(...verification(email))
          return call(server, '/email-otp/verify-email', { email, otp: '12345678' })
        },
      },
    },
    {
      // Five backups to an account.
      group: 5,
      known: async (...emails) => {
        await signUp(emails[0])
        const person = browser()
        let page = await openAccount(server, person, emails[0])
        for (const email of emails) page = await addBackup(server, person, page, backupOf(email))
      },
      unknown: async (email) => typed(await atTheApp(), backupOf(email)),
      places: {
        'recovery, address': async (email) => address(await atRecovery(), backupOf(email)),
        'recovery, wrong code': async (email) => wrongCode(await typed(await atRecovery(), backupOf(email))),
      },
    },
  ]

  console.log(`${'place'.padEnd(24)} ${'tries'.padStart(6)} ${'known µs'.padStart(9)} ${'unknown µs'.padStart(11)} ${'a guess is right'.padStart(17)} ${'p'.padStart(8)}`)
  for (const [i, { known: meet, unknown: ask, group = 1, places }] of pairs.entries()) {
    if (!Object.keys(places).some((place) => place.includes(wanted))) continue
    const known = Array.from({ length: tries / 2 }, (_, n) => `known-${i}-${10_000 + n}@example.com`)
    const unknown = known.map((email) => email.replace('known', 'other'))
    const waiting = [...known]
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let some; (some = waiting.splice(0, group)).length > 0; ) {
          await meet(...some)
          for (const email of some) await ask(email.replace('known', 'other'))
        }
      }),
    )
    for (const [place, prepare] of Object.entries(places)) {
      if (!place.includes(wanted)) continue
      const took = { known: [], unknown: [] }
      for (const [email, kind] of shuffled([...known.map((email) => [email, 'known']), ...unknown.map((email) => [email, 'unknown'])])) {
        await quiet()
        took[kind].push(await timed(...(await prepare(email))))
      }
      const { larger, p } = compare(took.known, took.unknown)
      const guess = `${(100 * Math.max(larger, 1 - larger)).toFixed(1)} %`
      console.log(
        `${place.padEnd(24)} ${String(tries).padStart(6)} ${median(took.known).toFixed(1).padStart(9)} ${median(took.unknown).toFixed(1).padStart(11)} ${guess.padStart(17)} ${p.toFixed(4).padStart(8)}${p < 0.001 ? ' !' : ''}`,
      )
    }
  }
  agent.destroy()
})

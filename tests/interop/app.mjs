// What signing in with Bluesky costs the server of an app: `latchkey auth` and an app on Better Auth (lib/better-auth-app.mjs)
// under the same load in one run; the accounts are at a `latchkey dev` beside them. `bench/run app`; figures are microseconds of
// processor time a request, the cheapest of some rounds. LATCHKEY_APP_SCALE: times as many requests.
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { AuthService } from './lib/auth-service.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { startBetterAuth, UnderLoad } from './lib/load.mjs'
import { freePort, freshEmail, Network, temporaryFolder } from './lib/network.mjs'
import { guideApp } from './guide.mjs'

const scale = Number(process.env.LATCHKEY_APP_SCALE ?? 1)
const rounds = 3
const people = 80 * scale // in a round

/** How fast the machine is right now; a neighbour on the same processor makes every figure larger. */
function printSpeed() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const text = Buffer.alloc(200, 'x')
  const signature = sign('sha256', text, privateKey)
  const key = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }))
  const took = Array.from({ length: 1000 }, () => {
    const begin = process.hrtime.bigint()
    if (!verify('sha256', text, key, signature)) throw new Error('a signature does not verify')
    return Number(process.hrtime.bigint() - begin) / 1000
  }).sort((a, b) => a - b)
  console.log(`ES256 verification here and now: ${took[took.length >> 1].toFixed(0)} µs; the budget assumes 82.`)
}

function printRow(name, requests, ours, budget, node) {
  const columns = [
    name.padEnd(44),
    String(requests).padStart(8),
    ours.toFixed(1).padStart(10),
    String(budget ?? '').padStart(7),
    budget ? `${(ours / budget).toFixed(2)}${ours > budget ? '!' : ' '}`.padStart(7) : ' '.repeat(7),
    (node?.toFixed(1) ?? '').padStart(14),
    (node ? `${(node / ours).toFixed(1)} ×` : '').padStart(8),
  ]
  console.log(columns.join(' '))
}
function printHead() {
  console.log(['case'.padEnd(44), 'requests', 'CPU µs/req'.padStart(10), 'budget'.padStart(7), 'ratio'.padStart(7), 'Better Auth µs'.padStart(14), 'times'.padStart(8)].join(' '))
}

/** Somebody with an account, signed in at its server in a browser of their own. */
async function newPerson(network) {
  const browser = new Browser([network.urls.auth, network.urls.pds])
  const app = guideApp(network.urls)
  const { url, cookie } = await app.login()
  const back = await signIn(browser, network, url, freshEmail(), { stay: true })
  const { did, handle } = await app.callback(back.parameters, cookie)
  return { browser, did, handle }
}

/** Some at a time. */
async function inTurns(list, work) {
  const out = []
  const waiting = list.entries()
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (const [i, item] of waiting) out[i] = await work(item)
    }),
  )
  return out
}

/** Everybody signs in at the app: the cost of both requests, and the cookies they have then. */
async function signInAt(server, network, everybody) {
  const start = await server.send(
    everybody.map(({ handle }) =>
      server.request(
        'POST',
        '/api/auth/bsky/sign-in',
        { 'content-type': 'application/json', origin: `http://${server.host}` },
        JSON.stringify({ handle, callbackURL: '/notes' }),
      ),
    ),
  )
  const flows = everybody.map((person, i) => ({ ...person, answer: start.answers[i] }))
  const requests = await inTurns(flows, async ({ browser, did, answer }) => {
    const { url } = await signIn(browser, network, JSON.parse(answer.text).url, undefined, { account: did })
    return server.request('GET', url.pathname + url.search, { cookie: answer.cookies })
  })
  const end = await server.send(requests, 302)
  for (const answer of end.answers)
    if (!answer.header('location').endsWith('/notes')) throw new Error(`the callback leads to ${answer.header('location')}`)
  return { start: start.micros, end: end.micros, cookies: end.answers.map((answer) => answer.cookies) }
}

test('what the app side costs', { timeout: 1_800_000 }, async (t) => {
  const network = await Network.forTest(t)
  const service = await AuthService.forTest(t, {
    file: [
      'privateNetwork = true',
      'logLevel = "warn"',
      '[rateLimit]',
      'enabled = false',
      '[atproto]',
      'enabled = true',
      `plcDirectory = "${network.urls.plc}"`,
      `handleHost = "${network.urls.pds}"`,
      'allowedCalls = ["com.atproto.server.getSession"]',
    ].join('\n'),
  })
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const database = join(await temporaryFolder(t), 'app.sqlite')
  const pid = await startBetterAuth(t, { origin, port, database, urls: network.urls, secret: 'a secret of a test, which is long enough for it' })
  const ours = new UnderLoad(service.run.child.pid, service.port)
  const node = new UnderLoad(pid, port)

  printSpeed()
  printHead()
  const everybody = await inTurns(Array.from({ length: people * rounds }), () => newPerson(network))
  const of = (round) => everybody.slice(round * people, (round + 1) * people)
  const least = (list, member) => Math.min(...list.map((one) => one[member]))
  const cookies = {}
  for (const [kind, group] of [
    ['new', of],
    ['known', () => of(0)],
  ]) {
    const seen = { ours: [], node: [] }
    for (let round = 0; round < rounds; ++round)
      for (const [name, server] of Object.entries({ ours, node })) seen[name].push(await signInAt(server, network, group(round)))
    printRow(`POST /bsky/sign-in, a ${kind} person`, people, least(seen.ours, 'start'), 400, least(seen.node, 'start'))
    printRow(`GET /bsky/callback, a ${kind} person`, people, least(seen.ours, 'end'), 500, least(seen.node, 'end'))
    for (const name of ['ours', 'node']) cookies[name] = seen[name].at(-1).cookies
  }

  const repeated = async (name, server, path, count) => {
    const requests = Array.from({ length: count }, (_, i) => server.request('GET', path, { cookie: cookies[name][i % people] }))
    await server.send(requests.slice(0, count / 5)) // warm
    const seen = []
    for (let round = 0; round < rounds; ++round) {
      seen.push(await server.send(requests))
      for (const { text } of seen.at(-1).answers) if (text === 'null') throw new Error(`nobody is signed in at ${path}`)
    }
    return least(seen, 'micros')
  }
  const session = '/api/auth/get-session'
  const many = 1000 * scale
  printRow('GET /health', many, await repeated('ours', ours, '/health', many), 8)
  printRow('GET /get-session', many, await repeated('ours', ours, session, many), 25, await repeated('node', node, session, many))
  printRow('GET /forward-auth', many, await repeated('ours', ours, '/forward-auth', many), 20)
  const call = '/api/auth/bsky/xrpc/com.atproto.server.getSession'
  printRow('GET /bsky/xrpc/<nsid>', 500 * scale, await repeated('ours', ours, call, 500 * scale), 150)
  printSpeed()
})

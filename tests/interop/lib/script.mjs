// Signs somebody in: node script.mjs <pds> <auth> [email]. It knows what the contract's two flows say, and nothing else:
// prints where to go, reads where the browser was sent back to, prints what the token endpoint says.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const [pds, auth, email] = process.argv.slice(2)
const redirect_uri = 'http://127.0.0.1/callback'
const scope = 'atproto transition:generic'
const client_id = `http://localhost?${new URLSearchParams({ redirect_uri, scope })}`
const base64url = (value) => Buffer.from(value).toString('base64url')
const random = () => base64url(randomBytes(32))

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = publicKey.export({ format: 'jwk' })

function proof(htu, nonce) {
  const claims = { jti: random(), htm: 'POST', htu, iat: Math.floor(Date.now() / 1000), nonce }
  const text = [{ typ: 'dpop+jwt', alg: 'ES256', jwk }, claims].map((part) => base64url(JSON.stringify(part))).join('.')
  return `${text}.${base64url(sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }))}`
}

/** The first try is always refused, and its answer has the nonce for the second. */
async function post(url, form) {
  const send = (nonce) => fetch(url, { method: 'POST', body: new URLSearchParams(form), headers: { dpop: proof(url, nonce) } })
  const first = await send()
  if (first.status !== 400) throw new Error(`${url} did not ask for a nonce`)
  const second = await send(first.headers.get('dpop-nonce'))
  const answer = await second.json()
  if (!second.ok) throw new Error(`${url}: ${second.status} ${JSON.stringify(answer)}`)
  return answer
}

const verifier = random()
const state = random()
const { request_uri } = await post(`${pds}/oauth/par`, {
  client_id,
  redirect_uri,
  scope,
  state,
  response_type: 'code',
  code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  code_challenge_method: 'S256',
})
console.log(`${auth}/oauth/authorize?${new URLSearchParams({ client_id, request_uri, ...(email ? { login_hint: email } : {}) })}`)

const [line] = await once(createInterface(process.stdin), 'line')
const back = new URL(line).searchParams
if (back.get('state') !== state || back.get('iss') !== pds) throw new Error(`not what was asked for: ${line}`)
const token = await post(`${pds}/oauth/token`, {
  grant_type: 'authorization_code',
  code: back.get('code'),
  redirect_uri,
  client_id,
  code_verifier: verifier,
})
console.log(JSON.stringify(token))
process.exit()

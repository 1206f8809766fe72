// "Sign in by e-mail", written by somebody who has read the integration guide of ePDS and nothing else.
// It needs Node and no packages. The answers of the person come from `person`: what a browser would do.
//
//   node guide.mjs <pds> <auth> <plc> [email]        prints the authorize URL, then reads the URL the app was sent back to
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'

const base64url = (value) => Buffer.from(value).toString('base64url')

// --- PKCE and DPoP helpers ---

export function generateDpopKeyPair() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const privateJwk = privateKey.export({ format: 'jwk' })
  const { kty, crv, x, y } = privateJwk
  return { privateKey, publicJwk: { kty, crv, x, y }, privateJwk }
}
export function restoreDpopKeyPair(privateJwk) {
  const { kty, crv, x, y } = privateJwk
  return { privateKey: createPrivateKey({ key: privateJwk, format: 'jwk' }), publicJwk: { kty, crv, x, y } }
}
const generateCodeVerifier = () => base64url(randomBytes(32))
const generateCodeChallenge = (verifier) => createHash('sha256').update(verifier).digest('base64url')
const generateState = () => base64url(randomBytes(16))

export function createDpopProof({ privateKey, jwk, method, url, nonce }) {
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk }
  const payload = {
    jti: base64url(randomBytes(16)),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ...(nonce ? { nonce } : {}),
  }
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${base64url(signature)}`
}

async function post(url, body, keys) {
  const send = (nonce) =>
    fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        DPoP: createDpopProof({ privateKey: keys.privateKey, jwk: keys.publicJwk, method: 'POST', url, nonce }),
      },
      body: new URLSearchParams(body).toString(),
    })
  let answer = await send()
  const tries = [answer.status]
  if (!answer.ok) {
    const nonce = answer.headers.get('dpop-nonce')
    if (nonce && answer.status === 400) {
      answer = await send(nonce)
      tries.push(answer.status)
    }
  }
  return { answer, json: await answer.json(), tries }
}

// --- The app ---

export function guideApp({ pds, auth, plc, scope = 'atproto transition:generic' }) {
  const PAR_ENDPOINT = `${pds}/oauth/par`
  const AUTH_ENDPOINT = `${auth}/oauth/authorize`
  const TOKEN_ENDPOINT = `${pds}/oauth/token`
  const redirectUri = 'http://127.0.0.1:8088/api/oauth/callback'
  // In production this is the https address of the client metadata; for development the loopback form.
  const clientId = `http://localhost?redirect_uri=${encodeURIComponent(redirectUri)}&scope=${encodeURIComponent(scope)}`

  return {
    redirectUri,

    /** GET /api/oauth/login?email= (Flow 1) or without (Flow 2). */
    async login(email, extra = {}) {
      const keys = generateDpopKeyPair()
      const codeVerifier = generateCodeVerifier()
      const state = generateState()
      const par = await post(
        PAR_ENDPOINT,
        {
          client_id: clientId,
          redirect_uri: redirectUri,
          response_type: 'code',
          scope,
          state,
          code_challenge: generateCodeChallenge(codeVerifier),
          code_challenge_method: 'S256',
          ...extra,
        },
        keys,
      )
      const { request_uri } = par.json
      const loginHintParam = email ? `&login_hint=${encodeURIComponent(email)}` : ''
      return {
        par,
        cookie: JSON.stringify({ codeVerifier, dpopPrivateJwk: keys.privateJwk, state }),
        url: `${AUTH_ENDPOINT}?client_id=${encodeURIComponent(clientId)}&request_uri=${encodeURIComponent(request_uri)}${loginHintParam}`,
      }
    },

    /** GET /api/oauth/callback?code=…&state=… */
    async callback(params, cookie) {
      const { codeVerifier, dpopPrivateJwk, state } = JSON.parse(cookie)
      if (params.get('state') !== state) throw new Error('state mismatch')
      const keys = restoreDpopKeyPair(dpopPrivateJwk)
      const token = await post(
        TOKEN_ENDPOINT,
        {
          grant_type: 'authorization_code',
          code: params.get('code'),
          redirect_uri: redirectUri,
          client_id: clientId,
          code_verifier: codeVerifier,
        },
        keys,
      )
      if (!token.answer.ok) throw new Error(`${token.answer.status} ${JSON.stringify(token.json)}`)
      const { sub } = token.json
      const document = await (await fetch(`${plc}/${sub}`)).json()
      const handle = document.alsoKnownAs.find((name) => name.startsWith('at://'))?.slice('at://'.length)
      return { token, did: sub, handle }
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [pds, auth, plc, email] = process.argv.slice(2)
  const app = guideApp({ pds, auth, plc })
  const { url, cookie } = await app.login(email)
  console.log(`Open ${url}`)
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  const back = new URL(await lines.question('Paste the address you were sent to: '))
  lines.close()
  const { did, handle } = await app.callback(back.searchParams, cookie)
  console.log(`You are ${handle} (${did})`)
}

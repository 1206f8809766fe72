// The session `latchkey auth` keeps of a Bluesky account, opened with the secret of the service: to look at it, to age it, and
// to try its tokens at the server of the account.
import { createCipheriv, createDecipheriv, createECDH, createHash, createPrivateKey, hkdfSync, randomUUID, randomBytes, sign } from 'node:crypto'

const context = (id) => Buffer.from(`bsky-session:${id}`)
const keyOf = (secret) => Buffer.from(hkdfSync('sha256', secret, 'better-auth:oauth-encryption:v1', 'better-auth:bsky-session:v1', 32))

function unseal(secret, id, text) {
  const bytes = Buffer.from(text, 'base64url')
  const cipher = createDecipheriv('aes-256-gcm', keyOf(secret), bytes.subarray(0, 12)).setAAD(context(id)).setAuthTag(bytes.subarray(-16))
  return Buffer.concat([cipher.update(bytes.subarray(12, -16)), cipher.final()]).toString()
}
function seal(secret, id, text) {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), nonce).setAAD(context(id))
  return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('base64url')
}

/** `database` answers rows: (sql, ...values). */
export class StoredSession {
  constructor(database, secret, did) {
    Object.assign(this, { database, secret, did })
  }
  async #row() {
    const [row] = await this.database('SELECT "id", "session" FROM "bskySession" WHERE "did" = $1', this.did)
    return row && { id: row.id, ...JSON.parse(row.session) }
  }
  /** One more with every change. */
  async version() {
    return (await this.#row()).version
  }
  /** What is in it, or undefined when there is none. */
  async read() {
    const row = await this.#row()
    return row && JSON.parse(unseal(this.secret, row.id, row.sealed))
  }
  /** As another process of the service would write. */
  async change(members) {
    const { id, ...row } = await this.#row()
    const text = JSON.stringify({ ...JSON.parse(unseal(this.secret, id, row.sealed)), ...members })
    const changed = JSON.stringify({ ...row, sealed: seal(this.secret, id, text), version: row.version + 1 })
    await this.database('UPDATE "bskySession" SET "session" = $1 WHERE "id" = $2', changed, id)
  }
}

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** The tokens of a session in the hands of somebody else, with its key. */
export class Tokens {
  #nonces = new Map()

  constructor(session, clientId) {
    Object.assign(this, { session, clientId })
    const d = Buffer.from(session.dpop_key, 'base64url')
    const pair = createECDH('prime256v1')
    pair.setPrivateKey(d)
    const point = pair.getPublicKey() // 4, x, y
    this.jwk = { kty: 'EC', crv: 'P-256', x: point.toString('base64url', 1, 33), y: point.toString('base64url', 33) }
    this.key = createPrivateKey({ key: { ...this.jwk, d: d.toString('base64url') }, format: 'jwk' })
  }

  #proof(method, url, token) {
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: url.origin + url.pathname,
      iat: Math.floor(Date.now() / 1000),
      nonce: this.#nonces.get(url.origin),
      ath: token && createHash('sha256').update(token).digest('base64url'),
    }
    const text = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk: this.jwk })}.${part(claims)}`
    return `${text}.${sign('sha256', Buffer.from(text), { key: this.key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  async #send(method, url, { token, body } = {}) {
    url = new URL(url)
    for (let attempt = 0; ; ++attempt) {
      const headers = { dpop: this.#proof(method, url, token), ...(token ? { authorization: `DPoP ${token}` } : {}) }
      const answer = await fetch(url, { method, headers, body })
      const nonce = answer.headers.get('dpop-nonce')
      const fresh = nonce && nonce !== this.#nonces.get(url.origin)
      if (nonce) this.#nonces.set(url.origin, nonce)
      const text = await answer.text()
      if (answer.ok || attempt > 0 || !fresh || !/use_dpop_nonce/.test(text + answer.headers.get('www-authenticate')))
        return { status: answer.status, body: JSON.parse(text || 'null') }
    }
  }

  /** A call with the access token: 200 or 401. */
  call() {
    return this.#send('GET', `${this.session.pds}/xrpc/com.atproto.server.getSession`, { token: this.session.access_token })
  }
  /** A refresh; the tokens are spent by it. */
  async refresh() {
    const metadata = await (await fetch(`${this.session.issuer}/.well-known/oauth-authorization-server`)).json()
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: this.session.refresh_token, client_id: this.clientId })
    return this.#send('POST', metadata.token_endpoint, { body })
  }
}

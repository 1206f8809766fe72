// An OpenID provider of a test: oidc-provider, with people one can invent. Nobody has to type anything: who comes is signed
// in as `person`, or refuses when there is none, so that a browser and plain requests both pass.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import Provider from 'oidc-provider'

function signingKey(alg) {
  const { privateKey } = alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' }
}

/** Where a provider keeps what it knows, through a change of its keys. */
function memoryAdapter() {
  const rows = new Map()
  const find = (is) => [...rows.values()].find(is)
  return class {
    constructor(kind) {
      this.kind = kind
    }
    key(id) {
      return `${this.kind}:${id}`
    }
    async upsert(id, payload) {
      rows.set(this.key(id), payload)
    }
    async find(id) {
      return rows.get(this.key(id))
    }
    async findByUid(uid) {
      return find((row) => row.kind === 'Session' && row.uid === uid)
    }
    async consume(id) {
      rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000)
    }
    async destroy(id) {
      rows.delete(this.key(id))
    }
    async revokeByGrantId(grantId) {
      for (const [key, row] of rows) if (row.grantId === grantId) rows.delete(key)
    }
  }
}

export class OpenIdProvider {
  #adapter = memoryAdapter()
  people = new Map()
  /** Who signs in next: a `sub`, or undefined for somebody who thinks again. */
  person = undefined
  clientId = 'latchkey'
  clientSecret = 'the client secret of a test, long enough'
  /** The paths that were asked for. */
  asked = []

  /**
   * `redirectUris`: what is registered. `alg`: of ID tokens. `claimsInIdToken`: as Google has it; else claims other than `sub`
   * come from the userinfo endpoint alone. With a `certificate` for `name` it is at https.
   */
  static async start(t, { redirectUris, alg = 'RS256', claimsInIdToken = false, name = 'localhost', certificate, port = 0 } = {}) {
    const oidc = new OpenIdProvider()
    Object.assign(oidc, { redirectUris, alg, claimsInIdToken })
    const handler = (request, answer) => oidc.#handle(request, answer)
    const server = certificate ? https.createServer({ key: certificate.key, cert: certificate.cert }, handler) : http.createServer(handler)
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    oidc.issuer = `${certificate ? 'https' : 'http'}://${name}:${server.address().port}`
    oidc.rotate()
    return oidc
  }

  /** Somebody with an account here; they are the one who signs in next. */
  add({ sub = randomUUID(), email, email_verified = true, name = 'Somebody', ...more }) {
    this.people.set(sub, { sub, email, email_verified, name, ...more })
    this.person = sub
    return sub
  }

  /** New keys; tokens are signed with nothing else from now on. */
  rotate() {
    this.provider = new Provider(this.issuer, {
      clients: [{ client_id: this.clientId, client_secret: this.clientSecret, redirect_uris: this.redirectUris, id_token_signed_response_alg: this.alg }],
      clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
      jwks: { keys: [signingKey(this.alg)] },
      cookies: { keys: [randomUUID()] },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
      conformIdTokenClaims: !this.claimsInIdToken,
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (ctx, { uid }) => `/interaction/${uid}` },
      adapter: this.#adapter,
      ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 3600, IdToken: 3600, RefreshToken: 3600 },
      findAccount: (ctx, sub) => this.people.has(sub) && { accountId: sub, claims: () => this.people.get(sub) },
      // Everybody has agreed to everything.
      async loadExistingGrant(ctx) {
        const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
        grant.addOIDCScope('openid email profile offline_access')
        await grant.save()
        return grant
      },
    })
    this.provider.on('server_error', (ctx, error) => console.error('oidc-provider:', error))
  }

  async #handle(request, answer) {
    const { pathname } = new URL(request.url, this.issuer)
    this.asked.push(pathname)
    // Whoever was here before in the same browser is forgotten.
    request.headers.cookie = request.headers.cookie?.split('; ').filter((cookie) => !cookie.startsWith('_session')).join('; ')
    if (!pathname.startsWith('/interaction/')) return this.provider.callback()(request, answer)
    const result = this.person ? { login: { accountId: this.person } } : { error: 'access_denied', error_description: 'The person thought again' }
    await this.provider.interactionFinished(request, answer, result, { mergeWithLastSubmission: false })
  }
}

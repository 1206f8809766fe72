// Apps built on the official client, as their authors would build them.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import https from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { JoseKey, NodeOAuthClient, requestLocalLock } from '@atproto/oauth-client-node'
import { Network, temporaryFolder } from './network.mjs'

const run = promisify(execFile)

export class MemoryStore {
  map = new Map()
  async get(key) {
    return structuredClone(this.map.get(key))
  }
  async set(key, value) {
    this.map.set(key, structuredClone(value))
  }
  async del(key) {
    this.map.delete(key)
  }
}

const locally = (network) => ({
  allowHttp: true,
  handleResolver: network.urls.pds,
  plcDirectoryUrl: network.urls.plc,
  stateStore: new MemoryStore(),
  sessionStore: new MemoryStore(),
  requestLock: requestLocalLock,
})

const usual = 'atproto transition:generic'

export function loopbackMetadata({ scope = usual, redirect = 'http://127.0.0.1/callback' } = {}) {
  return {
    client_id: `http://localhost?redirect_uri=${encodeURIComponent(redirect)}&scope=${encodeURIComponent(scope)}`,
    redirect_uris: [redirect],
    scope,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    dpop_bound_access_tokens: true,
  }
}

export function loopbackApp(network, { scope, ...options } = {}) {
  return new NodeOAuthClient({ ...locally(network), clientMetadata: loopbackMetadata({ scope }), ...options })
}

/** A throw-away authority and a certificate for `name`, made with openssl in `folder`. */
export async function certificateFor(name, folder) {
  const at = (file) => join(folder, file)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', ['req', '-x509', ...key, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2',
    '-subj', '/CN=Throw-away CA', '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'])
  await run('openssl', ['req', '-x509', ...key, '-keyout', at('site.key'), '-out', at('site.pem'), '-days', '2',
    '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`,
    '-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=serverAuth'])
  return { ca: at('ca.pem'), key: await readFile(at('site.key')), cert: await readFile(at('site.pem')) }
}

/** The web site of a confidential client: serves its metadata and keys over https. */
export class Site {
  static async start(t, { name = 'app.localhost', certificate }) {
    const site = new Site()
    site.documents = {}
    site.asked = []
    const server = https.createServer({ key: certificate.key, cert: certificate.cert }, (request, answer) => {
      site.asked.push(request.url)
      const document = site.documents[request.url]
      answer.writeHead(document ? 200 : 404, { 'content-type': 'application/json' })
      answer.end(document ? JSON.stringify(document) : '{}')
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    site.origin = `https://${name}:${server.address().port}`
    return site
  }
}

/** Publishes what a confidential client publishes, below `path`. `jwks`: inside the metadata, or behind its jwks_uri. */
export async function publishConfidential(site, { jwks = 'uri', scope = usual, path = '/', name = 'The Confidential App' } = {}) {
  const key = await JoseKey.generate(['ES256'], 'key-1')
  const keys = { keys: [key.publicJwk] }
  const metadata = {
    client_id: `${site.origin}${path}client-metadata.json`,
    client_name: name,
    client_uri: site.origin,
    redirect_uris: [`https://app.example.com/callback`, `${site.origin}/callback`],
    scope,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    application_type: 'web',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    dpop_bound_access_tokens: true,
    ...(jwks === 'uri' ? { jwks_uri: `${site.origin}${path}jwks.json` } : { jwks: keys }),
  }
  site.documents[`${path}client-metadata.json`] = metadata
  site.documents[`${path}jwks.json`] = keys
  return { metadata, key }
}

export async function confidentialApp(network, site, { options = {}, ...published } = {}) {
  const { metadata, key } = await publishConfidential(site, published)
  return new NodeOAuthClient({ ...locally(network), clientMetadata: metadata, keyset: [key], ...options })
}

/** A network that trusts the certificate of a site, and the site. */
export async function networkWithSite(t, options = {}) {
  const certificate = await certificateFor('app.localhost', await temporaryFolder(t))
  const site = await Site.start(t, { certificate })
  const network = await Network.forTest(t, { ...options, env: { SSL_CERT_FILE: certificate.ca, ...options.env } })
  return { network, site, certificate }
}

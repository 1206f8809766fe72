// Serves the page of pages/browser-app.mjs.
import http from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { build } from 'esbuild'

let bundle
const bundled = () =>
  (bundle ??= build({
    entryPoints: [join(import.meta.dirname, 'pages', 'browser-app.mjs')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'chrome120',
    logLevel: 'error',
  }).then(({ outputFiles }) => outputFiles[0].text))

/**
 * An app that has no server of its own, at `origin`, for the people of `network`, which may be set later. With a certificate
 * it is a web site with metadata (`clientId`), else it is on this computer.
 */
export async function serveBrowserApp(t, { network, scope = 'atproto transition:generic', certificate, name = 'app.localhost' }) {
  const app = { network }
  const script = await bundled()
  const page = () => {
    const { pds, plc } = app.network.urls
    return `<!doctype html><html lang="en"><meta charset="utf-8"><title>An app in the browser</title><link rel="icon" href="data:,">
<h1>An app in the browser</h1><output></output>
<script type="application/json" id="config">${JSON.stringify({ pds, plc, scope })}</script><script type="module" src="/app.js"></script></html>`
  }
  const metadata = () =>
    JSON.stringify({
      client_id: app.clientId,
      client_name: 'An app in the browser',
      client_uri: app.origin,
      redirect_uris: [`${app.origin}/`],
      scope,
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      application_type: 'web',
      token_endpoint_auth_method: 'none',
      dpop_bound_access_tokens: true,
    })
  const documents = {
    '/': ['text/html', page],
    '/app.js': ['text/javascript', () => script],
    '/client-metadata.json': ['application/json', metadata],
  }
  const handler = (request, answer) => {
    const [type, body] = documents[new URL(request.url, 'http://localhost').pathname] ?? []
    answer.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' })
    answer.end(body?.())
  }
  const server = certificate ? https.createServer({ key: certificate.key, cert: certificate.cert }, handler) : http.createServer(handler)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address()
  app.origin = certificate ? `https://${name}:${port}` : `http://127.0.0.1:${port}`
  app.clientId = `${app.origin}/client-metadata.json`
  return app
}

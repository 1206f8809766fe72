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

/** `origin` of an app that has no server of its own. With a certificate it is a web site with metadata, else it is on this computer. */
export async function serveBrowserApp(t, network, { scope = 'atproto transition:generic', certificate, name = 'app.localhost' } = {}) {
  const script = await bundled()
  const config = JSON.stringify({ pds: network.urls.pds, plc: network.urls.plc, scope })
  const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>An app in the browser</title><link rel="icon" href="data:,">
<h1>An app in the browser</h1><output></output><script type="application/json" id="config">${config}</script><script type="module" src="/app.js"></script></html>`
  const documents = { '/': ['text/html', page], '/app.js': ['text/javascript', script] }
  const handler = (request, answer) => {
    const [type, body] = documents[new URL(request.url, 'http://localhost').pathname] ?? []
    answer.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' })
    answer.end(body)
  }
  const server = certificate ? https.createServer({ key: certificate.key, cert: certificate.cert }, handler) : http.createServer(handler)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address()
  const origin = certificate ? `https://${name}:${port}` : `http://127.0.0.1:${port}`
  if (certificate)
    documents['/client-metadata.json'] = [
      'application/json',
      JSON.stringify({
        client_id: `${origin}/client-metadata.json`,
        client_name: 'An app in the browser',
        client_uri: origin,
        redirect_uris: [`${origin}/`],
        scope,
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
        application_type: 'web',
        token_endpoint_auth_method: 'none',
        dpop_bound_access_tokens: true,
      }),
    ]
  return { origin }
}

// Serves the page of pages/app-side.mjs at an origin of its own, and knows what one does there.
import http from 'node:http'
import { join } from 'node:path'
import { build } from 'esbuild'
import { projectWithClient } from './js-package.mjs'

/** The app. `baseURL` is where its users are kept; it may be set later. */
export async function serveApp(t) {
  const project = await projectWithClient(t)
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'pages', 'app-side.mjs')],
    nodePaths: [join(project, 'node_modules')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'chrome120',
    logLevel: 'error',
  })
  const app = {}
  const page = () => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Our Notes</title><link rel="icon" href="data:,">
<h1>Our Notes</h1><output></output><p role="alert"></p>
<form><label>Handle <input name="handle"></label> <button>Sign in with Bluesky</button></form>
<script type="application/json" id="config">${JSON.stringify({ baseURL: app.baseURL })}</script><script type="module" src="/app.js"></script></html>`
  const documents = {
    '/': ['text/html', page],
    '/app.js': ['text/javascript', () => outputFiles[0].text],
  }
  const server = http.createServer((request, answer) => {
    const [type, body] = documents[new URL(request.url, 'http://localhost').pathname] ?? []
    answer.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' })
    answer.end(body?.())
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  app.origin = `http://localhost:${server.address().port}`
  return app
}

/** What the page says, as soon as it knows who is there. */
export async function greeting(page) {
  const output = page.locator('output')
  await output.filter({ hasText: /./ }).waitFor()
  return output.innerText()
}
export const stranger = 'Nobody is signed in.'

/** Types the handle and presses the button: the browser leaves for the server of the account. */
export async function askToSignIn(page, app, handle) {
  await page.goto(`${app.origin}/`)
  await greeting(page)
  await page.getByLabel('Handle').fill(handle)
  await page.getByRole('button', { name: 'Sign in with Bluesky' }).click()
}

/** A call of the client on the page: ask(page, 'bsky.getSession'), with what it is given. */
export const ask = (page, name, ...given) =>
  page.evaluate(([path, args]) => path.split('.').reduce((at, member) => at[member], client)(...args), [name, given])

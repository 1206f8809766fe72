// An app on this computer whose callback is really there: answers arrive in a browser.
import http from 'node:http'
import { loopbackApp, loopbackMetadata } from './oauth-app.mjs'

export class CallbackApp {
  #answers = []
  #waiting

  /** Options: `scope`, and those of the official client. */
  static async start(t, network, { scope, ...options } = {}) {
    const app = new CallbackApp()
    const server = http.createServer(async (request, answer) => {
      const url = new URL(request.url, app.origin)
      let body = ''
      for await (const chunk of request) body += chunk
      answer.setHeader('content-type', 'text/html; charset=utf-8')
      answer.end('<!doctype html><html lang="en"><title>The app</title><link rel="icon" href="data:,"><h1>Back at the app</h1></html>')
      if (url.pathname === '/callback') app.#hear(request.method === 'POST' ? new URLSearchParams(body) : url.searchParams)
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    app.origin = `http://127.0.0.1:${server.address().port}`
    app.client = loopbackApp(network, { clientMetadata: loopbackMetadata({ scope, redirect: `${app.origin}/callback` }), ...options })
    return app
  }

  #hear(parameters) {
    if (this.#waiting) this.#waiting(parameters)
    else this.#answers.push(parameters)
    this.#waiting = undefined
  }

  /** The parameters of the next answer. */
  answer() {
    return this.#answers.length ? Promise.resolve(this.#answers.shift()) : new Promise((resolve) => (this.#waiting = resolve))
  }
  /** And the session they lead to. */
  async session() {
    return (await this.client.callback(await this.answer())).session
  }
}

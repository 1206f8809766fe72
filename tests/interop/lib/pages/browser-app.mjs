// The test page's program: @atproto/oauth-client-browser as an app without a server uses it. Bundled by browser-app.mjs.
import { BrowserOAuthClient, buildLoopbackClientId } from '@atproto/oauth-client-browser'

const { pds, plc, scope } = JSON.parse(document.getElementById('config').textContent)

// Lets a test hold the next token request until two tabs have read the same token.
const gate = { hold: false, holding: false, open: () => {} }
async function watchedFetch(input, init) {
  const request = new Request(input, init)
  if (gate.hold && new URL(request.url).pathname === '/oauth/token') {
    gate.hold = false
    await new Promise((resolve) => {
      gate.open = resolve
      gate.holding = true
    })
  }
  return fetch(request)
}

const load = (responseMode) =>
  BrowserOAuthClient.load({
    clientId:
      location.protocol === 'https:'
        ? `${location.origin}/client-metadata.json`
        : `${buildLoopbackClientId(location)}&scope=${encodeURIComponent(scope)}`,
    handleResolver: pds,
    plcDirectoryUrl: plc,
    allowHttp: true,
    fetch: watchedFetch,
    responseMode,
  })

const show = (text) => (document.querySelector('output').textContent = text)

const wanted = new URLSearchParams(location.search).get('mode')
if (wanted) sessionStorage.setItem('mode', wanted)
const client = await load(sessionStorage.getItem('mode') ?? undefined)
globalThis.app = {
  client,
  gate,
  signIn: (input, options) => client.signIn(input ?? pds, options),
  stored: async (did) => (await client.sessionGetter.getStored(did))?.tokenSet,
  refresh: async (did) => (await client.sessionGetter.getSession(did, true)).tokenSet,
  async call(did, method, input) {
    const session = await client.restore(did, false)
    const answer = await session.fetchHandler(`/xrpc/${method}`, {
      method: input ? 'POST' : 'GET',
      ...(input ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(input) } : {}),
    })
    return { status: answer.status, body: await answer.json() }
  },
}

try {
  const found = await client.init(false)
  show(found ? `signed in as ${found.session.did}${found.state ? ` (${found.state})` : ''}` : 'signed out')
} catch (e) {
  show(`${e.constructor.name}: ${e.params?.get('error') ?? ''} ${e.message}`)
}

// The page of an app whose users are kept by `latchkey auth`. Bundled by app-side.mjs.
import { createAuthClient } from 'better-auth/client'
import { emailOTPClient } from 'better-auth/client/plugins'
import { atprotoAuthClient } from 'latchkey-auth-client'

const { baseURL } = JSON.parse(document.getElementById('config').textContent)
const client = createAuthClient({ baseURL, plugins: [atprotoAuthClient(), emailOTPClient()] })
globalThis.client = client

const form = document.querySelector('form')
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { error } = await client.signIn.bsky({ handle: form.elements.handle.value, callbackURL: location.href })
  if (error) document.querySelector('[role=alert]').textContent = error.code
})
client.useSession.subscribe(({ data, error, isPending }) => {
  if (isPending) return
  document.querySelector('output').textContent = error ? `trouble: ${error.status}` : data ? `Hello, ${data.user.name}!` : 'Nobody is signed in.'
})

// The client of Better Auth, unmodified, as a page of the app has it: the cookies are the browser's, and it says where it is.
import { createAuthClient } from 'better-auth/client'
import { emailOTPClient } from 'better-auth/client/plugins'
import { Browser } from './browser.mjs'

let calls = 0

/**
 * In the browser of `person`, on a page of `origin`, which is that of the server unless said. `plugins` beside that of e-mail
 * codes. Each call comes from another address: what is limited per address is tested elsewhere.
 */
export function authClient({ baseURL, origin = new URL(baseURL).origin, person = new Browser([baseURL]), plugins = [], ...options }) {
  const client = createAuthClient({
    baseURL,
    plugins: [emailOTPClient(), ...plugins],
    ...options,
    fetchOptions: {
      ...options.fetchOptions,
      async customFetchImpl(input, init = {}) {
        const url = new URL(input)
        const method = (init.method ?? 'GET').toUpperCase()
        const headers = Object.fromEntries(new Headers(init.headers))
        Object.assign(headers, {
          accept: '*/*',
          'sec-fetch-site': url.origin === origin ? 'same-origin' : 'cross-site',
          'sec-fetch-mode': 'cors',
          'sec-fetch-dest': 'empty',
          ...(method === 'GET' && url.origin === origin ? {} : { origin }),
        })
        calls += 1
        person.from = `127.1.${calls >> 8}.${calls & 255}`
        const { status, headers: answered, text } = await person.request(url, { method, headers, body: init.body })
        return new Response(text || null, {
          status,
          headers: Object.entries(answered).flatMap(([name, value]) => [value].flat().map((one) => [name, one])),
        })
      },
    },
  })
  return { client, person }
}

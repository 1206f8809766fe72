// The client of `better-auth` learns to sign in with Bluesky.
//
// Functions made here are called as they are. Every other member of `client.bsky` becomes a path by its name (`signOut`:
// /bsky/sign-out), and such calls wake the listeners.

const nsid = /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+\.[a-z][a-z0-9]*$/i // https://atproto.com/specs/nsid

/** What a method answers is somebody's data: a text that looks like a date stays a text. */
function plain(text) {
  try {
    return JSON.parse(text)
  } catch {
    return text || null
  }
}

/** @type {typeof import('./index.js').atprotoAuthClient} */
export const atprotoAuthClient = () => ({
  id: 'bsky',
  $InferServerPlugin: {},

  pathMethods: { '/bsky/restore': 'POST', '/bsky/sign-out': 'POST' },
  atomListeners: [{ matcher: (path) => path === '/bsky/sign-out', signal: '$sessionSignal' }],

  getActions: ($fetch) => ({
    signIn: {
      // By its name it would be /sign-in/bsky. The answer's `redirect` makes the client go to its `url`.
      bsky: ({ fetchOptions, ...body }, options) => $fetch('/bsky/sign-in', { ...options, ...fetchOptions, method: 'POST', body }),
    },
    bsky: {
      getSession: ({ fetchOptions } = {}, options) => $fetch('/bsky/session', { ...options, ...fetchOptions, method: 'GET' }),

      call: async (method, { params, input, ...options } = {}) => {
        if (!nsid.test(method)) throw new TypeError(`not an NSID: ${method}`) // it would be another path
        return $fetch(`/bsky/xrpc/${method}`, {
          jsonParser: plain,
          method: input === undefined ? 'GET' : 'POST',
          ...options,
          query: params,
          body: input,
        })
      },
    },
  }),
})

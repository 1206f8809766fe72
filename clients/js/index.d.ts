import type { BetterFetchOption, BetterFetchResponse } from 'better-auth/client'

/** What every call takes beside its own: those of better-auth's client. */
export type Options = BetterFetchOption & { disableSignal?: boolean }

/** `{ data, error }`, or with `throw: true` the data alone. */
type Answer<Data, Failure, O> = Promise<BetterFetchResponse<Data, Failure, O extends { throw: true } ? true : false>>

/** Why the server refused; better-auth's own codes can come too. */
export type AuthError = { code?: ErrorCode | (string & {}); message?: string }
export type ErrorCode =
  | 'INVALID_HANDLE'
  | 'AUTHORIZATION_FAILED'
  | 'ACCOUNT_LINKING_DISABLED'
  | 'SIGNUP_DISABLED'
  | 'SESSION_NOT_FOUND'
  | 'BSKY_SESSION_ENDED'
  | 'CALL_NOT_ALLOWED'
  | 'PDS_UNREACHABLE'

/** Why a call was refused: by the account's server, with the error's name in its lexicon, or by yours (`code`). */
export type XrpcError = AuthError & { error?: string }

/** Where the browser goes. It is already on its way, unless the client's default plugins are off. */
export type Redirect = { url: string; redirect: boolean }

export type BskyStatus = { active: true; did: string; handle?: string } | { active: false }

/** With the profile as it is now. `handle` is "handle.invalid" when it does not resolve to the account. */
export type BskySession = {
  active: true
  did: string
  handle: string
  pdsUrl: string
  displayName?: string
  description?: string
  avatar?: string
  banner?: string
}

/** Query parameters: a list is sent as the same name several times. Missing values are left out. */
export type Params = Record<string, string | number | boolean | readonly (string | number | boolean)[] | null | undefined>

/** A GET, a POST when there is `input`; a procedure without input says `method: 'POST'`. */
export type Call = Omit<Options, 'body' | 'method' | 'params' | 'query'> & {
  params?: Params
  /** JSON, or bytes: then with the header `content-type`. */
  input?: unknown
  method?: 'GET' | 'POST'
}

/**
 * Calls an XRPC method of the account's server as the user, as far as your server allows the method. Answers with what is no JSON
 * are a text or a Blob.
 */
export interface Xrpc {
  <Output = unknown>(nsid: string, call: Call & { throw: true }): Promise<Output>
  <Output = unknown>(nsid: string, call?: Call): Promise<BetterFetchResponse<Output, XrpcError>>
}

export interface AtprotoActions {
  signIn: {
    /**
     * Sends the browser to the account's own server to sign in. It comes back to `callbackURL` (a path of the app, or a URL of a
     * trusted origin) with the app's session. Somebody who is signed in already gets the account linked.
     */
    bsky: <O extends Options = {}>(
      data: { handle: string; callbackURL?: string; fetchOptions?: O },
      options?: O,
    ) => Answer<Redirect, AuthError, O>
  }
  bsky: {
    /** The account the server can act for, and its profile, fetched now. `SESSION_NOT_FOUND` when it can no longer. */
    getSession: <O extends Options = {}>(data?: { fetchOptions?: O }, options?: O) => Answer<BskySession, AuthError, O>
    /** Whether the server can still act for the user. Fetches no profile. */
    restore: <O extends Options = {}>(data?: { fetchOptions?: O }, options?: O) => Answer<BskyStatus, AuthError, O>
    /** Ends what the server may do for the user, at the account's own server too. Then `useSession` looks again. */
    signOut: <O extends Options = {}>(data?: { fetchOptions?: O }, options?: O) => Answer<{ success: boolean }, AuthError, O>
    call: Xrpc
  }
}

/** What the server's plugin adds to users, for `useSession` and `getSession`. */
interface ServerPlugin {
  id: 'bsky'
  schema: {
    user: {
      fields: {
        bskyDid: { type: 'string'; required: false; input: false }
        bskyHandle: { type: 'string'; required: false; input: false }
        bskyBio: { type: 'string'; required: false; input: false }
        bskyBanner: { type: 'string'; required: false; input: false }
      }
    }
  }
}

/** For the `plugins` of `createAuthClient`. */
export declare const atprotoAuthClient: () => {
  id: 'bsky'
  $InferServerPlugin: ServerPlugin
  pathMethods: Record<string, 'GET' | 'POST'>
  atomListeners: { matcher: (path: string) => boolean; signal: '$sessionSignal' }[]
  getActions: ($fetch: any) => AtprotoActions
}

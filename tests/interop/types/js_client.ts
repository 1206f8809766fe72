// What an app may write with the client of clients/js, and what its compiler refuses. Compiled by js_client.test.mjs, never run.
import { createAuthClient } from 'better-auth/client'
import { emailOTPClient } from 'better-auth/client/plugins'
import { atprotoAuthClient } from 'latchkey-auth-client'

const client = createAuthClient({ baseURL: 'https://app.example', plugins: [atprotoAuthClient(), emailOTPClient()] })

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Equal<A, B>) => {}

export async function signIn() {
  const { data, error } = await client.signIn.bsky({ handle: 'alice.test', callbackURL: '/dashboard' })
  if (error?.code === 'SIGNUP_DISABLED') return
  // @ts-expect-error after an error there is no data
  if (error) return data.url
  same<typeof data, { url: string; redirect: boolean }>(true)
  await client.signIn.bsky({ handle: 'alice.test' }, { onSuccess: () => {} })
  await client.signIn.bsky({ handle: 'alice.test', fetchOptions: { headers: { 'x-request': '1' } } })
  // The ways in of other plugins are still there.
  await client.signIn.emailOtp({ email: 'alice@example.com', otp: '123456' })
  // @ts-expect-error a handle is needed
  await client.signIn.bsky({ callbackURL: '/dashboard' })
  // @ts-expect-error what better-auth calls it
  await client.signIn.bsky({ handle: 'alice.test', callbackUrl: '/dashboard' })
  // @ts-expect-error handles are text
  await client.signIn.bsky({ handle: 1 })
}

export async function session() {
  const { data } = await client.bsky.getSession()
  same<NonNullable<typeof data>['did'], string>(true)
  const handle: string | undefined = data?.handle
  const thrown = await client.bsky.restore({ fetchOptions: { throw: true } })
  if (thrown.active) same<(typeof thrown)['did'], string>(true)
  // @ts-expect-error nobody is there who could have a handle
  else thrown.handle
  const ended = await client.bsky.signOut()
  same<NonNullable<(typeof ended)['data']>['success'], boolean>(true)
  // @ts-expect-error there is no such call
  await client.bsky.signUp()
  return handle
}

export async function call() {
  const { data, error } = await client.bsky.call<{ uri: string }>('com.atproto.repo.createRecord', {
    input: { collection: 'app.bsky.feed.post', record: { text: 'hello' } },
    headers: { 'atproto-proxy': 'did:web:api.example#svc' },
  })
  same<typeof data, { uri: string } | null>(true)
  const name: string | undefined = error?.error
  await client.bsky.call('app.bsky.actor.getProfiles', { params: { actors: ['alice.test', 'bob.test'], limit: 2 } })
  await client.bsky.call('com.atproto.server.deactivateAccount', { method: 'POST' })
  const thrown = await client.bsky.call<{ did: string }>('com.atproto.server.getSession', { throw: true })
  same<typeof thrown, { did: string }>(true)
  // @ts-expect-error XRPC knows two methods
  await client.bsky.call('com.example.thing', { method: 'DELETE' })
  // @ts-expect-error parameters are scalars and lists of them
  await client.bsky.call('com.example.thing', { params: { a: { b: 1 } } })
  return name
}

export async function user() {
  const { data } = await client.getSession()
  same<NonNullable<typeof data>['user']['bskyDid'], string | null | undefined>(true)
  const seen = client.useSession.get().data
  same<NonNullable<typeof seen>['user']['bskyHandle'], string | null | undefined>(true)
  // @ts-expect-error no such column
  data?.user.bskyName
}

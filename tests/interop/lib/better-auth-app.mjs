// An app on Better Auth in a process of its own: its server, SQLite, and "sign in with Bluesky" as a plugin over the official
// client, which does what ours does. Started by load.mjs with {origin, port, database, urls, secret}.
import http from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { NodeOAuthClient, requestLocalLock } from '@atproto/oauth-client-node'
import { betterAuth } from 'better-auth'
import { APIError, createAuthEndpoint, getSessionFromCtx } from 'better-auth/api'
import { setSessionCookie } from 'better-auth/cookies'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { loopbackMetadata } from './oauth-app.mjs'

const { origin, port, database, urls, secret } = JSON.parse(process.argv[2])
const lifetime = 600 // seconds, of a flow

const text = { type: 'string', required: false, input: false }
const schema = {
  user: { fields: { bskyDid: { ...text, unique: true }, bskyHandle: text, bskyBio: text, bskyBanner: text } },
  bskyState: {
    fields: {
      key: { type: 'string', required: true, unique: true },
      state: { type: 'string', required: true },
      expiresAt: { type: 'date', required: true },
    },
  },
  bskySession: {
    fields: {
      did: { type: 'string', required: true, unique: true },
      session: { type: 'string', required: true },
      userId: { type: 'string', required: true, references: { model: 'user', field: 'id' } },
      updatedAt: { type: 'date', required: true },
    },
  },
}
const by = (field, value) => [{ field, value }]

function stateStore(adapter) {
  const model = 'bskyState'
  return {
    async get(key) {
      const row = await adapter.findOne({ model, where: by('key', key) })
      return row && row.expiresAt > new Date() ? JSON.parse(row.state) : undefined
    },
    set: (key, value) =>
      adapter.create({ model, data: { key, state: JSON.stringify(value), expiresAt: new Date(Date.now() + lifetime * 1000) } }),
    del: (key) => adapter.delete({ model, where: by('key', key) }),
  }
}

/** A session whose user is not known yet waits in `fresh`. */
function sessionStore(adapter, fresh) {
  const model = 'bskySession'
  return {
    async get(did) {
      if (fresh.has(did)) return fresh.get(did)
      const row = await adapter.findOne({ model, where: by('did', did) })
      return row ? JSON.parse(row.session) : undefined
    },
    async set(did, value) {
      const update = { session: JSON.stringify(value), updatedAt: new Date() }
      if (!(await adapter.update({ model, where: by('did', did), update }))) fresh.set(did, value)
    },
    async del(did) {
      fresh.delete(did)
      await adapter.delete({ model, where: by('did', did) })
    },
  }
}

/** What the account says about itself: where there is no AppView, its record. */
async function profileOf(session) {
  const view = await session.fetchHandler(`/xrpc/app.bsky.actor.getProfile?actor=${encodeURIComponent(session.did)}`)
  const profile = await view.json()
  if (view.ok) return profile
  const query = new URLSearchParams({ repo: session.did, collection: 'app.bsky.actor.profile', rkey: 'self' })
  const answer = await session.fetchHandler(`/xrpc/com.atproto.repo.getRecord?${query}`)
  const record = await answer.json()
  return answer.ok ? { displayName: record.value.displayName, description: record.value.description } : {}
}

function atproto() {
  const fresh = new Map()
  let oauth
  const cookie = (ctx) => ctx.context.createAuthCookie('bsky_state', { maxAge: lifetime })

  const signIn = createAuthEndpoint('/bsky/sign-in', { method: 'POST' }, async (ctx) => {
    const { handle, callbackURL } = ctx.body ?? {}
    if (typeof handle !== 'string') throw new APIError('BAD_REQUEST', { message: 'handle is missing' })
    const { name, attributes } = cookie(ctx)
    const browser = (await ctx.getSignedCookie(name, ctx.context.secret)) || crypto.randomUUID()
    const visitor = await getSessionFromCtx(ctx)
    const state = JSON.stringify({ browser, to: callbackURL, user: visitor?.user.id })
    const url = await oauth.authorize(handle, { state })
    await ctx.setSignedCookie(name, browser, ctx.context.secret, attributes)
    return ctx.json({ url: url.href, redirect: true })
  })

  const callback = createAuthEndpoint('/bsky/callback', { method: 'GET' }, async (ctx) => {
    const browser = await ctx.getSignedCookie(cookie(ctx).name, ctx.context.secret)
    const back = await oauth.callback(new URLSearchParams(ctx.query))
    const started = JSON.parse(back.state)
    if (!browser || started.browser !== browser) throw new APIError('FORBIDDEN', { message: 'another browser' })
    const { session } = back
    const { did } = session
    const visitor = await getSessionFromCtx(ctx)
    const [profile, { handle }] = [await profileOf(session), await oauth.identityResolver.resolve(did)]

    const { adapter, internalAdapter } = ctx.context
    const columns = { bskyDid: did, bskyHandle: handle, bskyBio: profile.description ?? null, bskyBanner: profile.banner ?? null }
    const shown = { name: profile.displayName || `@${handle}`, image: profile.avatar ?? null }
    let user = await adapter.findOne({ model: 'user', where: by('bskyDid', did) })
    if ((visitor || started.user) && (visitor?.user.id !== started.user || visitor?.user.id !== user?.id))
      throw new APIError('CONFLICT', { message: 'somebody else is signed in' })
    if (user) {
      user = await internalAdapter.updateUser(user.id, { ...shown, ...columns })
    } else {
      const email = `${did.replaceAll(':', '_')}@bsky.placeholder.invalid`
      user = await internalAdapter.createUser({ email, emailVerified: false, ...shown, ...columns })
      await internalAdapter.createAccount({ userId: user.id, providerId: 'atproto', accountId: did })
    }
    const stored = { did, session: JSON.stringify(fresh.get(did)), userId: user.id, updatedAt: new Date() }
    await adapter.create({ model: 'bskySession', data: stored })
    fresh.delete(did)
    const made = await internalAdapter.createSession(user.id)
    await setSessionCookie(ctx, { session: made, user })
    throw ctx.redirect(started.to ?? '/')
  })

  return {
    id: 'atproto',
    schema,
    init({ adapter }) {
      oauth = new NodeOAuthClient({
        allowHttp: true,
        handleResolver: urls.pds,
        plcDirectoryUrl: urls.plc,
        stateStore: stateStore(adapter),
        sessionStore: sessionStore(adapter, fresh),
        requestLock: requestLocalLock,
        clientMetadata: loopbackMetadata({ redirect: `http://127.0.0.1:${port}/api/auth/bsky/callback` }),
      })
    },
    endpoints: { bskySignIn: signIn, bskyCallback: callback },
  }
}

const db = new DatabaseSync(database)
// As `latchkey auth` has it: no commit is lost, and readers wait for nobody.
db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
const options = {
  baseURL: origin,
  secret,
  database: db,
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  plugins: [atproto()],
}
await (await getMigrations(options)).runMigrations()
const server = http.createServer(toNodeHandler(betterAuth(options)))
server.listen(port, '127.0.0.1', () => process.send({ ready: true }))
process.on('disconnect', () => process.exit())

// What people allow, and what apps can do with it: permissions switched off, asked for later, bundled in permission sets.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { TokenRefreshError } from '@atproto/oauth-client-node'
import { Browser, signIn } from './lib/browser.mjs'
import { confidentialApp, loopbackApp, networkWithSite } from './lib/oauth-app.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'

const note = 'com.example.note'
const diary = 'com.example.diary'

/** One call with the session's token. */
async function call(session, method, { input, params } = {}) {
  const query = params ? `?${new URLSearchParams(params)}` : ''
  const answer = await session.fetchHandler(`/xrpc/${method}${query}`, {
    method: input ? 'POST' : 'GET',
    ...(input ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(input) } : {}),
  })
  return { status: answer.status, body: await answer.json() }
}
const create = (session, collection) =>
  call(session, 'com.atproto.repo.createRecord', { input: { repo: session.did, collection, record: { $type: collection, text: 'x' } } })
const remove = (session, uri) => {
  const [, , repo, collection, rkey] = uri.split('/')
  return call(session, 'com.atproto.repo.deleteRecord', { input: { repo, collection, rkey } })
}
function allowed({ status, body }) {
  assert.equal(status, 200, JSON.stringify(body))
  return body
}
/** Refused for want of `scope`, which the answer names. */
function lacks({ status, body }, scope) {
  assert.deepEqual([status, body.error], [403, 'ScopeMissingError'])
  assert.ok(body.message.includes(`"${scope}"`), body.message)
}
const scopeOf = async (session) => (await session.getTokenInfo(false)).scope

describe('what a person allows', () => {
  const suite = ofThisSuite()
  let network
  before(async () => {
    network = await Network.forTest(suite)
  })

  async function grant(scope, { email = freshEmail(), keep, decision } = {}) {
    const app = loopbackApp(network, { scope })
    const { parameters, pages } = await signIn(new Browser([network.urls.pds]), network, await app.authorize(network.urls.pds), email, { keep, decision })
    const { session } = await app.callback(parameters)
    return { app, session, page: pages.consent }
  }

  it('is what the token says: everything, when nothing is switched off', async () => {
    const scope = `atproto repo:${diary}?action=create repo:${note}`
    const { session } = await grant(scope)
    assert.equal(await scopeOf(session), scope)
    allowed(await create(session, note))
    allowed(await create(session, diary))
    lacks(await create(session, 'com.example.other'), 'repo:com.example.other?action=create')
  })

  it('is less when permissions are switched off, and stays so after a refresh', async () => {
    const { session } = await grant(`atproto account:email repo:${diary} repo:${note}`, { keep: (s) => s === `repo:${note}` })
    for (const refresh of [false, true]) {
      assert.equal((await session.getTokenInfo(refresh)).scope, `atproto repo:${note}`)
      allowed(await create(session, note))
      lacks(await create(session, diary), `repo:${diary}?action=create`)
      assert.equal(allowed(await call(session, 'com.atproto.server.getSession')).email, undefined)
    }
  })

  it('can be nothing but knowing who it is', async () => {
    const { session } = await grant(`atproto transition:generic`, { keep: () => false })
    assert.equal(await scopeOf(session), 'atproto')
    assert.equal(allowed(await call(session, 'com.atproto.server.getSession')).did, session.did)
    lacks(await create(session, note), `repo:${note}?action=create`)
  })

  it('tells creating from changing and deleting', async () => {
    const { session } = await grant(`atproto repo:${note}?action=create`)
    const { uri } = allowed(await create(session, note))
    lacks(await remove(session, uri), `repo:${note}?action=delete`)
    const rkey = uri.split('/').pop()
    lacks(
      await call(session, 'com.atproto.repo.putRecord', { input: { repo: session.did, collection: note, rkey, record: { $type: note, text: 'y' } } }),
      `repo:${note}?action=update`,
    )
    const writes = [
      { $type: 'com.atproto.repo.applyWrites#create', collection: note, value: { $type: note, text: 'z' } },
      { $type: 'com.atproto.repo.applyWrites#delete', collection: note, rkey },
    ]
    lacks(await call(session, 'com.atproto.repo.applyWrites', { input: { repo: session.did, writes } }), `repo:${note}?action=delete`)
    const { records } = allowed(await call(session, 'com.atproto.repo.listRecords', { params: { repo: session.did, collection: note } }))
    assert.deepEqual(records.map((r) => [r.uri, r.value.text]), [[uri, 'x']], 'nothing of it happened')
  })

  it('tells who may see the address', async () => {
    const email = freshEmail()
    for (const [scope, seen] of [['atproto', undefined], ['atproto account:email', email], ['atproto transition:email', email]]) {
      const { session } = await grant(scope, { email })
      assert.equal(allowed(await call(session, 'com.atproto.server.getSession')).email, seen, scope)
    }
  })

  it('tells which services get a token of the person’s', async () => {
    const { session } = await grant('atproto rpc:com.example.read?aud=did:web:api.example.com%23svc')
    const ask = (aud, lxm) => call(session, 'com.atproto.server.getServiceAuth', { params: { aud, lxm } })
    assert.match(allowed(await ask('did:web:api.example.com#svc', 'com.example.read')).token, /^ey/)
    lacks(await ask('did:web:api.example.com#svc', 'com.example.write'), 'rpc:com.example.write?aud=did:web:api.example.com%23svc')
    lacks(await ask('did:web:other.example.com#svc', 'com.example.read'), 'rpc:com.example.read?aud=did:web:other.example.com%23svc')
  })
})

describe('an app that asks for more later', () => {
  const suite = ofThisSuite()
  let network, site
  before(async () => {
    ;({ network, site } = await networkWithSite(suite))
  })
  const all = `atproto account:email repo:${diary} repo:${note}`

  async function person(kind) {
    const app = kind === 'confidential' ? await confidentialApp(network, site, { scope: all, path: `/${freshEmail()}/` }) : loopbackApp(network, { scope: all })
    const browser = new Browser([network.urls.pds])
    const email = freshEmail()
    let did
    return async (scope, { keep } = {}) => {
      const url = await app.authorize(network.urls.pds, { scope })
      const { parameters, steps, pages } = await signIn(browser, network, url, email, { stay: true, account: did, keep })
      const { session } = await app.callback(parameters)
      did = session.did
      return { session, steps, page: pages.consent, scope: await scopeOf(session) }
    }
  }
  /** The permissions the page marks as new. */
  const markedNew = (page) => page.forms.flatMap((f) => f.fields).filter((f) => f.type === 'checkbox' && page.isNew(f)).map((f) => f.value)

  for (const kind of ['loopback', 'confidential'])
    it(`is asked about again, and what is new is marked (${kind})`, async () => {
      const signInAgain = await person(kind)
      const first = await signInAgain(`atproto repo:${note}`)
      assert.deepEqual(markedNew(first.page), [], 'to somebody who allowed nothing yet nothing is new')

      const same = await signInAgain(`atproto repo:${note}`)
      assert.deepEqual(same.steps, kind === 'confidential' ? ['choose'] : ['choose', 'consent'])
      if (same.page) assert.deepEqual(markedNew(same.page), [])

      const wider = await signInAgain(`atproto repo:${diary} repo:${note}`)
      assert.deepEqual(wider.steps, ['choose', 'consent'])
      assert.deepEqual(markedNew(wider.page), [`repo:${diary}`])
      assert.equal(wider.scope, `atproto repo:${diary} repo:${note}`)
      allowed(await create(wider.session, diary))

      const less = await signInAgain(`atproto repo:${note}`)
      assert.deepEqual(less.steps, kind === 'confidential' ? ['choose'] : ['choose', 'consent'])
      assert.equal(less.scope, `atproto repo:${note}`)
      lacks(await create(less.session, diary), `repo:${diary}?action=create`)
    })

  it('is asked about again when the person had switched it off', async () => {
    const signInAgain = await person('confidential')
    const first = await signInAgain(`atproto repo:${diary} repo:${note}`, { keep: (s) => s === `repo:${note}` })
    assert.equal(first.scope, `atproto repo:${note}`)
    const second = await signInAgain(`atproto repo:${diary} repo:${note}`)
    assert.deepEqual(second.steps, ['choose', 'consent'])
    assert.deepEqual(markedNew(second.page), [`repo:${diary}`])
    assert.equal(second.scope, `atproto repo:${diary} repo:${note}`)
  })
})

describe('what a person ends', () => {
  it('at the account pages is over for the app, and only there', async (t) => {
    const network = await Network.forTest(t)
    const browser = new Browser([network.urls.pds])
    const email = freshEmail()
    const [ended, kept] = await Promise.all(
      ['atproto', 'atproto transition:generic'].map(async (scope, i) => {
        const app = loopbackApp(network, { scope })
        const person = i ? new Browser([network.urls.pds]) : browser
        const who = i ? freshEmail() : email
        const { parameters } = await signIn(person, network, await app.authorize(network.urls.pds), who, { stay: true })
        return { app, session: (await app.callback(parameters)).session }
      }),
    )
    const page = await browser.open(`${network.urls.auth}/account`)
    const form = page.formWith('session')
    const after = await browser.submit(page, form, {}, form.buttons[0].value)
    assert.equal(after.formWith('session'), undefined)
    const { session } = ended
    await assert.rejects(session.getTokenInfo(true), { constructor: TokenRefreshError })
    assert.equal(await ended.app.sessionGetter.getStored(session.did), undefined, 'the app has forgotten it')
    allowed(await call(kept.session, 'com.atproto.server.getSession'))
  })
})

describe('a permission set', () => {
  const suite = ofThisSuite()
  const order = 'test.bookshop.order'
  const service = 'did:web:api.example.com%23shop'
  let network
  before(async () => {
    network = await Network.forTest(suite)
    // In `latchkey dev` the account bookshop.test is the authority for test.bookshop.*, as DNS would say elsewhere.
    const publisher = await network.account('bookshop.test')
    await publisher.publish('test.bookshop.basic', {
      type: 'permission-set',
      title: 'The Shop',
      'title:lang': { de: 'Der Laden', 'pt-BR': 'A Loja' },
      detail: 'Order things, and see what there is.',
      'detail:lang': { de: 'Dinge bestellen und sehen, was es gibt.' },
      permissions: [
        { type: 'permission', resource: 'repo', collection: [order], action: ['create'] },
        { type: 'permission', resource: 'rpc', lxm: ['test.bookshop.list'], inheritAud: true },
        // Not the shop's to give.
        { type: 'permission', resource: 'repo', collection: [note] },
        { type: 'permission', resource: 'account', attr: 'email', action: 'read' },
      ],
    })
    await publisher.publish('test.bookshop.other', { type: 'record', key: 'tid', record: { type: 'object', properties: {} } })
  })

  async function grant(scope, { language, keep } = {}) {
    const app = loopbackApp(network, { scope })
    const browser = new Browser([network.urls.pds], { language })
    const { parameters, pages } = await signIn(browser, network, await app.authorize(network.urls.pds), freshEmail(), { keep })
    const { session } = await app.callback(parameters)
    return { session, page: pages.consent }
  }

  it('allows what it says, and no more than its own name reaches', async () => {
    const include = `include:test.bookshop.basic?aud=${service}`
    const { session } = await grant(`atproto ${include}`)
    for (const refresh of [false, true]) {
      assert.equal((await session.getTokenInfo(refresh)).scope, `atproto ${include}`, 'what was granted keeps its name')
      const { uri } = allowed(await create(session, order))
      lacks(await remove(session, uri), `repo:${order}?action=delete`)
      lacks(await create(session, note), `repo:${note}?action=create`)
      assert.equal(allowed(await call(session, 'com.atproto.server.getSession')).email, undefined)
      const ask = (lxm, aud) => call(session, 'com.atproto.server.getServiceAuth', { params: { lxm, aud } })
      allowed(await ask('test.bookshop.list', 'did:web:api.example.com#shop'))
      lacks(await ask('test.bookshop.list', 'did:web:other.example.com#shop'), 'rpc:test.bookshop.list?aud=did:web:other.example.com%23shop')
    }
  })

  it('is explained in its own words, in the language of who reads it', async () => {
    for (const [language, title, detail] of [
      ['en-GB', 'The Shop', 'Order things'],
      ['de-CH, en;q=0.5', 'Der Laden', 'Dinge bestellen'],
      ['pt-BR', 'A Loja', 'Order things'],
      [undefined, 'The Shop', 'Order things'],
    ]) {
      const { page } = await grant('atproto include:test.bookshop.basic', { language })
      assert.ok(page.words.includes(title) && page.words.includes(detail), `${language}: ${page.words}`)
      assert.ok(page.words.includes('test.bookshop.basic'), 'whoever wrote the title, the name says whose it is')
    }
  })

  it('can be switched off as a whole', async () => {
    const { session } = await grant(`atproto include:test.bookshop.basic repo:${note}`, { keep: (s) => s.startsWith('repo:') })
    assert.equal(await scopeOf(session), `atproto repo:${note}`)
    lacks(await create(session, order), `repo:${order}?action=create`)
  })

  for (const [what, nsid] of [
    ['that does not exist', 'test.bookshop.missing'],
    ['of nobody', 'test.nobody.basic'],
    ['that is another kind of lexicon', 'test.bookshop.other'],
  ])
    it(`${what} is refused, with its name`, async () => {
      const app = loopbackApp(network, { scope: `atproto include:${nsid}` })
      await assert.rejects(app.authorize(network.urls.pds), (e) => {
        assert.equal(e.error, 'invalid_scope')
        assert.ok(e.errorDescription.includes(nsid), e.errorDescription)
        return true
      })
    })
})

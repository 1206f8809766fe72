// The pages between an app and an account in Chromium: who it is, what they allow, the way back.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { CallbackApp } from './lib/callback-app.mjs'
import { desktop, phone, scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { button, focused, go, passThrough, tabTo, wordsOf } from './lib/person.mjs'

const note = 'repo:com.example.note'
const diary = 'repo:com.example.diary?action=create&action=update'
const wide = `atproto account:email blob:image/* ${diary} ${note} rpc:com.example.read?aud=did:web:api.example.com%23svc`

describe('the pages between app and account, in Chromium', () => {
  const suite = ofThisSuite()
  let network, chromium, app
  before(async () => {
    network = await Network.forTest(suite)
    chromium = await startChromium(suite)
    app = await CallbackApp.start(suite, network, { scope: wide })
  })

  /** Leaves the app for the pages. */
  const leave = async (visitor, request, by = app) => visitor.page.goto((await by.client.authorize(network.urls.pds, request)).href)
  /** Through all of the pages, and what came of it. */
  async function signIn(visitor, email, { request, by = app, ...person } = {}) {
    await leave(visitor, request, by)
    const steps = await passThrough(visitor.page, network, email, { origin: by.origin, javaScript: visitor.javaScript, ...person })
    const session = await by.session()
    const { handle } = await by.client.identityResolver.resolve(session.did)
    return { steps, session, did: session.did, handle }
  }
  const scopeOf = async (session) => (await session.getTokenInfo(false)).scope

  for (const javaScript of [true, false]) {
    const how = `${javaScript ? 'with' : 'without'} JavaScript`

    it(`people who stay signed in are offered, and others may come: ${how}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { javaScript })
      const one = await signIn(visitor, freshEmail(), { stay: true })
      assert.deepEqual(one.steps, ['email', 'code', 'consent'])
      const two = await signIn(visitor, freshEmail(), { stay: true })
      assert.deepEqual(two.steps, ['choose', 'email', 'code', 'consent'])
      const passing = await signIn(visitor, freshEmail())
      for (const who of javaScript ? [one, two] : [one]) {
        const again = await signIn(visitor, undefined, {
          account: who.handle,
          at: {
            choose: async (page) => {
              assert.equal(await page.getByRole('button', { name: '@' }).count(), 2)
              assert.ok(!(await page.content()).includes(passing.handle), 'who did not want to stay is not offered')
            },
            consent: async (page) => assert.ok(await page.getByText(`@${who.handle}`).isVisible()),
          },
        })
        assert.deepEqual([again.did, again.steps], [who.did, ['choose', 'consent']])
      }
      await visitor.close()
    }))

    it(`permissions are grouped in words, and what is unticked is not granted: ${how}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { javaScript })
      const { session } = await signIn(visitor, freshEmail(), {
        at: {
          consent: async (page) => {
            const box = (name) => page.getByRole('checkbox', { name })
            assert.deepEqual(await page.locator('fieldset legend').allInnerTexts(), [
              'Who you are', 'Your public records', 'Media', 'Other services', 'Your account',
            ])
            assert.equal(await page.getByRole('checkbox', { checked: true }).count(), 6, 'everything the app asks for is ticked')
            assert.equal(await page.getByText('new', { exact: true }).count(), 0)
            await box('See your e-mail address').uncheck()
            await box('Upload pictures').uncheck()
            await box('Create and change records of one kind').uncheck()
          },
        },
      })
      assert.equal(await scopeOf(session), `atproto ${note} rpc:com.example.read?aud=did:web:api.example.com%23svc`)
      await visitor.close()
    }))

    it(`what is asked for the first time is marked: ${how}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { javaScript })
      const email = freshEmail()
      await signIn(visitor, email, { request: { scope: `atproto ${note}` } })
      await signIn(visitor, email, {
        request: { scope: `atproto account:email ${note}` },
        at: {
          consent: async (page) => {
            assert.ok(await page.getByText('marked “new”').isVisible())
            const marked = page.locator('label').filter({ has: page.getByText('new', { exact: true }) })
            assert.deepEqual(await marked.allInnerTexts(), ['See your e-mail address new'])
          },
        },
      })
      await visitor.close()
    }))

    it(`the way back as a form: ${how}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { javaScript })
      const by = await CallbackApp.start(suite, network, { responseMode: 'form_post' })
      const { steps, did } = await signIn(visitor, freshEmail(), { by })
      assert.deepEqual(steps, ['email', 'code', 'consent', ...(javaScript ? [] : ['form_post'])])
      assert.match(did, /^did:plc:/)
      assert.equal(visitor.page.url(), `${by.origin}/callback`, 'nothing of the answer is in the address')
      assert.ok(await visitor.page.getByRole('heading', { name: 'Back at the app' }).isVisible())
      await leave(visitor, undefined, by)
      await passThrough(visitor.page, network, freshEmail(), { origin: by.origin, javaScript, decision: 'Deny' })
      assert.equal((await by.answer()).get('error'), 'access_denied')
      await visitor.close()
    }))
  }

  it('everything works with the keyboard alone', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    const one = await signIn(visitor, freshEmail(), { stay: true })
    await signIn(visitor, freshEmail(), { stay: true })
    await leave(visitor, { scope: wide })
    await tabTo(page, (e) => e.text.startsWith(`@${one.handle}`), 'the account')
    await page.keyboard.press('Enter')
    await button(page, 'Approve').waitFor()
    await tabTo(page, (e) => e.label.startsWith('Know who you are'), 'what cannot be switched off')
    await tabTo(page, (e) => e.label.startsWith('Upload pictures'), 'a permission')
    await page.keyboard.press('Space')
    assert.equal((await focused(page)).checked, false)
    await tabTo(page, (e) => e.text === 'Approve', 'Approve')
    await page.keyboard.press('Enter')
    const session = await app.session()
    assert.equal(session.did, one.did)
    assert.equal(await scopeOf(session), wide.replace('blob:image/* ', ''))
    await page.waitForURL(`${app.origin}/**`)
    await visitor.close()
  }))

  it('one can think again: another account at the last page', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    const one = await signIn(visitor, freshEmail(), { stay: true })
    const two = await signIn(visitor, freshEmail(), { stay: true })
    let times = 0
    const { did, steps } = await signIn(visitor, undefined, {
      account: one.handle,
      at: {
        consent: async () => {
          if (++times > 1) return
          assert.ok(await page.getByText(`@${one.handle}`).isVisible())
          await go(page, button(page, 'Switch'))
          await go(page, page.getByRole('button', { name: `@${two.handle}` }))
        },
      },
    })
    assert.deepEqual([did, steps], [two.did, ['choose', 'consent']])
    await visitor.close()
  }))

  describe('a permission set', () => {
    let by
    before(async () => {
      const publisher = await network.account('bookshop.test')
      await publisher.publish('test.bookshop.basic', {
        type: 'permission-set',
        title: 'Books at the corner',
        'title:lang': { de: 'Bücher an der Ecke' },
        detail: 'Order books, and see which ones there are.',
        'detail:lang': { de: 'Bücher bestellen und sehen, welche es gibt.' },
        permissions: [
          { type: 'permission', resource: 'repo', collection: ['test.bookshop.order', 'test.bookshop.wish'], action: ['create'] },
          { type: 'permission', resource: 'rpc', lxm: ['test.bookshop.list'], inheritAud: true },
        ],
      })
      by = await CallbackApp.start(suite, network, { scope: 'atproto include:test.bookshop.basic?aud=did:web:api.example.com%23shop' })
    })

    for (const [locale, title, detail, list] of [
      ['en-GB', 'Books at the corner', 'Order books, and see which ones there are.', 'test.bookshop.order and test.bookshop.wish'],
      ['de-CH', 'Bücher an der Ecke', 'Bücher bestellen und sehen, welche es gibt.', 'test.bookshop.order und test.bookshop.wish'],
    ])
      it(`has its title in the reader’s language: ${locale}`, scene(async () => {
        const visitor = await Visitor.open(chromium, { locale, name: `permission-set-${locale}` })
        const lang = locale.slice(0, 2)
        await signIn(visitor, freshEmail(), {
          by,
          lang,
          at: {
            consent: async (page) => {
              assert.ok(await page.getByRole('checkbox', { name: title }).isChecked())
              assert.ok(await page.getByText(detail).isVisible())
              await page.getByText(wordsOf(lang)['consent.contents']).click()
              assert.ok(await page.getByText(list).isVisible())
              assert.ok(await page.getByText('test.bookshop.basic', { exact: true }).isVisible())
              await visitor.look('consent')
            },
          },
        })
        await visitor.close()
      }))
  })

  /** A first sign-in by what is the same in all languages; `look` sees each page. */
  async function signInAnywhere(visitor, look) {
    const { page } = visitor
    const email = freshEmail('a.rather-long-name-for-an-address')
    await leave(visitor)
    await look('email')
    await page.locator('#email').fill(email)
    await go(page, page.locator('form[action^="/auth/email"] button'))
    await look('code')
    await page.locator('#code').fill('00000000')
    await go(page, page.locator('form[action^="/auth/verify"] button'))
    await look('code-wrong')
    await page.locator('#stay').check()
    await page.locator('#code').fill(await network.codeAfter(email, 0))
    await go(page, page.locator('form[action^="/auth/verify"] button'))
    for (const summary of await page.locator('main summary').all()) await summary.click()
    await look('consent')
    const consent = page.url()
    await go(page, page.locator('button[value=approve]'))
    await app.session()
    await page.goto(consent)
    await look('over')
    await page.goto(`${new URL(consent).origin}/account/login?add=1`)
    await look('account-login')
    await page.locator('#email').fill(email)
    await go(page, page.locator('form[action="/account/send-otp"] button'))
    await look('account-code')
    await page.locator('#code').fill(await network.codeAfter(email, 1))
    await go(page, page.locator('form[action="/account/verify-otp"] button'))
    await page.locator('.use summary').first().click()
    await look('account')
  }
  const attributes = (page) => page.evaluate(() => [document.documentElement.lang, document.documentElement.dir])

  for (const locale of ['de-AT', 'es-MX', 'fr-FR', 'ja-JP', 'pt-BR'])
    it(`are in the reader’s language, on a phone: ${locale}`, scene(async () => {
      const visitor = await Visitor.open(chromium, { viewport: phone, locale, name: `pages-${locale}` })
      visitor.expected = /\/auth\//
      await signInAnywhere(visitor, async (label) => {
        assert.deepEqual(await attributes(visitor.page), [locale.slice(0, 2), 'ltr'], label)
        await visitor.look(label)
      })
      await visitor.close()
    }))

  it('could be read from right to left', scene(async () => {
    const visitor = await Visitor.open(chromium, { viewport: phone, name: 'pages-rtl' })
    visitor.expected = /\/auth\//
    await signInAnywhere(visitor, async (label) => {
      await visitor.page.evaluate(() => (document.documentElement.dir = 'rtl'))
      await visitor.look(label)
    })
    await visitor.close()
  }))

  it('can be had in another language without JavaScript, and stay in it', scene(async () => {
    const visitor = await Visitor.open(chromium, { locale: 'fr-FR', javaScript: false })
    const { page } = visitor
    await leave(visitor)
    assert.ok(await page.getByRole('heading', { name: 'Se connecter' }).isVisible())
    await page.locator('footer summary').click()
    await go(page, page.getByRole('link', { name: 'Deutsch' }))
    assert.ok(await page.getByRole('heading', { name: 'Anmelden' }).isVisible(), 'the same page')
    await page.locator('#email').fill(freshEmail())
    await go(page, button(page, 'Weiter'))
    assert.ok(await page.getByRole('heading', { name: 'Wir senden Ihnen einen Code' }).or(page.getByRole('heading', { name: 'Sehen Sie in Ihr Postfach' })).isVisible())
    await leave(visitor)
    assert.deepEqual(await page.locator('html').getAttribute('lang'), 'de', 'and in the next sign-in')
    await visitor.close()
  }))

  for (const [size, viewport] of Object.entries({ desktop, phone }))
    for (const colorScheme of ['light', 'dark'])
      it(`looks right: ${size}, ${colorScheme}`, scene(async () => {
        const javaScript = colorScheme === 'light'
        const visitor = await Visitor.open(chromium, { viewport, colorScheme, javaScript, name: `pages-${size}-${colorScheme}` })
        visitor.expected = /\/auth\/|\/oauth\/authorize/
        const { page } = visitor
        const email = freshEmail('a.rather-long-name-for-an-address')
        const look = (name) => () => visitor.look(name)
        const { handle } = await signIn(visitor, email, {
          stay: true,
          request: { scope: `atproto ${note}` },
          at: { code: look('stay'), consent: look('consent-first') },
        })
        await signIn(visitor, freshEmail(), { stay: true })
        await leave(visitor)
        await visitor.look('choose')
        await go(page, page.getByRole('button', { name: `@${handle}` }))
        await visitor.look('consent-more')
        assert.ok((await page.getByText('new', { exact: true }).count()) > 0)
        const consent = page.url()
        await go(page, button(page, 'Approve'))
        await app.session()
        // Somebody presses Back, or has the address from elsewhere.
        await page.goto(consent)
        await visitor.look('over')
        const by = await CallbackApp.start(suite, network, { responseMode: 'form_post' })
        await leave(visitor, undefined, by)
        await page.context().clearCookies()
        await page.reload()
        await visitor.look('other-browser')
        if (!javaScript) {
          await leave(visitor, undefined, by)
          await passThrough(page, network, freshEmail(), { origin: by.origin, javaScript, at: { form_post: look('form-post') } })
          assert.ok((await by.answer()).get('code'))
        }
        await visitor.close()
      }))
})

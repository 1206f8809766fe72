// The demo app and the sign-in pages in headless Chromium.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { desktop, phone, scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { focused, tabTo } from './lib/person.mjs'

/** The steps of the pages, as a person does them. */
function person(network, visitor) {
  const { page } = visitor
  const press = (name) => page.getByRole('button', { name, exact: true }).click()
  const steps = {
    async home() {
      await page.goto(network.urls.app)
      await visitor.look('home')
    },
    async withEmail(email) {
      await page.getByLabel('E-mail address').fill(email)
      await press('Continue')
    },
    async withButton(email) {
      await press('Sign in')
      await page.waitForURL(`${network.urls.auth}/oauth/authorize**`)
      await visitor.look('sign-in')
      await page.getByLabel('E-mail address').fill(email)
      await press('Continue')
    },
    async withHandle(handle) {
      await page.getByLabel('Handle', { exact: true }).fill(handle)
      await press('Use handle')
    },
    /** Without JavaScript the page that sends a code waits for its button. */
    async sendCode() {
      if (visitor.javaScript) return
      await visitor.look('send')
      await press('Send code')
    },
    async code(email, seen = 0) {
      await page.getByLabel('Code', { exact: true }).waitFor()
      await visitor.look('code')
      await page.getByLabel('Stay signed in on this device').uncheck()
      const code = await network.codeAfter(email, seen)
      await page.getByLabel('Code', { exact: true }).fill(code)
      await press('Continue')
    },
    async consent(answer = 'Approve') {
      await page.getByRole('button', { name: 'Approve' }).waitFor()
      await visitor.look('consent')
      await press(answer)
    },
    async account() {
      await page.waitForURL(`${network.urls.app}/account`)
      await visitor.look('account')
      const handle = (await page.getByRole('heading', { level: 1 }).innerText()).slice(1)
      const did = await page.getByText(/^did:plc:/).innerText()
      for (const scope of ['atproto', 'transition:generic'])
        assert.ok(await page.getByText(scope, { exact: true }).isVisible())
      assert.equal(await network.xrpc('com.atproto.identity.resolveHandle', { params: { handle } }).then((r) => r.did), did)
      return { handle, did }
    },
    async write(did, text) {
      await page.getByLabel('Text').fill(text)
      await press('Write')
      await page.locator('.record pre').filter({ hasText: text }).waitFor()
      await visitor.look('record')
      const uri = await page.getByText(/^at:\/\//).innerText()
      const [, , repo, collection, rkey] = uri.split('/')
      assert.equal(repo, did)
      const { value } = await network.xrpc('com.atproto.repo.getRecord', { params: { repo, collection, rkey } })
      assert.equal(value.text, text)
    },
    async refresh() {
      await press('Refresh the token')
      await page.getByRole('status').waitFor()
      await visitor.look('refreshed')
    },
    async signOut() {
      await press('Sign out')
      await page.waitForLoadState()
      await visitor.look('signed-out')
      await page.goto(`${network.urls.app}/account`)
      assert.equal(new URL(page.url()).pathname, '/')
    },
  }
  return steps
}

for (const authHost of [undefined, 'auth.localhost']) {
  describe(`in Chromium, ${authHost ? `sign-in pages at ${authHost}` : 'one origin'}`, () => {
    const suite = ofThisSuite()
    let network, chromium
    before(async () => {
      network = await Network.forTest(suite, { authHost })
      chromium = await startChromium(suite)
    })

    for (const javaScript of [true, false])
      it(`all three ways in, ${javaScript ? 'with' : 'without'} JavaScript`, scene(async () => {
        const email = freshEmail()
        let who

        {
          const visitor = await Visitor.open(chromium, { javaScript })
          const steps = person(network, visitor)
          await steps.home()
          await steps.withButton(email)
          await steps.code(email)
          await steps.consent()
          who = await steps.account()
          await steps.write(who.did, 'Grüße & <b>bold</b> ✎')
          await steps.refresh()
          await steps.write(who.did, 'after the refresh')
          await steps.signOut()
          await visitor.close()
        }
        {
          const visitor = await Visitor.open(chromium, { javaScript })
          const steps = person(network, visitor)
          await steps.home()
          await steps.withEmail(email)
          await steps.sendCode()
          await steps.code(email, 1)
          await steps.consent()
          assert.deepEqual(await steps.account(), who)
          await steps.signOut()
          // A second time in the same browser, by handle.
          await steps.withHandle(who.handle)
          await steps.sendCode()
          await steps.code(email, 2)
          await steps.consent()
          assert.deepEqual(await steps.account(), who)
          await visitor.close()
        }
        assert.equal((await network.mails(email)).length, 3)
      }))

    it('says no for somebody who says no', scene(async () => {
      const visitor = await Visitor.open(chromium, { name: `denied-${authHost ?? 'one-origin'}` })
      visitor.expected = /\/callback/
      const steps = person(network, visitor)
      const email = freshEmail()
      await steps.home()
      await steps.withEmail(email)
      await steps.code(email)
      await steps.consent('Deny')
      await visitor.page.getByRole('heading', { name: 'Not signed in' }).waitFor()
      await visitor.look('denied')
      await visitor.close()
    }))
  })
}

describe('in Chromium', () => {
  const suite = ofThisSuite()
  let network, chromium
  before(async () => {
    network = await Network.forTest(suite)
    chromium = await startChromium(suite)
  })

  it('everything works with the keyboard alone', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    const email = freshEmail()
    await page.goto(network.urls.app)
    await tabTo(page, (e) => e.text === 'Skip to content', 'the skip link')
    await page.keyboard.press('Enter')
    await tabTo(page, (e) => e.name === 'email', 'the e-mail field')
    await page.keyboard.type(email)
    await page.keyboard.press('Enter')
    await page.getByLabel('Code', { exact: true }).waitFor()
    assert.equal((await focused(page)).name, 'code', 'the code field has the focus at once')
    await page.keyboard.type(await network.codeAfter(email, 0))
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Approve' }).waitFor()
    await tabTo(page, (e) => e.text === 'Technical details', 'the details')
    await page.keyboard.press('Enter')
    assert.ok(await page.getByText('Client ID').isVisible())
    await tabTo(page, (e) => e.text === 'Approve', 'Approve')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/account')
    await tabTo(page, (e) => e.name === 'text', 'the text field')
    await page.keyboard.type('typed')
    await page.keyboard.press('Enter')
    await page.locator('.record pre').filter({ hasText: 'typed' }).waitFor()
    await tabTo(page, (e) => e.text === 'Sign out', 'Sign out')
    await page.keyboard.press('Enter')
    await page.getByLabel('E-mail address').waitFor()
    await visitor.close()
  }))

  it('helps with a wrong code, a resend, and another address', scene(async () => {
    const visitor = await Visitor.open(chromium, { name: 'errors' })
    visitor.expected = /\/auth\//
    const { page } = visitor
    const email = freshEmail()
    const steps = person(network, visitor)
    await steps.home()
    await steps.withButton(email)
    const press = (name) => page.getByRole('button', { name, exact: true }).click()
    const code = await network.codeAfter(email, 0)
    await page.getByLabel('Code', { exact: true }).fill(code === '00000000' ? '00000001' : '00000000')
    await press('Continue')
    await page.getByText('Invalid or expired code').waitFor()
    await visitor.look('wrong-code')
    await press('Resend code')
    await page.getByText('We sent you a new code').waitFor()
    await visitor.look('resent')
    await press('Use a different e-mail')
    await page.getByLabel('E-mail address').fill('somebody@localhost')
    await press('Continue')
    await page.getByRole('alert').waitFor()
    await visitor.look('bad-address')
    const other = freshEmail()
    await page.getByLabel('E-mail address').fill(other)
    await press('Continue')
    // People type codes in groups.
    const digits = await network.codeAfter(other, 0)
    await page.getByLabel('Code', { exact: true }).fill(`${digits.slice(0, 4)} ${digits.slice(4)}`)
    await press('Continue')
    await steps.consent()
    await steps.account()
    await visitor.close()
  }))

  it('pages for requests that cannot go on', scene(async () => {
    const visitor = await Visitor.open(chromium, { name: 'dead-ends' })
    visitor.expected = /./
    const { page } = visitor
    await page.goto(`${network.urls.auth}/oauth/authorize`)
    await visitor.look('no-request')
    await page.goto(`${network.urls.auth}/oauth/authorize?client_id=http%3A%2F%2Flocalhost&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Areq-none`)
    await visitor.look('unknown-request')
    await page.goto(`${network.urls.auth}/auth/step?flow_id=none`)
    assert.match(await page.getByRole('heading', { level: 1 }).innerText(), /session expired/)
    await visitor.look('expired')
    await visitor.close()
  }))

  for (const [size, viewport] of Object.entries({ desktop, phone }))
    for (const colorScheme of ['light', 'dark'])
      it(`looks right: ${size}, ${colorScheme}`, scene(async () => {
        const visitor = await Visitor.open(chromium, { viewport, colorScheme, name: `${size}-${colorScheme}` })
        const { page } = visitor
        const steps = person(network, visitor)
        const email = freshEmail('a.rather-long-name-for-an-address')
        await page.goto(`${network.urls.mailbox}/?to=${email}`)
        await visitor.look('mailbox-empty')
        await steps.home()
        await steps.withButton(email)
        await steps.code(email)
        await steps.consent()
        const { did, handle } = await steps.account()
        await steps.write(did, 'A picture of a record')
        await steps.refresh()
        await steps.signOut()
        await steps.withHandle(handle)
        await steps.code(email, 1)
        await steps.consent()
        await page.waitForURL('**/account')
        await page.goto(`${network.urls.mailbox}/?to=${email}`)
        await page.frameLocator('iframe').getByText(/\d{4}/).first().waitFor()
        await visitor.look('mailbox')
        // The mail itself, as it comes. Nothing may run in it, axe neither.
        await page.goto(new URL(await page.locator('iframe').getAttribute('src'), page.url()).href)
        await visitor.look('mail', { scripts: false })
        await visitor.close()
      }))
})

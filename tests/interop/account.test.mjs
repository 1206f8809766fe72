// The pages of an account in headless Chromium: apps and devices are seen and ended, with every page examined.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { desktop, phone, scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, Network, ofThisSuite } from './lib/network.mjs'
import { button, go, passThrough } from './lib/person.mjs'

describe('the account pages', () => {
  const suite = ofThisSuite()
  let network, chromium
  before(async () => {
    network = await Network.forTest(suite)
    chromium = await startChromium(suite)
  })

  /** Signs in to the demo app, which makes the account. */
  async function throughTheApp(visitor, email, { stay = false } = {}) {
    const { page, javaScript } = visitor
    await page.goto(network.urls.app)
    await go(page, button(page, 'Sign in'))
    await passThrough(page, network, email, { origin: new URL(network.urls.app).origin, stay, javaScript })
    return (await page.getByRole('heading', { level: 1 }).innerText()).slice(1)
  }
  async function throughTheAccountPages(visitor, email, { stay = true, add = false } = {}) {
    const { page } = visitor
    await page.goto(`${network.urls.auth}/account/login${add ? '?add=1' : ''}`)
    await visitor.look('login')
    const seen = (await network.mails(email)).length
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Stay signed in on this device').setChecked(stay)
    await go(page, button(page, 'Continue'))
    await page.getByLabel('Code', { exact: true }).waitFor()
    await visitor.look('code')
    await page.getByLabel('Code', { exact: true }).fill(await network.codeAfter(email, seen))
    await go(page, button(page, 'Continue'))
    await page.waitForURL(`${network.urls.auth}/account`)
  }

  const screens = [
    { size: 'desktop', viewport: desktop, colorScheme: 'light' },
    { size: 'desktop', viewport: desktop, colorScheme: 'dark' },
    { size: 'phone', viewport: phone, colorScheme: 'light' },
    { size: 'phone', viewport: phone, colorScheme: 'dark' },
    { size: 'phone', viewport: phone, colorScheme: 'light', javaScript: false }, // axe needs scripts: no pictures
  ]
  for (const { size, viewport, colorScheme, javaScript = true } of screens)
    it(`show and end everything: ${size}, ${colorScheme}${javaScript ? '' : ', no JavaScript'}`, scene(async () => {
      const email = freshEmail('a.rather-long-name-for-an-address'), second = freshEmail()
      const first = await Visitor.open(chromium)
      await throughTheApp(first, second)
      await first.close()
      const other = await Visitor.open(chromium)
      const handle = await throughTheApp(other, email)
      await throughTheAccountPages(other, email)

      const visitor = await Visitor.open(chromium, { viewport, colorScheme, javaScript, name: javaScript ? `account-${size}-${colorScheme}` : undefined })
      visitor.expected = /verify-otp/
      const { page } = visitor
      await throughTheAccountPages(visitor, second)
      await throughTheAccountPages(visitor, email, { add: true })
      await page.getByRole('heading', { name: `@${handle}` }).waitFor()
      await visitor.look('account')
      assert.equal(await button(page, /^Sign out .* since/).count(), 2, 'two devices')
      assert.equal(await page.getByText('This device').count(), 1)
      await page.getByText('What it may do').click()
      await page.getByText('Act on your behalf').waitFor()

      await go(page, page.getByRole('listitem').filter({ hasText: 'Last seen' }).getByRole('button'))
      await page.getByText('That device is signed out.').waitFor()
      await visitor.look('device-out')
      await other.page.goto(`${network.urls.auth}/account`)
      assert.equal(new URL(other.page.url()).pathname, '/account/login')

      await go(page, page.getByRole('button', { name: /^End access/ }))
      await page.getByText('No app may act for you.').waitFor()
      await visitor.look('no-apps')
      await other.page.goto(`${network.urls.app}/account`)
      await other.page.getByRole('button', { name: 'Refresh the token' }).click()
      await other.page.waitForLoadState()
      assert.equal(await other.page.getByRole('status').count(), 0, 'the app is out')

      await page.getByLabel('End the access of all apps, too').check()
      await go(page, button(page, 'Sign out everywhere else'))
      await page.getByText('You are signed out on all other devices, and no app has access any more.').waitFor()
      await go(page, page.getByRole('button', { name: /^Switch to/ }))
      await page.getByText(second).first().waitFor()
      await go(page, button(page, 'Sign out'))
      await page.getByRole('heading', { name: `@${handle}` }).waitFor()
      await go(page, button(page, 'Sign out'))
      await page.getByRole('heading', { name: 'Your account' }).waitFor()
      assert.equal(new URL(page.url()).pathname, '/account/login')

      // The way back from a wrong code. The address above has had its mails for now.
      const nobody = freshEmail()
      await page.getByLabel('E-mail address').fill(nobody)
      await go(page, button(page, 'Continue'))
      await network.codeAfter(nobody, 0)
      await page.getByLabel('Code', { exact: true }).fill('1')
      await go(page, button(page, 'Continue'))
      await page.getByRole('alert').waitFor()
      await visitor.look('wrong-code')
      await go(page, page.getByRole('link', { name: 'Use a different e-mail' }))
      await page.getByLabel('E-mail address').waitFor()
      visitor.complaints = visitor.complaints.filter((c) => !/status of 400/.test(c))
      await visitor.close()
      other.complaints = []
      await other.close()
    }))
})

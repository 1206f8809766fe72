// Debian's chromium, driven by playwright-core; every page it shows is watched.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const axe = createRequire(import.meta.url)('axe-core')
const screenshots = join(import.meta.dirname, '..', 'screenshots')

const launch = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

export async function startChromium(t) {
  const browser = await chromium.launch(launch)
  t.after(() => browser.close())
  return browser
}

/** The body of a browser test: when it fails, what was on the screens is photographed. */
export function scene(body) {
  return async (t) => {
    open.clear()
    try {
      await body(t)
    } catch (e) {
      await mkdir(screenshots, { recursive: true })
      const name = t.name.replace(/[^a-z0-9]+/gi, '-')
      for (const [i, visitor] of [...open].entries())
        for (const [j, page] of visitor.context.pages().entries())
          await page.screenshot({ path: join(screenshots, `failed-${name}-${i}${j ? `-tab-${j}` : ''}.png`) }).catch(() => {})
      throw e
    } finally {
      for (const visitor of open) await visitor.context.close()
    }
  }
}
const open = new Set()

export const phone = { width: 390, height: 844 }
export const desktop = { width: 1280, height: 800 }

const isLocal = (url) => {
  if (!/^(https?|wss?):/.test(url)) return true // data:, about:
  const { hostname } = new URL(url)
  return hostname === '127.0.0.1' || hostname === 'localhost' || hostname.endsWith('.localhost')
}

async function violations(page) {
  await page.evaluate(axe.source)
  const found = await page.evaluate(() => globalThis.axe.run(document, { iframes: false }))
  return found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
}

/** A person at a screen of their own. With a `name` every page is photographed and examined by axe. */
export class Visitor {
  /**
   * With a `profile` (a folder) it is a browser of its own, which finds there what an earlier one left.
   * `expected` are the URLs whose answers may be errors.
   */
  static async open(browser, { viewport = desktop, colorScheme = 'light', javaScript = true, locale = 'en-GB', name, profile, expected, ...more } = {}) {
    const visitor = new Visitor()
    const options = { viewport, colorScheme, javaScriptEnabled: javaScript, locale, reducedMotion: name ? 'reduce' : 'no-preference', ...more }
    visitor.context = profile
      ? await chromium.launchPersistentContext(profile, { ...launch, ...options })
      : await browser.newContext(options)
    visitor.context.setDefaultTimeout(15_000)
    Object.assign(visitor, { javaScript, name, expected, options, shots: 0, complaints: [] })
    open.add(visitor)
    visitor.page = visitor.watch(profile ? visitor.context.pages()[0] : await visitor.context.newPage())
    return visitor
  }

  /** Another tab. */
  async tab() {
    return this.watch(await this.context.newPage())
  }

  /** Complaints of the page are the visitor's. Tabs a page opened by itself are given here by the test. */
  watch(page) {
    const isExpected = (url) => this.expected?.test(url)
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return
      if (message.text().startsWith('Failed to load resource') && isExpected(message.location().url)) return
      this.complaints.push(`console ${message.type()} at ${page.url()}: ${message.text()}`)
    })
    page.on('pageerror', (error) => this.complaints.push(`script error: ${error}`))
    page.on('request', (request) => {
      if (!isLocal(request.url())) this.complaints.push(`left this machine: ${request.url()}`)
    })
    page.on('response', (response) => {
      if (response.status() >= 400 && !isExpected(response.url())) this.complaints.push(`${response.status()} ${response.url()}`)
    })
    return page
  }

  /** What every page must be, and its picture. */
  async look(label, { scripts = true } = {}) {
    await this.page.waitForLoadState('load')
    const width = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    assert.ok(width[0] <= width[1], `${label}: ${width[0]} px wide on a screen of ${width[1]}`)
    assert.ok((await this.page.title()).length > 0, `${label} has no title`)
    if (this.name) {
      await mkdir(screenshots, { recursive: true })
      const number = String(++this.shots).padStart(2, '0')
      await this.page.screenshot({ path: join(screenshots, `${this.name}-${number}-${label}.png`), fullPage: true })
      if (!scripts) return
      const found = this.javaScript ? await violations(this.page) : await this.#elsewhere(violations)
      assert.deepEqual(found, [], `${label} at ${this.page.url()}`)
    }
  }

  /** The same on a phone and at a desk, by day and by night; the page stays where it is. */
  async lookEverywhere(label) {
    for (const [size, viewport] of Object.entries({ phone, desktop }))
      for (const colorScheme of ['light', 'dark']) {
        await this.page.setViewportSize(viewport)
        await this.page.emulateMedia({ colorScheme })
        await this.look(`${label}-${size}-${colorScheme}`)
      }
    await this.page.setViewportSize(this.options.viewport)
    await this.page.emulateMedia({ colorScheme: this.options.colorScheme })
  }

  /** The page as it is, but where scripts run: axe is one. */
  async #elsewhere(examine) {
    const context = await this.context.browser().newContext({ ...this.options, javaScriptEnabled: true })
    try {
      const page = await context.newPage()
      const body = (await this.page.content()).replace(/<script[^]*?<\/script>/g, '')
      const url = this.page.url().replace(/#.*/, '')
      await page.route(url, (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body }))
      await page.goto(url)
      return await examine(page)
    } finally {
      await context.close()
    }
  }

  async close() {
    open.delete(this)
    await this.context.close()
    assert.deepEqual(this.complaints, [])
  }
}

// What a person does at the sign-in pages, in Chromium.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The words of the pages in a language. */
export const wordsOf = (lang) =>
  JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', '..', 'ui', 'messages', `${lang}.json`), 'utf8'))

/** Presses, and returns when the next page is there. */
export async function go(page, button) {
  await Promise.all([page.waitForEvent('framenavigated', (frame) => frame === page.mainFrame()), button.click()])
}

export const button = (page, name) => page.getByRole('button', { name, exact: true })

/** What has the keyboard. */
export const focused = (page) =>
  page.evaluate(() => {
    const e = document.activeElement
    const label = e.labels?.[0]?.innerText ?? ''
    return { tag: e.tagName, name: e.name ?? '', text: (e.innerText ?? '').trim(), label, checked: e.checked }
  })

/** Presses Tab until `is` says so; whatever is reached must be seen to have the focus. */
export async function tabTo(page, is, what) {
  for (let i = 0; i < 40; ++i) {
    if (is(await focused(page))) {
      const outline = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement)
        return style.outlineStyle !== 'none' || style.boxShadow !== 'none'
      })
      assert.ok(outline, `one cannot see the focus on ${what}`)
      return
    }
    await page.keyboard.press('Tab')
  }
  assert.fail(`cannot reach ${what} by Tab`)
}

/**
 * Goes through the sign-in pages until the browser is back at `origin`. Returns what was seen.
 *  - `stay`: stays signed in on this device
 *  - `account`: the handle to choose where accounts are offered; without it, another one than those
 *  - `javaScript`: whether pages with nothing but a button press it themselves; then they are not among what was seen
 *  - `lang`: what language they are in
 *  - `at`: what else is done at a page before it is left, {consent: async (page) => …}
 *  - `seen`: how many mails there were before the first page was opened, when that may have sent one
 */
export async function passThrough(page, network, email, { origin, decision = 'Approve', stay = false, account, javaScript = true, lang = 'en', at = {}, seen }) {
  const words = wordsOf(lang)
  const places = {
    choose: page.getByRole('heading', { name: words['choose.heading'] }),
    email: page.getByRole('textbox', { name: words['email.label'] }),
    send: button(page, words['code.send']),
    code: page.getByLabel(words['code.label'], { exact: true }),
    consent: button(page, words['consent.approve']),
    form_post: page.getByRole('heading', { name: words['form_post.heading'] }),
  }
  const anything = Object.values(places).reduce((all, place) => all.or(place))
  seen ??= email ? (await network.mails(email)).length : 0
  const steps = []
  for (let i = 0; i < 20; ++i) {
    if (new URL(page.url()).origin === origin) return steps
    await Promise.any([anything.first().waitFor(), page.waitForURL((url) => url.origin === origin, { waitUntil: 'commit' })])
    const visible = await Promise.all(Object.entries(places).map(async ([name, place]) => [name, await place.isVisible()]))
    const [name] = visible.find(([, is]) => is) ?? []
    if (!name) continue // it has gone on by itself
    if (javaScript && ['send', 'form_post'].includes(name)) {
      await places[name].waitFor({ state: 'hidden' })
      continue
    }
    steps.push(name)
    await at[name]?.(page)
    if (name === 'choose') {
      await go(page, account ? page.getByRole('button', { name: `@${account}` }) : page.getByRole('link', { name: words['choose.other'] }))
    } else if (name === 'email') {
      await places.email.fill(email)
      await go(page, button(page, words['common.continue']))
    } else if (name === 'send') {
      await go(page, places.send)
    } else if (name === 'code') {
      await page.getByLabel(words['code.stay']).setChecked(stay)
      await places.code.fill(await network.codeAfter(email, seen++))
      await go(page, button(page, words['common.continue']))
    } else if (name === 'consent') {
      await go(page, button(page, words[decision === 'Approve' ? 'consent.approve' : 'consent.deny']))
    } else {
      await go(page, button(page, words['common.continue']))
    }
  }
  throw new Error(`the sign-in has no end: ${steps} at ${page.url()}`)
}

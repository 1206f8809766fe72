// What a person does at the sign-in pages, in Chromium.

/** Presses, and returns when the next page is there. */
export async function go(page, button) {
  await Promise.all([page.waitForEvent('framenavigated', (frame) => frame === page.mainFrame()), button.click()])
}

/**
 * Goes through the sign-in pages until the browser is back at `origin`. Returns what was seen.
 * `at` may do more at a page before it is left: {consent: async (page) => …}.
 */
export async function passThrough(page, network, email, { origin, decision = 'Approve', at = {} }) {
  const button = (name) => page.getByRole('button', { name, exact: true })
  const places = {
    email: page.getByLabel('E-mail address'),
    send: button('Send code'),
    code: page.getByLabel('Code', { exact: true }),
    consent: button('Approve'),
  }
  const anything = Object.values(places).reduce((all, place) => all.or(place))
  let seen = (await network.mails(email)).length
  const steps = []
  for (let i = 0; i < 12; ++i) {
    if (new URL(page.url()).origin === origin) return steps
    await anything.first().waitFor()
    const [name] = (await Promise.all(Object.entries(places).map(async ([n, p]) => [n, await p.isVisible()]))).find(([, is]) => is) ?? []
    if (!name) continue // it has gone on by itself
    steps.push(name)
    await at[name]?.(page)
    if (name === 'email') {
      await places.email.fill(email)
      await go(page, button('Continue'))
    } else if (name === 'send') {
      await go(page, button('Send code'))
    } else if (name === 'code') {
      await places.code.fill(await network.codeAfter(email, seen++))
      await go(page, button('Continue'))
    } else {
      await go(page, button(decision))
    }
  }
  throw new Error(`the sign-in has no end: ${steps} at ${page.url()}`)
}

// A browser without a screen: cookies, redirects and forms over plain HTTP, as somebody without JavaScript has them.
import http from 'node:http'
import { codeIn } from './network.mjs'

const entities = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const decode = (text) =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, dec, name) =>
    hex ? String.fromCodePoint(parseInt(hex, 16)) : dec ? String.fromCodePoint(+dec) : (entities[name] ?? all),
  )

function attributesOf(tag) {
  const out = {}
  for (const m of tag.matchAll(/([^\s"'<>\/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g))
    out[m[1].toLowerCase()] = decode(m[2] ?? m[3] ?? m[4] ?? '')
  return out
}

function formsOf(html) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head, body]) => {
    const form = attributesOf(head)
    const controls = [...body.matchAll(/<(input|button)\b([^>]*)>/gi)].map(([, tag, rest]) => ({
      tag: tag.toLowerCase(),
      ...attributesOf(rest),
    }))
    return {
      action: form.action,
      method: (form.method ?? 'get').toLowerCase(),
      fields: controls.filter((c) => c.tag === 'input' && c.name),
      buttons: controls.filter((c) => c.tag === 'button'),
      has: (name) => controls.some((c) => c.name === name),
    }
  })
}

export class Page {
  constructor(url, status, headers, text) {
    Object.assign(this, { url, status, headers, text, forms: formsOf(text) })
  }
  get title() {
    return decode(/<title>([^<]*)</.exec(this.text)?.[1] ?? '')
  }
  get words() {
    return decode(this.text.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')
  }
  formWith(name) {
    return this.forms.find((form) => form.has(name))
  }
  formTo(path) {
    return this.forms.find((form) => new URL(form.action, this.url).pathname === path)
  }
}

/** One person's browser. `stays` are the origins it follows redirects to; others are returned as {left: URL}. */
export class Browser {
  constructor(stays) {
    this.stays = new Set(stays.map((url) => new URL(url).origin))
    this.cookies = new Map() // host -> name -> value
  }

  jar(url) {
    const host = url.hostname
    if (!this.cookies.has(host)) this.cookies.set(host, new Map())
    return this.cookies.get(host)
  }

  /** One request, no redirect followed. */
  request(url, { method = 'GET', headers = {}, body } = {}) {
    url = new URL(url)
    const cookie = [...this.jar(url)].map(([name, value]) => `${name}=${value}`).join('; ')
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          // Names below localhost are this machine, which the system's resolver need not know.
          host: '127.0.0.1',
          port: url.port,
          path: url.pathname + url.search,
          method,
          agent: false,
          headers: { host: url.host, accept: 'text/html', ...(cookie ? { cookie } : {}), ...headers },
        },
        (answer) => {
          const chunks = []
          answer.on('data', (chunk) => chunks.push(chunk))
          answer.on('error', reject)
          answer.on('end', () => {
            for (const line of answer.headers['set-cookie'] ?? []) {
              const [pair, ...rest] = line.split(';')
              const [name, value] = [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1)]
              if (rest.some((r) => /^\s*max-age=0$/i.test(r))) this.jar(url).delete(name)
              else this.jar(url).set(name, value)
            }
            resolve(new Page(url.href, answer.statusCode, answer.headers, Buffer.concat(chunks).toString()))
          })
        },
      )
      request.on('error', reject)
      request.end(body)
    })
  }

  async #follow(page) {
    for (let hops = 0; page.status >= 300 && page.status < 400; ++hops) {
      if (hops > 10) throw new Error(`too many redirects: ${page.url}`)
      const to = new URL(page.headers.location, page.url)
      if (!this.stays.has(to.origin)) return { left: to, from: page }
      page = await this.request(to)
    }
    return page
  }

  async open(url) {
    return this.#follow(await this.request(url, { headers: { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' } }))
  }

  /** Fills a form of the page and presses a button of it. */
  async submit(page, form, values = {}, button) {
    const fields = new URLSearchParams()
    for (const field of form.fields) fields.append(field.name, values[field.name] ?? field.value ?? '')
    if (button) {
      const pressed = form.buttons.find((b) => b.value === button)
      if (!pressed) throw new Error(`no button ${button} on ${page.url}`)
      fields.append(pressed.name, pressed.value)
    }
    return this.#follow(
      await this.request(new URL(form.action, page.url), {
        method: 'POST',
        body: fields.toString(),
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          origin: new URL(page.url).origin,
          'sec-fetch-site': 'same-origin',
          'sec-fetch-mode': 'navigate',
        },
      }),
    )
  }
}

/**
 * Goes through the sign-in pages from an authorize URL until the browser is sent back to the app.
 * `mailbox` answers mails(to) and codeAfter(to, seen). Returns that last URL and the pages that were seen.
 */
export async function signIn(browser, mailbox, authorizeUrl, email, { decision = 'approve' } = {}) {
  const steps = []
  let seen = (await mailbox.mails(email)).length
  let page = await browser.open(authorizeUrl)
  for (let i = 0; i < 12; ++i) {
    if (page.left) return { url: page.left, steps, last: page.from }
    if (page.status !== 200) throw new Error(`${page.status} at ${page.url}: ${page.words}`)
    if (page.formWith('email')) {
      steps.push('email')
      page = await browser.submit(page, page.formWith('email'), { email })
    } else if (page.formTo('/auth/send')) {
      steps.push('send')
      page = await browser.submit(page, page.formTo('/auth/send'))
    } else if (page.formWith('code')) {
      steps.push('code')
      const code = await mailbox.codeAfter(email, seen++)
      page = await browser.submit(page, page.formWith('code'), { code })
    } else if (page.formWith('action')) {
      steps.push('consent')
      page = await browser.submit(page, page.formWith('action'), {}, decision)
    } else {
      throw new Error(`nothing to do at ${page.url}: ${page.words}`)
    }
  }
  throw new Error('the sign-in has no end')
}

export { codeIn }

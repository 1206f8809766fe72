// A browser without a screen: cookies, redirects and forms over plain HTTP, as somebody without JavaScript has them.
import http from 'node:http'
import https from 'node:https'
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
    this.links = [...text.matchAll(/<a\b([^>]*)>([\s\S]*?)<\/a>/gi)].map(([, head, body]) => ({
      href: attributesOf(head).href,
      text: decode(body.replace(/<[^>]*>/g, '')).trim(),
    }))
  }
  get title() {
    return decode(/<title>([^<]*)</.exec(this.text)?.[1] ?? '')
  }
  get words() {
    return decode(this.text.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')
  }
  /** Whether the label of a box says so. */
  isNew(field) {
    return new RegExp(`<label for="${field.id}">[^]*?</label>`).exec(this.text)[0].includes('>new<')
  }
  formWith(name) {
    return this.forms.find((form) => form.has(name))
  }
  formTo(path) {
    return this.forms.find((form) => new URL(form.action, this.url).pathname === path)
  }
}

/**
 * One person's browser. `stays` are the origins it follows redirects to; others are returned as {left: URL}. `address`: where
 * the person is, for a server that believes the proxy in front; `from`: for one that looks who connects, 127.x.y.z.
 */
export class Browser {
  constructor(stays, { language, address, from } = {}) {
    this.stays = new Set(stays.map((url) => new URL(url).origin))
    this.language = language
    this.address = address
    this.from = from
    this.cookies = new Map() // host -> name -> value
  }

  /** The same person at another device. */
  elsewhere() {
    return new Browser([...this.stays], { language: this.language, address: this.address, from: this.from })
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
      const request = (url.protocol === 'https:' ? https : http).request(
        {
          // Names below localhost are this machine, which the system's resolver need not know.
          host: '127.0.0.1',
          localAddress: this.from,
          port: url.port,
          rejectUnauthorized: false, // a throw-away authority, or none
          path: url.pathname + url.search,
          method,
          agent: false,
          headers: {
            host: url.host,
            accept: 'text/html',
            ...(this.language ? { 'accept-language': this.language } : {}),
            ...(this.address ? { 'x-forwarded-for': this.address } : {}),
            ...(cookie ? { cookie } : {}),
            ...headers,
          },
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
    for (let hops = 0; ; ++hops) {
      const next = page.status >= 300 && page.status < 400 ? page.headers.location : /^0;url=(.*)/.exec(page.headers.refresh)?.[1]
      if (!next) return page
      if (hops > 10) throw new Error(`too many redirects: ${page.url}`)
      const to = new URL(next, page.url)
      if (!this.stays.has(to.origin)) return { left: to, from: page }
      page = await this.request(to)
    }
  }

  /** As typed, or as sent there by an app. */
  async open(url) {
    return this.#follow(await this.request(url, { headers: { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' } }))
  }

  async follow(page, text) {
    const link = page.links.find((l) => l.text === text)
    if (!link) throw new Error(`no link ${text} on ${page.url}`)
    const headers = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' }
    return this.#follow(await this.request(new URL(link.href, page.url), { headers }))
  }

  /**
   * Fills a form of the page and presses a button of it. For what one switches on and off, the value is a function that
   * answers whether it is on.
   */
  async submit(page, form, values = {}, button) {
    const fields = new URLSearchParams()
    for (const field of form.fields) {
      const given = values[field.name]
      if (['checkbox', 'radio'].includes(field.type)) {
        if (given ? given(field) : 'checked' in field) fields.append(field.name, field.value ?? 'on')
      } else {
        fields.append(field.name, given ?? field.value ?? '')
      }
    }
    if (button) {
      const pressed = form.buttons.find((b) => b.value === button)
      if (!pressed) throw new Error(`no button ${button} on ${page.url}`)
      fields.append(pressed.name, pressed.value)
    }
    const action = new URL(form.action, page.url)
    if (!this.stays.has(action.origin)) return { left: action, from: page, posted: fields }
    return this.#follow(
      await this.request(action, {
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
 * `mailbox` answers mails(to) and codeAfter(to, seen).
 *  - `stay`: stays signed in on this device
 *  - `account`: the DID to choose where accounts are offered; without it, another one than those
 *  - `keep(scope)`: whether what the page offers to switch off stays on
 * Returns where the browser was sent to, the answer's parameters wherever they were, the last page, and what was seen.
 */
export async function signIn(browser, mailbox, authorizeUrl, email, { decision = 'approve', stay = false, account, keep } = {}) {
  const steps = []
  const pages = {}
  let seen = email ? (await mailbox.mails(email)).length : 0
  let page = await browser.open(authorizeUrl)
  const at = (name) => {
    steps.push(name)
    pages[name] = page
  }
  for (let i = 0; i < 12; ++i) {
    if (page.left) {
      const { left: url, posted, from: last } = page
      const parameters = posted ?? (url.hash ? new URLSearchParams(url.hash.slice(1)) : url.searchParams)
      return { url, steps, pages, last, parameters }
    }
    if (page.status !== 200) throw new Error(`${page.status} at ${page.url}: ${page.words}`)
    const away = page.forms.find((form) => !browser.stays.has(new URL(form.action, page.url).origin))
    if (away) {
      at('form_post')
      page = await browser.submit(page, away)
    } else if (page.formWith('account')) {
      at('choose')
      page = account
        ? await browser.submit(page, page.formWith('account'), {}, account)
        : await browser.follow(page, 'Use another account')
    } else if (page.formWith('email')) {
      at('email')
      page = await browser.submit(page, page.formWith('email'), { email })
    } else if (page.formTo('/auth/send')) {
      at('send')
      page = await browser.submit(page, page.formTo('/auth/send'))
    } else if (page.formWith('code')) {
      at('code')
      const code = await mailbox.codeAfter(email, seen++)
      page = await browser.submit(page, page.formWith('code'), { code, stay: () => stay })
    } else if (page.formWith('action')) {
      at('consent')
      const scope = keep && ((field) => 'required' in field || keep(field.value))
      page = await browser.submit(page, page.formWith('action'), { scope }, decision)
    } else {
      throw new Error(`nothing to do at ${page.url}: ${page.words}`)
    }
  }
  throw new Error(`the sign-in has no end: ${steps}`)
}

export { codeIn }

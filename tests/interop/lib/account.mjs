// What somebody does at the pages of their account, without scripts.

/** Signs in to the account pages with a code, which proves who it is for the next minutes. Answers with the page. */
export async function openAccount(server, person, email, { stay = true } = {}) {
  const seen = (await server.mails(email)).length
  let page = await person.open(`${server.urls.auth}/account/login?add=1`)
  page = await person.submit(page, page.formWith('email'), { email, stay: () => stay })
  page = await person.submit(page, page.formWith('code'), { code: await server.codeAfter(email, seen), stay: () => stay })
  if (new URL(page.url).pathname !== '/account') throw new Error(`not signed in: ${page.words}`)
  return page
}

/** Sends the form of `path` on the page; `values` as Browser.submit has them. With a button's value, the form that has it. */
export async function act(person, page, path, values, button) {
  const forms = page.forms.filter((form) => new URL(form.action ?? '', page.url).pathname === path)
  const form = button ? forms.find((one) => one.buttons.some(({ value }) => value === button)) : forms[0]
  if (!form) throw new Error(`no form to ${path}${button ? ` with ${button}` : ''} at ${page.url}: ${page.words}`)
  return person.submit(page, form, values, button)
}

/** The result code with which an action came back to the account page. */
export function outcome(page) {
  const { pathname, searchParams } = new URL(page.url)
  return pathname === '/account' ? (searchParams.get('error') ?? searchParams.get('success') ?? '') : pathname
}

/** Adds a backup address; with `confirm` its owner follows the link and presses the button. Answers with the account page. */
export async function addBackup(server, person, page, backup, { confirm = true } = {}) {
  const seen = (await server.mails(backup)).length
  page = await act(person, page, '/account/backup-email/add', { email: backup })
  if (outcome(page) !== 'backup_added') throw new Error(`${outcome(page)}: ${page.words}`)
  if (!confirm) return page
  const reader = person.elsewhere()
  const asked = await reader.open(await server.mail.linkAfter(backup, seen, '/account/backup-email/verify'))
  const done = await act(reader, asked, '/account/backup-email/verify')
  if (done.status !== 200) throw new Error(done.words)
  return person.open(page.url)
}

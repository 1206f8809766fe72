// Passkeys in Chromium with an authenticator of its own, on the pages of examples/passkeys: made, named, suggested, used.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { before, describe, it } from 'node:test'
import { Authenticator } from './lib/authenticator.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { binary, eventually, freshEmail, freePorts, ofThisSuite } from './lib/network.mjs'

/** The example beside the binary under test; PASSKEY_SITE is one that runs already. */
async function startSite(t) {
  if (process.env.PASSKEY_SITE) return process.env.PASSKEY_SITE
  const program = join(dirname(binary), 'examples', 'passkeys', 'example_passkeys')
  const child = spawn(program, [String(await freePorts())], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return line
}

describe('passkeys, in Chromium', () => {
  const suite = ofThisSuite()
  let site, chromium
  before(async () => {
    site = await startSite(suite)
    chromium = await startChromium(suite)
  })

  const api = (page, path, body) =>
    page.evaluate(
      async ([path, body]) => {
        const answer = await fetch(`/api/auth/${path}`, body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
        return { status: answer.status, json: await answer.json() }
      },
      [path, body],
    )
  const passkeysOf = async (page) => (await api(page, 'passkey/list-user-passkeys')).json

  async function signUp(page) {
    const email = freshEmail()
    await page.goto(site)
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Name').fill('Alice')
    await page.getByLabel('Password').fill('correct horse battery staple')
    await page.getByRole('button', { name: 'Make an account' }).click()
    await page.getByRole('heading', { name: `Signed in as ${email}` }).waitFor()
    return email
  }
  async function addPasskey(page, name) {
    await page.getByLabel('Name of the passkey').fill(name)
    await page.getByRole('button', { name: 'Add a passkey' }).click()
  }
  async function signOut(page) {
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in with a passkey' }).waitFor()
  }
  /** A browser that has no suggestions, or a person who passes over them: the authenticator would take the first at once. */
  const withoutSuggestions = (page) => page.addInitScript(() => { PublicKeyCredential.isConditionalMediationAvailable = async () => false })
  const signedIn = (page, email) => page.getByRole('heading', { name: `Signed in as ${email}` }).waitFor()
  const said = (page, words) => page.getByRole('alert').filter({ hasText: words }).waitFor()
  const usePasskey = (page) => page.getByRole('button', { name: 'Sign in with a passkey' }).click()

  it('a passkey is made and named, and signs in with a button', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    await withoutSuggestions(page)
    const email = await signUp(page)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'Blue laptop')
    await page.getByRole('listitem').filter({ hasText: 'Blue laptop' }).waitFor()
    const [made] = await authenticator.credentials()
    assert.deepEqual([made.isResidentCredential, made.rpId], [true, 'localhost'])
    const [kept] = await passkeysOf(page)
    assert.equal(Buffer.from(made.userHandle, 'base64').toString(), kept.userId)
    assert.equal(Buffer.from(made.credentialId, 'base64').toString('base64url'), kept.credentialID)
    assert.equal(kept.lastUsedAt, null)

    await signOut(page)
    await usePasskey(page)
    await signedIn(page, email)
    const [used] = await passkeysOf(page)
    assert.ok(Date.now() - Date.parse(used.lastUsedAt) < 60_000)
    assert.ok(used.counter > kept.counter)
    await visitor.close()
  }))

  it('a passkey is among the suggestions of the first field', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    const email = await signUp(page)
    await Authenticator.on(page)
    await addPasskey(page, 'Phone')
    await page.getByRole('listitem').filter({ hasText: 'Phone' }).waitFor()
    // This authenticator takes what is suggested: nothing is pressed but "Sign out".
    const proven = page.waitForResponse(/verify-authentication/)
    await page.getByRole('button', { name: 'Sign out' }).click()
    assert.equal((await proven).status(), 200)
    await signedIn(page, email)
    await visitor.close()
  }))

  it('suggestions step aside for the button, and are back when nothing came of it', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    const email = await signUp(page)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'One')
    await page.getByRole('listitem').filter({ hasText: 'One' }).waitFor()
    const [passkey] = await authenticator.credentials()
    await authenticator.forget(passkey.credentialId)
    let asked = 0
    page.on('response', (answer) => (asked += /generate-authenticate-options/.test(answer.url())))
    await signOut(page)
    await eventually('suggestions', () => asked === 1)
    await usePasskey(page)
    await said(page, 'No passkey was used.') // not "failed": one request at a time may be open, and it was the button's
    await eventually('suggestions again', () => asked === 3)
    await authenticator.add(passkey)
    await page.reload()
    await signedIn(page, email)
    await visitor.close()
  }))

  it('a device that has one makes no second', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    await signUp(page)
    await Authenticator.on(page)
    await addPasskey(page, 'First')
    await page.getByRole('listitem').filter({ hasText: 'First' }).waitFor()
    await addPasskey(page, 'Second')
    await said(page, 'This device has a passkey already.')
    assert.equal((await passkeysOf(page)).length, 1)
    await visitor.close()
  }))

  it('what was removed signs nobody in, and the device forgets it', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected: /verify-authentication/ })
    const { page } = visitor
    await withoutSuggestions(page)
    await signUp(page)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'Old phone')
    await page.getByRole('listitem').filter({ hasText: 'Old phone' }).waitFor()
    const [kept] = await passkeysOf(page)
    const renamed = await api(page, 'passkey/update-passkey', { id: kept.id, name: 'Older phone' })
    assert.equal(renamed.json.passkey.name, 'Older phone')
    assert.deepEqual((await api(page, 'passkey/delete-passkey', { id: kept.id })).json, { status: true })
    await signOut(page)
    await usePasskey(page)
    await said(page, 'That passkey did not work here.')
    await eventually('the device to forget', async () => (await authenticator.credentials()).length === 0)
    assert.equal((await api(page, 'get-session')).json, null)
    await visitor.close()
  }))

  it('attack: a clone that counts behind is refused', scene(async () => {
    const visitor = await Visitor.open(chromium, { expected: /verify-authentication/ })
    const { page } = visitor
    await withoutSuggestions(page)
    const email = await signUp(page)
    const authenticator = await Authenticator.on(page)
    await addPasskey(page, 'Original')
    await page.getByRole('listitem').filter({ hasText: 'Original' }).waitFor()
    const [clone] = await authenticator.credentials()
    for (let i = 0; i < 2; ++i) {
      await signOut(page)
      await usePasskey(page)
      await signedIn(page, email)
    }
    const [original] = await authenticator.credentials()
    assert.ok(original.signCount > clone.signCount + 1)
    await signOut(page)
    await authenticator.forget(clone.credentialId)
    await authenticator.add(clone)
    await usePasskey(page)
    await said(page, 'That passkey did not work here.')
    await visitor.close()
  }))

  it('without passkeys in the browser the page asks for what it can use', scene(async () => {
    const visitor = await Visitor.open(chromium)
    const { page } = visitor
    await page.addInitScript(() => delete globalThis.PublicKeyCredential)
    await page.goto(site)
    await page.getByLabel('E-mail address').waitFor()
    assert.equal(await page.getByRole('button', { name: 'Sign in with a passkey' }).count(), 0)
    await visitor.close()
  }))
})

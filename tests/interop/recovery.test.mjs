// Recovery by a backup address, as somebody has it whose mailbox is gone: `latchkey serve` with real mails.
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { act, addBackup, openAccount, outcome } from './lib/account.mjs'
import { Browser, signIn } from './lib/browser.mjs'
import { CallbackApp } from './lib/callback-app.mjs'
import { scene, startChromium, Visitor } from './lib/chromium.mjs'
import { freshEmail, ofThisSuite } from './lib/network.mjs'
import { loopbackApp } from './lib/oauth-app.mjs'
import { button, go } from './lib/person.mjs'
import { freshAddress, Server } from './lib/serve.mjs'

describe('recovery by a backup address', () => {
  const suite = ofThisSuite()
  let server, app
  before(async () => {
    server = await Server.forTest(suite)
    app = loopbackApp(server)
  })
  const browser = () => new Browser([server.urls.auth], { address: freshAddress() })

  async function member(email = freshEmail()) {
    const { parameters } = await signIn(browser(), server, await app.authorize(server.urls.pds), email)
    const { session } = await app.callback(parameters)
    return { email, did: session.did }
  }
  /** From the app to the page that asks for a backup address. */
  async function atRecovery(person = browser(), options) {
    const page = await person.open(await app.authorize(server.urls.pds, options))
    return { person, page: await person.follow(page, 'Recover with backup e-mail') }
  }
  /** And a code to `backup` was asked for. */
  async function asked(backup, options) {
    const { person, page } = await atRecovery(browser(), options)
    return { person, page: await act(person, page, '/auth/recover', { email: backup }) }
  }
  /** Mails leave in order: when one that was asked for later is here, none is under way. */
  async function noneUnderWay() {
    const email = freshEmail('later')
    const person = browser()
    const page = await person.open(`${server.urls.auth}/account/login`)
    await person.submit(page, page.formWith('email'), { email })
    await server.codeAfter(email, 0)
  }

  it('leads to the original account, tells the primary address, and signs others out', async () => {
    const { email, did } = await member()
    const owner = browser()
    const backup = freshEmail('backup')
    const account = await openAccount(server, owner, email)
    await addBackup(server, owner, account, backup)

    const { person, page } = await asked(backup)
    assert.match(page.words, /If a backup e-mail matches, we sent an 8-digit code to/)
    const mails = await server.mails(email)
    const consent = await act(person, page, '/auth/recover/verify', { code: await server.codeAfter(backup, 1) })
    assert.match(consent.title, /Authorize Application/, 'the account is there, none is made')
    const { left } = await person.submit(consent, consent.formWith('action'), {}, 'approve')
    assert.equal((await app.callback(left.searchParams)).session.did, did)

    const notice = await server.mail.mailAfter(email, mails.length)
    assert.doesNotMatch(notice.subject + notice.text, /\b\d{8}\b/, 'no code is in it')
    assert.match(notice.text, new RegExp(`${server.urls.auth}/account`))
    assert.equal(new URL((await owner.open(`${server.urls.auth}/account`)).url).pathname, '/account/login')
  })

  it('mails nothing before the address is confirmed; opening the link confirms nothing, its button once', async () => {
    const { email } = await member()
    const owner = browser()
    const backup = freshEmail('backup')
    await addBackup(server, owner, await openAccount(server, owner, email), backup, { confirm: false })
    const mail = await server.mail.mailAfter(backup)
    assert.match(mail.subject, /^Verify your backup email - Our Community$/)
    const link = await server.mail.linkAfter(backup, 0, '/account/backup-email/verify')
    const scanner = browser()
    const page = await scanner.open(link)
    await scanner.open(link)
    assert.match((await asked(backup)).page.words, /If a backup e-mail matches/)
    await noneUnderWay()
    assert.equal((await server.mails(backup)).length, 1, 'only the link')

    assert.equal((await act(scanner, page, '/account/backup-email/verify')).status, 200)
    assert.equal((await act(scanner, page, '/account/backup-email/verify')).status, 400, 'used')
    assert.equal((await scanner.open(link)).status, 400)
    await asked(backup)
    await server.codeAfter(backup, 1)
  })

  it('never makes an account, and answers all addresses alike', async () => {
    const { email } = await member()
    const owner = browser()
    const backup = freshEmail('bk-known')
    await addBackup(server, owner, await openAccount(server, owner, email), backup)
    const walk = async (address) => {
      let { person, page } = await asked(address)
      const seen = [page]
      for (let i = 0; i < 6; ++i) seen.push((page = await act(person, page, '/auth/recover/verify', { code: '1234567' })))
      for (let i = 0; i < 3; ++i) seen.push((page = await act(person, page, '/auth/recover/resend', {})))
      return seen.map(({ status, words }) => `${status} ${words}`)
    }
    const unknown = backup.replace('known', 'nobody')
    assert.deepEqual(await walk(backup), await walk(unknown))
    await noneUnderWay()
    assert.deepEqual(await server.mails(unknown), [])
    // Nor does the primary address recover: that is what signing in is for.
    const mails = (await server.mails(email)).length
    await asked(email)
    await noneUnderWay()
    assert.equal((await server.mails(email)).length, mails)
  })

  it('asks which one when an address is the backup of several accounts', async () => {
    const backup = freshEmail('family')
    const members = [await member(), await member()]
    for (const { email } of members) {
      const owner = browser()
      await addBackup(server, owner, await openAccount(server, owner, email), backup)
    }
    const seen = (await server.mails(backup)).length
    const { person, page } = await asked(backup)
    const choice = await act(person, page, '/auth/recover/verify', { code: await server.codeAfter(backup, seen) })
    const dids = choice.forms.flatMap(({ buttons }) => buttons.filter(({ name }) => name === 'account').map(({ value }) => value))
    assert.deepEqual(dids.toSorted(), members.map(({ did }) => did).toSorted())
    // One that is not offered cannot be had.
    const stranger = await member()
    const offer = choice.forms.find(({ buttons }) => buttons.some(({ name }) => name === 'account'))
    const forged = { ...offer, buttons: [{ name: 'account', value: stranger.did }] }
    const refused = await person.submit(choice, forged, {}, stranger.did)
    assert.ok(!refused.left && !refused.words.includes('Approve'))
    const consent = await act(person, choice, '/auth/recover/choose', {}, members[1].did)
    const { left } = await person.submit(consent, consent.formWith('action'), {}, 'approve')
    assert.equal((await app.callback(left.searchParams)).session.did, members[1].did)
  })

  it('is not for an address that was removed, and there are at most five', async () => {
    const { email } = await member()
    const owner = browser()
    let page = await openAccount(server, owner, email)
    const backups = Array.from({ length: 6 }, () => freshEmail('backup'))
    for (const backup of backups.slice(0, 5)) page = await addBackup(server, owner, page, backup, { confirm: backup === backups[0] })
    page = await act(owner, page, '/account/backup-email/add', { email: backups[5] })
    assert.equal(outcome(page), 'too_many_backups')
    for (const [wrong, error] of [[email, 'already_primary'], ['nowhere', 'invalid_email']]) {
      page = await act(owner, page, '/account/backup-email/add', { email: wrong })
      assert.equal(outcome(page), error)
    }
    const id = page.forms.find(({ action }) => action === '/account/backup-email/remove').buttons[0].value
    page = await act(owner, page, '/account/backup-email/remove', {}, id)
    assert.equal(outcome(page), 'backup_removed')
    await asked(backups[0])
    await noneUnderWay()
    assert.equal((await server.mails(backups[0])).length, 1)
  })

  for (const javaScript of [true, false])
    it(`in Chromium, ${javaScript ? 'with' : 'without'} JavaScript`, scene(async () => {
      const chromium = await startChromium(suite)
      const by = await CallbackApp.start(suite, server)
      const { email, did } = await member()
      const owner = browser()
      const backup = freshEmail('backup')
      await addBackup(server, owner, await openAccount(server, owner, email), backup, { confirm: false })
      const visitor = await Visitor.open(chromium, { javaScript, name: javaScript ? 'recovery' : undefined, extraHTTPHeaders: { 'x-forwarded-for': freshAddress() } })
      visitor.expected = /\/auth\/recover\/verify|backup-email\/verify/
      const { page } = visitor
      const look = (label) => (javaScript ? visitor.lookEverywhere(label) : visitor.look(label))

      await page.goto(await server.mail.linkAfter(backup, 0, '/account/backup-email/verify'))
      await look('backup-confirm')
      await go(page, button(page, 'Confirm'))
      await page.getByRole('heading', { name: 'Backup address confirmed' }).waitFor()
      await look('backup-confirmed')

      await page.goto((await by.client.authorize(server.urls.pds)).href)
      await go(page, page.getByRole('link', { name: 'Recover with backup e-mail' }))
      await look('recover')
      await page.getByLabel('Backup e-mail address').fill(backup)
      await go(page, button(page, 'Send code'))
      await look('recover-code')
      await page.getByLabel('Code', { exact: true }).fill('1')
      await go(page, button(page, 'Continue'))
      await page.getByRole('alert').waitFor()
      await look('recover-wrong-code')
      await page.getByLabel('Code', { exact: true }).fill(await server.codeAfter(backup, 1))
      await go(page, button(page, 'Continue'))
      await look('consent')
      await go(page, button(page, 'Approve'))
      assert.equal((await by.session()).did, did)
      await visitor.close()
    }))

  it('waits when the operator wants it, and the primary mailbox can stop it', scene(async (t) => {
    const chromium = await startChromium(suite)
    const careful = await Server.forTest(t, { env: { LATCHKEY_RECOVERY_DELAY_HOURS: '24' } })
    const client = loopbackApp(careful)
    const email = freshEmail()
    await signIn(new Browser([careful.urls.auth]), careful, await client.authorize(careful.urls.pds), email)
    const owner = new Browser([careful.urls.auth], { address: freshAddress() })
    const backup = freshEmail('backup')
    await addBackup(careful, owner, await openAccount(careful, owner, email), backup)
    const seen = (await careful.mails(email)).length

    const visitor = await Visitor.open(chromium, { name: 'recovery-waits', extraHTTPHeaders: { 'x-forwarded-for': freshAddress() } })
    const { page } = visitor
    await page.goto((await client.authorize(careful.urls.pds)).href)
    await go(page, page.getByRole('link', { name: 'Recover with backup e-mail' }))
    await page.getByLabel('Backup e-mail address').fill(backup)
    await go(page, button(page, 'Send code'))
    await page.getByLabel('Code', { exact: true }).fill(await careful.codeAfter(backup, 1))
    await go(page, button(page, 'Continue'))
    await page.getByRole('heading', { name: 'Your recovery has begun' }).waitFor()
    await visitor.lookEverywhere('begun')
    assert.equal(await button(page, 'Approve').count(), 0)

    const link = await careful.mail.linkAfter(email, seen, '/auth/recover/cancel')
    await page.goto(link)
    await visitor.lookEverywhere('stop')
    assert.equal((await owner.open(`${careful.urls.auth}/account`)).status, 200, 'the owner is not signed out')
    await page.goto(link)
    await go(page, button(page, 'Stop it'))
    await page.getByRole('heading', { name: 'The recovery is stopped' }).waitFor()
    await visitor.lookEverywhere('stopped')
    assert.equal((await owner.open(link)).status, 400, 'there is nothing to stop any more')
    await visitor.close()
  }))
})

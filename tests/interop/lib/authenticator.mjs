// An authenticator inside Chromium: it makes passkeys, keeps them and verifies its user, as one built into a device does.
// https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/

export class Authenticator {
  /** Plugged in for one page. With `present: false` nobody touches it until somebody is told to. */
  static async on(page, { present = true } = {}) {
    const authenticator = new Authenticator()
    authenticator.cdp = await page.context().newCDPSession(page)
    await authenticator.cdp.send('WebAuthn.enable')
    const { authenticatorId } = await authenticator.cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        ctap2Version: 'ctap2_1',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: present,
      },
    })
    authenticator.id = authenticatorId
    return authenticator
  }

  /** `[{ credentialId, isResidentCredential, rpId, privateKey, userHandle, signCount, … }]`, binary in base64 */
  async credentials() {
    return (await this.cdp.send('WebAuthn.getCredentials', { authenticatorId: this.id })).credentials
  }
  /** As another device of the same person has it after synchronising. */
  async add(credential) {
    await this.cdp.send('WebAuthn.addCredential', { authenticatorId: this.id, credential })
  }
  async forget(credentialId) {
    await this.cdp.send('WebAuthn.removeCredential', { authenticatorId: this.id, credentialId })
  }

  /** Whether somebody is there and touches it; with suggestions of passkeys, chooses one. */
  async setPresent(enabled) {
    await this.cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId: this.id, enabled })
  }
  /** Whether the finger, face or PIN is the right one. */
  async setVerified(isUserVerified) {
    await this.cdp.send('WebAuthn.setUserVerified', { authenticatorId: this.id, isUserVerified })
  }

  async unplug() {
    await this.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: this.id })
  }
}

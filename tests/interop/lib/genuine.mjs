// The server of Better Auth itself, in this process and in memory: what its client says to it is what it should say to ours.
import http from 'node:http'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { emailOTP } from 'better-auth/plugins'

export class GenuineServer {
  codes = new Map()
  mails_ = []

  static async start(t, options = {}, otp = {}) {
    const genuine = new GenuineServer()
    let handler
    const server = http.createServer((request, answer) => handler(request, answer))
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    genuine.origin = `http://localhost:${server.address().port}`
    const rows = { user: [], session: [], account: [], verification: [] }
    const auth = betterAuth({
      baseURL: genuine.origin,
      secret: 'a secret of a test, which is long enough for it',
      database: memoryAdapter(rows),
      logger: { disabled: true },
      telemetry: { enabled: false },
      rateLimit: { enabled: false },
      plugins: [emailOTP({ ...otp, sendVerificationOTP: async ({ email, otp: code }) => void genuine.mails_.push({ to: email, subject: code }) })],
      ...options,
    })
    handler = toNodeHandler(auth)
    return genuine
  }
  async mails(to) {
    return this.mails_.filter((mail) => mail.to === to)
  }
}

// A server with the shape of GitHub's sign-in (OAuth web application flow) and the two calls of its API that tell who
// somebody is. Who comes is signed in as `person` at once, or refuses when there is none.
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'

const random = (prefix) => prefix + randomBytes(18).toString('hex')

export class GitHub {
  people = new Map()
  person = undefined
  clientId = 'Iv1.0123456789abcdef'
  clientSecret = '0123456789abcdef0123456789abcdef01234567'
  asked = []
  #codes = new Map()
  #tokens = new Map()

  static async start(t, { redirectUri, port = 0 } = {}) {
    const github = new GitHub()
    github.redirectUri = redirectUri
    const server = http.createServer((request, answer) => github.#handle(request, answer))
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    github.origin = `http://localhost:${server.address().port}`
    return github
  }

  /** Somebody with an account here. `emails` as GET /user/emails has them; `email`: the one they show to everybody, or null. */
  add({ id = 1000 + this.people.size, login = `octo${id}`, name = 'Octo Cat', email = null, emails }) {
    this.people.set(id, { user: { id, login, name, email, avatar_url: `${this.origin}/avatar/${id}` }, emails })
    this.person = id
    return id
  }

  async #handle(request, answer) {
    const url = new URL(request.url, this.origin)
    this.asked.push(url.pathname)
    let body = ''
    for await (const chunk of request) body += chunk
    const json = (value, status = 200) => {
      answer.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
      answer.end(JSON.stringify(value))
    }
    if (request.method === 'GET' && url.pathname === '/login/oauth/authorize') return this.#authorize(url.searchParams, answer)
    if (request.method === 'POST' && url.pathname === '/login/oauth/access_token') return this.#token(request, body, answer)
    // The API of github.com has a name of its own, that of an enterprise's server a path.
    const path = url.pathname.replace(/^\/api\/v3/, '')
    // As the real one does: nobody without a name.
    if (!request.headers['user-agent']) return json({ message: 'Request forbidden by administrative rules.' }, 403)
    const token = this.#tokens.get(/^(?:Bearer|token) (.+)$/i.exec(request.headers.authorization ?? '')?.[1])
    if (!token) return json({ message: 'Bad credentials' }, 401)
    const { user, emails } = this.people.get(token.id)
    if (path === '/user') return json(user)
    if (path === '/user/emails' && /\buser(:email)?\b/.test(token.scope)) return json(emails)
    json({ message: 'Not Found' }, 404)
  }

  #authorize(query, answer) {
    const redirectUri = query.get('redirect_uri') ?? this.redirectUri
    if (query.get('client_id') !== this.clientId || redirectUri !== this.redirectUri) {
      answer.writeHead(404)
      return answer.end()
    }
    const back = new URL(redirectUri)
    if (this.person === undefined) {
      back.searchParams.set('error', 'access_denied')
      back.searchParams.set('error_description', 'The user has denied your application access.')
    } else {
      const code = random('')
      this.#codes.set(code, { id: this.person, scope: query.get('scope') ?? '', challenge: query.get('code_challenge'), redirectUri })
      back.searchParams.set('code', code)
    }
    if (query.has('state')) back.searchParams.set('state', query.get('state'))
    answer.writeHead(302, { location: back.href })
    answer.end()
  }

  #token(request, body, answer) {
    const isJson = /^application\/json/.test(request.headers['content-type'] ?? '')
    const given = new Map(isJson ? Object.entries(JSON.parse(body)) : new URLSearchParams(body))
    const code = this.#codes.get(given.get('code'))
    this.#codes.delete(given.get('code'))
    const challenged = (verifier) => createHash('sha256').update(verifier ?? '').digest('base64url')
    let said
    if (given.get('client_id') !== this.clientId || given.get('client_secret') !== this.clientSecret)
      said = { error: 'incorrect_client_credentials', error_description: 'The client_id and/or client_secret passed are incorrect.' }
    else if (!code || (code.challenge && code.challenge !== challenged(given.get('code_verifier'))))
      said = { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
    else if (given.has('redirect_uri') && given.get('redirect_uri') !== code.redirectUri)
      said = { error: 'redirect_uri_mismatch', error_description: 'The redirect_uri MUST match the registered callback URL for this application.' }
    else {
      const token = random('gho_')
      this.#tokens.set(token, code)
      said = { access_token: token, token_type: 'bearer', scope: code.scope.split(/[\s,]+/).join(',') }
    }
    // Errors are 200, too, and without an Accept header everything is a form.
    const wantsJson = /\bjson\b/.test(request.headers.accept ?? '')
    answer.writeHead(200, { 'content-type': wantsJson ? 'application/json; charset=utf-8' : 'application/x-www-form-urlencoded; charset=utf-8' })
    answer.end(wantsJson ? JSON.stringify(said) : new URLSearchParams(said).toString())
  }
}

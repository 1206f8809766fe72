// The token endpoint: RFC 6749 §4.1.3 and §6, RFC 7636 §4.6, RFC 9449 §5. And revocation, RFC 7009.

#include <algorithm>
#include <variant>

#include "base/log.h"
#include "oauth/pkce/pkce.h"
#include "oauth/server/server.h"

namespace latchkey::oauth {

Task<web::Response> Server::token(web::Request request) {
  const std::string id = request.id;
  co_return render(co_await exchange(std::move(request)), 200, id);
}

Task<Result<json::Object, Fault>> Server::exchange(web::Request request) {
  CO_TRY(auto form, parameters(request));
  CO_TRY(auto proof, co_await check_proof(request.headers.all("dpop"), "POST",
                                          options_.issuer + "/oauth/token", {}, clock_.now()));
  const auto grant_type = single(form, "grant_type");
  auto authenticated = co_await authenticate(form);
  if (!authenticated) {
    if (authenticated.error().code == Error::invalid_client && grant_type == "refresh_token")
      co_await look_for_lost_key(std::move(form));
    co_return fail(std::move(authenticated.error()));
  }
  Caller caller = *std::move(authenticated);
  caller.ip = request.remote_ip;
  if (!grant_type) co_return fault(Error::invalid_request, "grant_type is required");
  if (*grant_type == "authorization_code")
    co_return co_await exchange_code(std::move(form), std::move(caller), std::move(proof));
  if (*grant_type == "refresh_token")
    co_return co_await exchange_refresh(std::move(form), std::move(caller), std::move(proof));
  co_return fault(Error::unsupported_grant_type, "grant_type must be authorization_code or refresh_token");
}

namespace {

struct CodeExchange {
  std::string code_hash, redirect_uri, verifier;
  std::string client_id, jkt;
  ClientBinding auth;
  std::string session_id, ip;
  Time now;
};
struct CodeReplayed {};
using CodeOutcome = std::variant<Session, CodeReplayed, Fault>;

// Everything is checked before anything is spent, so that a wrong guess changes nothing.
CodeOutcome redeem(store::Tx& tx, const CodeExchange& in, const StandingOf& standing) {
  const auto refused = [](const char* why) { return Fault{Error::invalid_grant, "Invalid code", why}; };
  const auto code = codes::find(tx, in.code_hash);
  if (!code) return refused("unknown");
  // Issued to this client (RFC 6749 §5.2), for this redirect_uri (§4.1.3), to this key (RFC 9449 §10).
  if (code->client_id != in.client_id) return refused("issued to another client");
  if (code->auth != in.auth) return refused("client key changed");
  if (code->dpop_jkt != in.jkt) return refused("other DPoP key than in PAR");
  if (code->redirect_uri != in.redirect_uri) return refused("redirect_uri differs");
  if (!pkce_matches(in.verifier, code->code_challenge)) return refused("code_verifier");
  if (code->spent_at) {
    // RFC 6749 §4.1.2: used twice, so what it issued ends. Only this far down: a thief of the code alone
    // could get no token for it, and must not be able to sign its owner out (OWASP ASVS 5.0, 10.4.2: "the
    // second valid request").
    if (code->session_id) sessions::revoke(tx, *code->session_id, in.now);
    return CodeReplayed{};
  }
  if (in.now >= code->expires_at) return refused("expired");
  if (standing(tx, code->did) != Standing::active) return refused("account not active");
  if (!codes::spend(tx, in.code_hash, in.session_id, in.now)) return CodeReplayed{};
  Session session{
      .id = in.session_id,
      .did = code->did,
      .client_id = code->client_id,
      .scope = code->scope,
      .dpop_jkt = code->dpop_jkt,
      .auth = code->auth,
      .created_at = in.now,
      .last_used_at = in.now,
      .expires_at = in.now + (code->auth.kid ? k_confidential_idle_lifetime : k_public_session_lifetime),
      .generation = 0,
      .rotated_at = in.now,
      .ip = in.ip,
      .device = code->device};
  sessions::insert(tx, session);
  return session;
}

}  // namespace

Task<Result<json::Object, Fault>> Server::exchange_code(FormFields form, Caller caller, DpopProof proof) {
  const auto code = single(form, "code"), verifier = single(form, "code_verifier"),
             redirect_uri = single(form, "redirect_uri");
  if (!code || !verifier || !redirect_uri)
    co_return fault(Error::invalid_request, "code, code_verifier and redirect_uri are required");
  if (!is_valid_verifier(*verifier))
    co_return fault(Error::invalid_grant, "code_verifier must be 43 to 128 unreserved characters");
  const CodeExchange in{codes::hash_of(*code),   *redirect_uri, *verifier,
                        caller.client->id.str(), proof.jkt,     caller.auth,
                        rng_.token(16),          caller.ip,     clock_.now()};
  CodeOutcome outcome = co_await db_.write([&](store::Tx& tx) { return redeem(tx, in, options_.standing); });
  if (auto* f = std::get_if<Fault>(&outcome)) co_return fail(std::move(*f));
  if (std::get_if<CodeReplayed>(&outcome)) co_return fault(Error::invalid_grant, "Invalid code", "replayed");
  const Session& session = std::get<Session>(outcome);
  const auto scope = ScopeSet::parse(session.scope);
  if (!scope) co_return fault(Error::invalid_grant, "Invalid code", "scope");
  co_return co_await token_response(session, *scope, caller.client->may_refresh, in.now);
}

Task<Result<json::Object, Fault>> Server::exchange_refresh(FormFields form, Caller caller, DpopProof proof) {
  const auto token = single(form, "refresh_token");
  if (!token) co_return fault(Error::invalid_request, "refresh_token is required");
  const auto parts = refresh_tokens_.parse(*token);
  if (!parts) co_return fault(Error::invalid_grant, "Invalid refresh token", "not ours");
  if (!caller.client->may_refresh)
    co_return fault(Error::unauthorized_client, "grant_types of this client does not have refresh_token");
  const Time now = clock_.now();
  const RefreshProof refresh{caller.client->id.str(), proof.jkt, caller.auth, caller.ip};
  auto outcome = co_await db_.write(
      [&](store::Tx& tx) { return sessions::rotate(tx, *parts, refresh, options_.standing, now); });
  if (const auto* refused = std::get_if<sessions::Refused>(&outcome))
    co_return fault(Error::invalid_grant, "Invalid refresh token", refused->why);
  if (const auto* ended = std::get_if<sessions::Ended>(&outcome))
    co_return fault(Error::invalid_grant, "The session has ended", ended->why);
  if (auto* other = std::get_if<sessions::OtherClientKey>(&outcome)) {
    co_await end_if_key_is_gone(std::move(other->session));
    co_return fault(Error::invalid_grant, "Invalid refresh token", "other client key than the session's");
  }
  const Session& session = std::get<sessions::Rotated>(outcome).session;
  // RFC 6749 §6: a refresh may ask for less, never for more. The session keeps its scope.
  const auto granted = ScopeSet::parse(session.scope), declared = ScopeSet::parse(caller.client->scope);
  if (!granted || !declared) co_return fault(Error::invalid_grant, "Invalid refresh token", "scope");
  // A client that declares less than it once did gets less; should it declare it again, the grant is still
  // there.
  ScopeSet scope = granted->intersect(*declared);
  if (const auto asked = single(form, "scope")) {
    const auto narrower = ScopeSet::parse(*asked);
    if (!narrower || !narrower->has(k_scope_atproto)) co_return fault(Error::invalid_scope, "Invalid scope");
    scope = scope.intersect(*narrower);
  }
  co_return co_await token_response(session, std::move(scope), true, now);
}

namespace {

// How the session's client authenticated when it began is a way it may authenticate today.
bool offers(const Client& client, const ClientBinding& auth) {
  if (!client.is_confidential() || !auth.kid) return !client.is_confidential() && !auth.kid;
  return std::ranges::any_of(client.jwks.keys,
                             [&](const Jwk& k) { return k.kid == *auth.kid && k.thumbprint() == auth.jkt; });
}

}  // namespace

Task<void> Server::end_if_key_is_gone(Session session) {
  // Our copy may be older than the key. When there is no document to be had, nothing is known.
  const auto client = co_await clients_.load(session.client_id, Clients::Freshness::refetch);
  if (!client || offers(**client, session.auth)) co_return;
  log::info("session ended: the client's key is gone", {{"client_id", session.client_id}});
  const Time now = clock_.now();
  co_await db_.write([&](store::Tx& tx) { sessions::revoke(tx, session.id, now); });
}

// Whoever still uses a key that its client withdrew cannot authenticate, and shows us a session that has to
// end: the client withdrew the key because it was lost, perhaps to this caller.
Task<void> Server::look_for_lost_key(FormFields form) {
  const auto parts = refresh_tokens_.parse(single(form, "refresh_token").value_or(""));
  if (!parts) co_return;
  const Time now = clock_.now();
  auto session =
      co_await db_.read([&](store::Tx& tx) { return sessions::find_living(tx, parts->session_id, now); });
  if (session && session->client_id == single(form, "client_id"))
    co_await end_if_key_is_gone(std::move(*session));
}

Task<web::Response> Server::revoke(web::Request request) {
  const std::string id = request.id;
  const auto outcome = co_await revoke_token(std::move(request));
  if (!outcome) co_return render(fail(outcome.error()), 200, id);
  co_return render(json::Object{}, 200, id);
}

// RFC 7009 §2.1 and §2.2: client authentication may fail; a token that is unknown or somebody else's is
// answered like a revoked one, and nothing happens. Either token of a session ends the whole session.
Task<Result<void, Fault>> Server::revoke_token(web::Request request) {
  CO_TRY(auto form, parameters(request));
  CO_TRY(auto caller, co_await authenticate(form));
  const auto token = single(form, "token");
  if (!token) co_return fault(Error::invalid_request, "token is required");
  const Time now = clock_.now();
  std::optional<std::string> session_id;
  if (auto parts = refresh_tokens_.parse(*token)) {
    session_id = parts->session_id;
  } else if (auto claims = access_tokens_.verify(*token, now)) {
    session_id = claims->session_id;
  }
  if (!session_id) co_return {};
  co_await db_.write([&](store::Tx& tx) {
    const auto session = sessions::find_living(tx, *session_id, now);
    if (session && session->client_id == caller.client->id.str()) sessions::revoke(tx, *session_id, now);
  });
  co_return {};
}

}  // namespace latchkey::oauth

// The token endpoint: RFC 6749 §4.1.3 and §6, RFC 7636 §4.6, RFC 9449 §5. And revocation, RFC 7009.

#include <variant>

#include "oauth/pkce/pkce.h"
#include "oauth/server/server.h"

namespace latchkey::oauth {

Task<web::Response> Server::token(web::Request request) {
  const std::string id = request.id;
  co_return render(co_await exchange(std::move(request)), 200, id);
}

Task<Result<json::Object, Fault>> Server::exchange(web::Request request) {
  CO_TRY(auto form, parameters(request));
  CO_TRY(auto proof, check_proof(request.headers.all("dpop"), "POST", options_.issuer + "/oauth/token", {},
                                 clock_.now()));
  CO_TRY(auto caller, co_await authenticate(form));
  caller.ip = request.remote_ip;
  const auto grant_type = single(form, "grant_type");
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
CodeOutcome redeem(store::Tx& tx, const CodeExchange& in) {
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
    // RFC 6749 §4.1.2: used twice, so somebody else has it: what it issued ends here.
    if (code->session_id) sessions::revoke(tx, *code->session_id, in.now);
    return CodeReplayed{};
  }
  if (in.now >= code->expires_at) return refused("expired");
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
  CodeOutcome outcome = co_await db_.write([&in](store::Tx& tx) { return redeem(tx, in); });
  if (auto* f = std::get_if<Fault>(&outcome)) co_return fail(std::move(*f));
  if (std::get_if<CodeReplayed>(&outcome)) co_return fault(Error::invalid_grant, "Invalid code", "replayed");
  const Session& session = std::get<Session>(outcome);
  co_return token_response(session, session.scope, caller.client->may_refresh, in.now);
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
  auto outcome =
      co_await db_.write([&](store::Tx& tx) { return sessions::rotate(tx, *parts, refresh, now); });
  if (std::get_if<sessions::Refused>(&outcome))
    co_return fault(Error::invalid_grant, "Invalid refresh token", "refused");
  if (std::get_if<sessions::Replayed>(&outcome))
    co_return fault(Error::invalid_grant, "Refresh token replayed", "replayed");
  const Session& session = std::get<sessions::Rotated>(outcome).session;
  // RFC 6749 §6: a refresh may ask for less, never for more. The session keeps its scope.
  std::string scope = session.scope;
  if (const auto asked = single(form, "scope")) {
    const auto narrower = ScopeSet::parse(*asked);
    const auto granted = ScopeSet::parse(session.scope);
    if (!narrower || !granted || !narrower->has(k_scope_atproto))
      co_return fault(Error::invalid_scope, "Invalid scope");
    scope = granted->intersect(*narrower).str();
  }
  co_return token_response(session, scope, true, now);
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

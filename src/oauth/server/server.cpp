#include "oauth/server/server.h"

#include "base/log.h"
#include "crypto/hash.h"
#include "oauth/jose/client_assertion.h"

namespace latchkey::oauth {
namespace {

constexpr std::size_t k_max_parameters = 100;
constexpr std::size_t k_max_parameter = 8192;

Secret<Bytes> derive(const Secret<Bytes>& secret, std::string_view purpose) {
  return Secret<Bytes>(crypto::hkdf_sha256(secret.reveal(), {}, purpose, 32));
}

}  // namespace

Server::Server(ServerOptions options, store::Database& db, Fetch& fetch, const Clock& clock, Rng& rng)
    : options_(std::move(options)),
      db_(db),
      clock_(clock),
      rng_(rng),
      clients_(fetch, clock, options_.local_hosts, options_.trusted_clients),
      permission_sets_(db, options_.lexicons, clock),
      nonces_(derive(options_.secret, "latchkey oauth dpop nonce")),
      proofs_seen_(make_replay(db, clock, "dpop")),
      assertions_seen_(make_replay(db, clock, "assertion")),
      quota_(db, options_.max_requests),
      refresh_tokens_(derive(options_.secret, "latchkey oauth refresh token")),
      access_tokens_(options_.issuer, derive(options_.secret, "latchkey oauth access token"), rng) {
  if (!options_.standing) throw std::invalid_argument("oauth: who knows how accounts stand?");
}

void Server::add_routes(web::Router& router) {
  const auto route = [&](const char* method, const char* path, web::Handler handler) {
    router.add(method, path, web::with_cors(handler));
    router.add("OPTIONS", path, web::with_cors(handler));
  };
  route("POST", "/oauth/par", [this](web::Request r) { return par(std::move(r)); });
  route("POST", "/oauth/token", [this](web::Request r) { return token(std::move(r)); });
  route("POST", "/oauth/revoke", [this](web::Request r) { return revoke(std::move(r)); });
  route("POST", "/oauth/introspect", [this](web::Request r) { return introspect(std::move(r)); });
  const auto document = [&](const char* path, json::Object body) {
    auto response = web::Response::json(std::move(body));
    response.header("cache-control", "public, max-age=300");
    route("GET", path, [response = std::move(response)](web::Request) { return web::ready(response); });
  };
  document("/.well-known/oauth-authorization-server", metadata());
  document("/.well-known/oauth-protected-resource", resource_metadata());
  // Access tokens are ours alone to read, so there is no public key to publish; the set is there and empty.
  document("/oauth/jwks", json::Object{{"keys", json::Array{}}});
}

Result<FormFields, Fault> Server::parameters(const web::Request& request) {
  FormFields fields;
  if (request.content_type() == "application/json") {
    const auto body = json::parse(request.body, {.max_depth = 4});
    if (!body || !body->object()) return fault(Error::invalid_request, "The body is not a JSON object");
    if (body->object()->size() > k_max_parameters)
      return fault(Error::invalid_request, "Too many parameters");
    for (const auto& [name, value] : *body->object()) {
      if (value.is_null()) continue;
      if (!value.string()) return fault(Error::invalid_request, name + " must be a string");
      fields.emplace_back(name, *value.string());
    }
  } else {
    auto form = request.form(k_max_parameters);
    if (!form)
      return fault(Error::invalid_request, form.error() == web::FormError::malformed
                                               ? "The form is malformed"
                                               : "The body must be a form or JSON");
    fields = std::move(*form);
  }
  if (has_duplicates(fields)) return fault(Error::invalid_request, "A parameter is given more than once");
  // RFC 6749 §3.1: a parameter without a value is treated as omitted.
  std::erase_if(fields, [](const auto& f) { return f.second.empty(); });
  for (const auto& [name, value] : fields)
    if (value.size() > k_max_parameter) return fault(Error::invalid_request, name + " is too long");
  return fields;
}

Task<Result<DpopProof, Fault>> Server::check_proof(std::vector<std::string> proofs, std::string method,
                                                   std::string uri, std::optional<std::string> access_token,
                                                   Time now) {
  if (proofs.empty()) co_return fault(Error::invalid_dpop_proof, "DPoP proof required");
  // 1. Not more than one DPoP header field.
  if (proofs.size() > 1) co_return fault(Error::invalid_dpop_proof, "More than one DPoP header");
  auto proof = check_dpop_proof({proofs[0], std::move(method), std::move(uri), std::move(access_token)},
                                {.keys = &keys_}, now);
  if (!proof) co_return fault(Error::invalid_dpop_proof, proof.error().detail);
  // 10. Our nonce, and a fresh one.
  if (!proof->nonce || !nonces_.accepts(*proof->nonce, now))
    co_return fault(Error::use_dpop_nonce, "Authorization server requires nonce in DPoP proof");
  // RFC 9449 §11.1: each proof once.
  switch (co_await proofs_seen_->use(proof->jkt, proof->jti, proof->remember_until)) {
    case FirstUse::yes:
      break;
    case FirstUse::no:
      co_return fault(Error::invalid_dpop_proof, "DPoP proof replayed");
    case FirstUse::full:
      co_return fault(Error::temporarily_unavailable, "Too many requests", "proof cache full");
  }
  co_return *proof;
}

Task<Result<Server::Caller, Fault>> Server::authenticate(FormFields form) {
  const auto client_id = single(form, "client_id");
  if (!client_id) co_return fault(Error::invalid_request, "client_id is required");
  CO_TRY(auto client, co_await clients_.load(*client_id));
  const auto assertion = single(form, "client_assertion");
  const auto assertion_type = single(form, "client_assertion_type");
  if (single(form, "client_secret")) co_return fault(Error::invalid_client, "client_secret is not supported");
  if (!client->is_confidential()) {
    if (assertion || assertion_type)
      co_return fault(Error::invalid_client, "This client authenticates with method none");
    co_return Caller{client, {}};
  }
  if (!assertion || assertion_type != k_client_assertion_type)
    co_return fault(Error::invalid_client, "client_assertion of type jwt-bearer is required");
  const Time now = clock_.now();
  auto checked = check_client_assertion(*assertion, *client_id, options_.issuer, client->jwks, {}, now);
  if (!checked) {
    // The key may be newer than our copy of the document.
    CO_TRY(client, co_await clients_.load(*client_id, Clients::Freshness::refetch));
    checked = check_client_assertion(*assertion, *client_id, options_.issuer, client->jwks, {}, now);
  }
  if (!checked) co_return fault(Error::invalid_client, "Invalid client_assertion: " + checked.error().detail);
  switch (co_await assertions_seen_->use(*client_id, checked->jti, checked->remember_until)) {
    case FirstUse::yes:
      break;
    case FirstUse::no:
      co_return fault(Error::invalid_client, "client_assertion replayed");
    case FirstUse::full:
      co_return fault(Error::temporarily_unavailable, "Too many requests", "jti cache full");
  }
  co_return Caller{client, {checked->kid, checked->jkt}};
}

// The answer says what was granted. The access token says what that means today: its permission sets are
// expanded, anew each time, and stay as they are until the token ends
// (https://atproto.com/specs/permission#permission-sets).
Task<json::Object> Server::token_response(Session session, ScopeSet scope, bool with_refresh, Time now) {
  const auto sets = co_await permission_sets_.load(scope, PermissionSets::For::refresh);
  const auto expanded = PermissionSets::expand(scope, sets.value_or(PermissionSets::Sets()));
  auto access = access_tokens_.issue(session, expanded.str(), now);
  json::Object body{{"access_token", std::move(access.token)},
                    {"token_type", "DPoP"},
                    {"expires_in", std::int64_t{access.expires_in.count()}},
                    {"scope", scope.str()},
                    {"sub", session.did}};
  if (with_refresh) body.append("refresh_token", refresh_tokens_.token(session.id, session.generation));
  co_return body;
}

web::Response Server::render(Result<json::Object, Fault> outcome, int ok_status,
                             std::string_view request_id) const {
  web::Response response;
  if (outcome) {
    response = web::Response::json(std::move(*outcome), ok_status);
  } else {
    const Fault& f = outcome.error();
    const Wire w = wire(f.code);
    if (!f.detail.empty())
      log::info(
          "oauth request refused",
          {{"request_id", std::string(request_id)}, {"error", std::string(w.name)}, {"detail", f.detail}});
    response =
        web::Response::json(json::Object{{"error", w.name}, {"error_description", f.description}}, w.status);
  }
  response.header("dpop-nonce", current_nonce());  // RFC 9449 §8.2: every answer brings the next one
  response.header("cache-control", "no-store");    // RFC 6749 §5.1
  response.header("pragma", "no-cache");
  return response;
}

Task<void> Server::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) {
    requests::clean(tx, now);
    codes::clean(tx, now);
    sessions::clean(tx, now);
  });
  co_await permission_sets_.clean();
  co_await proofs_seen_->clean();
  co_await assertions_seen_->clean();
}

}  // namespace latchkey::oauth

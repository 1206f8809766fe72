#include <stdexcept>

#include "auth/plugins/atproto/service.h"
#include "base/log.h"
#include "base/url.h"
#include "oauth/jose/jwk.h"

namespace latchkey::auth {
namespace {

using namespace std::chrono_literals;
using oauth::client::ClientKey;
using oauth::client::ClientMetadata;

constexpr const char* k_metadata_path = "/bsky/client-metadata.json";
constexpr const char* k_jwks_path = "/bsky/jwks.json";
constexpr const char* k_callback_path = "/bsky/callback";

std::vector<ErrorCode> errors() {
  std::vector<ErrorCode> out;
  for (int e = 0; e <= static_cast<int>(AtprotoError::PDS_UNREACHABLE); ++e)
    out.push_back(wire(static_cast<AtprotoError>(e)));
  return out;
}

/// Named by what they are (RFC 7638), so a key keeps its name when others come and go.
std::vector<ClientKey> parse_keys(const std::vector<Secret<std::string>>& pems) {
  std::vector<ClientKey> keys;
  for (const auto& pem : pems) {
    const auto key = crypto::PrivateKey::from_pem(pem.reveal());
    if (!key) throw std::invalid_argument("atproto: a private key is not usable: " + key.error().detail);
    if (key->curve() != crypto::Curve::p256)
      throw std::invalid_argument("atproto: private keys are P-256, for ES256");
    keys.push_back({oauth::thumbprint(key->public_key()), *key});
  }
  return keys;
}

std::vector<Secret<std::string>> secrets_of(const Options& options) {
  std::vector<Secret<std::string>> all{options.secret};
  all.insert(all.end(), options.old_secrets.begin(), options.old_secrets.end());
  return all;
}

std::vector<Endpoint> endpoints(const std::shared_ptr<AtprotoService>& it) {
  const EndpointOptions sign_in{.body = Shape{{text("handle"), optional_text("callbackURL")}}};
  const EndpointOptions with_session{.needs = Needs::session};
  const EndpointOptions call{.needs = Needs::session, .content = EndpointOptions::Body::raw};
  const auto metadata = [it](Context& c) { return it->client_metadata(c); };
  const auto jwks = [it](Context& c) { return it->jwks(c); };
  const auto start = [it](Context& c) { return it->sign_in(c); };
  const auto back = [it](Context& c) { return it->callback(c); };
  const auto session = [it](Context& c) { return it->session(c); };
  const auto restore = [it](Context& c) { return it->restore(c); };
  const auto sign_out = [it](Context& c) { return it->sign_out(c); };
  const auto xrpc = [it](Context& c) { return it->call(c); };
  return {get(k_metadata_path, metadata), get(k_jwks_path, jwks), post("/bsky/sign-in", start, sign_in),
          get(k_callback_path, back), get("/bsky/session", session, with_session),
          post("/bsky/restore", restore, with_session), post("/bsky/sign-out", sign_out, with_session),
          get("/bsky/xrpc/:nsid", xrpc, call), post("/bsky/xrpc/:nsid", xrpc, call),
          // What Better Auth's client asks for without a plugin of its own (contract, section 14).
          get("/bsky/get-session", session, with_session), get("/bsky/restore", restore, with_session),
          // Names of a related plugin (section 11, right column).
          get("/oauth-client-metadata.json", metadata), get("/.well-known/jwks.json", jwks),
          post("/sign-in/atproto", start, sign_in), get("/atproto/callback", back),
          get("/atproto/session", session, with_session), post("/atproto/restore", restore, with_session),
          post("/atproto/sign-out", sign_out, with_session)};
}

std::vector<PathLimit> rate_limits() {
  std::vector<PathLimit> out;
  // Servers ask for them when somebody signs in there, and for all users of a server.
  for (const char* path :
       {k_metadata_path, k_jwks_path, "/oauth-client-metadata.json", "/.well-known/jwks.json"})
    out.push_back({path, std::nullopt});
  for (const char* path : {"/bsky/sign-in", "/sign-in/atproto"})
    out.push_back({path, RateLimitRule{60s, 5}, "/bsky/sign-in"});
  for (const char* path : {k_callback_path, "/atproto/callback"})
    out.push_back({path, RateLimitRule{60s, 10}, k_callback_path});
  return out;
}

Field column(std::string name) { return {.name = std::move(name), .input = false}; }

}  // namespace

AtprotoService::Attached::Attached(Auth& a, const AtprotoOptions& options, ClientMetadata metadata)
    : auth(a),
      vault(secrets_of(a.options()), a.rng()),
      states(a.db(), vault, a.rng(), a.clock()),
      sessions(a.db(), vault, a.rng(), a.clock()),
      client({.metadata = std::move(metadata), .plain_http = options.plain_http},
             {options.fetch, options.resolver, a.clock(), a.rng(), states, sessions}) {}

AtprotoService::AtprotoService(AtprotoOptions options)
    : options_(std::move(options)),
      keys_(parse_keys(options_.private_keys)),
      calls_(options_.allowed_calls) {}

void check_allowed_calls(const std::vector<AllowedCall>& calls) { bsky::AllowedCalls{calls}; }

ClientMetadata atproto_client_metadata(const std::string& origin, const std::string& base_path,
                                       const AtprotoClientMetadata& client,
                                       const std::vector<ClientKey>& keys) {
  const Url base = *Url::parse(origin);
  const auto usable = [](Result<ClientMetadata, oauth::client::MetadataError> made) {
    if (!made) throw std::invalid_argument("atproto: " + made.error().message);
    return *std::move(made);
  };
  // https://atproto.com/specs/oauth#localhost-client-development: the redirect goes to the address, since a
  // name may resolve to something else.
  if (base.scheme == "http" && (base.host == "localhost" || base.host == "127.0.0.1")) {
    Url redirect = base;
    redirect.host = "127.0.0.1";
    return usable(ClientMetadata::loopback({redirect.origin() + base_path + k_callback_path}, client.scope));
  }
  if (base.scheme != "https")
    throw std::invalid_argument("atproto: the base URL is https, or http on localhost or 127.0.0.1");
  if (keys.empty())
    throw std::invalid_argument(
        "atproto: a private key is needed: openssl ecparam -name prime256v1 -genkey -noout -out "
        "ec-private.pem");
  const std::string here = origin + base_path;
  return usable(ClientMetadata::web(here + k_metadata_path, {here + k_callback_path}, client.scope, keys,
                                    here + k_jwks_path,
                                    {.client_name = client.client_name,
                                     .client_uri = client.client_uri,
                                     .logo_uri = client.logo_uri,
                                     .tos_uri = client.tos_uri,
                                     .policy_uri = client.policy_uri}));
}

void AtprotoService::attach(Auth& auth) {
  if (on_) throw std::invalid_argument("atproto: this plugin has an Auth already");
  on_ = std::make_unique<Attached>(
      auth, options_, atproto_client_metadata(auth.origin(), auth.base_path(), options_.client, keys_));
}

Task<Answer> AtprotoService::client_metadata(Context&) {
  co_return json_answer(on_->client.metadata().document());
}

Task<Answer> AtprotoService::jwks(Context&) { co_return json_answer(on_->client.metadata().jwks()); }

// ---- rows that leave

Result<void, Fault> AtprotoService::before_account_goes(store::Tx& tx, const Account& account) {
  const auto user = on_->auth.users().find(tx, account.user_id);
  if (!user || !bsky::is_ours(account, *user)) return {};
  const Time now = on_->auth.clock().now();
  if (on_->sessions.put_aside(tx, account.user_id, account.account_id, now)) put_aside_ = true;
  return bsky::forget(on_->auth, tx, account, now);
}

Result<void, Fault> AtprotoService::before_user_goes(store::Tx& tx, const User& user) {
  if (on_->sessions.put_aside(tx, user.id, std::nullopt, on_->auth.clock().now())) put_aside_ = true;
  return {};
}

// What the request was about has happened, so nothing is thrown.
Task<void> AtprotoService::revoke_put_aside() {
  put_aside_ = false;
  std::vector<std::string> ids;
  try {
    ids = co_await on_->sessions.take_put_aside();
  } catch (const std::exception& e) {
    put_aside_ = true;
    log::error("atproto sessions were not revoked", {{"error", e.what()}});
  }
  for (const std::string& id : ids) {
    try {
      if (auto session = co_await on_->client.restore(id)) co_await session->sign_out();
    } catch (const std::exception& e) {
      on_->sessions.kept(id);
      log::error("an atproto session was not revoked", {{"error", e.what()}});
    }
  }
}

// ---- for programs

Atproto::Atproto(AtprotoOptions options) : service_(std::make_shared<AtprotoService>(std::move(options))) {}

Plugin Atproto::plugin() const {
  const auto it = service_;
  Field did = column("bskyDid");
  did.unique = true;
  return {.id = "atproto",
          .endpoints = endpoints(it),
          .tables = bsky::tables(),
          .user_fields = {std::move(did), column("bskyHandle"), column("bskyBio"), column("bskyBanner")},
          .after = {{.matches = [it](const Context&) { return it->has_put_aside(); },
                     .run = [it](Context&, web::Response&) { return it->revoke_put_aside(); }}},
          .records = {.user = {.before_delete = [it](store::Tx& tx,
                                                     const User& u) { return it->before_user_goes(tx, u); }},
                      .account = {.before_delete =
                                      [it](store::Tx& tx, const Account& a) {
                                        return it->before_account_goes(tx, a);
                                      }}},
          .rate_limits = rate_limits(),
          .errors = errors(),
          .cookies = {"bsky_state"},
          .request_headers = {std::begin(bsky::k_call_headers), std::end(bsky::k_call_headers)},
          .response_headers = {std::begin(bsky::k_answer_headers), std::end(bsky::k_answer_headers)},
          .clean = [it] { return it->revoke_put_aside(); },
          .attach = [it](Auth& auth) { it->attach(auth); }};
}

Task<AtprotoService::SessionResult> Atproto::session_of(std::string user_id) const {
  return service_->session_of(std::move(user_id), std::nullopt);
}
Task<AtprotoService::SessionResult> Atproto::session_of(std::string user_id, Did did) const {
  return service_->session_of(std::move(user_id), did.str());
}
Task<std::vector<Did>> Atproto::accounts_of(std::string user_id) const {
  return service_->accounts_of(std::move(user_id));
}

}  // namespace latchkey::auth

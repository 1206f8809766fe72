#include "oauth/client/client.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "atproto/syntax/nsid.h"
#include "base/encoding.h"
#include "base/keyed_lock.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "oauth/client/server_answers.h"
#include "oauth/dpop/dpop.h"
#include "oauth/jose/client_assertion.h"
#include "oauth/pkce/pkce.h"
#include "oauth/scopes/scopes.h"

namespace latchkey::oauth::client {
namespace {

constexpr std::size_t k_max_cached = 10'000;       // servers in each cache
constexpr std::size_t k_max_document = 64 * 1024;  // of metadata and of answers to forms
constexpr std::size_t k_max_login_hint = 512;      // bytes
constexpr std::size_t k_max_code = 4096;           // bytes
constexpr std::size_t k_max_description = 300;     // of what a server says about an error
// A refresh is at most so many requests: a nonce may be demanded once, and one answer may get lost.
constexpr int k_refresh_requests = 3;
// A lease lasts for one request and what is left to do with its answer. Not longer: the server takes a spent
// refresh token again for some seconds only, and when this process dies another one has to come in time.
constexpr std::chrono::seconds k_lease_margin{5};
// While another process refreshes: more and more slowly.
constexpr std::chrono::milliseconds k_lease_first_wait{50}, k_lease_longest_wait{2000};

Fault fault(Error code, std::string message, std::string detail = {}, std::string oauth_error = {}) {
  return {code, std::move(message), std::move(detail), std::move(oauth_error), {}, {}};
}
auto refuse(Error code, std::string message, std::string detail = {}, std::string oauth_error = {}) {
  return std::unexpected(fault(code, std::move(message), std::move(detail), std::move(oauth_error)));
}

Fault from(identity::Fault f) {
  switch (f.code) {
    case identity::Error::not_found:
    case identity::Error::ambiguous:
    case identity::Error::disallowed_handle:
    case identity::Error::mismatch:
    case identity::Error::unsupported_method:
      return fault(Error::unknown_account, "This account could not be found.", std::move(f.detail));
    case identity::Error::deactivated:
      return fault(Error::unknown_account, "This account was deleted.", std::move(f.detail));
    case identity::Error::invalid_document:
      return fault(Error::invalid_server, "This account's identity document is damaged.",
                   std::move(f.detail));
    case identity::Error::unreachable:
      return fault(Error::unreachable, "The account's home could not be reached. Try again later.",
                   std::move(f.detail));
  }
  std::abort();
}

std::string message_for(FetchError::Kind kind) {
  switch (kind) {
    case FetchError::Kind::too_large:
      return "The server's answer is too long.";
    case FetchError::Kind::stopped:
      return "The transfer was stopped.";
    case FetchError::Kind::refused_by_guard:
    case FetchError::Kind::unreachable:
    case FetchError::Kind::timeout:
    case FetchError::Kind::bad_answer:
      return "The server could not be reached. Try again later.";
  }
  std::abort();
}

Fault from(FetchError e) {
  Fault f = fault(Error::unreachable, message_for(e.kind), std::move(e.detail));
  f.network = e.kind;
  return f;
}
Fault from(ServerMetadataError e) {
  return fault(Error::invalid_server, "This server does not support signing in.", std::move(e.message));
}

std::string origin_of(const std::string& url) {
  const auto parsed = Url::parse(url);
  return parsed ? parsed->origin() : url;
}

bool is_json(const FetchResponse& response) {
  auto type = response.header("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.pop_back();
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
  return type == "application/json";
}

/// The `error` member of a JSON answer; "" when there is none.
std::string error_of(const FetchResponse& response) {
  const auto body = json::parse(response.body, {.max_depth = 16});
  const auto* error = body ? body->string_at("error") : nullptr;
  return error ? error_code(*error) : "";
}
std::string error_description_of(const FetchResponse& response) {
  const auto body = json::parse(response.body, {.max_depth = 16});
  const auto* text = body ? body->string_at("error_description") : nullptr;
  return text ? utf8_prefix(*text, k_max_description) : "";
}

/// RFC 9449 §8: an authorization server asks for a nonce with 400 and the error in the body.
bool server_wants_nonce(const FetchResponse& response) {
  return (response.status == 400 || response.status == 401) && error_of(response) == "use_dpop_nonce";
}
/// RFC 9449 §9, RFC 6750 §3: a resource server says what is wrong in WWW-Authenticate, which may occur
/// several times.
bool resource_says(const FetchResponse& response, std::string_view error) {
  const std::string wanted = "error=\"" + std::string(error) + "\"";
  return response.status == 401 && std::ranges::any_of(response.headers, [&](const auto& field) {
           return field.first == "www-authenticate" && field.second.find(wanted) != std::string::npos;
         });
}

Fault from(ServerAnswerError e) {
  const bool broken = e.kind == ServerAnswerError::Kind::broken;
  return fault(broken ? Error::unreachable : Error::invalid_token_answer,
               "The server's answer is not usable.", std::move(e.message));
}

/// What a person types: "https://pds.example" is a server, everything else an account.
bool is_server_url(std::string_view input) {
  return input.starts_with("https://") || input.starts_with("http://");
}

std::string trimmed(std::string_view s) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = s.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return std::string(s.substr(first, s.find_last_not_of(space) - first + 1));
}

std::string browser_digest(const std::string& browser) {
  if (browser.empty()) return {};
  return base64url(crypto::sha256(as_bytes(browser)));
}

/// A small map of what was learnt about servers. When full it starts over: losing it costs a request.
template <class T>
class ServerMap {
 public:
  std::optional<T> get(const std::string& key, Time now) {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.second <= now) return std::nullopt;
    return found->second.first;
  }
  void put(const std::string& key, T value, Time expires_at) {
    std::lock_guard lock(mutex_);
    if (entries_.size() >= k_max_cached && !entries_.contains(key)) entries_.clear();
    entries_.insert_or_assign(key, std::pair(std::move(value), expires_at));
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::pair<T, Time>> entries_;
};

}  // namespace

struct Session::State {
  explicit State(StoredSession s) : stored(std::move(s)) {}
  mutable std::mutex mutex;
  StoredSession stored;
};

struct OauthClient::Impl {
  using SessionState = std::shared_ptr<Session::State>;

  Impl(const ClientOptions& o, ClientParts p) : options(o), parts(p) {}
  const ClientOptions& options;
  ClientParts parts;
  ServerMap<std::string> nonces;            // by origin, RFC 9449 §8.2
  ServerMap<ServerMetadata> servers;        // by issuer
  ServerMap<std::string> resource_servers;  // PDS origin → issuer
  KeyedLock refreshing;                     // by session

  Time now() const { return parts.clock.now(); }

  // --- requests ---

  void learn_nonce(const std::string& origin, const FetchResponse& response) {
    auto nonce = response.header("dpop-nonce");
    // RFC 9449 §8.1: NQCHAR. Anything else would be refused by our own JWT reader.
    const bool usable = !nonce.empty() && nonce.size() <= 512 && std::ranges::all_of(nonce, [](char c) {
      return c > 0x20 && c < 0x7f && c != '"' && c != '\\';
    });
    if (usable) nonces.put(origin, std::move(nonce), now() + std::chrono::hours(1));
  }

  /// One request. A Fetch that cannot stream gets whole bodies.
  Task<Result<FetchResponse, Fault>> exchange(FetchRequest request) {
    const auto sink = request.sink;
    if (!parts.fetch.streams()) {
      if (request.source && !read_source(request))
        co_return std::unexpected(from(FetchError{FetchError::Kind::stopped, "the source failed"}));
      request.sink.reset();
    }
    auto answer = co_await parts.fetch.fetch(std::move(request));
    if (!answer) co_return std::unexpected(from(std::move(answer).error()));
    if (sink && !pass_to_sink(*sink, *answer))
      co_return std::unexpected(from(FetchError{FetchError::Kind::stopped, "the sink takes no more"}));
    co_return *std::move(answer);
  }

  Task<Result<FetchResponse, Fault>> get_document(std::string url) {
    co_return co_await exchange({.method = "GET",
                                 .url = std::move(url),
                                 .headers = {{"Accept", "application/json"}},
                                 .body = {},
                                 .max_body = k_max_document,
                                 .timeout = options.timeout});
  }

  struct Form {
    std::string url;
    FormFields fields;
    std::string issuer;
    std::string kid;  // "" for public clients
    crypto::PrivateKey dpop_key;
  };

  /// A form posted to the authorization server with a DPoP proof and, for confidential clients, an assertion.
  /// `again`: the server asked for a nonce it had not told us before.
  struct Posted {
    FetchResponse answer;
    bool again;
  };
  Task<Result<Posted, Fault>> post_once(Form form) {
    if (!form.kid.empty()) {
      const auto* client_key = options.metadata.key(form.kid);
      if (!client_key) co_return std::unexpected(ended("client key " + form.kid + " is gone"));
      // Its jti is single use, so each attempt has its own.
      form.fields.emplace_back("client_assertion_type", k_client_assertion_type);
      form.fields.emplace_back("client_assertion", make_client_assertion(client_key->key, client_key->kid,
                                                                         options.metadata.client_id(),
                                                                         form.issuer, parts.rng, now()));
    }
    const std::string origin = origin_of(form.url);
    const auto used = nonces.get(origin, now());
    FetchRequest request{.method = "POST",
                         .url = form.url,
                         .headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                                     {"Accept", "application/json"},
                                     {"DPoP", make_dpop_proof(form.dpop_key, "POST", form.url, used,
                                                              std::nullopt, parts.rng, now())}},
                         .body = encode_form(form.fields),
                         .max_body = k_max_document,
                         .timeout = options.timeout};
    CO_TRY(auto answer, co_await exchange(std::move(request)));
    learn_nonce(origin, answer);
    const bool again = server_wants_nonce(answer) && nonces.get(origin, now()) != used;
    co_return Posted{std::move(answer), again};
  }

  /// The same, a second time when a nonce was demanded (RFC 9449 §8). Never a third time.
  Task<Result<FetchResponse, Fault>> post(Form form) {
    CO_TRY(auto posted, co_await post_once(form));
    if (posted.again) {
      CO_TRY(auto second, co_await post_once(std::move(form)));
      posted = std::move(second);
    }
    co_return std::move(posted.answer);
  }

  // --- discovery: https://atproto.com/specs/oauth#server-metadata ---

  Task<Result<ServerMetadata, Fault>> server(std::string issuer) {
    if (auto known = servers.get(issuer, now())) co_return *std::move(known);
    CO_TRY(const auto answer, co_await get_document(issuer + "/.well-known/oauth-authorization-server"));
    if (answer.status >= 500)
      co_return std::unexpected(
          from(FetchError{FetchError::Kind::bad_answer, "metadata of " + issuer + " failed"}));
    // "response must be an HTTP 200 (not 2xx or redirect) … with content type application/json"
    if (answer.status != 200 || !is_json(answer))
      co_return std::unexpected(from(ServerMetadataError{"no authorization server metadata at " + issuer}));
    auto metadata = ServerMetadata::parse(answer.body, issuer, options.plain_http);
    if (!metadata) co_return std::unexpected(from(std::move(metadata).error()));
    servers.put(issuer, *metadata, now() + options.metadata_ttl);
    co_return *std::move(metadata);
  }

  /// The issuer a PDS names; std::nullopt when it publishes no such document.
  Task<Result<std::optional<std::string>, Fault>> issuer_named_by(std::string pds, identity::Cached cached) {
    if (cached == identity::Cached::allow)
      if (auto known = resource_servers.get(pds, now())) co_return std::optional(*std::move(known));
    CO_TRY(const auto answer, co_await get_document(pds + "/.well-known/oauth-protected-resource"));
    if (answer.status >= 500)
      co_return std::unexpected(
          from(FetchError{FetchError::Kind::bad_answer, "metadata of " + pds + " failed"}));
    if (answer.status != 200) co_return std::optional<std::string>();
    if (!is_json(answer))
      co_return std::unexpected(from(ServerMetadataError{"protected resource metadata is not JSON"}));
    auto issuer = parse_protected_resource(answer.body, pds, options.plain_http);
    if (!issuer) co_return std::unexpected(from(std::move(issuer).error()));
    resource_servers.put(pds, *issuer, now() + options.metadata_ttl);
    co_return std::optional(*std::move(issuer));
  }

  /// The authorization server of an account's PDS.
  Task<Result<ServerMetadata, Fault>> server_of(std::string pds, identity::Cached cached) {
    CO_TRY(const auto issuer, co_await issuer_named_by(pds, cached));
    if (!issuer)
      co_return std::unexpected(from(ServerMetadataError{"no protected resource metadata at " + pds}));
    CO_TRY(auto metadata, co_await server(*issuer));
    // RFC 9728 §4: when the authorization server lists its resources, this one is among them.
    if (!metadata.protected_resources.empty() &&
        std::ranges::find(metadata.protected_resources, pds) == metadata.protected_resources.end())
      co_return std::unexpected(from(ServerMetadataError{*issuer + " does not list " + pds}));
    co_return metadata;
  }

  Result<std::string, Fault> pds_of(const identity::DidDocument& document) {
    const auto pds = document.pds();
    auto origin = pds ? parse_origin(*pds, options.plain_http) : std::nullopt;
    if (!origin) return refuse(Error::invalid_server, "This account has no usable home server.");
    return *std::move(origin);
  }

  // --- the flow ---

  Task<Result<AuthorizationStarted, Fault>> authorize(std::string input, AuthorizeOptions o) {
    const auto& metadata = options.metadata;
    if (o.redirect_uri.empty()) o.redirect_uri = metadata.redirect_uris().front();
    if (!metadata.has_redirect_uri(o.redirect_uri))
      co_return refuse(Error::invalid_input, "The redirect URI is not registered.");
    if (o.scope.empty()) o.scope = metadata.scope();
    const auto scopes = ScopeSet::parse(o.scope);
    if (!scopes || !scopes->has(k_scope_atproto))
      co_return refuse(Error::invalid_input, "The scope does not include atproto.");
    if (o.login_hint.size() > k_max_login_hint)
      co_return refuse(Error::invalid_input, "The hint is too long.");

    // 1. Who, and which authorization server.
    input = trimmed(input);
    std::string hint;
    std::optional<Did> expected_sub;
    std::optional<ServerMetadata> found;
    if (is_server_url(input)) {
      const auto url = Url::parse(input);
      if (!url || (!url->path.empty() && url->path != "/") || url->query ||
          !parse_origin(url->origin(), options.plain_http) || !url->userinfo.empty() || url->fragment)
        co_return refuse(Error::invalid_input, "This is not the address of a server.");
      // "the client will first attempt to fetch Resource Server metadata (and resolve to Authorization Server
      // if found) and then attempt to fetch Authorization Server metadata"
      CO_TRY(const auto issuer, co_await issuer_named_by(url->origin(), identity::Cached::allow));
      CO_TRY(found, co_await server(issuer.value_or(url->origin())));
    } else {
      // An e-mail address would end up in the pushed request and in other servers' logs.
      if (input.find('@', 1) != std::string::npos)
        co_return refuse(Error::invalid_input, "This is an e-mail address, not a handle.");
      auto identity = co_await parts.resolver.identify_text(input);
      if (!identity) co_return std::unexpected(from(std::move(identity).error()));
      CO_TRY(const auto pds, pds_of(identity->document));
      CO_TRY(found, co_await server_of(pds, identity::Cached::allow));
      expected_sub = identity->did();
      // "it is recommended to use the exact account identifier supplied by the user (handle or DID)"
      hint = input.starts_with("did:") || !identity->handle ? identity->did().str() : identity->handle->str();
    }
    const ServerMetadata& as = *found;

    // 2. The pushed authorization request.
    const std::string state = parts.rng.token();
    const std::string verifier = make_pkce_verifier(parts.rng);
    const auto dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, parts.rng);
    const auto* client_key = metadata.current_key();
    FormFields form{{"client_id", metadata.client_id()},
                    {"response_type", "code"},
                    {"redirect_uri", o.redirect_uri},
                    {"scope", o.scope},
                    {"state", state},
                    {"code_challenge", pkce_challenge(verifier)},
                    {"code_challenge_method", "S256"}};
    if (!hint.empty()) form.emplace_back("login_hint", hint);
    if (!o.prompt.empty()) form.emplace_back("prompt", o.prompt);
    const std::string kid = client_key ? client_key->kid : "";
    CO_TRY(const auto answer, co_await post({.url = as.pushed_authorization_request_endpoint,
                                             .fields = std::move(form),
                                             .issuer = as.issuer,
                                             .kid = kid,
                                             .dpop_key = dpop_key}));
    CO_TRY_VOID(check_server_answer(answer, Error::request_refused, "The server refused this request."));
    const auto request_uri = parse_pushed_answer(answer.body);
    if (!request_uri)
      co_return refuse(Error::unreachable, "The server's answer is not usable.", request_uri.error().message);

    // 3. What the callback will need.
    co_await parts.states.put(state, AuthorizationState{.issuer = as.issuer,
                                                        .redirect_uri = o.redirect_uri,
                                                        .dpop_key = dpop_key,
                                                        .code_verifier = Secret<std::string>(verifier),
                                                        .kid = kid,
                                                        .expected_sub = expected_sub,
                                                        .browser = browser_digest(o.browser),
                                                        .app_state = std::move(o.app_state),
                                                        .expires_at = now() + options.state_lifetime});

    // RFC 9126 §4: client_id and request_uri only; the hint for the sign-in page is the one addition.
    FormFields query{{"client_id", metadata.client_id()}, {"request_uri", *request_uri}};
    if (!o.login_hint.empty()) query.emplace_back("login_hint", o.login_hint);
    const char separator = as.authorization_endpoint.find('?') == std::string::npos ? '?' : '&';
    co_return AuthorizationStarted{as.authorization_endpoint + separator + encode_form(query), state};
  }

  /// 2xx, JSON, and with a nonce: "Clients must reject responses missing a DPoP-Nonce header."
  Result<void, Fault> check_server_answer(const FetchResponse& answer, Error refused, std::string message) {
    if (answer.status >= 500)
      return refuse(Error::unreachable, "The server is in trouble. Try again later.",
                    "status " + std::to_string(answer.status), error_of(answer));
    if (answer.status != 200 && answer.status != 201)
      return refuse(refused, std::move(message),
                    "status " + std::to_string(answer.status) + ": " + error_description_of(answer),
                    error_of(answer));
    if (!is_json(answer)) return refuse(Error::unreachable, "The server's answer is not usable.", "not JSON");
    if (answer.header("dpop-nonce").empty())
      return refuse(Error::invalid_server, "The server's answer is not usable.", "no DPoP-Nonce");
    return {};
  }

  Task<Result<SignedIn, Fault>> callback(FormFields params, std::string browser) {
    // RFC 6749 §3.1: a parameter given twice is no parameter.
    if (has_duplicates(params)) co_return refuse(Error::invalid_callback, "This sign-in link is damaged.");
    const auto state = single(params, "state");
    if (!state || state->empty()) co_return refuse(Error::invalid_callback, "This sign-in link is damaged.");
    auto started = co_await parts.states.take(*state, now());
    if (!started)
      co_return refuse(Error::unknown_state, "This sign-in has expired or was used already. Start again.");
    auto result = co_await finish(std::move(params), std::move(browser), *started);
    if (!result) result.error().app_state = started->app_state;
    co_return result;
  }

  Task<Result<SignedIn, Fault>> finish(FormFields params, std::string browser, AuthorizationState started) {
    // The browser that began is the browser that ends: otherwise a planted callback signs a victim in as
    // somebody else.
    if (!crypto::equal(browser_digest(browser), started.browser))
      co_return refuse(Error::unknown_state, "This sign-in began in another browser. Start again.");
    // RFC 9207 §2.4, for errors too. The profile demands the parameter, so absent is as bad as wrong.
    const auto iss = single(params, "iss");
    if (!iss || *iss != started.issuer)
      co_return refuse(Error::issuer_mismatch, "The answer did not come from the expected server.",
                       "iss is not " + started.issuer);
    if (const auto error = single(params, "error")) {
      const bool denied = *error == "access_denied";
      co_return refuse(Error::access_denied,
                       denied ? "Signing in was cancelled." : "The server refused to sign you in.",
                       utf8_prefix(single(params, "error_description").value_or(""), k_max_description),
                       error_code(*error));
    }
    const auto code = single(params, "code");
    if (!code || code->empty() || code->size() > k_max_code)
      co_return refuse(Error::invalid_callback, "This sign-in link is damaged.", "neither code nor error");

    CO_TRY(const auto as, co_await server(started.issuer));
    FormFields form{{"grant_type", "authorization_code"},
                    {"code", *code},
                    {"redirect_uri", started.redirect_uri},
                    {"code_verifier", started.code_verifier.reveal()},
                    {"client_id", options.metadata.client_id()}};
    CO_TRY(const auto answer, co_await post({.url = as.token_endpoint,
                                             .fields = std::move(form),
                                             .issuer = as.issuer,
                                             .kid = started.kid,
                                             .dpop_key = started.dpop_key}));
    CO_TRY_VOID(check_server_answer(answer, Error::grant_refused, "The server did not accept this sign-in."));
    auto parsed = TokenAnswer::parse(answer.body);
    if (!parsed) co_return std::unexpected(from(std::move(parsed).error()));
    TokenAnswer tokens = *std::move(parsed);

    auto verified = co_await verify_subject(tokens.sub, started);
    if (!verified) {  // tokens nobody will use
      const auto& token = tokens.refresh_token ? *tokens.refresh_token : tokens.access_token;
      co_await revoke(as, token, started.kid, started.dpop_key);
      co_return std::unexpected(std::move(verified).error());
    }
    auto [pds, handle] = *std::move(verified);
    SessionData data{.id = parts.rng.token(24),
                     .sub = tokens.sub,
                     .issuer = as.issuer,
                     .pds = std::move(pds),
                     .kid = started.kid,
                     .dpop_key = started.dpop_key,
                     .access_token = std::move(tokens.access_token),
                     .refresh_token = std::move(tokens.refresh_token),
                     .scope = std::move(tokens.scope),
                     .expires_at = {},
                     .created_at = now()};
    if (tokens.expires_in) data.expires_at = now() + *tokens.expires_in;
    std::exception_ptr lost;
    try {
      co_await parts.sessions.insert(data);
    } catch (...) {
      lost = std::current_exception();
    }
    if (lost) {
      co_await revoke_session(as, data);
      std::rethrow_exception(lost);
    }
    co_return SignedIn{Session(owner, StoredSession{std::move(data), 1}), std::move(handle),
                       started.app_state};
  }

  /// "confirm that it is actually the authoritative server for the account in question": sub → DID document →
  /// PDS → authorization server must lead back to the issuer.
  Task<Result<std::pair<std::string, std::optional<Handle>>, Fault>> verify_subject(
      Did sub, AuthorizationState started) {
    if (started.expected_sub && *started.expected_sub != sub)
      co_return refuse(Error::subject_mismatch, "Another account was signed in than the one asked for.");
    // Without an account at the start nothing was checked yet, so nothing remembered counts.
    const auto cached = started.expected_sub ? identity::Cached::allow : identity::Cached::refresh;
    auto identity = co_await parts.resolver.identify(sub, cached);
    if (!identity) co_return std::unexpected(from(std::move(identity).error()));
    CO_TRY(auto pds, pds_of(identity->document));
    CO_TRY(const auto authority, co_await server_of(pds, cached));
    if (authority.issuer != started.issuer)
      co_return refuse(Error::subject_mismatch, "This server does not speak for this account.",
                       sub.str() + " belongs to " + authority.issuer);
    co_return std::pair(std::move(pds), std::move(identity->handle));
  }

  // --- sessions ---

  /// RFC 7009. Best effort: the session is forgotten here either way.
  Task<void> revoke(ServerMetadata as, Secret<std::string> token, std::string kid,
                    crypto::PrivateKey dpop_key) {
    if (as.revocation_endpoint.empty()) co_return;
    FormFields form{{"token", token.reveal()}, {"client_id", options.metadata.client_id()}};
    const auto answer = co_await post({.url = as.revocation_endpoint,
                                       .fields = std::move(form),
                                       .issuer = as.issuer,
                                       .kid = std::move(kid),
                                       .dpop_key = std::move(dpop_key)});
    if (!answer || answer->status != 200)
      log::warn("token revocation failed",
                {{"issuer", as.issuer}, {"status", answer ? std::to_string(answer->status) : "unreachable"}});
  }

  Task<void> revoke_session(ServerMetadata as, SessionData data) {
    auto token = data.refresh_token ? *std::move(data.refresh_token) : std::move(data.access_token);
    co_await revoke(std::move(as), std::move(token), std::move(data.kid), std::move(data.dpop_key));
  }

  static Fault ended(std::string detail, std::string oauth_error = {}) {
    return fault(Error::session_ended, "The session has ended. Sign in again.", std::move(detail),
                 std::move(oauth_error));
  }

  static Fault busy(std::string detail) {
    return fault(Error::unreachable, "The session is busy. Try again.", std::move(detail));
  }

  static void adopt(const SessionState& session, StoredSession stored) {
    std::lock_guard lock(session->mutex);
    session->stored = std::move(stored);
  }

  std::chrono::milliseconds lease_length() const { return options.timeout + k_lease_margin; }

  Task<bool> take_lease(std::string id, std::string owner) {
    const Time at = now();
    co_return co_await parts.sessions.lease(std::move(id), std::move(owner), at, at + lease_length());
  }

  /// Brings the session past `seen_version`: by what another thread or process already did, or by a refresh
  /// grant. One at a time here (lock), one at a time anywhere (lease), and the store only takes a successor
  /// of what it holds (compare and swap).
  Task<Result<void, Fault>> refresh(SessionState session, std::string id, std::int64_t seen_version) {
    const auto guard = co_await refreshing.lock(id);
    auto stored = co_await parts.sessions.load(id);
    if (!stored) co_return std::unexpected(ended("not in the store"));
    if (stored->version != seen_version) {
      adopt(session, *std::move(stored));
      co_return Result<void, Fault>();
    }
    // What has to be asked of others comes before the lease, which is short.
    CO_TRY(const auto as, co_await server_for_refresh(&stored->data));

    const std::string owner = parts.rng.token(12);
    const auto patience = k_refresh_requests * lease_length() + k_lease_longest_wait;
    std::chrono::milliseconds waited{0}, wait{k_lease_first_wait};
    while (!co_await take_lease(id, owner)) {
      if (waited > patience) co_return std::unexpected(busy("lease not given up"));
      co_await sleep_for(wait);
      waited += wait;
      wait = std::min(wait * 2, k_lease_longest_wait);
      const auto latest = co_await parts.sessions.load(id);
      if (!latest) co_return std::unexpected(ended("not in the store"));
      if (latest->version == seen_version) continue;
      adopt(session, *latest);
      co_return Result<void, Fault>();
    }
    auto result = co_await refresh_leased(session, *std::move(stored), as, owner);
    co_await parts.sessions.release(id, owner);
    co_return result;
  }

  /// The authorization server a session belongs to; notes where the account's PDS is by now. A session whose
  /// account moved to another server, or that can never be renewed, ends.
  Task<Result<ServerMetadata, Fault>> server_for_refresh(SessionData* data) {
    if (!data->refresh_token) {
      co_await parts.sessions.erase(data->id);
      co_return std::unexpected(ended("no refresh token"));
    }
    // "confidential clients must use the same client authentication key … for refresh token requests"
    if (!data->kid.empty() && !options.metadata.key(data->kid)) {
      log::warn("a session ends because the client key it began with is gone", {{"kid", data->kid}});
      co_await parts.sessions.erase(data->id);
      co_return std::unexpected(ended("client key " + data->kid + " is gone"));
    }
    // A directory or server that does not answer is no reason to end the session.
    auto document = co_await parts.resolver.resolve_did(data->sub);
    if (!document) co_return co_await server(data->issuer);
    CO_TRY(auto pds, pds_of(*document));
    const auto authority = co_await server_of(pds, identity::Cached::allow);
    if (authority && authority->issuer != data->issuer) {
      co_await parts.sessions.erase(data->id);
      if (const auto before = co_await server(data->issuer)) co_await revoke_session(*before, *data);
      co_return std::unexpected(ended("the account moved to " + authority->issuer));
    }
    if (authority) data->pds = std::move(pds);
    co_return co_await server(data->issuer);
  }

  /// The request of a refresh grant. Each of its attempts has a lease of its own.
  Task<Result<FetchResponse, Fault>> request_refresh(SessionData data, ServerMetadata as, std::string owner) {
    const Form form{.url = as.token_endpoint,
                    .fields = {{"grant_type", "refresh_token"},
                               {"refresh_token", data.refresh_token->reveal()},
                               {"client_id", options.metadata.client_id()}},
                    .issuer = as.issuer,
                    .kid = data.kid,
                    .dpop_key = data.dpop_key};
    bool demanded = false, lost = false;
    for (;;) {
      auto posted = co_await post_once(form);
      if (posted && (!posted->again || std::exchange(demanded, true))) co_return std::move(posted->answer);
      // An answer that got lost: perhaps the token was spent. A server with a grace for that gives the
      // answer once more; for one without, the session is over either way.
      if (!posted && (!posted.error().network || std::exchange(lost, true)))
        co_return std::unexpected(std::move(posted).error());
      if (!co_await take_lease(data.id, owner)) co_return std::unexpected(busy("lease lost"));
    }
  }

  Task<Result<void, Fault>> refresh_leased(SessionState session, StoredSession stored, ServerMetadata as,
                                           std::string owner) {
    SessionData data = std::move(stored.data);
    // Whoever held the lease before may have finished between our look and now.
    auto latest = co_await parts.sessions.load(data.id);
    if (!latest) co_return std::unexpected(ended("not in the store"));
    if (latest->version != stored.version) {
      adopt(session, *std::move(latest));
      co_return Result<void, Fault>();
    }
    CO_TRY(const auto answer, co_await request_refresh(data, as, owner));
    const auto checked =
        check_server_answer(answer, Error::grant_refused, "The server did not renew the session.");
    if (!checked) {
      if (checked.error().oauth_error != "invalid_grant") co_return checked;
      // Perhaps our lease was over and somebody else was faster. His answer is on its way to the store, or
      // there.
      if (!co_await take_lease(data.id, owner)) co_return std::unexpected(busy("lease lost"));
      latest = co_await parts.sessions.load(data.id);
      if (latest && latest->version != stored.version) {
        adopt(session, *std::move(latest));
        co_return Result<void, Fault>();
      }
      co_await parts.sessions.erase(data.id);
      co_return std::unexpected(ended("refresh token refused", "invalid_grant"));
    }
    auto tokens = TokenAnswer::parse(answer.body);
    if (!tokens && tokens.error().kind == ServerAnswerError::Kind::broken)
      co_return std::unexpected(from(std::move(tokens).error()));  // as good as lost
    if (!tokens || tokens->sub != data.sub) {
      co_await parts.sessions.erase(data.id);
      if (tokens && tokens->refresh_token) data.refresh_token = std::move(tokens->refresh_token);
      co_await revoke_session(as, data);
      co_return std::unexpected(ended(tokens ? "sub changed at refresh" : tokens.error().message));
    }
    data.access_token = std::move(tokens->access_token);
    if (tokens->refresh_token) data.refresh_token = std::move(tokens->refresh_token);
    data.scope = std::move(tokens->scope);
    data.expires_at = tokens->expires_in ? std::optional(now() + *tokens->expires_in) : std::nullopt;
    if (co_await parts.sessions.replace(data, stored.version)) {
      adopt(session, {std::move(data), stored.version + 1});
      co_return Result<void, Fault>();
    }
    latest = co_await parts.sessions.load(data.id);
    if (!latest) {  // signed out meanwhile: what we just received must not live on
      co_await revoke_session(as, data);
      co_return std::unexpected(ended("signed out during refresh"));
    }
    adopt(session, *std::move(latest));
    co_return Result<void, Fault>();
  }

  /// One signed request to the PDS, repeated once when it asks for a nonce (RFC 9449 §9).
  Task<Result<FetchResponse, Fault>> signed_request(SessionData data, FetchRequest request) {
    const std::string origin = origin_of(request.url);
    for (int attempt = 0;; ++attempt) {
      const auto used = nonces.get(origin, now());
      const std::string& token = data.access_token.reveal();
      FetchRequest sent = request;
      sent.headers.emplace_back("Authorization", "DPoP " + token);
      sent.headers.emplace_back(
          "DPoP", make_dpop_proof(data.dpop_key, sent.method, sent.url, used, token, parts.rng, now()));
      CO_TRY(auto answer, co_await exchange(std::move(sent)));
      learn_nonce(origin, answer);
      if (attempt == 0 && resource_says(answer, "use_dpop_nonce") && nonces.get(origin, now()) != used)
        continue;
      co_return answer;
    }
  }

  Task<Result<FetchResponse, Fault>> call(SessionState session, std::string method, std::string nsid,
                                          CallOptions o) {
    if (!Nsid::parse(nsid) || (method != "GET" && method != "POST"))
      co_return refuse(Error::invalid_input, "This is not an XRPC method.");
    if (o.source && (method != "POST" || o.json || !o.body.empty()))
      co_return refuse(Error::invalid_input, "A request has one body, and a GET has none.");
    StoredSession s = current(session);
    if (s.data.expires_at && s.data.refresh_token && now() + options.refresh_before >= *s.data.expires_at) {
      auto refreshed = co_await refresh(session, s.data.id, s.version);
      // A token that still has seconds left is worth a try when the server could not be reached.
      if (!refreshed && (refreshed.error().code == Error::session_ended || now() >= *s.data.expires_at))
        co_return std::unexpected(std::move(refreshed).error());
      s = current(session);
    }
    const bool streamed = o.source || o.sink;
    const std::string path =
        "/xrpc/" + nsid + (o.params.empty() ? std::string() : "?" + encode_form(o.params));
    FetchRequest request{.method = method,
                         .url = s.data.pds + path,
                         .headers = o.headers,
                         .body = std::move(o.body),
                         .max_body = o.max_answer,
                         .timeout = o.timeout,
                         .source = std::move(o.source),
                         .sink = std::move(o.sink),
                         .stop = std::move(o.stop)};
    if (streamed) {
      request.timeout = o.transfer_timeout;
      request.max_silence = std::chrono::ceil<std::chrono::seconds>(o.timeout);
    }
    if (o.json) {
      request.body = o.json->dump();
      request.headers.emplace_back("Content-Type", "application/json");
    } else if (!o.content_type.empty()) {
      request.headers.emplace_back("Content-Type", o.content_type);
    }
    CO_TRY(auto answer, co_await signed_request(s.data, request));
    const bool expired = answer.status == 401 &&
                         (resource_says(answer, "invalid_token") || error_of(answer) == "invalid_token");
    if (!expired) co_return answer;
    CO_TRY_VOID(co_await refresh(session, s.data.id, s.version));
    s = current(session);
    request.url = s.data.pds + path;  // the account may have moved to another host of its server
    co_return co_await signed_request(s.data, std::move(request));
  }

  Task<void> sign_out(SessionState session) {
    const std::string id = current(session).data.id;
    const auto guard = co_await refreshing.lock(id);
    const auto stored = co_await parts.sessions.load(id);
    if (!stored) co_return;
    co_await parts.sessions.erase(id);  // first: whatever happens on the network, nobody uses it again
    if (const auto as = co_await server(stored->data.issuer)) co_await revoke_session(*as, stored->data);
  }

  static StoredSession current(const SessionState& session) {
    std::lock_guard lock(session->mutex);
    return session->stored;
  }

  OauthClient* owner = nullptr;
};

OauthClient::OauthClient(ClientOptions options, ClientParts parts)
    : options_(std::move(options)), impl_(std::make_unique<Impl>(options_, parts)) {
  impl_->owner = this;
}
OauthClient::~OauthClient() = default;

Task<Result<AuthorizationStarted, Fault>> OauthClient::authorize(std::string input,
                                                                 AuthorizeOptions options) {
  return impl_->authorize(std::move(input), std::move(options));
}
Task<Result<SignedIn, Fault>> OauthClient::callback(FormFields params, std::string browser) {
  return impl_->callback(std::move(params), std::move(browser));
}
Task<Result<Session, Fault>> OauthClient::restore(std::string session_id) {
  auto stored = co_await impl_->parts.sessions.load(std::move(session_id));
  if (!stored) co_return std::unexpected(Impl::ended("not in the store"));
  co_return Session(this, *std::move(stored));
}
Task<std::vector<std::string>> OauthClient::sessions_of(Did did) {
  return impl_->parts.sessions.ids_of(std::move(did));
}

Session::Session(OauthClient* client, StoredSession stored)
    : client_(client),
      id_(stored.data.id),
      did_(stored.data.sub),
      state_(std::make_shared<State>(std::move(stored))) {}

std::string Session::issuer() const { return OauthClient::Impl::current(state_).data.issuer; }
std::string Session::pds() const { return OauthClient::Impl::current(state_).data.pds; }
std::string Session::scope() const { return OauthClient::Impl::current(state_).data.scope; }
std::optional<Time> Session::expires_at() const { return OauthClient::Impl::current(state_).data.expires_at; }

Task<Result<FetchResponse, Fault>> Session::call(std::string method, std::string nsid, CallOptions options) {
  return client_->impl_->call(state_, std::move(method), std::move(nsid), std::move(options));
}
Task<Result<void, Fault>> Session::refresh() {
  return client_->impl_->refresh(state_, id_, OauthClient::Impl::current(state_).version);
}
Task<void> Session::sign_out() { return client_->impl_->sign_out(state_); }

}  // namespace latchkey::oauth::client

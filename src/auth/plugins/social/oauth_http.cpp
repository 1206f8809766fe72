#include "auth/plugins/social/oauth_http.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "oauth/pkce/pkce.h"
#include "web/http.h"

namespace latchkey::auth {
namespace {

constexpr std::size_t k_max_depth = 32;
constexpr std::size_t k_max_scopes = 100;
constexpr std::int64_t k_max_lifetime = 10LL * 365 * 24 * 3600;

// What a request to this server may not change in a request to the provider.
constexpr std::array<std::string_view, 14> k_reserved = {
    "response_type", "client_id",      "client_secret",         "redirect_uri",  "scope",   "state",
    "nonce",         "code_challenge", "code_challenge_method", "response_mode", "request", "request_uri",
    "registration",  "resource"};

std::unexpected<ProviderError> failed(ProviderError::Kind kind, std::string detail) {
  return fail(ProviderError{kind, std::move(detail)});
}

ProviderError from(const FetchError& error) {
  switch (error.kind) {
    case FetchError::Kind::unreachable:
    case FetchError::Kind::timeout:
    case FetchError::Kind::stopped:
      return {ProviderError::Kind::unreachable, error.detail};
    case FetchError::Kind::refused_by_guard:
    case FetchError::Kind::too_large:
    case FetchError::Kind::bad_answer:
      return {ProviderError::Kind::invalid, error.detail};
  }
  return {ProviderError::Kind::invalid, error.detail};
}

std::string join(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) {
    if (!out.empty()) out += ' ';
    out += part;
  }
  return out;
}

/// By space as RFC 6749 §3.3 says, by comma as GitHub does.
std::vector<std::string> split_scopes(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty() && out.size() < k_max_scopes) {
    const auto end = std::min(text.find_first_of(" ,"), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// "" when absent; nullopt when no string or too long.
std::optional<std::string> token_member(const json::Object& o, std::string_view name) {
  const auto* v = o.find(name);
  if (!v || v->is_null()) return std::string();
  if (!v->string() || v->string()->size() > k_max_provider_token) return std::nullopt;
  return *v->string();
}

std::optional<Time> expiry(const json::Object& o, std::string_view name, Time now) {
  const auto* v = o.find(name);
  const auto* n = v ? v->integer() : nullptr;
  if (!n || *n < 0 || *n > k_max_lifetime) return std::nullopt;
  return now + std::chrono::seconds(*n);
}

// A word of the error registry (RFC 6749 §5.2); anything else stays out of the log.
std::string error_word(const json::Value& answer) {
  const auto* error = answer.string_at("error");
  if (!error || error->size() > 64) return "no error named";
  const std::string& word = *error;
  const bool plain = std::ranges::all_of(
      word, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  return plain ? word : "an odd error";
}

Result<ProviderTokens, ProviderError> parse_tokens(const json::Object& o, std::vector<std::string> asked,
                                                   Time now) {
  const auto access = token_member(o, "access_token"), refresh = token_member(o, "refresh_token"),
             id = token_member(o, "id_token");
  if (!access || access->empty() || !refresh || !id)
    return failed(ProviderError::Kind::invalid, "token answer without usable tokens");
  // RFC 6749 §7.1: "The client MUST NOT use an access token if it does not understand the token type."
  const auto* type = o.find("token_type");
  if (type && (!type->string() || !web::equal_no_case(*type->string(), "bearer")))
    return failed(ProviderError::Kind::invalid, "token_type is not bearer");
  const auto* scope = o.find("scope");
  return ProviderTokens{.access_token = *access,
                        .refresh_token = *refresh,
                        .id_token = *id,
                        .access_expires_at = expiry(o, "expires_in", now),
                        .refresh_expires_at = expiry(o, "refresh_token_expires_in", now),
                        .scopes = scope && scope->string() && scope->string()->size() <= k_max_provider_token
                                      ? split_scopes(*scope->string())
                                      : std::move(asked)};
}

Task<Result<json::Value, ProviderError>> fetch_json(Fetch* net, FetchRequest request) {
  request.headers.emplace_back("Accept", "application/json");
  request.max_body = k_max_provider_answer;
  const auto answer = co_await net->fetch(std::move(request));
  if (!answer) co_return fail(from(answer.error()));
  if (answer->status >= 500)
    co_return failed(ProviderError::Kind::unreachable, "answers " + std::to_string(answer->status));
  auto body = json::parse(answer->body, {.max_depth = k_max_depth});
  if (answer->status != 200)
    co_return failed(ProviderError::Kind::refused, "answers " + std::to_string(answer->status) + ", " +
                                                       (body ? error_word(*body) : "no error named"));
  if (!body) co_return failed(ProviderError::Kind::invalid, "not JSON");
  co_return std::move(*body);
}

}  // namespace

bool is_endpoint(std::string_view text, PlainHttp plain) {
  const auto url = Url::parse(text);
  return url && url->userinfo.empty() && !url->fragment &&
         (url->scheme == "https" || (url->scheme == "http" && plain == PlainHttp::allow));
}

std::string query_text(const FormFields& fields) {
  std::string text = encode_form(fields);
  for (std::size_t at = 0; (at = text.find("%20", at)) != std::string::npos;) text.replace(at, 3, "+");
  return text;
}

Task<Result<json::Object, ProviderError>> fetch_object(Fetch* net, FetchRequest request) {
  CO_TRY(auto body, co_await fetch_json(net, std::move(request)));
  if (!body.object()) co_return failed(ProviderError::Kind::invalid, "not a JSON object");
  co_return std::move(*body.object());
}

Task<Result<json::Array, ProviderError>> fetch_array(Fetch* net, FetchRequest request) {
  CO_TRY(auto body, co_await fetch_json(net, std::move(request)));
  if (!body.array()) co_return failed(ProviderError::Kind::invalid, "not a JSON array");
  co_return std::move(*body.array());
}

std::string authorization_url(const std::string& endpoint, const std::string& client_id,
                              const std::vector<std::string>& own_scopes, const AuthorizationRequest& request,
                              bool pkce) {
  std::vector<std::string> scopes = own_scopes;
  for (const auto& scope : request.scopes)
    if (std::ranges::find(scopes, scope) == scopes.end()) scopes.push_back(scope);
  FormFields query{{"response_type", "code"},
                   {"client_id", client_id},
                   {"state", request.state},
                   {"scope", join(scopes)},
                   {"redirect_uri", request.redirect_uri}};
  if (request.login_hint) query.emplace_back("login_hint", *request.login_hint);
  if (pkce) {
    query.emplace_back("code_challenge_method", "S256");
    query.emplace_back("code_challenge", oauth::pkce_challenge(request.code_verifier));
  }
  if (request.nonce) query.emplace_back("nonce", *request.nonce);
  for (const auto& [name, value] : request.additional)
    if (std::ranges::find(k_reserved, name) == k_reserved.end()) query.emplace_back(name, value);
  return endpoint + (endpoint.find('?') == std::string::npos ? "?" : "&") + query_text(query);
}

Task<Result<ProviderTokens, ProviderError>> request_tokens(Fetch* net, const Clock* clock,
                                                           TokenEndpoint endpoint,
                                                           ClientCredentials credentials, FormFields grant,
                                                           std::vector<std::string> asked_scopes) {
  FetchRequest request{.method = "POST", .url = std::move(endpoint.url)};
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  if (endpoint.authentication == ClientAuthentication::client_secret_basic) {
    // RFC 6749 §2.3.1: both are form-encoded before they are joined.
    const std::string pair =
        percent_encode(credentials.client_id) + ":" + percent_encode(credentials.client_secret.reveal());
    request.headers.emplace_back("Authorization", "Basic " + base64(as_bytes(pair)));
  } else {
    grant.emplace_back("client_id", credentials.client_id);
    grant.emplace_back("client_secret", credentials.client_secret.reveal());
  }
  request.body = encode_form(grant);
  CO_TRY(const auto answer, co_await fetch_object(net, std::move(request)));
  // GitHub says "no" with a status of 200.
  if (answer.find("error")) co_return failed(ProviderError::Kind::refused, error_word(json::Value(answer)));
  co_return parse_tokens(answer, std::move(asked_scopes), clock->now());
}

FormFields code_grant(const CodeExchange& exchange, bool pkce) {
  FormFields grant{
      {"grant_type", "authorization_code"}, {"code", exchange.code}, {"redirect_uri", exchange.redirect_uri}};
  if (pkce) grant.emplace_back("code_verifier", exchange.code_verifier);
  return grant;
}

FormFields refresh_grant(std::string refresh_token) {
  return {{"grant_type", "refresh_token"}, {"refresh_token", std::move(refresh_token)}};
}

FetchRequest bearer_get(std::string url, std::string_view access_token) {
  FetchRequest request{.url = std::move(url)};
  request.headers.emplace_back("Authorization", "Bearer " + std::string(access_token));
  return request;
}

}  // namespace latchkey::auth

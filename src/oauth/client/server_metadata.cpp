#include "oauth/client/server_metadata.h"

#include <algorithm>

#include "base/json.h"
#include "base/url.h"

namespace latchkey::oauth::client {
namespace {

auto refuse(std::string message) { return fail(ServerMetadataError{std::move(message)}); }

bool is_loopback_host(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
}

bool may_talk_to(const Url& url, PlainHttp plain) {
  if (!url.userinfo.empty() || url.fragment) return false;
  return url.scheme == "https" ||
         (url.scheme == "http" && plain == PlainHttp::loopback && is_loopback_host(url.host));
}

/// An array of strings; std::nullopt when absent or anything else.
std::optional<std::vector<std::string>> list(const json::Value& document, std::string_view name) {
  const auto* member = document.find(name);
  const auto* array = member ? member->array() : nullptr;
  if (!array) return std::nullopt;
  std::vector<std::string> values;
  for (const auto& value : *array) {
    if (!value.string()) return std::nullopt;
    values.push_back(*value.string());
  }
  return values;
}

bool list_has(const json::Value& document, std::string_view name, std::string_view wanted) {
  const auto values = list(document, name);
  return values && std::ranges::find(*values, wanted) != values->end();
}

bool is_true(const json::Value& document, std::string_view name) {
  const auto* member = document.find(name);
  const auto* flag = member ? member->boolean() : nullptr;
  return flag && *flag;
}

Result<json::Value, ServerMetadataError> parse_object(std::string_view text) {
  auto document = json::parse(text, {.max_depth = 16});
  if (!document) return refuse("not JSON: " + document.error().message);
  if (!document->object()) return refuse("not a JSON object");
  return *std::move(document);
}

}  // namespace

std::optional<std::string> parse_origin(std::string_view text, PlainHttp plain) {
  const auto url = Url::parse(text);
  if (!url || !may_talk_to(*url, plain) || url->origin() != text) return std::nullopt;
  return url->origin();
}

Result<ServerMetadata, ServerMetadataError> ServerMetadata::parse(std::string_view json,
                                                                  const std::string& origin,
                                                                  PlainHttp plain) {
  TRY(const auto document, parse_object(json));
  ServerMetadata m;

  // RFC 8414 §3.3: the issuer must be the one the document was asked for. Keeps one server from speaking for
  // another.
  const auto* issuer = document.string_at("issuer");
  if (!issuer || *issuer != origin || !parse_origin(*issuer, plain)) return refuse("issuer is not " + origin);
  m.issuer = *issuer;

  struct Endpoint {
    std::string_view name;
    std::string& value;
    bool required;
  };
  const Endpoint endpoints[] = {
      {"authorization_endpoint", m.authorization_endpoint, true},
      {"token_endpoint", m.token_endpoint, true},
      {"pushed_authorization_request_endpoint", m.pushed_authorization_request_endpoint, true},
      {"revocation_endpoint", m.revocation_endpoint, false},
  };
  for (const auto& endpoint : endpoints) {
    const auto* member = document.find(endpoint.name);
    if (!member && !endpoint.required) continue;
    const auto url = member && member->string() ? Url::parse(*member->string()) : std::nullopt;
    if (!url || !may_talk_to(*url, plain))
      return refuse(std::string(endpoint.name) + " is missing or not usable");
    endpoint.value = *member->string();
  }

  // https://atproto.com/specs/oauth#server-metadata, in its order.
  struct Member {
    std::string_view name, value;
  };
  constexpr Member required[] = {
      {"response_types_supported", "code"},
      {"grant_types_supported", "authorization_code"},
      {"grant_types_supported", "refresh_token"},
      {"code_challenge_methods_supported", "S256"},
      {"token_endpoint_auth_methods_supported", "none"},
      {"token_endpoint_auth_methods_supported", "private_key_jwt"},
      {"token_endpoint_auth_signing_alg_values_supported", "ES256"},
      {"scopes_supported", "atproto"},
      {"dpop_signing_alg_values_supported", "ES256"},
  };
  for (const auto& r : required)
    if (!list_has(document, r.name, r.value))
      return refuse(std::string(r.name) + " does not include " + std::string(r.value));
  if (list_has(document, "token_endpoint_auth_signing_alg_values_supported", "none"))
    return refuse("token_endpoint_auth_signing_alg_values_supported includes none");
  for (const auto* flag : {"authorization_response_iss_parameter_supported",
                           "require_pushed_authorization_requests", "client_id_metadata_document_supported"})
    if (!is_true(document, flag)) return refuse(std::string(flag) + " is not true");
  // "default is true; does not need to be set explicitly, but must not be false"
  if (document.find("require_request_uri_registration") &&
      !is_true(document, "require_request_uri_registration"))
    return refuse("require_request_uri_registration is not true");

  m.scopes_supported = *list(document, "scopes_supported");
  if (document.find("protected_resources")) {
    auto resources = list(document, "protected_resources");
    if (!resources) return refuse("protected_resources is not a list of URLs");
    m.protected_resources = *std::move(resources);
  }
  return m;
}

Result<std::string, ServerMetadataError> parse_protected_resource(std::string_view json,
                                                                  const std::string& origin,
                                                                  PlainHttp plain) {
  TRY(const auto document, parse_object(json));
  // RFC 9728 §3.3: the resource must be the one asked for.
  const auto* resource = document.string_at("resource");
  if (!resource || *resource != origin) return refuse("resource is not " + origin);
  // "must contain an authorization_servers array of strings, with a single element"
  const auto servers = list(document, "authorization_servers");
  if (!servers || servers->size() != 1) return refuse("authorization_servers is not a list of one");
  auto issuer = parse_origin(servers->front(), plain);
  if (!issuer) return refuse("the authorization server is not an https origin");
  return *std::move(issuer);
}

}  // namespace latchkey::oauth::client

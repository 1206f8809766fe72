#include "oauth/client/metadata.h"

#include <algorithm>
#include <set>

#include "base/url.h"
#include "oauth/jose/jwk.h"
#include "oauth/scopes/scopes.h"

namespace latchkey::oauth::client {
namespace {

auto refuse(std::string message) { return fail(MetadataError{std::move(message)}); }

Result<void, MetadataError> check_scope(std::string_view scope) {
  const auto set = ScopeSet::parse(scope);
  if (!set) return refuse("scope: " + set.error().detail);
  if (!set->has(k_scope_atproto)) return refuse("scope must include atproto");
  return {};
}

/// RFC 8252 §8.3: loopback IP literals, since "localhost" may resolve to something else.
bool is_loopback(const Url& url) {
  return url.scheme == "http" && (url.host == "127.0.0.1" || url.host == "[::1]") && url.userinfo.empty() &&
         !url.fragment;
}

bool is_on_origin(const Url& url, const Url& id) {
  return url.origin() == id.origin() && url.userinfo.empty() && !url.fragment;
}

// https://atproto.com/specs/oauth#request-fields: the client_id's host in reverse, one colon, one slash, a
// path.
bool is_custom(std::string_view uri, const Url& id) {
  std::string scheme;
  for (auto host = std::string_view(id.host); !host.empty();) {
    const auto dot = host.rfind('.');
    const auto label = dot == std::string_view::npos ? host : host.substr(dot + 1);
    scheme += (scheme.empty() ? "" : ".") + std::string(label);
    host = dot == std::string_view::npos ? std::string_view() : host.substr(0, dot);
  }
  if (!uri.starts_with(scheme + ":/")) return false;
  const auto path = uri.substr(scheme.size() + 1);
  return path.size() > 1 && path.size() < 1024 && path[1] != '/' &&
         std::ranges::all_of(path, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

Result<Url, MetadataError> check_client_id(const std::string& client_id) {
  const auto id = Url::parse(client_id);
  if (!id || id->scheme != "https" || id->str() != client_id) return refuse("client_id must be an https URL");
  if (id->port || !id->userinfo.empty() || id->fragment || id->host_is_ip() || id->path.size() < 2 ||
      client_id.size() > 2048)
    return refuse(
        "client_id must have a host name and a path, and neither port, user information nor fragment");
  return *id;
}

json::Array strings(const std::vector<std::string>& values) { return {values.begin(), values.end()}; }

}  // namespace

// https://atproto.com/specs/oauth#localhost-client-development
Result<ClientMetadata, MetadataError> ClientMetadata::loopback(std::vector<std::string> redirect_uris,
                                                               std::string scope) {
  TRY_VOID(check_scope(scope));
  if (redirect_uris.empty()) return refuse("at least one redirect URI is required");
  FormFields query;
  for (const auto& uri : redirect_uris) {
    const auto url = Url::parse(uri);
    if (!url || !is_loopback(*url))
      return refuse("redirect URIs of a loopback client are http on 127.0.0.1 or [::1]: " + uri);
    query.emplace_back("redirect_uri", uri);
  }
  query.emplace_back("scope", scope);
  ClientMetadata m;
  m.client_id_ = "http://localhost?" + encode_form(query);
  if (m.client_id_.size() > 2048) return refuse("client_id is too long");
  m.redirect_uris_ = std::move(redirect_uris);
  m.scope_ = std::move(scope);
  m.native_ = true;
  return m;
}

// https://atproto.com/specs/oauth#types-of-clients
Result<ClientMetadata, MetadataError> ClientMetadata::native(std::string client_id,
                                                             std::vector<std::string> redirect_uris,
                                                             std::string scope, ClientInfo info) {
  TRY(const auto id, check_client_id(client_id));
  TRY_VOID(check_scope(scope));
  if (redirect_uris.empty()) return refuse("at least one redirect URI is required");
  for (const auto& uri : redirect_uris) {
    const auto url = Url::parse(uri);
    if (!(url && (is_loopback(*url) || is_on_origin(*url, id))) && !is_custom(uri, id))
      return refuse("redirect URIs of a native client have its own scheme or origin, or are loopback ones: " +
                    uri);
  }
  ClientMetadata m;
  m.client_id_ = std::move(client_id);
  m.redirect_uris_ = std::move(redirect_uris);
  m.scope_ = std::move(scope);
  m.info_ = std::move(info);
  m.native_ = true;
  return m;
}

// https://atproto.com/specs/oauth#client-id-metadata-document
Result<ClientMetadata, MetadataError> ClientMetadata::web(std::string client_id,
                                                          std::vector<std::string> redirect_uris,
                                                          std::string scope, std::vector<ClientKey> keys,
                                                          std::string jwks_uri, ClientInfo info) {
  TRY(const auto id, check_client_id(client_id));
  TRY_VOID(check_scope(scope));
  if (redirect_uris.empty()) return refuse("at least one redirect URI is required");
  for (const auto& uri : redirect_uris) {
    const auto url = Url::parse(uri);
    // "The URL origin must match that of the client_id."
    if (!url || !is_on_origin(*url, id))
      return refuse("redirect URIs of a web client are on the origin of its client_id: " + uri);
  }
  std::set<std::string_view> kids;
  for (const auto& key : keys) {
    if (key.key.curve() != crypto::Curve::p256) return refuse("client keys are P-256 (ES256)");
    if (key.kid.empty() || !kids.insert(key.kid).second)
      return refuse("each client key needs a kid of its own");
  }
  if (!jwks_uri.empty()) {
    const auto url = Url::parse(jwks_uri);
    if (!url || url->scheme != "https") return refuse("jwks_uri must be an https URL");
    if (keys.empty()) return refuse("jwks_uri without keys");
  }
  ClientMetadata m;
  m.client_id_ = std::move(client_id);
  m.redirect_uris_ = std::move(redirect_uris);
  m.scope_ = std::move(scope);
  m.keys_ = std::move(keys);
  m.jwks_uri_ = std::move(jwks_uri);
  m.info_ = std::move(info);
  return m;
}

bool ClientMetadata::has_redirect_uri(std::string_view uri) const {
  if (std::ranges::find(redirect_uris_, uri) != redirect_uris_.end()) return true;
  auto asked = native_ ? Url::parse(uri) : std::nullopt;
  if (!asked || !is_loopback(*asked)) return false;
  asked->port.reset();
  return std::ranges::any_of(redirect_uris_, [&](const std::string& registered) {
    auto url = Url::parse(registered);
    if (!url || !is_loopback(*url)) return false;
    url->port.reset();
    return url->str() == asked->str();
  });
}

const ClientKey* ClientMetadata::key(std::string_view kid) const {
  const auto found = std::ranges::find(keys_, kid, &ClientKey::kid);
  return found == keys_.end() ? nullptr : &*found;
}

json::Object ClientMetadata::jwks() const {
  Jwks set;
  for (const auto& key : keys_)
    set.keys.push_back({.key = key.key.public_key(), .kid = key.kid, .alg = "ES256", .use = "sig"});
  return set.to_json();
}

json::Object ClientMetadata::document() const {
  json::Object doc{
      {"client_id", client_id_},
      {"application_type", native_ ? "native" : "web"},
      {"grant_types", json::Array{"authorization_code", "refresh_token"}},
      {"response_types", json::Array{"code"}},
      {"scope", scope_},
      {"redirect_uris", strings(redirect_uris_)},
      {"dpop_bound_access_tokens", true},
      {"token_endpoint_auth_method", confidential() ? "private_key_jwt" : "none"},
  };
  if (confidential()) {
    doc.set("token_endpoint_auth_signing_alg", "ES256");
    if (jwks_uri_.empty())
      doc.set("jwks", jwks());
    else
      doc.set("jwks_uri", jwks_uri_);
  }
  const std::pair<const char*, const std::string&> described[] = {{"client_name", info_.client_name},
                                                                  {"client_uri", info_.client_uri},
                                                                  {"logo_uri", info_.logo_uri},
                                                                  {"tos_uri", info_.tos_uri},
                                                                  {"policy_uri", info_.policy_uri}};
  for (const auto& [name, value] : described)
    if (!value.empty()) doc.set(name, value);
  return doc;
}

}  // namespace latchkey::oauth::client

#include "auth/plugins/social/issuer.h"

#include <algorithm>

namespace latchkey::auth {
namespace {

std::unexpected<ProviderError> bad(std::string detail) {
  return fail(ProviderError{ProviderError::Kind::invalid, "discovery: " + std::move(detail)});
}

const std::string* text(const json::Object& o, std::string_view name) {
  const auto* v = o.find(name);
  return v ? v->string() : nullptr;
}

/// The strings of a list; empty when absent or no list.
std::vector<std::string> list(const json::Object& o, std::string_view name) {
  std::vector<std::string> out;
  const auto* v = o.find(name);
  if (v && v->array())
    for (const auto& item : *v->array())
      if (item.string()) out.push_back(*item.string());
  return out;
}

bool has(const std::vector<std::string>& values, std::string_view wanted) {
  return std::ranges::find(values, wanted) != values.end();
}

}  // namespace

Result<IssuerMetadata, ProviderError> IssuerMetadata::parse(const json::Object& document,
                                                            const std::string& issuer, PlainHttp plain) {
  // §4.3: exactly the URL the document was asked for. Keeps one provider from speaking for another.
  const auto* said = text(document, "issuer");
  if (!said || *said != issuer) return bad("issuer is another one");
  IssuerMetadata m;
  m.issuer = issuer;

  struct Endpoint {
    std::string_view name;
    std::string& value;
    bool required;
  };
  const Endpoint endpoints[] = {{"authorization_endpoint", m.authorization_endpoint, true},
                                {"token_endpoint", m.token_endpoint, true},
                                {"jwks_uri", m.jwks_uri, true},
                                {"userinfo_endpoint", m.userinfo_endpoint, false}};
  for (const auto& endpoint : endpoints) {
    if (!document.find(endpoint.name) && !endpoint.required) continue;
    const auto* url = text(document, endpoint.name);
    if (!url || !is_endpoint(*url, plain))
      return bad(std::string(endpoint.name) + " is missing or not usable");
    endpoint.value = *url;
  }

  for (auto& alg : list(document, "id_token_signing_alg_values_supported"))
    if (oauth::is_verifiable_alg(alg)) m.signing_algs.push_back(std::move(alg));
  if (m.signing_algs.empty()) return bad("no signing algorithm we can check");

  // §3: "If omitted, the default is client_secret_basic".
  const auto methods = list(document, "token_endpoint_auth_methods_supported");
  if (methods.empty() || has(methods, "client_secret_basic"))
    m.authentication = ClientAuthentication::client_secret_basic;
  else if (has(methods, "client_secret_post"))
    m.authentication = ClientAuthentication::client_secret_post;
  else
    return bad("no client authentication by secret");

  // A provider that says what it takes, and does not take S256, would leave codes unprotected.
  if (document.find("code_challenge_methods_supported") &&
      !has(list(document, "code_challenge_methods_supported"), "S256"))
    return bad("no PKCE with S256");

  const auto* sends_iss = document.find("authorization_response_iss_parameter_supported");
  m.sends_iss = sends_iss && sends_iss->boolean() && *sends_iss->boolean();
  return m;
}

Issuer::Issuer(std::string issuer, PlainHttp plain, Fetch& net, const Clock& clock)
    : issuer_(std::move(issuer)),
      plain_(plain),
      net_(net),
      metadata_(clock, {k_issuer_document_lifetime, k_metadata_pause}, [this] { return load_metadata(); }),
      keys_(clock, {k_issuer_document_lifetime, k_keys_pause}, [this] { return load_keys(); }) {}

Task<Result<std::shared_ptr<const IssuerMetadata>, ProviderError>> Issuer::metadata() {
  return metadata_.get([](const IssuerMetadata&) { return true; });
}

Task<Result<oauth::VerificationKey, ProviderError>> Issuer::key(std::string kid, std::string alg) {
  CO_TRY(const auto keys, co_await keys_.get([kid, alg](const oauth::VerificationKeys& known) {
    return known.find(kid, alg) != nullptr;
  }));
  co_return *keys->find(kid, alg);
}

Task<Result<IssuerMetadata, ProviderError>> Issuer::load_metadata() {
  // Discovery §4: a terminating slash of the issuer goes before the suffix is added.
  std::string url = issuer_;
  if (url.ends_with('/')) url.pop_back();
  CO_TRY(const auto document,
         co_await fetch_object(&net_, {.url = url + "/.well-known/openid-configuration"}));
  co_return IssuerMetadata::parse(document, issuer_, plain_);
}

Task<Result<oauth::VerificationKeys, ProviderError>> Issuer::load_keys() {
  CO_TRY(const auto described, co_await metadata());
  CO_TRY(auto document, co_await fetch_object(&net_, {.url = described->jwks_uri}));
  auto keys = oauth::VerificationKeys::parse(json::Value(std::move(document)));
  if (!keys) co_return bad(keys.error().detail);
  co_return std::move(*keys);
}

}  // namespace latchkey::auth

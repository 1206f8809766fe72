#include "auth/plugins/social/oidc.h"

#include <algorithm>

#include "auth/plugins/social/id_token.h"
#include "auth/plugins/social/issuer.h"
#include "auth/plugins/social/profile.h"

namespace latchkey::auth {
namespace {

// Of a token that came by way of an app, which may have kept it a while.
constexpr std::chrono::hours k_app_token_age{1};

std::unexpected<ProviderError> invalid(std::string detail) {
  return fail(ProviderError{ProviderError::Kind::invalid, std::move(detail)});
}

class Oidc final : public SocialProvider {
 public:
  Oidc(OidcOptions options, Fetch& net, const Clock& clock)
      : options_(std::move(options)),
        net_(net),
        clock_(clock),
        issuer_(options_.issuer, options_.plain_http, net, clock),
        description_{.id = options_.id,
                     .label = options_.label,
                     .account_provider_id =
                         options_.account_provider_id.empty() ? options_.id : options_.account_provider_id,
                     .uses_nonce = true,
                     .takes_id_tokens = true,
                     .scopes = options_.scopes,
                     .rules = options_.rules} {}

  const Description& description() const override { return description_; }

  Task<Result<std::string, ProviderError>> authorization_url(AuthorizationRequest request) override {
    CO_TRY(const auto server, co_await issuer_.metadata());
    FormFields additional = options_.extra_parameters;
    for (auto& field : request.additional) {
      std::erase_if(additional, [&](const auto& own) { return own.first == field.first; });
      additional.push_back(std::move(field));
    }
    request.additional = std::move(additional);
    co_return auth::authorization_url(server->authorization_endpoint, options_.credentials.client_id,
                                      options_.scopes, request, true);
  }

  Task<Result<bool, ProviderError>> is_its_issuer(std::string iss) override {
    CO_TRY(const auto server, co_await issuer_.metadata());
    co_return iss.empty() ? !server->sends_iss : iss == server->issuer;
  }

  Task<Result<ProviderTokens, ProviderError>> exchange(CodeExchange request) override {
    CO_TRY(auto tokens, co_await tokens_for(code_grant(request, true)));
    // OpenID Connect Core §3.1.3.3: a token answer of this flow holds an ID token.
    if (tokens.id_token.empty()) co_return invalid("token answer without an ID token");
    co_return std::move(tokens);
  }

  Task<Result<SocialProfile, ProviderError>> profile(ProviderTokens tokens,
                                                     std::optional<std::string> nonce) override {
    CO_TRY(auto claims,
           co_await verified(tokens.id_token, nonce, tokens.access_token, IdTokenPolicy{}.max_age));
    CO_TRY(auto profile, profile_from_claims(std::move(claims)));
    CO_TRY(const auto server, co_await issuer_.metadata());
    if (profile.email || server->userinfo_endpoint.empty()) co_return std::move(profile);
    co_return co_await current_profile(tokens.access_token, profile.subject);
  }

  Task<Result<SocialProfile, ProviderError>> current_profile(std::string access_token,
                                                             std::string subject) override {
    CO_TRY(const auto server, co_await issuer_.metadata());
    if (server->userinfo_endpoint.empty()) co_return invalid("no userinfo endpoint");
    CO_TRY(auto claims, co_await fetch_object(&net_, bearer_get(server->userinfo_endpoint, access_token)));
    CO_TRY(auto profile, profile_from_claims(std::move(claims)));
    // OpenID Connect Core §5.3.2: or somebody swapped the access token for another person's.
    if (profile.subject != subject) co_return invalid("userinfo is about somebody else");
    co_return std::move(profile);
  }

  Task<Result<ProviderTokens, ProviderError>> refresh(std::string refresh_token) override {
    return tokens_for(refresh_grant(std::move(refresh_token)));
  }

  Task<Result<SocialProfile, ProviderError>> verify_id_token(std::string id_token,
                                                             std::optional<std::string> nonce) override {
    CO_TRY(auto claims, co_await verified(std::move(id_token), std::move(nonce), "", k_app_token_age));
    co_return profile_from_claims(std::move(claims));
  }

 private:
  Task<Result<ProviderTokens, ProviderError>> tokens_for(FormFields grant) {
    CO_TRY(const auto server, co_await issuer_.metadata());
    co_return co_await request_tokens(&net_, &clock_, {server->token_endpoint, server->authentication},
                                      options_.credentials, std::move(grant), options_.scopes);
  }

  Task<Result<json::Object, ProviderError>> verified(std::string id_token, std::optional<std::string> nonce,
                                                     std::string access_token, std::chrono::seconds max_age) {
    auto token = oauth::parse_compact(id_token);
    if (!token) co_return invalid("id token: " + token.error().detail);
    CO_TRY(const auto server, co_await issuer_.metadata());
    const std::string alg(token->alg());
    if (std::ranges::find(server->signing_algs, alg) == server->signing_algs.end())
      co_return invalid("id token: alg is not one of the provider's");
    const auto* kid = token->header.find("kid");
    if (kid && !kid->string()) co_return invalid("id token: kid is no string");
    CO_TRY(const auto key, co_await issuer_.key(kid ? *kid->string() : "", alg));
    const IdTokenPolicy policy{.issuer = options_.issuer,
                               .issuer_aliases = options_.issuer_aliases,
                               .client_id = options_.credentials.client_id,
                               .trusted_audiences = options_.trusted_audiences,
                               .nonce = std::move(nonce),
                               .max_age = max_age};
    CO_TRY_VOID(check_id_token(*token, key, policy, access_token, clock_.now()));
    co_return std::move(token->payload);
  }

  OidcOptions options_;
  Fetch& net_;
  const Clock& clock_;
  Issuer issuer_;
  Description description_;
};

}  // namespace

std::shared_ptr<SocialProvider> oidc(OidcOptions options, Fetch& net, const Clock& clock) {
  return std::make_shared<Oidc>(std::move(options), net, clock);
}

// https://developers.google.com/identity/openid-connect/openid-connect
std::shared_ptr<SocialProvider> google(GoogleOptions options, Fetch& net, const Clock& clock) {
  OidcOptions as_oidc{.id = "google",
                      .label = "Google",
                      .issuer = std::move(options.issuer),
                      .credentials = std::move(options.credentials),
                      // "The value is always equal to https://accounts.google.com or accounts.google.com."
                      .issuer_aliases = {"accounts.google.com"},
                      .extra_parameters = std::move(options.extra_parameters),
                      .rules = options.rules};
  return oidc(std::move(as_oidc), net, clock);
}

}  // namespace latchkey::auth

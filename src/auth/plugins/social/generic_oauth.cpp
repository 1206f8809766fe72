#include "auth/plugins/social/generic_oauth.h"

#include "auth/plugins/social/profile.h"

namespace latchkey::auth {
namespace {

std::unexpected<ProviderError> invalid(std::string detail) {
  return fail(ProviderError{ProviderError::Kind::invalid, std::move(detail)});
}

class GenericOauth final : public SocialProvider {
 public:
  GenericOauth(GenericOauthOptions options, Fetch& net, const Clock& clock)
      : options_(std::move(options)),
        net_(net),
        clock_(clock),
        description_{.id = options_.id,
                     .label = options_.label,
                     .account_provider_id =
                         options_.account_provider_id.empty() ? options_.id : options_.account_provider_id,
                     .scopes = options_.scopes,
                     .rules = options_.rules} {}

  const Description& description() const override { return description_; }

  Task<Result<std::string, ProviderError>> authorization_url(AuthorizationRequest request) override {
    co_return auth::authorization_url(options_.authorization_endpoint, options_.credentials.client_id,
                                      options_.scopes, request, options_.pkce == Pkce::s256);
  }

  Task<Result<bool, ProviderError>> is_its_issuer(std::string iss) override {
    co_return options_.issuer.empty() || iss.empty() || iss == options_.issuer;
  }

  Task<Result<ProviderTokens, ProviderError>> exchange(CodeExchange request) override {
    return tokens_for(code_grant(request, options_.pkce == Pkce::s256));
  }

  Task<Result<SocialProfile, ProviderError>> profile(ProviderTokens tokens,
                                                     std::optional<std::string>) override {
    return load_profile(tokens.access_token);
  }

  Task<Result<SocialProfile, ProviderError>> current_profile(std::string access_token,
                                                             std::string subject) override {
    CO_TRY(auto profile, co_await load_profile(std::move(access_token)));
    if (profile.subject != subject) co_return invalid("the token is somebody else's");
    co_return std::move(profile);
  }

  Task<Result<ProviderTokens, ProviderError>> refresh(std::string refresh_token) override {
    return tokens_for(refresh_grant(std::move(refresh_token)));
  }

  Task<Result<SocialProfile, ProviderError>> verify_id_token(std::string,
                                                             std::optional<std::string>) override {
    co_return invalid("this provider's ID tokens are not checked");
  }

 private:
  Task<Result<ProviderTokens, ProviderError>> tokens_for(FormFields grant) {
    return request_tokens(&net_, &clock_, {options_.token_endpoint, options_.authentication},
                          options_.credentials, std::move(grant), options_.scopes);
  }

  Task<Result<SocialProfile, ProviderError>> load_profile(std::string access_token) {
    CO_TRY(auto claims, co_await fetch_object(&net_, bearer_get(options_.userinfo_endpoint, access_token)));
    // Many say `id`, as a text or a number, where OpenID Connect says `sub`.
    if (!claims.find("sub"))
      if (const auto* id = claims.find("id"))
        claims.set("sub", id->integer() ? json::Value(std::to_string(*id->integer())) : *id);
    co_return profile_from_claims(std::move(claims));
  }

  GenericOauthOptions options_;
  Fetch& net_;
  const Clock& clock_;
  Description description_;
};

}  // namespace

std::shared_ptr<SocialProvider> generic_oauth(GenericOauthOptions options, Fetch& net, const Clock& clock) {
  return std::make_shared<GenericOauth>(std::move(options), net, clock);
}

}  // namespace latchkey::auth

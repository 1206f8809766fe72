#include "auth/plugins/social/github.h"

#include "auth/plugins/social/profile.h"

namespace latchkey::auth {
namespace {

constexpr std::string_view k_public = "https://github.com";

std::unexpected<ProviderError> invalid(std::string detail) {
  return fail(ProviderError{ProviderError::Kind::invalid, std::move(detail)});
}

class Github final : public SocialProvider {
 public:
  Github(GithubOptions options, Fetch& net, const Clock& clock)
      : options_(std::move(options)),
        net_(net),
        clock_(clock),
        // https://docs.github.com/en/enterprise-server/rest/enterprise-admin: <host>/api/v3
        api_(options_.base_url == k_public ? "https://api.github.com" : options_.base_url + "/api/v3"),
        description_{.id = "github",
                     .label = "GitHub",
                     .account_provider_id = options_.base_url == k_public ? "github" : options_.base_url,
                     .scopes = options_.scopes,
                     .rules = options_.rules} {}

  const Description& description() const override { return description_; }

  Task<Result<std::string, ProviderError>> authorization_url(AuthorizationRequest request) override {
    if (request.login_hint) {  // GitHub's word for it
      request.additional.emplace_back("login", *request.login_hint);
      request.login_hint.reset();
    }
    co_return auth::authorization_url(options_.base_url + "/login/oauth/authorize",
                                      options_.credentials.client_id, options_.scopes, request, true);
  }

  // GitHub publishes no metadata that would tell its issuer. Another server's answer does not come here
  // anyway: the state belongs to one provider, and each has its own redirect_uri (RFC 9700 §4.4.2.2).
  Task<Result<bool, ProviderError>> is_its_issuer(std::string) override { co_return true; }

  Task<Result<ProviderTokens, ProviderError>> exchange(CodeExchange request) override {
    return tokens_for(code_grant(request, true));
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
    co_return invalid("GitHub has no ID tokens");
  }

 private:
  Task<Result<ProviderTokens, ProviderError>> tokens_for(FormFields grant) {
    return request_tokens(&net_, &clock_, {options_.base_url + "/login/oauth/access_token"},
                          options_.credentials, std::move(grant), options_.scopes);
  }

  Task<Result<SocialProfile, ProviderError>> load_profile(std::string access_token) {
    CO_TRY(auto user, co_await fetch_object(&net_, bearer_get(api_ + "/user", access_token)));
    const auto* id = user.find("id");
    if (!id || !id->integer() || *id->integer() <= 0) co_return invalid("GitHub: no account number");
    ProfileParts parts{.subject = std::to_string(*id->integer())};
    const json::Value as_value(user);
    for (const auto* member : {"name", "login"})
      if (const auto* text = as_value.string_at(member); text && parts.name.empty()) parts.name = *text;
    if (const auto* url = as_value.string_at("avatar_url")) parts.image = *url;
    // The address in the profile is what the person chose to show; whether it is theirs stands here only.
    CO_TRY(const auto emails, co_await fetch_array(&net_, bearer_get(api_ + "/user/emails", access_token)));
    for (const auto& entry : emails) {
      const auto *primary = entry.find("primary"), *verified = entry.find("verified");
      const auto* email = entry.string_at("email");
      if (!email || !primary || !primary->boolean() || !*primary->boolean()) continue;
      parts.email = *email;
      parts.email_verified = verified && verified->boolean() && *verified->boolean();
    }
    co_return make_profile(std::move(parts), std::move(user));
  }

  GithubOptions options_;
  Fetch& net_;
  const Clock& clock_;
  std::string api_;
  Description description_;
};

}  // namespace

std::shared_ptr<SocialProvider> github(GithubOptions options, Fetch& net, const Clock& clock) {
  while (options.base_url.ends_with('/')) options.base_url.pop_back();
  return std::make_shared<Github>(std::move(options), net, clock);
}

}  // namespace latchkey::auth

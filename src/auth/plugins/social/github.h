#pragma once
// GitHub, which speaks OAuth 2.0 but not OpenID Connect.

#include <memory>

#include "auth/plugins/social/oauth_http.h"
#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

struct GithubOptions {
  ClientCredentials credentials;
  /// GitHub Enterprise Server: "https://github.example.com". Its people are not those of github.com, so they
  /// are kept apart.
  std::string base_url = "https://github.com";
  std::vector<std::string> scopes{"read:user", "user:email"};
  ProviderRules rules = {};
};

/// The subject is the account's number, which a renamed account keeps. The address is the primary one.
std::shared_ptr<SocialProvider> github(GithubOptions options, Fetch& net, const Clock& clock);

}  // namespace latchkey::auth

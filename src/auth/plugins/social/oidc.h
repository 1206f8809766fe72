#pragma once
// Any OpenID Connect provider: discovery, code flow with PKCE and nonce, verified ID tokens.

#include <memory>

#include "auth/plugins/social/oauth_http.h"
#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

struct OidcOptions {
  std::string id, label;
  std::string issuer;
  ClientCredentials credentials;
  std::vector<std::string> scopes{"openid", "email", "profile"};
  std::string account_provider_id = {};             // "" : id
  std::vector<std::string> issuer_aliases = {};     // IdTokenPolicy
  std::vector<std::string> trusted_audiences = {};  // IdTokenPolicy
  FormFields extra_parameters = {};                 // of the authorization request, such as prompt
  ProviderRules rules = {};
  PlainHttp plain_http = PlainHttp::refuse;
};

/// Claims come from the ID token; an address that is not in it from the userinfo endpoint.
std::shared_ptr<SocialProvider> oidc(OidcOptions options, Fetch& net, const Clock& clock);

struct GoogleOptions {
  ClientCredentials credentials;
  FormFields extra_parameters = {};
  ProviderRules rules = {};
  std::string issuer = "https://accounts.google.com";
};

std::shared_ptr<SocialProvider> google(GoogleOptions options, Fetch& net, const Clock& clock);

}  // namespace latchkey::auth

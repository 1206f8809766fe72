#pragma once
// An OAuth 2.0 provider described by its three URLs, with a userinfo endpoint that speaks in the standard
// claims. Where the provider has discovery and ID tokens, oidc() proves more.

#include <memory>

#include "auth/plugins/social/oauth_http.h"
#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

enum class Pkce { off, s256 };

struct GenericOauthOptions {
  std::string id, label;
  ClientCredentials credentials;
  std::string authorization_endpoint, token_endpoint, userinfo_endpoint;
  std::vector<std::string> scopes = {};
  Pkce pkce = Pkce::s256;
  ClientAuthentication authentication = ClientAuthentication::client_secret_post;
  std::string issuer = {};               // RFC 9207; "" when the provider names none
  std::string account_provider_id = {};  // "" : id
  ProviderRules rules = {};
};

std::shared_ptr<SocialProvider> generic_oauth(GenericOauthOptions options, Fetch& net, const Clock& clock);

}  // namespace latchkey::auth

#pragma once
// Where else people may sign in: GOOGLE_*, GITHUB_* and OIDC_<NAME>_*. docs/configuration.md lists every
// name.

#include <memory>
#include <string>
#include <vector>

#include "auth/plugins/social/provider.h"
#include "base/fetch.h"
#include "base/secret.h"
#include "environment.h"

namespace latchkey::app {

struct SignInProvider {
  enum class Kind { google, github, oidc };
  Kind kind;
  std::string id;     // google, github, or <NAME> in lower case with '-' for '_'
  std::string label;  // for buttons
  std::string url;    // oidc: the issuer. github: its base URL
  std::string client_id;
  Secret<std::string> client_secret;
};

/// Whether plain http is good enough for the other side: in development and closed networks.
enum class PlainHttpProviders { refuse, allow };

/// A provider is there when its id and secret are set; half of one is a problem.
std::vector<SignInProvider> read_sign_in_providers(const Environment& environment,
                                                   const EnvironmentNames& names, PlainHttpProviders plain,
                                                   Problems& problems);

/// People of an OIDC provider are kept by its issuer, so that a <NAME> that later points elsewhere lets
/// nobody into their accounts.
std::vector<std::shared_ptr<auth::SocialProvider>> social_providers(const std::vector<SignInProvider>& list,
                                                                    Fetch& net, const Clock& clock);

}  // namespace latchkey::app

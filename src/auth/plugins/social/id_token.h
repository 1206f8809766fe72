#pragma once
// ID tokens (OpenID Connect Core §2), checked.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/plugins/social/provider.h"
#include "oauth/jose/jwt.h"
#include "oauth/jose/verification_key.h"

namespace latchkey::auth {

struct IdTokenPolicy {
  std::string issuer;
  std::vector<std::string> issuer_aliases;  // other texts of `iss` the provider is known to use
  std::string client_id;
  std::vector<std::string> trusted_audiences;  // that may stand beside client_id
  std::optional<std::string> nonce;            // what was sent
  std::chrono::seconds max_age{600};           // since `iat`
  std::chrono::seconds max_skew{60};           // clocks that run apart
};

/// OpenID Connect Core §3.1.3.7, all but the choice of the key; §3.1.3.8 (at_hash) when there is an
/// access token beside it.
Result<void, ProviderError> check_id_token(const oauth::Jwt& token, const oauth::VerificationKey& key,
                                           const IdTokenPolicy& policy, std::string_view access_token,
                                           Time now);

}  // namespace latchkey::auth

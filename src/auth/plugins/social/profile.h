#pragma once
// What strangers say about themselves, made safe to keep: bounded, well-formed, without control characters.

#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

inline constexpr std::size_t k_max_subject = 255;  // OpenID Connect Core §2, `sub`
inline constexpr std::size_t k_max_profile_name = 256;
inline constexpr std::size_t k_max_image_url = 2048;

/// The standard claims (OpenID Connect Core §5.1). `email_verified` counts only as the JSON value true.
/// Without a usable subject there is no profile; an address, name or picture that is not usable is left out.
Result<SocialProfile, ProviderError> profile_from_claims(json::Object claims);

/// The same from parts.
struct ProfileParts {
  std::string subject, email, name, image;
  bool email_verified = false;
};
Result<SocialProfile, ProviderError> make_profile(ProfileParts parts, json::Object raw);

}  // namespace latchkey::auth

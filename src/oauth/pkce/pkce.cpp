#include "oauth/pkce/pkce.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::oauth {

std::string make_pkce_verifier(Rng& rng) { return rng.token(32); }

std::string pkce_challenge(std::string_view verifier) {
  return base64url(crypto::sha256(as_bytes(verifier)));  // §4.2
}

bool is_valid_verifier(std::string_view verifier) {
  return verifier.size() >= 43 && verifier.size() <= 128 && std::ranges::all_of(verifier, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.' || c == '_' || c == '~';
         });
}

bool is_valid_challenge(std::string_view challenge) {
  return challenge.size() == 43 && from_base64url(challenge).has_value();
}

bool pkce_matches(std::string_view verifier, std::string_view challenge) {
  return is_valid_verifier(verifier) && is_valid_challenge(challenge) &&
         crypto::equal(pkce_challenge(verifier), challenge);
}

bool is_supported_challenge_method(std::string_view method) { return method == "S256"; }

}  // namespace latchkey::oauth

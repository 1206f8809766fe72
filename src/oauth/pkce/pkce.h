#pragma once
// Proof Key for Code Exchange, S256 only (RFC 7636).

#include <string>
#include <string_view>

#include "base/rng.h"

namespace latchkey::oauth {

std::string make_pkce_verifier(Rng&);  // 256 bits, 43 characters
std::string pkce_challenge(std::string_view verifier);
/// Both well-formed and belonging together. Takes the same time wherever they differ.
bool pkce_matches(std::string_view verifier, std::string_view challenge);
bool is_valid_verifier(std::string_view);   // §4.1: 43 to 128 unreserved characters
bool is_valid_challenge(std::string_view);  // §4.2: base64url of 32 bytes
/// "S256" exactly. "plain" and a missing method (which means plain, §4.3) are refused.
bool is_supported_challenge_method(std::string_view);

}  // namespace latchkey::oauth

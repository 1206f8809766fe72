#pragma once
// How the provider's tokens rest in `account`: in clear, or sealed as Better Auth does with
// encryptOAuthTokens: hex of XChaCha20-Poly1305 under SHA-256 of the secret (better-auth contract, section
// 4).

#include <string>

#include "auth/core/auth.h"

namespace latchkey::auth {

/// As Options::account.encrypt_oauth_tokens says.
std::string token_to_store(const Auth& auth, const std::string& token);
/// Opens what this secret or an older one sealed; anything else was stored before tokens were sealed, and is
/// the token.
std::string stored_token(const Auth& auth, const std::string& stored);

}  // namespace latchkey::auth

#pragma once
// Better Auth's encryption of small values (tokens, states, keys) under the secret:
// hex(24-byte nonce ‖ XChaCha20-Poly1305 under SHA-256(secret)).

#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"

namespace latchkey::auth {

std::string encrypt_symmetric(std::string_view secret, std::string_view plain, Rng& rng);
/// std::nullopt when it was changed or is of another secret.
std::optional<std::string> decrypt_symmetric(std::string_view secret, std::string_view hex_text);

/// The secret for one purpose ("link-state"): hex(HKDF-SHA256(secret, salt better-auth:oauth-encryption:v1,
/// info better-auth:<purpose>:v1, 32 bytes)).
std::string purpose_secret(std::string_view secret, std::string_view purpose);

}  // namespace latchkey::auth

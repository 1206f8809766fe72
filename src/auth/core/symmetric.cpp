#include "auth/core/symmetric.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace latchkey::auth {

std::string encrypt_symmetric(std::string_view secret, std::string_view plain, Rng& rng) {
  const auto key = crypto::sha256(as_bytes(secret));
  Bytes out = rng.bytes(crypto::k_xchacha_nonce);
  append(out, crypto::xchacha20_poly1305_seal(key, out, as_bytes(plain)));
  return hex(out);
}

std::optional<std::string> decrypt_symmetric(std::string_view secret, std::string_view hex_text) {
  const auto bytes = from_hex(hex_text);
  if (!bytes || bytes->size() < crypto::k_xchacha_nonce) return std::nullopt;
  const BytesView all(*bytes);
  const auto plain =
      crypto::xchacha20_poly1305_open(crypto::sha256(as_bytes(secret)), all.first(crypto::k_xchacha_nonce),
                                      all.subspan(crypto::k_xchacha_nonce));
  return plain ? std::optional(to_string(*plain)) : std::nullopt;
}

std::string purpose_secret(std::string_view secret, std::string_view purpose) {
  return hex(crypto::hkdf_sha256(as_bytes(secret), as_bytes("better-auth:oauth-encryption:v1"),
                                 fmt::format("better-auth:{}:v1", purpose), 32));
}

}  // namespace latchkey::auth

#pragma once
// Secrets at rest: AES-256-GCM (NIST SP 800-38D).

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/secret.h"

namespace latchkey::crypto {

/// Encrypts values under one key. `context` says what the value is and whose ("oauth-session:" + id): a
/// sealed value opens only under the context it was sealed with, so rows cannot be swapped.
/// Form: 12 bytes nonce, ciphertext, 16 bytes tag. The nonce is random, so one key should seal fewer than
/// 2^32 values.
class Sealer {
 public:
  explicit Sealer(Secret<Bytes> key32);  // throws unless 32 bytes
  Bytes seal(BytesView plain, std::string_view context, Rng&) const;
  /// std::nullopt when anything was changed, or key or context are others.
  std::optional<Bytes> open(BytesView sealed, std::string_view context) const;

  static constexpr std::size_t k_overhead = 12 + 16;

 private:
  Secret<Bytes> key_;
};

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) without associated data: the ciphertext and its 16 bytes
/// of tag. For a format others decided; our own values go through Sealer. Throws when key or nonce have
/// another size than 32 and 24 bytes.
inline constexpr std::size_t k_xchacha_nonce = 24;
Bytes xchacha20_poly1305_seal(BytesView key, BytesView nonce, BytesView plain);
std::optional<Bytes> xchacha20_poly1305_open(BytesView key, BytesView nonce, BytesView sealed);

}  // namespace latchkey::crypto

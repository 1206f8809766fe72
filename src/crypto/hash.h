#pragma once
// SHA-256, HMAC and HKDF over it, and comparison that does not tell where two values differ.

#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace latchkey::crypto {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(BytesView);

/// SHA-256 of a message that comes in pieces. finish() ends it; the object is then ready for the next
/// message.
class Sha256 {
 public:
  Sha256();
  void update(BytesView);
  Digest finish();

  struct alignas(8) State {  // OpenSSL's SHA256_CTX, which stays out of this header
    std::uint32_t words[28];
  };

 private:
  State state_;
};

Digest hmac_sha256(BytesView key, BytesView message);  // RFC 2104

/// RFC 5869, extract and expand. `n` is at most 255 * 32 bytes; more is a bug and throws.
Bytes hkdf_sha256(BytesView ikm, BytesView salt, std::string_view info, std::size_t n);

/// Takes the same time for equal lengths, wherever the first difference is. Lengths are not secret.
bool equal(BytesView, BytesView);
inline bool equal(std::string_view a, std::string_view b) { return equal(as_bytes(a), as_bytes(b)); }

}  // namespace latchkey::crypto

#pragma once
// Passwords: scrypt (RFC 7914), N = 16384, r = 8, p = 1: 16 MiB and some 40 ms. Run it on the small password
// pool, not on a network thread.

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/rng.h"

namespace latchkey::crypto {

/// Longer passwords do not verify, and hashing one throws: callers check their own, lower limit first.
inline constexpr std::size_t k_max_password_bytes = 1024;

/// "$scrypt$ln=14,r=8,p=1$<salt>$<hash>" with a fresh 128-bit salt; salt and hash in unpadded base64.
std::string hash_password(std::string_view password, Rng&);

/// False also when `stored` is no such text or asks for more than 64 MiB. To answer for unknown accounts in
/// the same time, verify against a hash of a random password made at start.
bool verify_password(std::string_view password, std::string_view stored);

/// The function itself (RFC 7914 §6), for formats that others decided: N = 2^ln, `n` bytes. At most 64 MiB.
struct ScryptCost {
  unsigned ln, r, p;
};
Bytes scrypt(std::string_view password, BytesView salt, const ScryptCost& cost, std::size_t n);

}  // namespace latchkey::crypto

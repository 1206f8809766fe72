#include "auth/core/password.h"

#include <fmt/format.h>
#include <uninorm.h>

#include <cstdlib>
#include <memory>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/password.h"

namespace latchkey::auth {
namespace {

constexpr crypto::ScryptCost k_cost{.ln = 14, .r = 16, .p = 1};
constexpr std::size_t k_salt_bytes = 16, k_hash_bytes = 64;

/// Unicode Standard Annex #15, form KC: the same password from every keyboard.
std::string nfkc(std::string_view text) {
  std::size_t n = 0;
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> out(
      u8_normalize(UNINORM_NFKC, reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), nullptr,
                   &n),
      &std::free);
  if (!out) return std::string(text);  // what is not UTF-8 is taken as it is
  return std::string(reinterpret_cast<const char*>(out.get()), n);
}

std::string hash_with(std::string_view password, std::string_view salt) {
  return hex(crypto::scrypt(nfkc(password), as_bytes(salt), k_cost, k_hash_bytes));
}

}  // namespace

std::string hash_password(std::string_view password, Rng& rng) {
  const std::string salt = hex(rng.bytes(k_salt_bytes));
  return fmt::format("{}:{}", salt, hash_with(password, salt));
}

bool verify_password(std::string_view password, std::string_view stored) {
  const auto colon = stored.find(':');
  if (colon == stored.npos || colon == 0 || colon > 128) return false;
  const auto want = stored.substr(colon + 1);
  if (want.size() != 2 * k_hash_bytes) return false;
  return crypto::equal(hash_with(password, stored.substr(0, colon)), want);
}

std::size_t password_length(std::string_view password) {
  std::size_t units = 0;
  for (const char c : password) {
    const auto b = static_cast<unsigned char>(c);
    if ((b & 0xc0) != 0x80) ++units;  // the first byte of a character
    if (b >= 0xf0) ++units;           // outside of the basic plane: a surrogate pair
  }
  return units;
}

}  // namespace latchkey::auth

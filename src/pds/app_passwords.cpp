#include "pds/app_passwords.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::pds {

namespace {
constexpr std::size_t k_groups = 4, k_group = 4;
}

Secret<std::string> new_app_password(Rng& rng) {
  const std::string random = base32(rng.bytes(10));  // 16 characters
  std::string out;
  for (std::size_t i = 0; i < k_groups; ++i) out += (i ? "-" : "") + random.substr(i * k_group, k_group);
  return Secret<std::string>(std::move(out));
}

std::optional<Bytes> hash_app_password(std::string_view password, std::int64_t account_id) {
  if (password.size() != k_groups * (k_group + 1) - 1) return std::nullopt;
  for (std::size_t i = 0; i < password.size(); ++i) {
    const char c = password[i];
    const bool right =
        i % (k_group + 1) == k_group ? c == '-' : (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
    if (!right) return std::nullopt;
  }
  // With the account, so that equal passwords of two do not look equal.
  const auto digest =
      crypto::sha256(as_bytes("app-password:" + std::to_string(account_id) + ":" + std::string(password)));
  return Bytes(digest.begin(), digest.end());
}

bool is_app_password_name(std::string_view name) {
  return !name.empty() && name.size() <= k_max_app_password_name &&
         std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace latchkey::pds

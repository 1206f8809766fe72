#pragma once
// Passwords for single apps. They are made here, of 80 random bits, so a plain hash keeps them: nobody finds
// one by trying, and an app that signs in costs no scrypt. Statements: app_passwords_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

inline constexpr std::size_t k_max_app_passwords = 100;      // of one account
inline constexpr std::size_t k_max_app_password_name = 100;  // bytes

enum class Privileged { no, yes };  // yes: direct messages too

struct AppPassword {
  std::string name;
  Privileged privileged;
  Time created_at;
};

/// xxxx-xxxx-xxxx-xxxx in base32.
Secret<std::string> new_app_password(Rng& rng);
/// std::nullopt for what has another shape.
std::optional<Bytes> hash_app_password(std::string_view password, std::int64_t account_id);
/// Not empty, not too long, no control characters.
bool is_app_password_name(std::string_view name);

namespace app_passwords {

/// False when the name is taken.
bool insert(store::Tx&, std::int64_t account_id, const AppPassword&, BytesView hash);
/// The oldest first.
std::vector<AppPassword> list(store::Tx&, std::int64_t account_id);
std::optional<AppPassword> get(store::Tx&, std::int64_t account_id, std::string_view name);
std::optional<AppPassword> find(store::Tx&, std::int64_t account_id, BytesView hash);
void remove(store::Tx&, std::int64_t account_id, std::string_view name);
void remove_all(store::Tx&, std::int64_t account_id);

}  // namespace app_passwords
}  // namespace latchkey::pds

#pragma once
// Passwords in Better Auth's format: hex(salt) ":" hex(scrypt(NFKC(password), the hex text of the salt,
// N=16384, r=16, p=1, 64 bytes)). 32 MiB and some 80 ms each: run it on the password pool.

#include <string>
#include <string_view>

#include "base/rng.h"

namespace latchkey::auth {

std::string hash_password(std::string_view password, Rng& rng);
/// False also when `stored` is no such text.
bool verify_password(std::string_view password, std::string_view stored);

/// The length of a password as its limits count it: UTF-16 units.
std::size_t password_length(std::string_view password);

}  // namespace latchkey::auth

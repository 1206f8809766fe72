#pragma once
// What the readers of keys in this folder share.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "oauth/jose/jwk.h"

namespace latchkey::oauth {

inline constexpr std::size_t k_max_jwk_text = 512;  // kid, alg, use
inline constexpr std::size_t k_max_jwks_keys = 100;

/// RFC 7518 §6.2.2, §6.3.2, §6.4: what makes a JWK private or symmetric.
inline bool has_private_members(const json::Object& o) {
  constexpr std::array<std::string_view, 8> names = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
  return std::ranges::any_of(names, [&](std::string_view name) { return o.find(name); });
}

/// "" when absent.
inline Result<std::string, JoseError> optional_text(const json::Value& v, std::string_view name) {
  const auto* member = v.find(name);
  if (!member) return std::string();
  const auto* text = member->string();
  if (!text || text->size() > k_max_jwk_text)
    return fail(JoseError{"jwk: kid, alg or use is no short string"});
  return *text;
}

}  // namespace latchkey::oauth

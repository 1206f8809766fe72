#include "auth/core/users.h"

#include <algorithm>

namespace latchkey::auth {

json::Object Users::to_json(const User& user) const {
  json::Object out{{"name", user.name},
                   {"email", user.email},
                   {"emailVerified", user.email_verified},
                   {"image", user.image ? json::Value(*user.image) : json::Value()},
                   {"createdAt", rfc3339(user.created_at)},
                   {"updatedAt", rfc3339(user.updated_at)}};
  for (const Field& f : models_.user_fields) {
    if (!f.returned) continue;
    const json::Value* v = user.fields.find(f.name);
    out.append(f.name, v ? *v : json::Value());
  }
  out.append("id", user.id);
  return out;
}

std::string random_id(Rng& rng, std::size_t n) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string id;
  while (id.size() < n) {
    std::uint8_t raw[48];
    rng.fill(raw);
    for (const std::uint8_t byte : raw)  // 6 bits each; two of their 64 values are nobody's
      if (const std::size_t at = byte & 63; at < alphabet.size() && id.size() < n) id += alphabet[at];
  }
  return id;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// https://github.com/colinhacks/zod/blob/main/packages/zod/src/v4/core/regexes.ts, `email`:
// ^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$
// and RFC 5321 §4.5.3.1 for the lengths.
bool is_email(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto alnum = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  const auto at = text.find('@');
  if (at == text.npos || at == 0 || at > 64 || text.size() > 254) return false;
  const auto local = text.substr(0, at);
  auto domain = text.substr(at + 1);
  if (text.find("..") != text.npos || local.front() == '.' || local.back() == '.' || local.back() == '\'')
    return false;
  if (!std::ranges::all_of(local, [&](char c) {
        return alnum(c) || c == '_' || c == '\'' || c == '+' || c == '-' || c == '.';
      }))
    return false;
  const auto last = domain.rfind('.');
  if (last == domain.npos) return false;
  const auto top = domain.substr(last + 1);
  if (top.size() < 2 || !std::ranges::all_of(top, letter)) return false;
  domain = domain.substr(0, last + 1);
  while (!domain.empty()) {
    const auto dot = domain.find('.');
    const auto label = domain.substr(0, dot);
    if (label.empty() || !alnum(label[0]) ||
        !std::ranges::all_of(label, [&](char c) { return alnum(c) || c == '-'; }))
      return false;
    domain.remove_prefix(dot + 1);
  }
  return true;
}

}  // namespace latchkey::auth

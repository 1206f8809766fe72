#pragma once
// ASCII classes shared by the parsers of this folder. Locale-free.

#include <algorithm>
#include <string>
#include <string_view>

namespace latchkey::syntax {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
constexpr bool is_alnum(char c) { return is_alpha(c) || is_digit(c); }

template <class Pred>
constexpr bool all(std::string_view s, Pred pred) {
  return std::all_of(s.begin(), s.end(), pred);
}

inline std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

/// One label of a host name: 1 to 63 letters, digits and inner hyphens (RFC 1035 §2.3.1 with RFC 1123 §2.1).
constexpr bool is_label(std::string_view s) {
  return !s.empty() && s.size() <= 63 && s.front() != '-' && s.back() != '-' &&
         all(s, [](char c) { return is_alnum(c) || c == '-'; });
}

}  // namespace latchkey::syntax

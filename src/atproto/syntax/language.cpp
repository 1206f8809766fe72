#include "atproto/syntax/language.h"

#include <array>
#include <set>
#include <vector>

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

namespace {

// RFC 5646 §2.1, "irregular": the grandfathered tags the grammar does not cover. The regular ones it does.
constexpr std::array<std::string_view, 17> k_irregular = {
    "en-gb-oed", "i-ami", "i-bnn", "i-default", "i-enochian", "i-hak",     "i-klingon", "i-lux",    "i-mingo",
    "i-navajo",  "i-pwn", "i-tao", "i-tay",     "i-tsu",      "sgn-be-fr", "sgn-be-nl", "sgn-ch-de"};

bool is_variant(std::string_view s) {
  return (s.size() >= 5 && s.size() <= 8) || (s.size() == 4 && is_digit(s[0]));
}

}  // namespace

Result<Language, SyntaxError> Language::parse(std::string_view text) {
  const auto malformed = [] { return fail(SyntaxError{"language is not a well-formed tag"}); };
  if (text.size() > 8192) return malformed();
  const std::string folded = lower(text);  // RFC 5646 §2.1.1: case carries no meaning
  if (std::find(k_irregular.begin(), k_irregular.end(), folded) != k_irregular.end())
    return Language(std::string(text));

  std::vector<std::string_view> parts;
  for (std::string_view rest = folded;;) {
    const auto dash = rest.find('-');
    const auto part = rest.substr(0, dash);
    if (part.empty() || part.size() > 8 || !all(part, is_alnum)) return malformed();
    parts.push_back(part);
    if (dash == std::string_view::npos) break;
    rest.remove_prefix(dash + 1);
  }

  std::size_t at = 0;
  const auto has = [&](auto pred) { return at < parts.size() && pred(parts[at]); };
  if (parts[0] != "x") {
    // language: ISO 639, lower-case. Four letters are reserved in RFC 5646, five to eight were never
    // registered.
    if (parts[0].size() < 2 || parts[0].size() > 3 || !all(text.substr(0, parts[0].size()), is_lower))
      return malformed();
    ++at;
    const auto letters = [](std::size_t n) {
      return [n](std::string_view s) { return s.size() == n && all(s, is_alpha); };
    };
    for (int extlang = 0; extlang < 3 && has(letters(3)); ++extlang) ++at;
    if (has(letters(4))) ++at;  // script
    if (has(letters(2)) || has([](std::string_view s) { return s.size() == 3 && all(s, is_digit); })) ++at;
    std::set<std::string_view> variants, singletons;  // §2.2.9: neither is repeated
    for (; has(is_variant); ++at)
      if (!variants.insert(parts[at]).second) return fail(SyntaxError{"language repeats a variant"});
    while (has([](std::string_view s) { return s.size() == 1 && s != "x"; })) {
      if (!singletons.insert(parts[at]).second) return fail(SyntaxError{"language repeats an extension"});
      const std::size_t first = ++at;
      while (has([](std::string_view s) { return s.size() >= 2; })) ++at;
      if (at == first) return malformed();
    }
  }
  if (has([](std::string_view s) { return s == "x"; })) {  // private use: anything, at least one
    if (at + 1 == parts.size()) return malformed();
    at = parts.size();
  }
  if (at != parts.size()) return malformed();
  return Language(std::string(text));
}

}  // namespace latchkey

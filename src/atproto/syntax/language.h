#pragma once

#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// The Lexicon string format `language`: a well-formed BCP 47 tag (RFC 5646 §2.1) without a repeated variant
/// or extension singleton (§2.2.9), its primary language in lower case. Kept as written. Source:
/// https://atproto.com/specs/lexicon#language
class Language {
 public:
  static Result<Language, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const Language&) const = default;

 private:
  explicit Language(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

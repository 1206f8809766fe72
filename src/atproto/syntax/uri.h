#pragma once

#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// The Lexicon string format `uri`: any scheme, something after it, no white space or controls, at most 8192
/// bytes. Interop: bytes beyond ASCII are let through, since links in records are often IRIs. Not for
/// fetching: that needs base/url.h. Source: https://atproto.com/specs/lexicon#uri
class Uri {
 public:
  static Result<Uri, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  std::string_view scheme() const;  // as written
  auto operator<=>(const Uri&) const = default;

 private:
  explicit Uri(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

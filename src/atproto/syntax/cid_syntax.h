#pragma once

#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// The Lexicon string format `cid`: looks like a CID of some version, base and hash, except the old CIDv0.
/// Only the form is checked. Links and blocks use the strict Cid (atproto/cid/cid.h) instead.
class CidSyntax {
 public:
  static Result<CidSyntax, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const CidSyntax&) const = default;

 private:
  explicit CidSyntax(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

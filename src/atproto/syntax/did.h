#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// A syntactically valid DID. Says nothing about whether it resolves.
/// At most 2048 bytes; the method is lower-case. Source: https://atproto.com/specs/did
class Did {
 public:
  static Result<Did, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  std::string_view method() const;      // "plc" in did:plc:...
  std::string_view identifier() const;  // what follows the method's colon
  auto operator<=>(const Did&) const = default;

 private:
  explicit Did(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

template <>
struct std::hash<latchkey::Did> {
  std::size_t operator()(const latchkey::Did& d) const { return std::hash<std::string>()(d.str()); }
};

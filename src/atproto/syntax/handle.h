#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// A handle: a host name of at least two labels, at most 253 bytes, kept in lower case.
/// Source: https://atproto.com/specs/handle
class Handle {
 public:
  static Result<Handle, SyntaxError> parse(std::string_view text);
  /// `handle.invalid`, shown where an account's handle does not resolve back to it.
  static Handle invalid();

  const std::string& str() const { return text_; }
  std::string_view tld() const;
  /// True for the top-level domains the spec refuses for registration and resolution although their syntax is
  /// fine: alt, arpa, example, internal, invalid, local, localhost, onion. Not `test`, which development
  /// uses.
  bool has_disallowed_tld() const;
  auto operator<=>(const Handle&) const = default;

 private:
  explicit Handle(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

template <>
struct std::hash<latchkey::Handle> {
  std::size_t operator()(const latchkey::Handle& h) const { return std::hash<std::string>()(h.str()); }
};

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

/// A namespaced identifier such as com.atproto.sync.getRecord, kept and compared as written.
/// At least three segments, at most 317 bytes. Source: https://atproto.com/specs/nsid
class Nsid {
 public:
  static Result<Nsid, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  std::string_view group() const;  // "com.atproto.sync": all but the name
  std::string_view name() const;   // "getRecord"
  std::string authority() const;   // "sync.atproto.com", the domain, in lower case
  auto operator<=>(const Nsid&) const = default;

 private:
  explicit Nsid(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

template <>
struct std::hash<latchkey::Nsid> {
  std::size_t operator()(const latchkey::Nsid& n) const { return std::hash<std::string>()(n.str()); }
};

#pragma once

#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"

namespace latchkey {

class Tid;

/// The last part of a record's path: 1 to 512 of A-Za-z0-9.-_:~ and neither "." nor "..".
/// Source: https://atproto.com/specs/record-key
class RecordKey {
 public:
  explicit RecordKey(const Tid& tid);
  static Result<RecordKey, SyntaxError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  auto operator<=>(const RecordKey&) const = default;

 private:
  explicit RecordKey(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey

#pragma once

#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"
#include "base/time.h"

namespace latchkey {

/// The Lexicon string format `datetime`: what RFC 3339, ISO 8601 and HTML have in common, years 0000 to 9999,
/// at most 64 bytes. Kept as written. Source: https://atproto.com/specs/lexicon#datetime
class Datetime {
 public:
  static Result<Datetime, SyntaxError> parse(std::string_view text);
  explicit Datetime(Time time);  // in UTC with milliseconds; the year must lie in 0000 to 9999

  const std::string& str() const { return text_; }
  Time time() const { return time_; }  // cut to microseconds
  bool operator==(const Datetime&) const = default;

 private:
  Datetime(std::string text, Time time) : text_(std::move(text)), time_(time) {}
  std::string text_;
  Time time_;
};

}  // namespace latchkey

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "atproto/syntax/error.h"
#include "base/result.h"
#include "base/time.h"

namespace latchkey {

/// A timestamp identifier: 53 bits of microseconds since 1970 and 10 bits of clock identifier, as 13
/// characters that sort like the number. Source: https://atproto.com/specs/tid
class Tid {
 public:
  static constexpr std::uint64_t k_max_micros = (std::uint64_t{1} << 53) - 1;
  static constexpr unsigned k_max_clock_id = 1023;

  static Result<Tid, SyntaxError> parse(std::string_view text);
  /// Throws std::out_of_range beyond k_max_micros or k_max_clock_id.
  static Tid from(std::uint64_t micros, unsigned clock_id);

  std::string str() const { return std::string(view()); }
  std::string_view view() const { return {text_.data(), text_.size()}; }
  std::uint64_t value() const;
  std::uint64_t micros() const { return value() >> 10; }
  unsigned clock_id() const { return static_cast<unsigned>(value() & 1023); }
  Time time() const { return from_unix_micros(static_cast<std::int64_t>(micros())); }
  auto operator<=>(const Tid&) const = default;

 private:
  explicit Tid(std::uint64_t value);
  std::array<char, 13> text_;
};

/// Gives rising TIDs whatever the clock does: the time handed in, or one microsecond after the last one
/// given. Thread-safe. Take the clock id at random: rng.below(1024).
class TidClock {
 public:
  explicit TidClock(unsigned clock_id);
  Tid next(Time now);
  /// Also later than `after`, for a revision that must follow one made elsewhere.
  Tid next(Time now, const Tid& after);

 private:
  std::mutex mutex_;
  std::uint64_t last_micros_ = 0;
  unsigned clock_id_;
};

}  // namespace latchkey

#include "atproto/syntax/tid.h"

#include <algorithm>
#include <stdexcept>

namespace latchkey {
namespace {

constexpr std::string_view k_digits = "234567abcdefghijklmnopqrstuvwxyz";  // base32-sortable

constexpr int digit_value(char c) {
  if (c >= '2' && c <= '7') return c - '2';
  if (c >= 'a' && c <= 'z') return c - 'a' + 6;
  return -1;
}

}  // namespace

Tid::Tid(std::uint64_t value) {
  for (std::size_t i = text_.size(); i-- > 0; value >>= 5) text_[i] = k_digits[value & 31];
}

Result<Tid, SyntaxError> Tid::parse(std::string_view text) {
  if (text.size() != 13) return fail(SyntaxError{"TID is not 13 characters long"});
  std::uint64_t value = 0;
  for (char c : text) {
    const int digit = digit_value(c);
    if (digit < 0) return fail(SyntaxError{"TID has a character that is not allowed"});
    value = value << 5 | static_cast<std::uint64_t>(digit);
  }
  // 13 digits hold 65 bits; the top bit of the 64-bit number is 0, hence the first of '2' to 'j'.
  if (digit_value(text[0]) >= 8 * 2) return fail(SyntaxError{"TID has its top bit set"});
  return Tid(value);
}

Tid Tid::from(std::uint64_t micros, unsigned clock_id) {
  if (micros > k_max_micros || clock_id > k_max_clock_id) throw std::out_of_range("Tid::from");
  return Tid(micros << 10 | clock_id);
}

std::uint64_t Tid::value() const {
  std::uint64_t value = 0;
  for (char c : text_) value = value << 5 | static_cast<std::uint64_t>(digit_value(c));
  return value;
}

TidClock::TidClock(unsigned clock_id) : clock_id_(clock_id) {
  if (clock_id > Tid::k_max_clock_id) throw std::out_of_range("TidClock");
}

Tid TidClock::next(Time now) {
  const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(unix_micros(now), 0));
  std::lock_guard lock(mutex_);
  last_micros_ = std::max(micros, last_micros_ + 1);
  return Tid::from(last_micros_, clock_id_);
}

Tid TidClock::next(Time now, const Tid& after) {
  const Tid tid = next(now);
  // A revision from the future moves its own account only, not everyone this clock serves.
  return tid > after ? tid : Tid::from(after.micros() + 1, clock_id_);
}

}  // namespace latchkey

#include "atproto/syntax/datetime.h"

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

namespace {

// Whether `s` has the form of `pattern`, in which 'd' stands for a digit.
bool has_form(std::string_view s, std::string_view pattern) {
  if (s.size() != pattern.size()) return false;
  for (std::size_t i = 0; i < s.size(); ++i)
    if (pattern[i] == 'd' ? !is_digit(s[i]) : s[i] != pattern[i]) return false;
  return true;
}

}  // namespace

Result<Datetime, SyntaxError> Datetime::parse(std::string_view text) {
  // The limit is that of other implementations; the spec has none.
  if (text.size() > 64) return fail(SyntaxError{"datetime is too long"});
  constexpr std::string_view k_to_seconds = "dddd-dd-ddTdd:dd:dd";
  if (!has_form(text.substr(0, k_to_seconds.size()), k_to_seconds))
    return fail(SyntaxError{"datetime is not YYYY-MM-DDThh:mm:ss with a zone"});
  std::string_view rest = text.substr(k_to_seconds.size());
  if (rest.starts_with('.')) {
    std::size_t digits = 1;
    while (digits < rest.size() && is_digit(rest[digits])) ++digits;
    if (digits == 1) return fail(SyntaxError{"datetime has an empty fraction"});
    rest.remove_prefix(digits);
  }
  if (rest != "Z" && !has_form(rest, "+dd:dd") && !has_form(rest, "-dd:dd"))
    return fail(SyntaxError{"datetime's zone is neither Z nor an offset"});
  if (rest == "-00:00") return fail(SyntaxError{"datetime has the offset -00:00"});  // ISO 8601
  // RFC 3339 alone knows leap seconds; HTML and most date libraries do not.
  if (text.substr(17, 2) == "60") return fail(SyntaxError{"datetime has a leap second"});
  const auto time = parse_rfc3339(text);
  if (!time) return fail(SyntaxError{"datetime names no moment of the calendar"});
  if (*time < Time(std::chrono::sys_days(std::chrono::year(0) / 1 / 1)))
    return fail(SyntaxError{"datetime lies before year 0"});
  return Datetime(std::string(text), *time);
}

Datetime::Datetime(Time time) : text_(rfc3339(time)), time_(time) {}

}  // namespace latchkey

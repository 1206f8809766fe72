#include "base/time.h"

#include <fmt/format.h>

namespace latchkey {
namespace {
using namespace std::chrono;

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return std::nullopt;
  int value = 0;
  for (char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}
}  // namespace

Time SystemClock::now() const { return time_point_cast<microseconds>(system_clock::now()); }

Time FakeClock::now() const {
  std::lock_guard lock(mutex_);
  return now_;
}
void FakeClock::advance(microseconds by) {
  std::lock_guard lock(mutex_);
  now_ += by;
}

std::int64_t unix_seconds(Time t) { return floor<seconds>(t).time_since_epoch().count(); }
Time from_unix_seconds(std::int64_t s) { return Time(seconds(s)); }
std::int64_t unix_micros(Time t) { return t.time_since_epoch().count(); }
Time from_unix_micros(std::int64_t us) { return Time(microseconds(us)); }

std::string rfc3339(Time t) {
  const auto day = floor<days>(t);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<milliseconds>(t - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<Time> parse_rfc3339(std::string_view s) {
  const auto year_ = digits(s, 0, 4), month_ = digits(s, 5, 2), day_ = digits(s, 8, 2);
  const auto hour = digits(s, 11, 2), minute = digits(s, 14, 2), second = digits(s, 17, 2);
  if (!year_ || !month_ || !day_ || !hour || !minute || !second) return std::nullopt;
  if (s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' || s[16] != ':')
    return std::nullopt;
  const year_month_day date{year(*year_), month(static_cast<unsigned>(*month_)),
                            day(static_cast<unsigned>(*day_))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  Time t = sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second);
  std::size_t at = 19;
  if (at < s.size() && s[at] == '.') {
    std::int64_t micros = 0, scale = 100'000;
    const std::size_t first = ++at;
    for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, scale /= 10) micros += (s[at] - '0') * scale;
    if (at == first) return std::nullopt;
    t += microseconds(micros);
  }
  const std::string_view zone = s.substr(at);
  if (zone == "Z" || zone == "z") return t;
  const auto offset_hour = digits(zone, 1, 2), offset_minute = digits(zone, 4, 2);
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || !offset_hour ||
      !offset_minute || *offset_hour > 23 || *offset_minute > 59)
    return std::nullopt;
  const auto offset = hours(*offset_hour) + minutes(*offset_minute);
  return zone[0] == '+' ? t - offset : t + offset;
}

std::string http_date(Time t) {
  constexpr const char* weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day_ = floor<days>(t);
  const year_month_day date(day_);
  const hh_mm_ss clock(floor<seconds>(t - day_));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[weekday(day_).c_encoding()],
                     static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace latchkey

#pragma once
// Time is handed in. The system clock is read in time.cpp and nowhere else.

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace latchkey {

using Time = std::chrono::sys_time<std::chrono::microseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Time now() const override;
};

/// A clock that moves only when told. Safe from several threads.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Time start = Time(std::chrono::seconds(1'750'000'000))) : now_(start) {}
  Time now() const override;
  void advance(std::chrono::microseconds by);

 private:
  mutable std::mutex mutex_;
  Time now_;
};

std::int64_t unix_seconds(Time);
Time from_unix_seconds(std::int64_t);
std::int64_t unix_micros(Time);  // how times are stored in the database
Time from_unix_micros(std::int64_t);
std::string rfc3339(Time);                            // 2025-06-15T14:26:40.000Z, milliseconds
std::optional<Time> parse_rfc3339(std::string_view);  // any offset, up to microseconds kept
std::string http_date(Time);                          // RFC 9110 §5.6.7, Sun, 06 Nov 1994 08:49:37 GMT

}  // namespace latchkey

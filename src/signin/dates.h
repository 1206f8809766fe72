#pragma once
// Points in time, for people. Scripts show them in the reader's own zone where an element says so.

#include <fmt/chrono.h>

#include <string>

#include "base/time.h"
#include "signin/reader.h"

namespace latchkey::signin {

/// For machines.
inline std::string day_of(Time at) {
  return fmt::format("{:%Y-%m-%d}", std::chrono::floor<std::chrono::seconds>(at));
}
// A use is noted once a day: an hour would say more than we know.
inline std::string to_the_day(const Reader& reader, Time at) {
  const std::string day = day_of(at);
  return reader.text("date.day",
                     {{"year", day.substr(0, 4)}, {"month", day.substr(5, 2)}, {"day", day.substr(8, 2)}});
}
// The scripts of the page show it in the reader's own zone.
inline std::string to_the_minute(const Reader& reader, Time at) {
  const std::string time = fmt::format("{:%H:%M}", std::chrono::floor<std::chrono::seconds>(at));
  return reader.text("date.minute", {{"date", to_the_day(reader, at)}, {"time", time}});
}

}  // namespace latchkey::signin

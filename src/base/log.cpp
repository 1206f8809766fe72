#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/json.h"
#include "base/time.h"

namespace latchkey::log {
namespace {
std::atomic<Level> g_level{Level::info};
std::string_view name(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
    case Level::off:
      return "off";
  }
  return "";
}
}  // namespace

void set_level(Level level) { g_level = level; }

void write(Level level, std::string_view message, std::vector<Field> fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  std::string line = "{\"time\":";
  json::append_string(line, rfc3339(SystemClock().now()));
  line += ",\"level\":";
  json::append_string(line, name(level));
  line += ",\"msg\":";
  json::append_string(line, message);
  for (const auto& [key, value] : fields) {
    line += ',';
    json::append_string(line, key);
    line += ':';
    json::append_string(line, value);
  }
  line += "}\n";
  // One write per line, so lines of several threads do not mix.
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

std::string redact_email(std::string_view email) {
  const auto at = email.rfind('@');
  if (at == std::string_view::npos) return "***";
  return std::string(email.substr(0, std::min<std::size_t>(at, 2))) + "***" + std::string(email.substr(at));
}

}  // namespace latchkey::log

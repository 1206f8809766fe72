#include "variables.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <set>

#include "base/url.h"

namespace latchkey::app {

bool is_well_known(std::string_view value) {
  static const std::set<std::string_view> known{"secret",
                                                "password",
                                                "changeme",
                                                "change-me",
                                                "admin",
                                                "test",
                                                "dev",
                                                "development",
                                                "default",
                                                "letmein",
                                                "your-secret-here",
                                                "replace-me",
                                                "jwt-secret",
                                                "super-secret",
                                                "supersecret",
                                                "12345678",
                                                "123456789012"};
  std::string lower(value);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (known.contains(lower)) return true;
  return lower.find("changeme") != std::string::npos || lower.find("change-me") != std::string::npos ||
         std::set<char>(lower.begin(), lower.end()).size() < 6;  // aaaa…, 0000…
}

std::optional<std::string> Variables::text(std::string_view name) const {
  auto value = environment_(name);
  return value && !value->empty() ? value : std::nullopt;
}

std::string Variables::text(std::string_view name, std::string_view otherwise) const {
  return text(name).value_or(std::string(otherwise));
}

bool Variables::flag(std::string_view name, bool otherwise) {
  const auto value = text(name);
  if (!value) return otherwise;
  if (*value == "true" || *value == "1") return true;
  if (*value == "false" || *value == "0") return false;
  problem(fmt::format("{} is \"{}\", but must be true or false", name, *value));
  return otherwise;
}

std::int64_t Variables::number(std::string_view name, std::int64_t otherwise, std::int64_t low,
                               std::int64_t high) {
  const auto value = text(name);
  if (!value) return otherwise;
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), n);
  if (error == std::errc() && end == value->data() + value->size() && n >= low && n <= high) return n;
  problem(fmt::format("{} is \"{}\", but must be a number from {} to {}", name, *value, low, high));
  return otherwise;
}

std::optional<std::string> Variables::url(std::string_view name) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  if (Url::parse(*value)) return value;
  problem(fmt::format("{} is not a URL: {}", name, *value));
  return std::nullopt;
}

std::optional<std::string> Variables::web_url(std::string_view name) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  if (const auto url = Url::parse(*value); url && (url->scheme == "https" || url->scheme == "http"))
    return value;
  problem(fmt::format("{} is not an http or https URL: {}", name, *value));
  return std::nullopt;
}

std::optional<web::Color> Variables::color(std::string_view name) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  auto color = web::Color::parse(*value);
  if (!color)
    problem(
        fmt::format("{} is \"{}\", but must be a colour such as #0085ff or rgb(0, 133, 255)", name, *value));
  return color;
}

std::vector<std::string> Variables::list(std::string_view name) const {
  std::vector<std::string> out;
  const std::string value = text(name, "");
  for (std::size_t at = 0; at < value.size();) {
    const auto comma = std::min(value.find(',', at), value.size());
    std::string item = value.substr(at, comma - at);
    item.erase(0, item.find_first_not_of(' '));
    item.erase(item.find_last_not_of(' ') + 1);
    if (!item.empty()) out.push_back(std::move(item));
    at = comma + 1;
  }
  return out;
}

std::optional<Secret<std::string>> Variables::secret(std::string_view name, std::size_t min_length) {
  const auto value = environment_(name);
  if (!value) return std::nullopt;
  if (value->empty())
    problem(fmt::format("{} is empty; unset it to have one made, or give at least {} characters", name,
                        min_length));
  else if (value->size() < min_length)
    problem(fmt::format("{} is too short: {} characters, at least {} are needed", name, value->size(),
                        min_length));
  else if (is_well_known(*value))
    problem(fmt::format("{} is easy to guess; use for example: openssl rand -hex 32", name));
  return Secret<std::string>(*value);
}

log::Level Variables::log_level() {
  const std::string level = text("LOG_LEVEL", "info");
  if (level == "debug" || level == "trace") return log::Level::debug;
  if (level == "warn") return log::Level::warn;
  if (level == "error" || level == "fatal") return log::Level::error;
  if (level == "silent") return log::Level::off;
  if (level != "info")
    problem(fmt::format("LOG_LEVEL is \"{}\", but must be debug, info, warn, error or silent", level));
  return log::Level::info;
}

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

}  // namespace latchkey::app

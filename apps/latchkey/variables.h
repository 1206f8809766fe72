#pragma once
// Reads variables, one by one, and collects what is wrong with them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/secret.h"
#include "environment.h"
#include "web/color.h"

namespace latchkey::app {

inline constexpr std::size_t k_min_secret = 32;

class Variables {
 public:
  Variables(const Environment& environment, Problems& problems)
      : environment_(environment), problems_(problems) {}

  void problem(std::string text) { problems_.push_back(std::move(text)); }
  std::optional<std::string> raw(std::string_view name) const { return environment_(name); }
  /// Set and not empty.
  std::optional<std::string> text(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  bool flag(std::string_view name, bool otherwise);
  std::int64_t number(std::string_view name, std::int64_t otherwise, std::int64_t low, std::int64_t high);
  std::optional<std::string> url(std::string_view name);
  /// What a page may link to or show: a scheme such as javascript: would run in it.
  std::optional<std::string> web_url(std::string_view name);
  std::optional<web::Color> color(std::string_view name);
  /// Separated by commas, and spaces around them.
  std::vector<std::string> list(std::string_view name) const;
  /// A secret that was set must be a good one; one that was not is std::nullopt.
  std::optional<Secret<std::string>> secret(std::string_view name, std::size_t min_length);
  log::Level log_level();

 private:
  const Environment& environment_;
  Problems& problems_;
};

/// What documentation and tutorials print, and what people type when a program asks for a secret.
bool is_well_known(std::string_view value);
/// "" when it cannot be read.
std::string file_text(const std::string& path);

}  // namespace latchkey::app

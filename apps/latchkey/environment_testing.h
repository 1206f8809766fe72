#pragma once
// An environment that a test wrote down.

#include <functional>
#include <map>
#include <string>

#include "environment.h"

namespace latchkey::app {

struct TestEnvironment : std::map<std::string, std::string, std::less<>> {
  using map::map;
  using map::operator=;

  /// Both see what is written later, and do not outlive it.
  Environment variables() const {
    return [this](std::string_view name) -> std::optional<std::string> {
      const auto at = find(name);
      return at == end() ? std::nullopt : std::optional(at->second);
    };
  }
  EnvironmentNames names() const {
    return [this](std::string_view prefix) {
      std::vector<std::string> out;
      for (const auto& [name, value] : *this)
        if (name.starts_with(prefix)) out.push_back(name);
      return out;
    };
  }
};

/// The variables the problems begin with, each with a space after it.
inline std::string variables_of(const Problems& problems) {
  std::string out;
  for (const auto& p : problems) out += p.substr(0, p.find_first_of(" :")) + " ";
  return out;
}

}  // namespace latchkey::app

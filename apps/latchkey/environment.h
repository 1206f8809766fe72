#pragma once
// The environment of the process, as a function: tests hand in a map.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey::app {

/// std::nullopt: not set. An empty value is set, and empty.
using Environment = std::function<std::optional<std::string>(std::string_view)>;
/// The names that are set and begin so, for variables whose name holds a name of the operator's choice.
using EnvironmentNames = std::function<std::vector<std::string>(std::string_view prefix)>;

/// What the operator has to mend: one sentence each, beginning with the variable.
using Problems = std::vector<std::string>;

}  // namespace latchkey::app

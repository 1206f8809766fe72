#pragma once
#include <string>
#include <string_view>

namespace latchkey::signin {

/// A User-Agent in plain words, "Firefox on Linux"; of what it says nothing else is kept.
std::string agent_words(std::string_view user_agent);

}  // namespace latchkey::signin

#pragma once
#include <string>
#include <string_view>

#include "signin/reader.h"

namespace latchkey::signin {

/// A User-Agent in plain words, "Firefox on Linux"; of what it says nothing else is kept.
std::string agent_words(std::string_view user_agent);
/// The same in the reader's language, from what agent_words(user_agent) said.
std::string agent_words(const Reader& reader, std::string_view agent);

}  // namespace latchkey::signin

#pragma once
#include <string>
#include <string_view>

namespace latchkey::signin {

/// The declarations of a style attribute that only say how text and boxes look: properties from a list,
/// values of words, numbers, colours and quoted names. No url(), no expression(), no position, nothing
/// escaped.
std::string clean_style(std::string_view declarations);

}  // namespace latchkey::signin

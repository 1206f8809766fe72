#pragma once
#include <string_view>

namespace latchkey::signin {

/// The media type of a raster picture, told by its first bytes: PNG, JPEG, GIF or WebP. "" for anything else;
/// SVG is a document that can hold scripts, and no picture here.
std::string_view raster_type(std::string_view bytes);

}  // namespace latchkey::signin

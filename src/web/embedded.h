#pragma once
// Files that were compiled in (ui/CMakeLists.txt).

#include <span>
#include <string_view>

#include "base/bytes.h"

namespace latchkey::web {

struct EmbeddedFile {
  std::string_view path;  // relative: "authorize.html", "css/app.css"
  BytesView bytes;
  std::string_view origin = {};  // what messages call it; "" : its path
};

using EmbeddedFiles = std::span<const EmbeddedFile>;

}  // namespace latchkey::web

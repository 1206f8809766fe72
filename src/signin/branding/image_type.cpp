#include "signin/branding/image_type.h"

namespace latchkey::signin {

using namespace std::string_view_literals;

// https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
std::string_view raster_type(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) return "image/png";
  if (bytes.starts_with("\xff\xd8\xff"sv)) return "image/jpeg";
  if (bytes.starts_with("GIF87a"sv) || bytes.starts_with("GIF89a"sv)) return "image/gif";
  if (bytes.starts_with("RIFF"sv) && bytes.size() >= 14 && bytes.substr(8, 6) == "WEBPVP"sv)
    return "image/webp";
  return {};
}

}  // namespace latchkey::signin

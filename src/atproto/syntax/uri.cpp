#include "atproto/syntax/uri.h"

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

Result<Uri, SyntaxError> Uri::parse(std::string_view text) {
  if (text.size() > 8192) return fail(SyntaxError{"URI is too long"});
  const auto colon = text.find(':');
  // RFC 3986 §3.1
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front()) ||
      !all(text.substr(0, colon), [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; }))
    return fail(SyntaxError{"URI has no scheme"});
  const auto rest = text.substr(colon + 1);
  if (rest.empty() || rest == "//") return fail(SyntaxError{"URI has nothing after its scheme"});
  if (!all(rest, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; }))
    return fail(SyntaxError{"URI has white space or a control character"});
  return Uri(std::string(text));
}

std::string_view Uri::scheme() const { return std::string_view(text_).substr(0, text_.find(':')); }

}  // namespace latchkey

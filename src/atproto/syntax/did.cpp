#include "atproto/syntax/did.h"

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

Result<Did, SyntaxError> Did::parse(std::string_view text) {
  if (text.size() > 2048) return fail(SyntaxError{"DID is too long"});
  if (!text.starts_with("did:")) return fail(SyntaxError{"DID does not begin with \"did:\""});
  const auto colon = text.find(':', 4);
  if (colon == std::string_view::npos || colon == 4 || !all(text.substr(4, colon - 4), is_lower))
    return fail(SyntaxError{"DID method is not lower-case letters"});
  const auto id = text.substr(colon + 1);
  if (id.empty()) return fail(SyntaxError{"DID has no identifier"});
  if (!all(id,
           [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == ':' || c == '%' || c == '-'; }))
    return fail(SyntaxError{"DID has a character that is not allowed"});
  // The spec leaves percent escapes unchecked here, except for one cut off at the end.
  if (id.back() == ':' || id.back() == '%') return fail(SyntaxError{"DID ends in ':' or '%'"});
  return Did(std::string(text));
}

std::string_view Did::method() const {
  const std::string_view text(text_);
  return text.substr(4, text.find(':', 4) - 4);
}

std::string_view Did::identifier() const {
  const std::string_view text(text_);
  return text.substr(text.find(':', 4) + 1);
}

}  // namespace latchkey

#include "atproto/syntax/handle.h"

#include <array>

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

Result<Handle, SyntaxError> Handle::parse(std::string_view text) {
  if (text.size() > 253) return fail(SyntaxError{"handle is too long"});
  std::size_t labels = 0;
  std::string_view rest = text, label;
  while (true) {
    const auto dot = rest.find('.');
    label = rest.substr(0, dot);
    if (!is_label(label)) return fail(SyntaxError{"handle has a malformed label"});
    ++labels;
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (labels < 2) return fail(SyntaxError{"handle has fewer than two labels"});
  if (!is_alpha(label.front())) return fail(SyntaxError{"handle's top-level domain begins with a digit"});
  return Handle(lower(text));
}

Handle Handle::invalid() { return Handle("handle.invalid"); }

std::string_view Handle::tld() const { return std::string_view(text_).substr(text_.rfind('.') + 1); }

bool Handle::has_disallowed_tld() const {
  // https://atproto.com/specs/handle#additional-non-syntax-restrictions
  constexpr std::array<std::string_view, 8> k_disallowed = {"alt",     "arpa",  "example",   "internal",
                                                            "invalid", "local", "localhost", "onion"};
  return std::find(k_disallowed.begin(), k_disallowed.end(), tld()) != k_disallowed.end();
}

}  // namespace latchkey

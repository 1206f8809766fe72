#include "atproto/syntax/nsid.h"

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

Result<Nsid, SyntaxError> Nsid::parse(std::string_view text) {
  if (text.size() > 317) return fail(SyntaxError{"NSID is too long"});
  const auto last_dot = text.rfind('.');
  if (last_dot == std::string_view::npos) return fail(SyntaxError{"NSID has fewer than three segments"});
  const auto name = text.substr(last_dot + 1);
  if (name.empty() || name.size() > 63 || !is_alpha(name.front()) || !all(name, is_alnum))
    return fail(SyntaxError{"NSID has a malformed name"});

  std::string_view rest = text.substr(0, last_dot);
  // Interop: the spec's limit of 253 bytes for the authority is not enforced, as the interop files have a
  // valid NSID beyond it. The whole is bounded anyway.
  if (!rest.empty() && !is_alpha(rest.front())) return fail(SyntaxError{"NSID does not begin with a letter"});
  std::size_t labels = 0;
  while (true) {
    const auto dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) return fail(SyntaxError{"NSID has a malformed segment"});
    ++labels;
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (labels < 2) return fail(SyntaxError{"NSID has fewer than three segments"});
  return Nsid(std::string(text));
}

std::string_view Nsid::group() const { return std::string_view(text_).substr(0, text_.rfind('.')); }
std::string_view Nsid::name() const { return std::string_view(text_).substr(text_.rfind('.') + 1); }

std::string Nsid::authority() const {
  std::string out;
  std::string_view rest = group();
  while (true) {
    const auto dot = rest.rfind('.');
    if (dot == std::string_view::npos) break;
    out += lower(rest.substr(dot + 1)) + ".";
    rest = rest.substr(0, dot);
  }
  return out + lower(rest);
}

}  // namespace latchkey

#include "atproto/syntax/cid_syntax.h"

#include "atproto/syntax/chars.h"

namespace latchkey {

using namespace syntax;

Result<CidSyntax, SyntaxError> CidSyntax::parse(std::string_view text) {
  // The alphabets of the usual multibases; eight characters are fewer than any hash needs.
  if (text.size() < 8 || text.size() > 256) return fail(SyntaxError{"CID is not 8 to 256 characters long"});
  if (!all(text, [](char c) { return is_alnum(c) || c == '+' || c == '='; }))
    return fail(SyntaxError{"CID has a character that is not allowed"});
  // Version 0 is a bare base58 SHA-256 multihash: no multibase has the prefix Q.
  if (text.starts_with("Qm")) return fail(SyntaxError{"CID is of version 0"});
  return CidSyntax(std::string(text));
}

}  // namespace latchkey

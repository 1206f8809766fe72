#include "atproto/syntax/record_key.h"

#include "atproto/syntax/chars.h"
#include "atproto/syntax/tid.h"

namespace latchkey {

using namespace syntax;

RecordKey::RecordKey(const Tid& tid) : text_(tid.str()) {}

Result<RecordKey, SyntaxError> RecordKey::parse(std::string_view text) {
  if (text.empty() || text.size() > 512)
    return fail(SyntaxError{"record key is not 1 to 512 characters long"});
  if (text == "." || text == "..") return fail(SyntaxError{"record key is '.' or '..'"});
  if (!all(text,
           [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '~'; }))
    return fail(SyntaxError{"record key has a character that is not allowed"});
  return RecordKey(std::string(text));
}

}  // namespace latchkey

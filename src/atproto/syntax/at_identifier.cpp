#include "atproto/syntax/at_identifier.h"

namespace latchkey {

Result<AtIdentifier, SyntaxError> AtIdentifier::parse(std::string_view text) {
  if (text.starts_with("did:")) {
    TRY(auto did, Did::parse(text));
    return AtIdentifier(std::move(did));
  }
  TRY(auto handle, Handle::parse(text));
  return AtIdentifier(std::move(handle));
}

const std::string& AtIdentifier::str() const {
  return std::visit([](const auto& id) -> const std::string& { return id.str(); }, v_);
}

}  // namespace latchkey

#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"

namespace latchkey {

/// A DID or a handle; never ambiguous, since handles hold no colon.
/// Source: https://atproto.com/specs/lexicon#at-identifier
class AtIdentifier {
 public:
  AtIdentifier(Did did) : v_(std::move(did)) {}
  AtIdentifier(Handle handle) : v_(std::move(handle)) {}
  static Result<AtIdentifier, SyntaxError> parse(std::string_view text);

  const std::string& str() const;
  const Did* did() const { return std::get_if<Did>(&v_); }
  const Handle* handle() const { return std::get_if<Handle>(&v_); }
  auto operator<=>(const AtIdentifier&) const = default;

 private:
  std::variant<Did, Handle> v_;
};

}  // namespace latchkey

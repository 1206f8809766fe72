#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "atproto/syntax/at_identifier.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"

namespace latchkey {

/// at://authority[/collection[/rkey]], the restricted form records and APIs use: no query, no fragment, no
/// trailing slash. A handle in the authority is lower-cased. Source: https://atproto.com/specs/at-uri-scheme
class AtUri {
 public:
  AtUri(AtIdentifier authority, Nsid collection, RecordKey rkey);
  explicit AtUri(AtIdentifier authority);
  static Result<AtUri, SyntaxError> parse(std::string_view text);

  const std::string& str() const { return text_; }
  const AtIdentifier& authority() const { return authority_; }
  const std::optional<Nsid>& collection() const { return collection_; }
  const std::optional<RecordKey>& rkey() const { return rkey_; }
  bool operator==(const AtUri& other) const { return text_ == other.text_; }
  auto operator<=>(const AtUri& other) const { return text_ <=> other.text_; }

 private:
  AtUri(AtIdentifier authority, std::optional<Nsid> collection, std::optional<RecordKey> rkey);
  AtIdentifier authority_;
  std::optional<Nsid> collection_;
  std::optional<RecordKey> rkey_;
  std::string text_;
};

}  // namespace latchkey

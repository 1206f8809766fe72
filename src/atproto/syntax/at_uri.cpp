#include "atproto/syntax/at_uri.h"

namespace latchkey {

AtUri::AtUri(AtIdentifier authority, std::optional<Nsid> collection, std::optional<RecordKey> rkey)
    : authority_(std::move(authority)), collection_(std::move(collection)), rkey_(std::move(rkey)) {
  text_ = "at://" + authority_.str();
  if (collection_) text_ += "/" + collection_->str();
  if (rkey_) text_ += "/" + rkey_->str();
}

AtUri::AtUri(AtIdentifier authority, Nsid collection, RecordKey rkey)
    : AtUri(std::move(authority), std::optional(std::move(collection)), std::optional(std::move(rkey))) {}

AtUri::AtUri(AtIdentifier authority) : AtUri(std::move(authority), std::nullopt, std::nullopt) {}

Result<AtUri, SyntaxError> AtUri::parse(std::string_view text) {
  if (text.size() > 8192) return fail(SyntaxError{"AT URI is too long"});
  if (!text.starts_with("at://")) return fail(SyntaxError{"AT URI does not begin with \"at://\""});
  std::string_view rest = text.substr(5);
  auto slash = rest.find('/');
  TRY(auto authority, AtIdentifier::parse(rest.substr(0, slash)));
  if (slash == std::string_view::npos) return AtUri(std::move(authority));

  rest.remove_prefix(slash + 1);
  slash = rest.find('/');
  TRY(auto collection, Nsid::parse(rest.substr(0, slash)));
  if (slash == std::string_view::npos)
    return AtUri(std::move(authority), std::move(collection), std::nullopt);

  // A further slash, a query or a fragment would be a character no record key has.
  TRY(auto rkey, RecordKey::parse(rest.substr(slash + 1)));
  return AtUri(std::move(authority), std::move(collection), std::move(rkey));
}

}  // namespace latchkey

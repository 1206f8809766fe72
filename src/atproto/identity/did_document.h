#pragma once
// What atproto reads from a DID document. Source: https://atproto.com/specs/did#did-documents

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "base/result.h"
#include "crypto/key.h"

namespace latchkey::identity {

struct DocumentError {
  std::string message;
};

/// A document longer than this is refused.
inline constexpr std::size_t k_max_document_bytes = 64 * 1024;
/// Entries read from each of alsoKnownAs, verificationMethod and service; more make the document invalid.
inline constexpr std::size_t k_max_document_entries = 64;

struct DidDocument {
  struct Key {
    std::string id;  // the fragment without '#': "atproto"
    crypto::PublicKey key;
  };
  struct Service {
    std::string id;  // the fragment without '#': "atproto_pds"
    std::string type;
    std::string endpoint;
  };

  Did id;
  std::vector<std::string> also_known_as;
  std::vector<Key> keys;          // the ones atproto can use: Multikey and the two legacy types
  std::vector<Service> services;  // with a string endpoint

  /// The first valid at:// handle claimed. Only a claim: see Resolver::identify.
  std::optional<Handle> handle() const;
  /// The repository signing key: the first valid key with the fragment "atproto".
  std::optional<crypto::PublicKey> signing_key() const;
  /// Origin of the account's PDS (scheme, host, port; no path).
  std::optional<std::string> pds() const;
  /// Endpoint of the first service with this fragment; `type` empty means any.
  std::optional<std::string> service(std::string_view fragment, std::string_view type = {}) const;
  std::optional<crypto::PublicKey> key(std::string_view fragment) const;

  /// Entries atproto does not know are skipped; a document for another DID, or one that is not shaped like a
  /// DID document, is refused.
  static Result<DidDocument, DocumentError> parse(const Did& expected, std::string_view json);
};

}  // namespace latchkey::identity

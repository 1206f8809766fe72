#pragma once
// What is asked of a blob: by the records that refer to it, and of the type it says it has.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cbor/json.h"
#include "atproto/xrpc/error.h"
#include "base/bytes.h"
#include "base/result.h"
#include "pds/blobs.h"

namespace latchkey::pds {

/// The `accept` and `maxSize` a lexicon has for a blob.
struct BlobLimit {
  std::span<const std::string_view> accept;  // "image/*", "image/png"
  std::int64_t max_size;
};

/// A blob reference in a record.
struct BlobUse {
  cbor::BlobRef ref;
  const BlobLimit* limit = nullptr;  // null: no lexicon that is known here says anything
};

/// Every blob reference in the record, with the limits of the lexicons that are known.
std::vector<BlobUse> blobs_used(const cbor::Value& record);

/// Errors: BlobNotFound, BlobTooLarge, InvalidMimeType, InvalidRequest (another size than the blob has).
Result<void, xrpc::Fault> check_use(const BlobUse& use, const std::optional<Blob>& blob);

/// A media type in lower case without parameters: type/subtype of RFC 6838 §4.2, no wildcards.
bool is_media_type(std::string_view text);

/// How many bytes sniffed_type() looks at.
inline constexpr std::size_t k_sniffed_bytes = 64;
/// The type of common pictures and videos, by their first bytes: what was declared gives way to it. Nothing
/// is parsed: https://atproto.com/specs/blob#security-considerations.
std::optional<std::string_view> sniffed_type(BytesView head, std::string_view declared);

}  // namespace latchkey::pds

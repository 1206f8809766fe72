#pragma once
// The JSON form of the data model: links are {"$link": "bafy…"}, bytes {"$bytes": "base64"}.
// Source: https://atproto.com/specs/data-model#json-representation

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cbor/cbor.h"
#include "atproto/cbor/value.h"
#include "base/json.h"
#include "base/result.h"

namespace latchkey::cbor {

struct DataError {
  std::string path;     // "embed/images/0"; "" is the top
  std::string message;  // "float", "$link is no CID of ours", …
  std::string str() const { return path.empty() ? message : path + ": " + message; }
};

/// Refuses what the data model has no place for: numbers with a fraction or beyond ±(2^53-1), malformed
/// $link, $bytes, $type and blob objects, empty keys, and what exceeds depth, container or key of `limits`.
/// `limits.size` belongs to the CBOR form: compare it with encode()'s result. A number written as 123.0 is
/// the integer 123.
Result<Value, DataError> from_json(const json::Value& value, const Limits& limits = {});
/// The same for a record, which must be an object (and no link or bytes).
Result<Map, DataError> record_from_json(const json::Value& value, const Limits& limits = {});

json::Value to_json(const Value& value);

/// Appends the JSON form of a block, with every check decode makes. On an error `out` is as before.
Result<void, CborError> write_json(BytesView block, std::string& out, const Limits& limits = {});

/// A reference to a file: {"$type": "blob", "ref": link, "mimeType": string, "size": integer}.
struct BlobRef {
  Cid ref;
  std::string mime_type;
  std::int64_t size;
  Value to_value() const;
  bool operator==(const BlobRef&) const = default;
};
/// The value as a blob reference, of any size: records of strangers have 0 and -1 there. std::nullopt when it
/// is none.
std::optional<BlobRef> as_blob(const Value& value);
/// The old form {"cid": string, "mimeType": string} with no other key: must not be written any more.
bool is_legacy_blob(const Value& value);

struct BlobsOf {
  std::vector<BlobRef> refs;  // in order, with repetitions
  bool has_legacy = false;
};
/// All blob references at any depth.
BlobsOf find_blobs(const Value& value);

}  // namespace latchkey::cbor

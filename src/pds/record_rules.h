#pragma once
// What a record must satisfy whatever its lexicon says.

#include "atproto/cid/cid.h"
#include "atproto/syntax/nsid.h"
#include "atproto/xrpc/error.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "pds/blob_rules.h"

namespace latchkey::pds {

/// The `validate` parameter of the write methods.
enum class Validate { if_known, required, skip };

struct PreparedRecord {
  Bytes block;  // DAG-CBOR
  Cid cid;
  std::vector<BlobUse> blobs = {};  // judged where the blobs are known, in the transaction of the write
};

/// `$type` must equal the collection and is set when absent; no legacy blob references.
Result<PreparedRecord, xrpc::Fault> prepare_record(const Nsid& collection, const json::Value& record,
                                                   Validate validate);

}  // namespace latchkey::pds

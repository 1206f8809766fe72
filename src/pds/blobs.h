#pragma once
// Blobs of accounts as rows, and which records refer to them. Source: https://atproto.com/specs/blob.
// Statements: blobs_sql.cpp.
//
// A blob is temporary until a record refers to it, and goes when the last record that did is gone. Each
// account has its own, also of the same content.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atproto/cid/cid.h"
#include "base/time.h"
#include "pds/blob_store.h"
#include "store/database.h"

namespace latchkey::pds {

struct Blob {
  Cid cid;
  Tid upload;
  std::string mime_type;
  std::int64_t size;
  std::optional<Time> temporary_since = std::nullopt;
  BlobKey key(std::int64_t account_id) const { return {account_id, cid, upload}; }
};

namespace blobs {

std::optional<Blob> get(store::Tx&, std::int64_t account_id, const Cid&);
/// The same, when a record refers to it: everybody may read it.
std::optional<Blob> get_referenced(store::Tx&, std::int64_t account_id, const Cid&);

struct Stored {
  Blob blob;                      // as it is known from now on
  std::optional<BlobKey> unused;  // a file nobody knows of any more: that of the upload, or the one before
};
/// Of an upload that is in the store. One that is there and referred to stays as it is. An account that is
/// gone gets none, std::nullopt.
std::optional<Stored> put(store::Tx&, std::int64_t account_id, Blob upload, Time now);
std::int64_t count_temporary(store::Tx&, std::int64_t account_id);
/// At most `limit` that became temporary at or before that. Their rows are gone now.
std::vector<BlobKey> take_expired(store::Tx&, Time until, std::int64_t limit);

/// From now on the record refers to this blob, whether it is here or not. One that is here is temporary no
/// longer.
void add_reference(store::Tx&, std::int64_t account_id, const std::string& path, const std::string& rev,
                   const Cid&);
/// The record is gone, or about to refer to others. What it referred to.
std::vector<Cid> drop_references(store::Tx&, std::int64_t account_id, const std::string& path);
/// Removes the row when no record refers to it any more.
std::optional<BlobKey> release(store::Tx&, std::int64_t account_id, const Cid&);
/// Everything of the account.
std::vector<BlobKey> remove_all(store::Tx&, std::int64_t account_id);

/// What is referred to and here, ordered by CID, beyond `cursor`; `since`: by records written after that
/// revision.
std::vector<Blob> list(store::Tx&, std::int64_t account_id, const std::optional<std::string>& since,
                       const std::optional<Cid>& cursor, std::int64_t limit);

struct Missing {
  Cid cid;
  std::string path;  // of one record that refers to it
};
std::vector<Missing> missing(store::Tx&, std::int64_t account_id, const std::optional<Cid>& cursor,
                             std::int64_t limit);

struct Counts {
  std::int64_t expected;  // referred to
  std::int64_t here;
};
Counts count(store::Tx&, std::int64_t account_id);

/// Those of the keys that no row knows. All are of one account.
std::vector<BlobKey> unknown(store::Tx&, std::vector<BlobKey> keys);

}  // namespace blobs
}  // namespace latchkey::pds

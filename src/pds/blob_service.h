#pragma once
// Taking blobs in, handing them out and letting them go: the rows of blobs.h together with the bytes of
// blob_store.h.
//
// The file is there before its row, and goes after it: a crash between the two leaves a file that no row
// knows, which sweep() finds.

#include <chrono>
#include <memory>
#include <vector>

#include "atproto/syntax/tid.h"
#include "atproto/xrpc/error.h"
#include "base/task.h"
#include "pds/accounts.h"
#include "pds/blobs.h"
#include "pds/config.h"
#include "pds/shared.h"
#include "web/http.h"

namespace latchkey::pds {

/// Bytes that have arrived and are not kept yet.
struct ReceivedBlob {
  std::unique_ptr<BlobWriter> writer;
  Tid upload;
  Cid cid;
  std::int64_t size;
  Bytes head;  // the first k_sniffed_bytes
};

class BlobService {
 public:
  /// How long an upload may wait for a record that refers to it.
  static constexpr std::chrono::hours k_temporary_lifetime{24};
  /// How many of an account may wait.
  static constexpr std::int64_t k_max_temporary = 1000;
  /// Other processes may be at work on uploads that began later than this long ago.
  static constexpr std::chrono::hours k_longest_upload{1};

  BlobService(Shared shared, const Config& config, BlobStore& store);

  /// Reads the body to its end. Errors: RateLimitExceeded, PayloadTooLarge, InvalidRequest (nothing came, or
  /// not all of it).
  Task<Result<ReceivedBlob, xrpc::Fault>> receive(Account account, web::BodyReader body);
  /// It is the account's from now on, and on disk. Errors: RateLimitExceeded, AccountNotFound.
  Task<Result<Blob, xrpc::Fault>> keep(Account account, ReceivedBlob received, std::string mime_type);

  /// nullptr when its bytes are not there, or not all of them.
  Task<std::shared_ptr<BlobReader>> open(Account account, Blob blob);
  /// Files whose rows are gone. Never fails: what stays is found by sweep().
  Task<void> remove_files(std::vector<BlobKey> keys);

  /// Drops what has been temporary for too long.
  Task<void> expire();
  /// Removes the files a crash has left: those no row knows. Once, at the start.
  Task<void> sweep();

 private:
  Shared shared_;
  const Config& config_;
  BlobStore& store_;
  TidClock uploads_;
};

}  // namespace latchkey::pds

#pragma once
// Where the bytes of blobs are. What they are and whose, is known to the database (blobs.h).

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/syntax/tid.h"
#include "base/bytes.h"
#include "base/executor.h"
#include "base/task.h"

namespace latchkey::pds {

/// One upload. The same content uploaded again has another key, so that the late removal of one never takes
/// the other away. Nothing a stranger chooses is in it but the content.
struct BlobKey {
  std::int64_t account_id;
  Cid cid;
  Tid upload;  // when it began
  auto operator<=>(const BlobKey&) const = default;
};

/// An upload under way. What was not kept goes with it.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Task<void> write(Bytes piece) = 0;
  /// Under this name from now on, and on disk when it resumes.
  virtual Task<void> keep(Cid cid) = 0;
};

class BlobReader {
 public:
  virtual ~BlobReader() = default;
  virtual std::uint64_t size() const = 0;
  /// Goes on from there.
  virtual void seek(std::uint64_t position) = 0;
  /// At most `most` bytes; std::nullopt at the end.
  virtual Task<std::optional<Bytes>> read(std::size_t most) = 0;
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;
  virtual Task<std::unique_ptr<BlobWriter>> create(std::int64_t account_id, Tid upload) = 0;
  /// nullptr when it is not there. Removing it does not disturb who reads it.
  virtual Task<std::shared_ptr<BlobReader>> open(BlobKey key) = 0;
  /// What is not there is no error.
  virtual Task<void> remove(std::vector<BlobKey> keys) = 0;

  // For the search for what a crash has left.
  virtual Task<std::vector<std::int64_t>> accounts() = 0;
  virtual Task<std::vector<BlobKey>> list(std::int64_t account_id) = 0;
  /// Uploads that began before that and were never kept.
  virtual Task<void> remove_unfinished(Tid before) = 0;
};

/// <root>/<account>/<cid>-<upload>, by way of <root>/unfinished/<upload>. The folders are made when they are
/// first needed.
class DiskBlobStore final : public BlobStore {
 public:
  /// `pool`: for what waits for the disk.
  DiskBlobStore(std::string root, ThreadPool& pool) : root_(std::move(root)), pool_(pool) {}
  Task<std::unique_ptr<BlobWriter>> create(std::int64_t account_id, Tid upload) override;
  Task<std::shared_ptr<BlobReader>> open(BlobKey key) override;
  Task<void> remove(std::vector<BlobKey> keys) override;
  Task<std::vector<std::int64_t>> accounts() override;
  Task<std::vector<BlobKey>> list(std::int64_t account_id) override;
  Task<void> remove_unfinished(Tid before) override;

 private:
  const std::string root_;
  ThreadPool& pool_;
};

}  // namespace latchkey::pds

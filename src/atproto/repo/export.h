#pragma once
// CAR files of a repository: the whole of it as a stream, the proof of one record, and the check of a whole
// CAR. Source: https://atproto.com/specs/repository#car-file-serialization

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/mst/tree.h"
#include "atproto/repo/commit.h"
#include "base/bytes.h"

namespace latchkey::repo {

/// com.atproto.sync.getRepo: header, commit, then the tree in pre-order with each record where its key
/// stands, so that a reader can verify while it reads. Holds one path of the tree and one chunk.
class Exporter {
 public:
  /// The block of a record, appended to `out`; false when it is not there, which ends the export.
  using Record = std::function<bool(std::string_view path, const Cid& cid, Bytes& out)>;

  Exporter(const Cid& commit, Bytes commit_block, mst::Tree tree, Record record);

  /// Appends at least `chunk` bytes to `out`, less only at the end. done() tells the end, failed() a record
  /// that was not found.
  void read(Bytes& out, std::size_t chunk = 64 * 1024);
  bool done() const { return done_; }
  bool failed() const { return failed_; }

 private:
  Cid commit_;
  Bytes commit_block_;
  mst::Walker walker_;
  Record record_;
  Bytes record_block_;
  bool started_ = false, done_ = false, failed_ = false;
};

/// com.atproto.sync.getRecord: commit, path to the record, the record; without `record` the proof of absence.
Bytes proof_car(const Cid& commit, BytesView commit_block, const mst::Tree& tree, std::string_view path,
                std::optional<BytesView> record);

struct VerifyError {
  std::string message;
};

/// What proof_car proves: the record at the path, or that there is none.
struct Proven {
  Commit commit;
  std::optional<mst::Block> record;
};

/// A proof is the path of one key, so few blocks and no large ones beside the record.
inline constexpr std::size_t k_max_proof_bytes = 2 << 20;
inline constexpr std::size_t k_max_proof_blocks = 512;

/// Reads what com.atproto.sync.getRecord answers: one root, a commit of `did` signed by `key`, and the nodes
/// from its tree's root to where `path` is or would be. More blocks are allowed and ignored.
Result<Proven, VerifyError> verify_proof_car(BytesView car, const Did& did, const crypto::PublicKey& key,
                                             std::string_view path);

struct Verified {
  Commit commit;
  Cid head;
  mst::Tree tree;
  std::vector<std::pair<Cid, Bytes>> blocks;  // all of the file, as read
};

enum class Records { required, optional };

/// Reads a whole CAR in memory: one root, a commit of `did` signed by `key`, a sound and complete tree, and
/// every record there as canonical DAG-CBOR (Records::required).
Result<Verified, VerifyError> verify_car(BytesView car, const Did& did, const crypto::PublicKey& key,
                                         Records records = Records::required);

}  // namespace latchkey::repo

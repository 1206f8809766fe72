#pragma once
// Writes to a repository as a pure function: the state before, what to write, a revision and the signing key
// in; the commit and everything a #commit event needs out. Storing it is the caller's.
// Sources: https://atproto.com/specs/repository, https://atproto.com/specs/sync#commit-events

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/mst/tree.h"
#include "atproto/repo/commit.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"
#include "atproto/syntax/tid.h"

namespace latchkey::repo {

// "The blocks field has a hard size limit of 2 million bytes, individual record blocks ... of one million
// bytes, at most 200 record operations."
inline constexpr std::size_t k_max_ops = 200;
inline constexpr std::size_t k_max_blocks_bytes = 2'000'000;
inline constexpr std::size_t k_max_record_bytes = 1'000'000;

struct Error {
  enum class Code {
    record_exists,     // create of a path that is there
    record_not_found,  // update or delete of a path that is not
    too_many_ops,      // more than k_max_ops writes
    record_too_large,  // more than k_max_record_bytes
    commit_too_large,  // the CAR of the event would exceed k_max_blocks_bytes
    bad_record,        // no canonical DAG-CBOR map
    bad_rev,           // the last revision is the last there can be
    tree_too_dense,    // a node would exceed mst::k_max_node_entries: mined keys
  };
  Code code;
  std::string detail;
};

enum class Action { create, update, remove };
std::string_view wire(Action action);  // "create", "update", "delete"

struct Write {
  Action action;
  Nsid collection;
  RecordKey rkey;
  Bytes record = {};  // canonical DAG-CBOR; not used for remove
  std::string path() const { return collection.str() + "/" + rkey.str(); }
};

/// Where a repository stands. A new repository has neither rev nor head.
struct State {
  Did did;
  mst::Tree tree;
  std::optional<Tid> rev = std::nullopt;
  std::optional<Cid> head = std::nullopt;
};

/// One entry of `ops` in a #commit event.
struct Op {
  Action action;
  std::string path;
  std::optional<Cid> cid;   // the record now; null after remove
  std::optional<Cid> prev;  // the record before; absent for create
  bool operator==(const Op&) const = default;
};

/// Field names are those of the #commit event where it has them.
struct CommitResult {
  Cid commit;  // CID of the commit block
  Bytes block;
  Tid rev;
  std::optional<Tid> since;
  Cid data;
  std::optional<Cid> prev_data;  // nullopt for the first commit
  /// Net effect by path, in the order of the first write to it: a path created and removed in one go leaves
  /// nothing, so that inverting `ops` leads from `data` to `prev_data`.
  std::vector<Op> ops;
  /// What `blocks` of the event holds: the commit, the tree's changed nodes, the nodes needed to invert
  /// `ops`, the records created or updated. Each once.
  std::vector<mst::Block> blocks;
  mst::Tree tree;

  /// The CAR of the event, the commit as its root.
  Bytes car() const;
  State state(const Did& did) const { return {did, tree, rev, commit}; }
};

/// `rev` is raised just above the last revision when the clock has fallen behind it. No writes make an empty
/// commit, as creating an account or rotating its signing key does.
Result<CommitResult, Error> apply(const State& state, std::span<const Write> writes, const Tid& rev,
                                  const crypto::PrivateKey& key);

}  // namespace latchkey::repo

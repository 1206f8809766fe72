#pragma once
// The newest signed commit of each repository. Statements: repo_heads_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>

#include "atproto/cid/cid.h"
#include "base/bytes.h"
#include "store/database.h"

namespace latchkey::pds {

struct RepoHead {
  std::string rev;
  Cid commit;
  Cid data;     // root of the Merkle tree
  Bytes block;  // the commit, DAG-CBOR
};

namespace repo_heads {

std::optional<RepoHead> get(store::Tx&, std::int64_t account_id);
void insert(store::Tx&, std::int64_t account_id, const RepoHead&);

enum class Advance {
  done,
  moved,     // somebody else's commit is the head now
  inactive,  // the account is deactivated, taken down or gone: no new commits
};
/// The compare-and-swap all commits pass: two writers that build on the same commit never both succeed.
Advance advance(store::Tx&, std::int64_t account_id, const Cid& from, const RepoHead& to);
void remove(store::Tx&, std::int64_t account_id);
/// Until this transaction ends no other one advances the head. For events that must stand in order with those
/// of commits (see events.h).
void lock(store::Tx&, std::int64_t account_id);

}  // namespace repo_heads
}  // namespace latchkey::pds

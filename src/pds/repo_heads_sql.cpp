#include "pds/repo_heads.h"

namespace latchkey::pds::repo_heads {
namespace {

using store::Sql;

constexpr Sql k_get{"SELECT rev, commit_cid, data, commit_block FROM repo_head WHERE account_id = ?1"};
constexpr Sql k_insert{
    "INSERT INTO repo_head (account_id, rev, commit_cid, data, commit_block) VALUES (?1, ?2, ?3, ?4, ?5)"};
// One statement, so that the account's status and the head are judged at the same instant.
constexpr Sql k_advance{
    "UPDATE repo_head SET rev = ?3, commit_cid = ?4, data = ?5, commit_block = ?6 "
    "WHERE account_id = ?1 AND commit_cid = ?2 AND EXISTS (SELECT 1 FROM account WHERE id = ?1 "
    "AND activated_at IS NOT NULL AND deactivated_at IS NULL AND takedown_ref IS NULL)"};
constexpr Sql k_commit_is{"SELECT 1 FROM repo_head WHERE account_id = ?1 AND commit_cid = ?2"};
constexpr Sql k_lock{"UPDATE repo_head SET rev = rev WHERE account_id = ?1"};
constexpr Sql k_remove{"DELETE FROM repo_head WHERE account_id = ?1"};

}  // namespace

std::optional<RepoHead> get(store::Tx& tx, std::int64_t account_id) {
  auto row = tx.one(k_get, account_id);
  if (!row) return std::nullopt;
  return RepoHead{.rev = row->take_text(0),
                  .commit = Cid::from_bytes(row->blob(1)).value(),
                  .data = Cid::from_bytes(row->blob(2)).value(),
                  .block = row->take_blob(3)};
}

void insert(store::Tx& tx, std::int64_t account_id, const RepoHead& head) {
  tx.exec(k_insert, account_id, head.rev, head.commit.bytes(), head.data.bytes(), head.block);
}

Advance advance(store::Tx& tx, std::int64_t account_id, const Cid& from, const RepoHead& to) {
  if (tx.exec(k_advance, account_id, from.bytes(), to.rev, to.commit.bytes(), to.data.bytes(), to.block) == 1)
    return Advance::done;
  return tx.one(k_commit_is, account_id, from.bytes()) ? Advance::inactive : Advance::moved;
}

void remove(store::Tx& tx, std::int64_t account_id) { tx.exec(k_remove, account_id); }

void lock(store::Tx& tx, std::int64_t account_id) { tx.exec(k_lock, account_id); }

}  // namespace latchkey::pds::repo_heads

// Every statement on oauth_permission_set.

#include "oauth/server/permission_sets.h"

namespace latchkey::oauth {
namespace {

using store::Sql;

constexpr Sql k_find{
    "SELECT document, fetched_at, last_tried_at, failure, used_at FROM oauth_permission_set "
    "WHERE nsid = ?1"};
constexpr Sql k_store{
    "INSERT INTO oauth_permission_set (nsid, document, cid, did, fetched_at, last_tried_at, used_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5) "
    "ON CONFLICT (nsid) DO UPDATE SET document = excluded.document, cid = excluded.cid, did = excluded.did, "
    "fetched_at = excluded.fetched_at, last_tried_at = excluded.last_tried_at, failure = NULL, "
    "used_at = excluded.used_at"};
// The document stays: it is what a failed refresh falls back on.
constexpr Sql k_note_failure{
    "INSERT INTO oauth_permission_set (nsid, last_tried_at, failure, used_at) VALUES (?1, ?3, ?2, ?3) "
    "ON CONFLICT (nsid) DO UPDATE SET last_tried_at = excluded.last_tried_at, failure = excluded.failure"};
constexpr Sql k_note_use{"UPDATE oauth_permission_set SET used_at = ?2 WHERE nsid = ?1"};
constexpr Sql k_clean_failures{
    "DELETE FROM oauth_permission_set WHERE document IS NULL AND last_tried_at <= ?1"};
constexpr Sql k_clean_unused{"DELETE FROM oauth_permission_set WHERE used_at <= ?1"};
constexpr Sql k_clean_surplus{
    "DELETE FROM oauth_permission_set WHERE nsid IN "
    "(SELECT nsid FROM oauth_permission_set ORDER BY used_at DESC, nsid LIMIT 1000000 OFFSET ?1)"};

}  // namespace

namespace stored_sets {

std::optional<StoredSet> find(store::Tx& tx, std::string_view nsid) {
  auto row = tx.one(k_find, nsid);
  if (!row) return std::nullopt;
  return StoredSet{.document = row->opt_text(0),
                   .fetched_at = row->opt_time(1).value_or(Time()),
                   .last_tried_at = row->time(2),
                   .failed = !row->is_null(3),
                   .used_at = row->time(4)};
}

void store(store::Tx& tx, const lexicon::Resolved& set, std::string_view document, Time now) {
  tx.exec(k_store, set.nsid.str(), document, set.cid.str(), set.did.str(), now);
}

void note_failure(store::Tx& tx, std::string_view nsid, std::string_view why, Time now) {
  tx.exec(k_note_failure, nsid, why, now);
}

void note_use(store::Tx& tx, std::string_view nsid, Time now) { tx.exec(k_note_use, nsid, now); }

std::int64_t clean(store::Tx& tx, Time now) {
  return tx.exec(k_clean_failures, now - k_set_failure_memory) +
         tx.exec(k_clean_unused, now - k_set_forget_after) + tx.exec(k_clean_surplus, k_max_stored_sets);
}

}  // namespace stored_sets
}  // namespace latchkey::oauth

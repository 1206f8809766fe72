#include "mail/queue_rows.h"

namespace latchkey::mail::rows {
namespace {
using store::Sql;
constexpr Sql k_count{"SELECT COUNT(*) FROM mail_queue"};
constexpr Sql k_count_to{"SELECT COUNT(*) FROM (SELECT 1 FROM mail_queue LIMIT ?1) AS counted"};
constexpr Sql k_insert{
    "INSERT INTO mail_queue (id, sealed, attempts, due_at, lease) VALUES (?1, ?2, ?3, ?4, ?5)"};
constexpr Sql k_claim{
    "UPDATE mail_queue SET attempts = attempts + 1, due_at = ?2, lease = ?3 WHERE id = "
    "(SELECT id FROM mail_queue WHERE due_at <= ?1 ORDER BY due_at, id LIMIT 1) "
    "RETURNING id, sealed, attempts"};
constexpr Sql k_take_over{"UPDATE mail_queue SET due_at = ?2, lease = NULL WHERE lease <> ?1"};
constexpr Sql k_remove{"DELETE FROM mail_queue WHERE id = ?1 AND lease = ?2"};
constexpr Sql k_retry{"UPDATE mail_queue SET due_at = ?3, lease = NULL WHERE id = ?1 AND lease = ?2"};
}  // namespace

bool has_room(store::Tx& tx, std::size_t limit) {
  return tx.one(k_count_to, static_cast<std::int64_t>(limit))->int64(0) < static_cast<std::int64_t>(limit);
}
std::int64_t count(store::Tx& tx) { return tx.one(k_count)->int64(0); }
void insert(store::Tx& tx, const Row& row, Time due, const std::optional<std::string>& lease) {
  tx.exec(k_insert, row.id, row.sealed, row.attempts, due, lease);
}
std::optional<Row> claim(store::Tx& tx, Time now, Time until, std::string_view lease) {
  auto row = tx.one(k_claim, now, until, lease);
  if (!row) return std::nullopt;
  return Row{row->take_text(0), row->take_blob(1), row->int64(2)};
}
void take_over(store::Tx& tx, std::string_view lease, Time now) { tx.exec(k_take_over, lease, now); }
void remove(store::Tx& tx, std::string_view id, std::string_view lease) { tx.exec(k_remove, id, lease); }
void retry_at(store::Tx& tx, std::string_view id, std::string_view lease, Time due) {
  tx.exec(k_retry, id, lease, due);
}

}  // namespace latchkey::mail::rows

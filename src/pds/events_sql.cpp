#include "pds/events.h"

#include <algorithm>

namespace latchkey::pds::events {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

constexpr Sql k_append{
    "INSERT INTO repo_event (account_id, kind, payload, created_at) VALUES (?1, ?2, ?3, ?4)"};
constexpr Sql k_append_pending{
    "INSERT INTO repo_event_pending (account_id, kind, payload, created_at) VALUES (?1, ?2, ?3, ?4)"};
constexpr Sql k_pending{
    "SELECT id, account_id, kind, payload, created_at FROM repo_event_pending ORDER BY id LIMIT ?1"};
constexpr Sql k_remove_pending{"DELETE FROM repo_event_pending WHERE id = ?1"};
constexpr Sql k_after{
    "SELECT seq, account_id, kind, payload, created_at FROM repo_event WHERE seq > ?1 ORDER BY seq LIMIT ?2"};
constexpr Sql k_remove_pending_of{"DELETE FROM repo_event_pending WHERE account_id = ?1"};
constexpr Sql k_note_removal{
    "INSERT INTO event_removal (account_id, next_seq, last_seq) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"};
constexpr Sql k_before_first{"SELECT COALESCE(MIN(seq), 1) - 1 FROM repo_event"};
constexpr Sql k_removal{
    "SELECT account_id, next_seq, last_seq FROM event_removal ORDER BY account_id LIMIT 1"};
constexpr Sql k_remove_events{"DELETE FROM repo_event WHERE seq > ?1 AND seq <= ?2 AND account_id = ?3"};
constexpr Sql k_note_progress{"UPDATE event_removal SET next_seq = ?2 WHERE account_id = ?1"};
constexpr Sql k_removal_done{"DELETE FROM event_removal WHERE account_id = ?1"};
constexpr Sql k_any_removal{"SELECT 1 FROM event_removal LIMIT 1"};
constexpr Sql k_last{"SELECT COALESCE(MAX(seq), 0) FROM repo_event"};

}  // namespace

void append(Tx& tx, store::Engine engine, std::int64_t account_id, EventKind kind, BytesView payload,
            Time now) {
  tx.exec(engine == store::Engine::sqlite ? k_append : k_append_pending, account_id,
          static_cast<std::int64_t>(kind), payload, now);
}

void remove_account(Tx& tx, std::int64_t account_id) {
  tx.exec(k_remove_pending_of, account_id);
  tx.exec(k_note_removal, account_id, tx.one(k_before_first)->int64(0), last_seq(tx));
}

bool sweep(Tx& tx, std::int64_t limit) {
  const auto row = tx.one(k_removal);
  if (!row) return false;
  const std::int64_t account_id = row->int64(0), from = row->int64(1), last = row->int64(2);
  const std::int64_t to = std::min(last, from + limit);
  tx.exec(k_remove_events, from, to, account_id);
  if (to < last) {
    tx.exec(k_note_progress, account_id, to);
    return true;
  }
  tx.exec(k_removal_done, account_id);
  return tx.one(k_any_removal).has_value();
}

std::int64_t number_pending(Tx& tx, std::int64_t limit) {
  auto rows = tx.query(k_pending, limit);
  for (const Row& row : rows) {
    tx.exec(k_append, row.int64(1), row.int64(2), row.blob(3), row.int64(4));
    tx.exec(k_remove_pending, row.int64(0));
  }
  return static_cast<std::int64_t>(rows.size());
}

std::vector<Event> after(Tx& tx, std::int64_t seq, std::int64_t limit) {
  std::vector<Event> out;
  tx.each(
      k_after,
      [&](Row& row) {
        out.push_back({.seq = row.int64(0),
                       .account_id = row.int64(1),
                       .kind = static_cast<EventKind>(row.int64(2)),
                       .payload = row.take_blob(3),
                       .created_at = row.time(4)});
      },
      seq, limit);
  return out;
}

std::int64_t last_seq(Tx& tx) { return tx.one(k_last)->int64(0); }

}  // namespace latchkey::pds::events

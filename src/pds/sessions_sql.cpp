#include <algorithm>

#include "pds/sessions.h"

namespace latchkey::pds::sessions {
namespace {

using store::Sql;
using store::Tx;

constexpr Sql k_insert{
    "INSERT INTO refresh_token (id, account_id, expires_at, next_id, app_password) "
    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING"};
constexpr Sql k_get{
    "SELECT id, account_id, expires_at, next_id, app_password FROM refresh_token WHERE id = ?1"};
// Of two exchanges that race, the first names the successor and the second is told it: next_id never changes
// once it is set.
constexpr Sql k_spend{
    "UPDATE refresh_token SET next_id = COALESCE(next_id, ?2), "
    "expires_at = CASE WHEN expires_at < ?4 THEN expires_at ELSE ?4 END "
    "WHERE id = ?1 AND expires_at > ?3 RETURNING account_id, next_id, app_password"};
constexpr Sql k_revoke{"DELETE FROM refresh_token WHERE id = ?1 RETURNING next_id"};
constexpr Sql k_revoke_all{"DELETE FROM refresh_token WHERE account_id = ?1"};
constexpr Sql k_revoke_of_app_password{
    "DELETE FROM refresh_token WHERE account_id = ?1 AND app_password = ?2"};
constexpr Sql k_remove_expired{"DELETE FROM refresh_token WHERE account_id = ?1 AND expires_at <= ?2"};

}  // namespace

void insert(Tx& tx, const RefreshToken& t) {
  tx.exec(k_insert, t.id, t.account_id, t.expires_at, t.next_id, t.app_password);
}

std::optional<RefreshToken> get(Tx& tx, std::string_view id) {
  auto row = tx.one(k_get, id);
  if (!row) return std::nullopt;
  return RefreshToken{.id = row->text(0),
                      .account_id = row->int64(1),
                      .expires_at = row->time(2),
                      .next_id = row->opt_text(3),
                      .app_password = row->opt_text(4)};
}

std::optional<RefreshToken> rotate(Tx& tx, std::string_view id, const std::string& proposed_next_id, Time now,
                                   Time grace_until, Time next_expires_at) {
  auto row = tx.one(k_spend, id, proposed_next_id, now, grace_until);
  if (!row) return std::nullopt;
  RefreshToken next{.id = row->text(1),
                    .account_id = row->int64(0),
                    .expires_at = next_expires_at,
                    .next_id = std::nullopt,
                    .app_password = row->opt_text(2)};
  // A repeat inside the grace meets the successor already there and leaves it alone.
  const bool first_exchange = next.id == proposed_next_id;
  if (first_exchange) insert(tx, next);
  // The successor may have been revoked since: signing out ends the session for the old token too.
  if (!first_exchange && !get(tx, next.id)) return std::nullopt;
  remove_expired(tx, next.account_id, now);
  return next;
}

void revoke(Tx& tx, std::string_view id) {
  // With what it was exchanged for: an older token of the session still signs the whole session out.
  std::optional<std::string> next(id);
  while (next) {
    auto row = tx.one(k_revoke, *next);
    next = row ? row->opt_text(0) : std::nullopt;
  }
}

void revoke_all(Tx& tx, std::int64_t account_id) { tx.exec(k_revoke_all, account_id); }
void revoke_of_app_password(Tx& tx, std::int64_t account_id, std::string_view name) {
  tx.exec(k_revoke_of_app_password, account_id, name);
}
void remove_expired(Tx& tx, std::int64_t account_id, Time now) { tx.exec(k_remove_expired, account_id, now); }

}  // namespace latchkey::pds::sessions

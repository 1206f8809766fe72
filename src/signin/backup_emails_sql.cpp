#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "signin/backup_emails.h"

namespace latchkey::signin {
namespace {
using store::Sql;

constexpr Sql k_put{
    "INSERT INTO backup_email (id, did, email, token_hash, expires_at, created_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (did, email) DO UPDATE SET token_hash = "
    "excluded.token_hash, "
    "expires_at = excluded.expires_at WHERE backup_email.verified_at IS NULL"};
// Expired ones do not count, whether or not they were cleaned away by now.
constexpr Sql k_others{
    "SELECT count(*) FROM backup_email WHERE did = ?1 AND email <> ?2 AND (verified_at IS NOT NULL OR "
    "expires_at > ?3)"};
constexpr Sql k_find_pending{
    "SELECT id, did, email, verified_at, created_at FROM backup_email WHERE token_hash = ?1 AND expires_at > "
    "?2"};
constexpr Sql k_verify{
    "UPDATE backup_email SET verified_at = ?2, token_hash = NULL, expires_at = NULL WHERE token_hash = ?1 "
    "AND "
    "expires_at > ?2 RETURNING id, did, email, verified_at, created_at"};
constexpr Sql k_of_account{
    "SELECT id, did, email, verified_at, created_at FROM backup_email WHERE did = ?1 AND (verified_at IS NOT "
    "NULL OR expires_at > ?2) ORDER BY created_at, id"};
constexpr Sql k_accounts_of{
    "SELECT did FROM backup_email WHERE email = ?1 AND verified_at IS NOT NULL ORDER BY did"};
constexpr Sql k_remove{
    "DELETE FROM backup_email WHERE did = ?1 AND id = ?2 RETURNING id, did, email, verified_at, created_at"};
constexpr Sql k_remove_all{"DELETE FROM backup_email WHERE did = ?1"};
constexpr Sql k_remove_address{"DELETE FROM backup_email WHERE did = ?1 AND email = ?2"};
constexpr Sql k_count{"SELECT COUNT(*) FROM backup_email"};
constexpr Sql k_clean{"DELETE FROM backup_email WHERE verified_at IS NULL AND expires_at <= ?1"};

constexpr Sql k_drop_over{"DELETE FROM signin_recovery WHERE did = ?1 AND expires_at <= ?2"};
constexpr Sql k_begin{
    "INSERT INTO signin_recovery (did, ready_at, expires_at, cancel_hash) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (did) DO NOTHING"};
constexpr Sql k_recovery{
    "SELECT did, ready_at, expires_at FROM signin_recovery WHERE did = ?1 AND expires_at > ?2"};
constexpr Sql k_recovery_by_link{
    "SELECT did, ready_at, expires_at FROM signin_recovery WHERE cancel_hash = ?1 AND expires_at > ?2"};
constexpr Sql k_cancel{
    "DELETE FROM signin_recovery WHERE cancel_hash = ?1 AND expires_at > ?2 RETURNING did, ready_at, "
    "expires_at"};
constexpr Sql k_remove_recovery{"DELETE FROM signin_recovery WHERE did = ?1"};
constexpr Sql k_clean_recoveries{"DELETE FROM signin_recovery WHERE expires_at <= ?1"};

BackupEmail backup_of(const store::Row& row) {
  return {row.text(0), row.text(1), row.text(2), row.opt_time(3), row.time(4)};
}
std::optional<BackupEmail> backup_of(const std::optional<store::Row>& row) {
  if (!row) return std::nullopt;
  return backup_of(*row);
}
std::optional<recoveries::Recovery> recovery_of(const std::optional<store::Row>& row) {
  if (!row) return std::nullopt;
  return recoveries::Recovery{row->text(0), row->time(1), row->time(2)};
}

}  // namespace

namespace backup_emails {

Link new_link(Rng& rng) {
  std::string token = rng.token();
  Bytes hash = *hash_of(token);
  return {std::move(token), std::move(hash)};
}

std::optional<Bytes> hash_of(std::string_view token) {
  const auto bytes = token.size() == 43 ? from_base64url(token) : std::nullopt;
  if (!bytes) return std::nullopt;
  const auto digest = crypto::sha256(*bytes);
  return Bytes(digest.begin(), digest.end());
}

Added add(store::Tx& tx, const BackupEmail& it, const Bytes& token_hash, Time expires_at) {
  if (tx.one(k_others, it.did, it.email, it.created_at)->int64(0) >=
      static_cast<std::int64_t>(k_max_backup_emails))
    return Added::too_many;
  const auto rows = tx.exec(k_put, it.id, it.did, it.email, token_hash, expires_at, it.created_at);
  return rows == 0 ? Added::already_verified : Added::pending;
}
std::optional<BackupEmail> find_pending(store::Tx& tx, const Bytes& token_hash, Time now) {
  return backup_of(tx.one(k_find_pending, token_hash, now));
}
std::optional<BackupEmail> verify(store::Tx& tx, const Bytes& token_hash, Time now) {
  return backup_of(tx.one(k_verify, token_hash, now));
}
std::vector<BackupEmail> of_account(store::Tx& tx, std::string_view did, Time now) {
  std::vector<BackupEmail> out;
  for (const auto& row : tx.query(k_of_account, did, now)) out.push_back(backup_of(row));
  return out;
}
std::vector<std::string> accounts_of(store::Tx& tx, std::string_view email) {
  std::vector<std::string> out;
  for (auto& row : tx.query(k_accounts_of, email)) out.push_back(row.take_text(0));
  return out;
}
std::optional<BackupEmail> remove(store::Tx& tx, std::string_view did, std::string_view id) {
  return backup_of(tx.one(k_remove, did, id));
}
void remove_all(store::Tx& tx, std::string_view did) { tx.exec(k_remove_all, did); }
void remove_address(store::Tx& tx, std::string_view did, std::string_view email) {
  tx.exec(k_remove_address, did, email);
}
void clean(store::Tx& tx, Time now) { tx.exec(k_clean, now); }
std::int64_t count(store::Tx& tx) { return tx.one(k_count)->int64(0); }

}  // namespace backup_emails

namespace recoveries {

Recovery begin(store::Tx& tx, const Recovery& it, const Bytes& cancel_hash, Time now) {
  tx.exec(k_drop_over, it.did, now);
  tx.exec(k_begin, it.did, it.ready_at, it.expires_at, cancel_hash);
  return *find(tx, it.did, now);
}
std::optional<Recovery> find(store::Tx& tx, std::string_view did, Time now) {
  return recovery_of(tx.one(k_recovery, did, now));
}
std::optional<Recovery> find_by_link(store::Tx& tx, const Bytes& cancel_hash, Time now) {
  return recovery_of(tx.one(k_recovery_by_link, cancel_hash, now));
}
std::optional<Recovery> cancel(store::Tx& tx, const Bytes& cancel_hash, Time now) {
  return recovery_of(tx.one(k_cancel, cancel_hash, now));
}
void remove(store::Tx& tx, std::string_view did) { tx.exec(k_remove_recovery, did); }
void clean(store::Tx& tx, Time now) { tx.exec(k_clean_recoveries, now); }

}  // namespace recoveries
}  // namespace latchkey::signin

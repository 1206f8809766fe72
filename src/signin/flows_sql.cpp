#include "base/encoding.h"
#include "crypto/hash.h"
#include "signin/flows.h"

namespace latchkey::signin::flows {
namespace {
using store::Sql;
constexpr Sql k_insert{
    "INSERT INTO signin_flow (id, browser, locked_did, email, created_at) VALUES (?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT (id) DO NOTHING"};
constexpr Sql k_find{
    "SELECT locked_did, email, sent_at, session, proven_email, created_at, proven_did, stay, proven_by, "
    "backup_email, backup_proven FROM signin_flow WHERE id = ?1 AND browser = ?2"};
constexpr Sql k_take_address{
    "UPDATE signin_flow SET email = ?2, sent_at = ?3 "
    "WHERE id = ?1 AND proven_email IS NULL AND proven_did IS NULL AND (email IS NULL OR email <> ?2 OR "
    "sent_at IS NULL)"};
constexpr Sql k_forget_address{
    "UPDATE signin_flow SET email = NULL, sent_at = NULL "
    "WHERE id = ?1 AND proven_email IS NULL AND proven_did IS NULL"};
constexpr Sql k_mark_sent{"UPDATE signin_flow SET sent_at = ?2 WHERE id = ?1 AND sent_at IS NULL"};
constexpr Sql k_prove{
    "UPDATE signin_flow SET proven_email = ?2, session = ?3, stay = ?4, proven_by = 'email' "
    "WHERE id = ?1 AND email = ?2 AND proven_did IS NULL"};
constexpr Sql k_choose{
    "UPDATE signin_flow SET proven_did = ?2, session = ?3 WHERE id = ?1 AND proven_email IS NULL"};
constexpr Sql k_prove_account{
    "UPDATE signin_flow SET proven_did = ?2, session = ?3, proven_by = ?4, stay = ?5 "
    "WHERE id = ?1 AND proven_email IS NULL"};
constexpr Sql k_prove_address{
    "UPDATE signin_flow SET email = ?2, proven_email = ?2, session = ?3, proven_by = ?4, stay = ?5 "
    "WHERE id = ?1 AND proven_email IS NULL AND proven_did IS NULL"};
constexpr Sql k_newest{"SELECT id FROM signin_flow WHERE browser = ?1 ORDER BY created_at DESC, id LIMIT 1"};
constexpr Sql k_take_backup{
    "UPDATE signin_flow SET backup_email = ?2, backup_proven = 0 WHERE id = ?1 AND proven_email IS NULL AND "
    "proven_did IS NULL AND (backup_email IS NULL OR backup_email <> ?2)"};
constexpr Sql k_forget_backup{
    "UPDATE signin_flow SET backup_email = NULL, backup_proven = 0 WHERE id = ?1 AND proven_did IS NULL"};
constexpr Sql k_prove_backup{
    "UPDATE signin_flow SET backup_proven = 1, session = ?3 WHERE id = ?1 AND backup_email = ?2 AND "
    "proven_email IS NULL AND proven_did IS NULL"};
constexpr Sql k_start_over{
    "UPDATE signin_flow SET email = NULL, sent_at = NULL, session = NULL, proven_email = NULL, "
    "proven_did = NULL, stay = 0, proven_by = '', backup_email = NULL, backup_proven = 0 WHERE id = ?1"};
constexpr Sql k_clean{"DELETE FROM signin_flow WHERE created_at < ?1"};
}  // namespace

std::string hash_of(std::string_view cookie) { return base64url(crypto::sha256(as_bytes(cookie))); }

void insert(store::Tx& tx, const Flow& f) {
  tx.exec(k_insert, f.id, f.browser, f.locked_did, f.email, f.created_at);
}
std::optional<Flow> find(store::Tx& tx, std::string_view id, std::string_view browser) {
  const auto row = tx.one(k_find, id, browser);
  if (!row) return std::nullopt;
  return Flow{.id = std::string(id),
              .browser = std::string(browser),
              .locked_did = row->opt_text(0),
              .email = row->opt_text(1),
              .sent_at = row->opt_time(2),
              .session = row->opt_text(3),
              .proven_email = row->opt_text(4),
              .proven_did = row->opt_text(6),
              .proven_by = row->text(8),
              .stay = row->int64(7) != 0,
              .backup_email = row->opt_text(9),
              .backup_proven = row->int64(10) != 0,
              .created_at = row->time(5)};
}
bool take_address(store::Tx& tx, std::string_view id, std::string_view email, Time now) {
  return tx.exec(k_take_address, id, email, now) == 1;
}
void forget_address(store::Tx& tx, std::string_view id) { tx.exec(k_forget_address, id); }
bool mark_sent(store::Tx& tx, std::string_view id, Time now) { return tx.exec(k_mark_sent, id, now) == 1; }
bool prove(store::Tx& tx, std::string_view id, std::string_view email, std::string_view session, bool stay) {
  return tx.exec(k_prove, id, email, session, std::int64_t{stay}) == 1;
}
bool choose(store::Tx& tx, std::string_view id, std::string_view did, std::string_view session) {
  return tx.exec(k_choose, id, did, session) == 1;
}
bool prove_account(store::Tx& tx, std::string_view id, std::string_view did, std::string_view session,
                   std::string_view proven_by, bool stay) {
  return tx.exec(k_prove_account, id, did, session, proven_by, std::int64_t{stay}) == 1;
}
bool prove_address(store::Tx& tx, std::string_view id, std::string_view email, std::string_view session,
                   std::string_view proven_by, bool stay) {
  return tx.exec(k_prove_address, id, email, session, proven_by, std::int64_t{stay}) == 1;
}
std::optional<std::string> newest(store::Tx& tx, std::string_view browser) {
  auto row = tx.one(k_newest, browser);
  if (!row) return std::nullopt;
  return row->take_text(0);
}
bool take_backup(store::Tx& tx, std::string_view id, std::string_view email) {
  return tx.exec(k_take_backup, id, email) == 1;
}
void forget_backup(store::Tx& tx, std::string_view id) { tx.exec(k_forget_backup, id); }
bool prove_backup(store::Tx& tx, std::string_view id, std::string_view email, std::string_view session) {
  return tx.exec(k_prove_backup, id, email, session) == 1;
}
void start_over(store::Tx& tx, std::string_view id) { tx.exec(k_start_over, id); }
std::int64_t clean(store::Tx& tx, Time now) { return tx.exec(k_clean, now - std::chrono::hours(1)); }

}  // namespace latchkey::signin::flows

#include "signin/devices.h"

namespace latchkey::signin::devices {
namespace {
using store::Sql;
constexpr Sql k_find{"SELECT generation, rotated_at, signed_in_at FROM signin_device WHERE id = ?1"};
constexpr Sql k_insert{
    "INSERT INTO signin_device (id, generation, rotated_at, signed_in_at, agent, created_at) "
    "VALUES (?1, 1, ?2, ?2, '', ?2)"};
constexpr Sql k_rotate{"UPDATE signin_device SET generation = generation + 1, rotated_at = ?2 WHERE id = ?1"};
constexpr Sql k_note_sign_in{"UPDATE signin_device SET signed_in_at = ?3, agent = ?2 WHERE id = ?1"};
constexpr Sql k_remove{"DELETE FROM signin_device WHERE id = ?1"};

constexpr Sql k_put_account{
    "INSERT INTO signin_device_account (device, did, ip, proven_at, last_used_at, expires_at, remembered, "
    "proven_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (device, did) DO UPDATE SET "
    "ip = excluded.ip, proven_at = excluded.proven_at, last_used_at = excluded.last_used_at, "
    "expires_at = excluded.expires_at, remembered = excluded.remembered, proven_by = excluded.proven_by"};
constexpr Sql k_is_signed_in{
    "SELECT 1 FROM signin_device_account WHERE device = ?1 AND did = ?2 AND expires_at > ?3"};
constexpr Sql k_keep_newest_accounts{
    "DELETE FROM signin_device_account WHERE device = ?1 AND did NOT IN (SELECT did FROM "
    "signin_device_account WHERE device = ?1 ORDER BY last_used_at DESC, did LIMIT ?2)"};
constexpr Sql k_accounts{
    "SELECT did, proven_at, last_used_at, expires_at, remembered, proven_by FROM signin_device_account "
    "WHERE device = ?1 AND expires_at > ?2 ORDER BY last_used_at DESC, did"};
constexpr Sql k_note_use{
    "UPDATE signin_device_account SET ip = ?3, last_used_at = ?5, "
    "expires_at = CASE WHEN remembered = 1 THEN ?6 ELSE expires_at END "
    "WHERE device = ?1 AND did = ?2 AND last_used_at <= ?4 AND expires_at > ?5"};
constexpr Sql k_remove_account{
    "DELETE FROM signin_device_account WHERE device = ?1 AND did = ?2 AND expires_at > ?3"};
constexpr Sql k_of_account{
    "SELECT a.device, d.agent, a.ip, a.proven_at, a.last_used_at, a.remembered FROM signin_device_account a "
    "JOIN signin_device d ON d.id = a.device WHERE a.did = ?1 AND a.expires_at > ?2 "
    "ORDER BY a.last_used_at DESC, a.device"};
constexpr Sql k_remove_account_elsewhere{
    "DELETE FROM signin_device_account WHERE did = ?1 AND device <> ?2 AND expires_at > ?3"};
constexpr Sql k_proven_since{
    "SELECT 1 FROM signin_device_account WHERE did = ?1 AND proven_at >= ?2 LIMIT 1"};
constexpr Sql k_remove_everywhere{"DELETE FROM signin_device_account WHERE did = ?1"};

constexpr Sql k_clean_accounts{"DELETE FROM signin_device_account WHERE expires_at <= ?1"};
constexpr Sql k_clean_devices{
    "DELETE FROM signin_device WHERE NOT EXISTS "
    "(SELECT 1 FROM signin_device_account a WHERE a.device = signin_device.id)"};
}  // namespace

std::optional<Device> find(store::Tx& tx, std::string_view id) {
  const auto row = tx.one(k_find, id);
  if (!row) return std::nullopt;
  return Device{std::string(id), row->int64(0), row->time(1), row->time(2)};
}
void insert(store::Tx& tx, std::string_view id, Time now) { tx.exec(k_insert, id, now); }
void rotate(store::Tx& tx, std::string_view id, Time now) { tx.exec(k_rotate, id, now); }
void note_sign_in(store::Tx& tx, std::string_view id, std::string_view agent, Time now) {
  tx.exec(k_note_sign_in, id, agent, now);
}
void remove(store::Tx& tx, std::string_view id) { tx.exec(k_remove, id); }

bool put_account(store::Tx& tx, std::string_view device, std::string_view ip, const SignedIn& a, Time now) {
  const bool known = tx.one(k_is_signed_in, device, a.did, now).has_value();
  tx.exec(k_put_account, device, a.did, ip, a.proven_at, a.last_used_at, a.expires_at, a.remembered,
          a.proven_by);
  return !known;
}
void keep_newest_accounts(store::Tx& tx, std::string_view device, std::size_t count) {
  tx.exec(k_keep_newest_accounts, device, count);
}
std::vector<SignedIn> accounts(store::Tx& tx, std::string_view device, Time now) {
  std::vector<SignedIn> out;
  for (const auto& row : tx.query(k_accounts, device, now))
    out.push_back({row.text(0), row.time(1), row.time(2), row.time(3), row.boolean(4), row.text(5)});
  return out;
}
bool note_use(store::Tx& tx, std::string_view device, std::string_view did, std::string_view ip, Time before,
              Time now) {
  return tx.exec(k_note_use, device, did, ip, before, now, now + k_remembered_life) == 1;
}
bool remove_account(store::Tx& tx, std::string_view device, std::string_view did, Time now) {
  return tx.exec(k_remove_account, device, did, now) == 1;
}
std::vector<SignedInDevice> of_account(store::Tx& tx, std::string_view did, Time now) {
  std::vector<SignedInDevice> out;
  for (const auto& row : tx.query(k_of_account, did, now))
    out.push_back({row.text(0), row.text(1), row.text(2), row.time(3), row.time(4), row.boolean(5)});
  return out;
}
std::size_t remove_account_elsewhere(store::Tx& tx, std::string_view did, std::string_view device, Time now) {
  return static_cast<std::size_t>(tx.exec(k_remove_account_elsewhere, did, device, now));
}
bool proven_since(store::Tx& tx, std::string_view did, Time since) {
  return tx.one(k_proven_since, did, since).has_value();
}
void remove_everywhere(store::Tx& tx, std::string_view did) { tx.exec(k_remove_everywhere, did); }
void clean(store::Tx& tx, Time now) {
  tx.exec(k_clean_accounts, now);
  tx.exec(k_clean_devices);
}

}  // namespace latchkey::signin::devices

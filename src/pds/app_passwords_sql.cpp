#include "pds/app_passwords.h"

namespace latchkey::pds::app_passwords {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

constexpr Sql k_insert{
    "INSERT INTO app_password (account_id, name, password_hash, privileged, created_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING"};
constexpr Sql k_list{
    "SELECT name, privileged, created_at FROM app_password WHERE account_id = ?1 ORDER BY created_at, name"};
constexpr Sql k_get{
    "SELECT name, privileged, created_at FROM app_password WHERE account_id = ?1 AND name = ?2"};
constexpr Sql k_find{
    "SELECT name, privileged, created_at FROM app_password WHERE account_id = ?1 AND password_hash = ?2 "
    "LIMIT 1"};
constexpr Sql k_remove{"DELETE FROM app_password WHERE account_id = ?1 AND name = ?2"};
constexpr Sql k_remove_all{"DELETE FROM app_password WHERE account_id = ?1"};

AppPassword read_app_password(Row& row) {
  return {.name = row.take_text(0),
          .privileged = row.boolean(1) ? Privileged::yes : Privileged::no,
          .created_at = row.time(2)};
}

}  // namespace

bool insert(Tx& tx, std::int64_t account_id, const AppPassword& a, BytesView hash) {
  return tx.exec(k_insert, account_id, a.name, hash, a.privileged == Privileged::yes, a.created_at) == 1;
}

std::vector<AppPassword> list(Tx& tx, std::int64_t account_id) {
  std::vector<AppPassword> out;
  tx.each(k_list, [&](Row& row) { out.push_back(read_app_password(row)); }, account_id);
  return out;
}

std::optional<AppPassword> get(Tx& tx, std::int64_t account_id, std::string_view name) {
  auto row = tx.one(k_get, account_id, name);
  if (!row) return std::nullopt;
  return read_app_password(*row);
}

std::optional<AppPassword> find(Tx& tx, std::int64_t account_id, BytesView hash) {
  auto row = tx.one(k_find, account_id, hash);
  if (!row) return std::nullopt;
  return read_app_password(*row);
}

void remove(Tx& tx, std::int64_t account_id, std::string_view name) { tx.exec(k_remove, account_id, name); }

void remove_all(Tx& tx, std::int64_t account_id) { tx.exec(k_remove_all, account_id); }

}  // namespace latchkey::pds::app_passwords

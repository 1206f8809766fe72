#include "pds/accounts.h"
#include "pds/statistics.h"

namespace latchkey::pds {

std::optional<std::string_view> Account::status() const {
  if (takedown_ref) return "takendown";
  if (deactivated_at) return "deactivated";
  return std::nullopt;
}

std::string Account::handle_text() const { return handle ? std::string(handle->str()) : "handle.invalid"; }

namespace accounts {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

#define ACCOUNT_COLUMNS                                                                  \
  "account.id, account.did, account.handle, account.email, account.email_confirmed_at, " \
  "account.created_at, account.activated_at, account.deactivated_at, account.takedown_ref"
constexpr std::size_t k_account_columns = 9;

constexpr Sql k_count{"SELECT COUNT(*) FROM account WHERE activated_at IS NOT NULL"};
constexpr Sql k_by_did{"SELECT " ACCOUNT_COLUMNS " FROM account WHERE did = ?1 AND activated_at IS NOT NULL"};
constexpr Sql k_by_handle{"SELECT " ACCOUNT_COLUMNS
                          " FROM account WHERE handle = ?1 AND activated_at IS NOT NULL"};
constexpr Sql k_by_email{"SELECT " ACCOUNT_COLUMNS
                         " FROM account WHERE email = ?1 AND activated_at IS NOT NULL"};
constexpr Sql k_holder_of_handle{"SELECT " ACCOUNT_COLUMNS " FROM account WHERE handle = ?1"};
constexpr Sql k_holder_of_email{"SELECT " ACCOUNT_COLUMNS " FROM account WHERE email = ?1"};

// DO NOTHING instead of an error: a constraint error would end the transaction, and which of the three names
// is taken is a plain answer to the person signing up.
constexpr Sql k_confirm_email{
    "UPDATE account SET email_confirmed_at = ?3 WHERE id = ?1 AND email = ?2 AND email_confirmed_at IS NULL"};
constexpr Sql k_insert{
    "INSERT INTO account (did, handle, email, email_confirmed_at, password_scrypt, signing_key, created_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING RETURNING id"};
constexpr Sql k_insert_creation{
    "INSERT INTO account_creation (account_id, operation, rev, commit_cid, data, commit_block, blocks, "
    "created_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"};
constexpr Sql k_activate{"UPDATE account SET activated_at = ?2 WHERE id = ?1 AND activated_at IS NULL"};
constexpr Sql k_delete_creation{"DELETE FROM account_creation WHERE account_id = ?1"};
constexpr Sql k_delete_unfinished{"DELETE FROM account WHERE id = ?1 AND activated_at IS NULL"};
constexpr Sql k_creation{"SELECT " ACCOUNT_COLUMNS
                         ", c.operation, c.rev, c.commit_cid, c.data, c.commit_block, c.blocks "
                         "FROM account_creation c JOIN account ON account.id = c.account_id "
                         "WHERE c.account_id = ?1"};
constexpr Sql k_unfinished{"SELECT " ACCOUNT_COLUMNS
                           " FROM account_creation c JOIN account ON account.id = c.account_id "
                           "WHERE c.created_at <= ?1 ORDER BY account.id"};

constexpr Sql k_password{"SELECT password_scrypt FROM account WHERE id = ?1"};
constexpr Sql k_signing_key{"SELECT signing_key FROM account WHERE id = ?1"};
constexpr Sql k_set_email{
    "UPDATE account SET email = ?2, email_confirmed_at = ?3 WHERE id = ?1 AND NOT EXISTS "
    "(SELECT 1 FROM account o WHERE o.email = ?2 AND o.id <> ?1)"};
constexpr Sql k_set_handle{"UPDATE account SET handle = ?2 WHERE id = ?1"};
constexpr Sql k_set_password{"UPDATE account SET password_scrypt = ?2 WHERE id = ?1"};
constexpr Sql k_set_deactivated{"UPDATE account SET deactivated_at = ?2, delete_after = ?3 WHERE id = ?1"};
constexpr Sql k_remove{"DELETE FROM account WHERE id = ?1"};
constexpr Sql k_set_takedown{"UPDATE account SET takedown_ref = ?2 WHERE id = ?1"};

constexpr Sql k_list{
    "SELECT " ACCOUNT_COLUMNS
    ", h.rev, h.commit_cid, h.data FROM account JOIN repo_head h ON h.account_id = account.id "
    "WHERE account.id > ?1 AND account.activated_at IS NOT NULL ORDER BY account.id LIMIT ?2"};

constexpr Sql k_one{"SELECT 1"};

Account read_account(Row& row) {
  std::optional<Handle> handle;
  if (!row.is_null(2)) handle = Handle::parse(row.text(2)).value();
  return Account{.id = row.int64(0),
                 .did = Did::parse(row.text(1)).value(),
                 .handle = std::move(handle),
                 .email = row.opt_text(3),
                 .email_confirmed_at = row.opt_time(4),
                 .created_at = row.time(5),
                 .activated_at = row.opt_time(6),
                 .deactivated_at = row.opt_time(7),
                 .takedown_ref = row.opt_text(8)};
}

std::optional<Account> account_of(std::optional<Row> row) {
  if (!row) return std::nullopt;
  return read_account(*row);
}

}  // namespace

Result<std::int64_t, Taken> begin_creation(Tx& tx, const NewAccount& a, const std::string& operation,
                                           const RepoHead& head, BytesView blocks, Time now) {
  auto row = tx.one(k_insert, a.did.str(), a.handle.str(), a.email, a.email_confirmed_at, a.password_scrypt,
                    a.sealed_signing_key, now);
  if (!row) {
    if (tx.one(k_holder_of_handle, a.handle.str())) return fail(Taken::handle);
    if (a.email && tx.one(k_holder_of_email, *a.email)) return fail(Taken::email);
    return fail(Taken::did);
  }
  const std::int64_t id = row->int64(0);
  tx.exec(k_insert_creation, id, operation, head.rev, head.commit.bytes(), head.data.bytes(), head.block,
          blocks, now);
  return id;
}

bool finish_creation(Tx& tx, std::int64_t id, Time now) {
  if (tx.exec(k_activate, id, now) == 0) return false;
  tx.exec(k_delete_creation, id);
  return true;
}

bool abandon_creation(Tx& tx, std::int64_t id) {
  if (tx.exec(k_delete_unfinished, id) == 0) return false;
  tx.exec(k_delete_creation, id);
  return true;
}

std::optional<Creation> creation(Tx& tx, std::int64_t id) {
  auto row = tx.one(k_creation, id);
  if (!row) return std::nullopt;
  const std::size_t n = k_account_columns;
  return Creation{.account = read_account(*row),
                  .operation = row->take_text(n),
                  .head = {.rev = row->take_text(n + 1),
                           .commit = Cid::from_bytes(row->blob(n + 2)).value(),
                           .data = Cid::from_bytes(row->blob(n + 3)).value(),
                           .block = row->take_blob(n + 4)},
                  .blocks = row->take_blob(n + 5)};
}

std::vector<Account> unfinished(Tx& tx, Time until) {
  std::vector<Account> out;
  tx.each(k_unfinished, [&](Row& row) { out.push_back(read_account(row)); }, until);
  return out;
}

std::optional<Account> by_did(Tx& tx, const Did& did) { return account_of(tx.one(k_by_did, did.str())); }

std::optional<Account> by_handle(Tx& tx, const Handle& handle) {
  return account_of(tx.one(k_by_handle, handle.str()));
}

std::optional<Account> by_identifier(Tx& tx, const AtIdentifier& id) {
  if (auto did = id.did()) return by_did(tx, *did);
  return by_handle(tx, *id.handle());
}

std::optional<Account> by_email(Tx& tx, std::string_view email) {
  return account_of(tx.one(k_by_email, email));
}

std::optional<Account> holder_of_handle(Tx& tx, const Handle& handle) {
  return account_of(tx.one(k_holder_of_handle, handle.str()));
}

std::optional<Account> holder_of_email(Tx& tx, std::string_view email) {
  return account_of(tx.one(k_holder_of_email, email));
}

std::optional<std::string> password_scrypt(Tx& tx, std::int64_t id) {
  auto row = tx.one(k_password, id);
  return row ? row->opt_text(0) : std::nullopt;
}

Bytes sealed_signing_key(Tx& tx, std::int64_t id) {
  auto row = tx.one(k_signing_key, id);
  if (!row) throw std::runtime_error("no signing key: the account is gone");
  return row->take_blob(0);
}

void confirm_email(store::Tx& tx, std::int64_t id, std::string_view normalised_email, Time now) {
  tx.exec(k_confirm_email, id, normalised_email, now);
}

bool set_email(Tx& tx, std::int64_t id, std::string_view normalised_email, std::optional<Time> confirmed_at) {
  return tx.exec(k_set_email, id, normalised_email, confirmed_at) == 1;
}

void set_handle(Tx& tx, std::int64_t id, const Handle& handle) { tx.exec(k_set_handle, id, handle.str()); }

void set_password(Tx& tx, std::int64_t id, std::optional<std::string> scrypt) {
  tx.exec(k_set_password, id, scrypt);
}

void set_deactivated(Tx& tx, std::int64_t id, std::optional<Time> since, std::optional<Time> delete_after) {
  tx.exec(k_set_deactivated, id, since, delete_after);
}

void remove(Tx& tx, std::int64_t id) { tx.exec(k_remove, id); }

void set_takedown(Tx& tx, std::int64_t id, std::optional<std::string> ref) {
  tx.exec(k_set_takedown, id, ref);
}

std::vector<Listed> list(Tx& tx, std::int64_t after_id, std::int64_t limit) {
  std::vector<Listed> out;
  tx.each(
      k_list,
      [&](Row& row) {
        const std::size_t n = k_account_columns;
        out.push_back({.account = read_account(row),
                       .head = {.rev = row.take_text(n),
                                .commit = Cid::from_bytes(row.blob(n + 1)).value(),
                                .data = Cid::from_bytes(row.blob(n + 2)).value(),
                                .block = {}}});
      },
      after_id, limit);
  return out;
}

std::int64_t count(Tx& tx) { return tx.one(k_count)->int64(0); }

bool storage_answers(Tx& tx) { return tx.one(k_one).has_value(); }

}  // namespace accounts
}  // namespace latchkey::pds

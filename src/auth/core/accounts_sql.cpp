#include "auth/core/accounts.h"

#include <fmt/format.h>

#include "auth/core/users.h"

namespace latchkey::auth {
namespace {

constexpr std::string_view k_columns =
    "\"id\", \"accountId\", \"providerId\", \"userId\", \"accessToken\", \"refreshToken\", \"idToken\", "
    "\"accessTokenExpiresAt\", \"refreshTokenExpiresAt\", \"scope\", \"password\", \"createdAt\", "
    "\"updatedAt\"";

store::Sql statement(const Models& models, std::string_view text) {
  return store::Sql::at_start(fmt::format(
      fmt::runtime(text), fmt::arg("account", quoted(models.names.account)), fmt::arg("columns", k_columns)));
}

Account read(const store::Row& row) {
  return {.id = row.text(0),
          .account_id = row.text(1),
          .provider_id = row.text(2),
          .user_id = row.text(3),
          .access_token = row.opt_text(4),
          .refresh_token = row.opt_text(5),
          .id_token = row.opt_text(6),
          .access_token_expires_at = row.opt_date(7),
          .refresh_token_expires_at = row.opt_date(8),
          .scope = row.opt_text(9),
          .password = row.opt_text(10),
          .created_at = row.date(11),
          .updated_at = row.date(12)};
}

std::optional<store::Date> date(const std::optional<Time>& t) {
  return t ? std::optional(store::Date(*t)) : std::nullopt;
}

}  // namespace

Accounts::Accounts(const Models& models, Rng& rng)
    : models_(models),
      rng_(rng),
      find_(statement(models,
                      "SELECT {columns} FROM {account} WHERE \"providerId\" = ?1 AND \"accountId\" = ?2")),
      by_id_(statement(models, "SELECT {columns} FROM {account} WHERE \"id\" = ?1")),
      list_(statement(
          models, "SELECT {columns} FROM {account} WHERE \"userId\" = ?1 ORDER BY \"createdAt\", \"id\"")),
      insert_(statement(models,
                        "INSERT INTO {account} ({columns}) VALUES "
                        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")),
      insert_issuer_(statement(models,
                               "INSERT INTO {account} ({columns}, \"issuer\") VALUES "
                               "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")),
      update_(statement(models,
                        "UPDATE {account} SET \"accessToken\" = ?2, \"refreshToken\" = ?3, \"idToken\" = ?4, "
                        "\"accessTokenExpiresAt\" = ?5, \"refreshTokenExpiresAt\" = ?6, \"scope\" = ?7, "
                        "\"password\" = ?8, \"updatedAt\" = ?9 WHERE \"id\" = ?1")),
      remove_(statement(models, "DELETE FROM {account} WHERE \"id\" = ?1")) {}

std::optional<Account> Accounts::find(store::Tx& tx, std::string_view provider_id,
                                      std::string_view account_id) const {
  // Another program may have stored an identity twice; the oldest row is the one it was first linked by.
  std::optional<Account> found;
  for (const store::Row& row : tx.query(find_, provider_id, account_id)) {
    Account a = read(row);
    if (!found || a.created_at < found->created_at) found = std::move(a);
  }
  return found;
}

std::vector<Account> Accounts::list(store::Tx& tx, std::string_view user_id) const {
  std::vector<Account> out;
  for (const store::Row& row : tx.query(list_, user_id)) out.push_back(read(row));
  return out;
}

std::optional<Account> Accounts::credential(store::Tx& tx, std::string_view user_id) const {
  for (Account& a : list(tx, user_id))
    if (a.provider_id == k_credential) return std::move(a);
  return std::nullopt;
}

Result<Account, Fault> Accounts::link(store::Tx& tx, Account a, Time now) const {
  a.id = random_id(rng_);
  a.created_at = a.updated_at = store::Date(now).at;
  TRY_VOID(hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::before_create, tx, a));
  if (find(tx, a.provider_id, a.account_id)) return refuse(Error::SOCIAL_ACCOUNT_ALREADY_LINKED);
  const auto access_expires = date(a.access_token_expires_at),
             refresh_expires = date(a.refresh_token_expires_at);
  const std::string issuer = a.issuer.empty() ? "local:" + a.provider_id : a.issuer;
  store::Params params;
  params.add(a.id).add(a.account_id).add(a.provider_id).add(a.user_id);
  params.add(a.access_token).add(a.refresh_token).add(a.id_token).add(access_expires).add(refresh_expires);
  params.add(a.scope).add(a.password).add(store::Date(a.created_at)).add(store::Date(a.updated_at));
  if (has_issuer_) params.add(issuer);
  tx.exec(has_issuer_ ? insert_issuer_ : insert_, params);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::after_create, tx, a));
  return a;
}

Result<Account, Fault> Accounts::update(store::Tx& tx, Account a, Time now) const {
  const auto row = tx.one(by_id_, a.id);
  if (!row) return refuse(Error::ACCOUNT_NOT_FOUND);
  const Account old = read(*row);
  a.updated_at = store::Date(now).at;
  TRY_VOID(hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::before_update, tx, old, a));
  tx.exec(update_, a.id, a.access_token, a.refresh_token, a.id_token, date(a.access_token_expires_at),
          date(a.refresh_token_expires_at), a.scope, a.password, store::Date(a.updated_at));
  TRY_VOID(hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::after_update, tx, a));
  return a;
}

Result<void, Fault> Accounts::remove(store::Tx& tx, const Account& a) const {
  TRY_VOID(hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::before_delete, tx, a));
  tx.exec(remove_, a.id);
  return hooked(models_.hooks, &RecordHooks::account, &RowHooks<Account>::after_delete, tx, a);
}

Result<void, Fault> Accounts::remove_all(store::Tx& tx, std::string_view user_id) const {
  for (const Account& a : list(tx, user_id)) TRY_VOID(remove(tx, a));
  return {};
}

}  // namespace latchkey::auth

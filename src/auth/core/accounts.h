#pragma once
// Rows of `account`: the identities of a user. Every statement on it is in accounts_sql.cpp.

#include <optional>
#include <string>
#include <vector>

#include "auth/core/models.h"
#include "base/rng.h"

namespace latchkey::auth {

class Accounts {
 public:
  Accounts(const Models& models, Rng& rng);
  /// Whether the table has the column `issuer`; see Account.
  void fill_issuer(bool there) { has_issuer_ = there; }

  std::optional<Account> find(store::Tx& tx, std::string_view provider_id, std::string_view account_id) const;
  /// Oldest first.
  std::vector<Account> list(store::Tx& tx, std::string_view user_id) const;
  std::optional<Account> credential(store::Tx& tx, std::string_view user_id) const;

  /// id and times are made here. SOCIAL_ACCOUNT_ALREADY_LINKED when the identity is somebody's already: no
  /// index of the table keeps (providerId, accountId) unique, this does.
  Result<Account, Fault> link(store::Tx& tx, Account fresh, Time now) const;
  /// Writes tokens, expiries, scope and password of an account that was read; ACCOUNT_NOT_FOUND.
  Result<Account, Fault> update(store::Tx& tx, Account changed, Time now) const;
  Result<void, Fault> remove(store::Tx& tx, const Account& account) const;
  Result<void, Fault> remove_all(store::Tx& tx, std::string_view user_id) const;

 private:
  const Models& models_;
  Rng& rng_;
  bool has_issuer_ = false;
  store::Sql find_, by_id_, list_, insert_, insert_issuer_, update_, remove_;
};

}  // namespace latchkey::auth

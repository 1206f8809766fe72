#pragma once
// Rows of `user`. Every statement on it is in users_sql.cpp.

#include <optional>
#include <string>

#include "auth/core/models.h"
#include "base/rng.h"

namespace latchkey::auth {

struct NewUser {
  std::string email;  // lower-cased on the way in
  std::string name = {};
  bool email_verified = false;
  std::optional<std::string> image = {};
  json::Object fields = {};  // those of fields that have a default may be left out
};

/// What is set is changed.
struct UserChanges {
  std::optional<std::string> name = {}, email = {};
  std::optional<bool> email_verified = {};
  std::optional<std::optional<std::string>> image = {};
  json::Object fields = {};
};

class Users {
 public:
  Users(const Models& models, Rng& rng);

  std::optional<User> find(store::Tx& tx, std::string_view id) const;
  std::optional<User> find_by_email(store::Tx& tx, std::string_view email) const;
  /// By a text field that is `unique`, such as bskyDid.
  std::optional<User> find_by(store::Tx& tx, std::string_view unique_field, std::string_view value) const;
  /// USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL when the address is taken.
  Result<User, Fault> create(store::Tx& tx, NewUser fresh, Time now) const;
  /// What create() would have returned, with an id that is nobody's.
  User invented(NewUser fresh, Time now) const;
  /// As above when the address changes to one that is taken; USER_NOT_FOUND.
  Result<User, Fault> update(store::Tx& tx, std::string_view id, UserChanges changes, Time now) const;
  /// Sessions, accounts and what plugins keep of the user go with the row.
  Result<void, Fault> remove(store::Tx& tx, std::string_view id) const;
  /// What plugins keep of the user, in tables that refer to it.
  void remove_plugin_rows(store::Tx& tx, std::string_view id) const;

  const std::vector<Field>& fields() const { return models_.user_fields; }
  /// As clients see the user.
  json::Object to_json(const User& user) const;

  /// The columns of `user` as `alias.column, …`, and a user read from them: for joins in this folder.
  std::string columns(std::string_view alias) const;
  User read(const store::Row& row, std::size_t first) const;

 private:
  const Models& models_;
  Rng& rng_;
  store::Sql find_, find_by_email_, insert_, update_, remove_;
  std::vector<std::pair<std::string, store::Sql>> find_by_;
  std::vector<store::Sql> remove_plugin_rows_;
};

/// 32 random characters of [A-Za-z0-9]: ids and session tokens.
std::string random_id(Rng& rng, std::size_t n = 32);
/// Addresses are kept and compared in lower case.
std::string lower_case(std::string_view text);
/// The zod rule, to which better-auth holds addresses: no quoted or internationalised local parts.
bool is_email(std::string_view text);

}  // namespace latchkey::auth

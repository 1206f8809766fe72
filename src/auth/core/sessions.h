#pragma once
// Rows of `session`. Every statement on it is in sessions_sql.cpp.

#include <optional>
#include <string>
#include <vector>

#include "auth/core/users.h"

namespace latchkey::auth {

struct NewSession {
  std::string user_id;
  Time expires_at;
  std::string ip_address = {}, user_agent = {};
  json::Object fields = {};
};

class Sessions {
 public:
  Sessions(const Models& models, const Users& users, Rng& rng);

  /// Also when it has expired: callers look at expires_at.
  std::optional<SessionAndUser> find(store::Tx& tx, std::string_view token) const;
  /// Those that have not expired, oldest first.
  std::vector<Session> list(store::Tx& tx, std::string_view user_id, Time now) const;

  Result<Session, Fault> create(store::Tx& tx, NewSession fresh, Time now) const;
  /// False when the row is gone.
  bool extend(store::Tx& tx, std::string_view token, Time expires_at, Time now) const;
  /// Writes the additional fields given; false when the row is gone.
  Result<bool, Fault> update(store::Tx& tx, std::string_view token, json::Object fields, Time now) const;

  Result<void, Fault> remove(store::Tx& tx, std::string_view token) const;
  Result<void, Fault> remove_all(store::Tx& tx, std::string_view user_id) const;
  Result<void, Fault> remove_others(store::Tx& tx, std::string_view user_id,
                                    std::string_view kept_token) const;
  /// Drops expired rows; hooks do not see it.
  std::int64_t clean(store::Tx& tx, Time now) const;

  const std::vector<Field>& fields() const { return models_.session_fields; }
  json::Object to_json(const Session& session) const;

 private:
  Session read(const store::Row& row, std::size_t first) const;
  Result<void, Fault> remove_rows(store::Tx& tx, const std::vector<Session>& rows) const;
  bool watched() const;

  const Models& models_;
  const Users& users_;
  Rng& rng_;
  std::size_t width_;  // columns of a session
  store::Sql find_, list_, all_, insert_, extend_, update_, remove_, remove_all_, remove_others_, clean_;
};

}  // namespace latchkey::auth

#pragma once
// The client's stores on store::Database. Tokens, verifiers and DPoP keys are sealed (crypto::Sealer);
// `state` values are kept as digests.

#include <map>
#include <span>

#include "base/rng.h"
#include "crypto/aead.h"
#include "oauth/client/stores.h"
#include "store/migrate.h"

namespace latchkey::oauth::client {

/// States and sessions as JSON, for stores over other tables: what the stores below seal. std::nullopt for
/// what is neither.
Secret<std::string> state_text(const AuthorizationState& state);
std::optional<AuthorizationState> state_from_text(std::string_view text, Time expires_at);
Secret<std::string> session_text(const SessionData& session);
std::optional<SessionData> session_from_text(std::string id, std::string_view text);

/// Tables oauth_client_state and oauth_client_session.
std::span<const store::Migration> client_migrations();

class DatabaseStateStore final : public StateStore {
 public:
  DatabaseStateStore(store::Database& db, crypto::Sealer sealer, Rng& rng, const Clock& clock);
  Task<void> put(std::string state, AuthorizationState value) override;
  Task<std::optional<AuthorizationState>> take(std::string state, Time now) override;

 private:
  store::Database& db_;
  crypto::Sealer sealer_;
  Rng& rng_;
  const Clock& clock_;
};

class DatabaseSessionStore final : public SessionStore {
 public:
  DatabaseSessionStore(store::Database& db, crypto::Sealer sealer, Rng& rng);
  Task<void> insert(SessionData data) override;
  Task<std::optional<StoredSession>> load(std::string id) override;
  Task<bool> replace(SessionData data, std::int64_t expected_version) override;
  Task<bool> erase(std::string id) override;
  Task<std::vector<std::string>> ids_of(Did sub) override;
  Task<bool> lease(std::string id, std::string owner, Time now, Time until) override;
  Task<void> release(std::string id, std::string owner) override;

  /// How many sessions began with each client key ("" for none), to know when an old key may go. Opens every
  /// row: for operators, not for requests.
  Task<std::map<std::string, std::size_t>> count_by_key();

 private:
  store::Database& db_;
  crypto::Sealer sealer_;
  Rng& rng_;
};

}  // namespace latchkey::oauth::client

#pragma once
// The tables bskyState and bskySession (better-auth contract, sections 11 and 12) as the stores of the OAuth
// client. Both have no column to spare, so what else a store needs stands in their JSON: `state` and
// `session` hold {"sealed", …}, tokens and keys under a key derived from the secret, and a session's version
// and lease beside them. Every statement is in stores_sql.cpp.

#include <map>
#include <mutex>

#include "auth/core/models.h"
#include "auth/plugins/atproto/remembered.h"
#include "base/rng.h"
#include "crypto/aead.h"
#include "oauth/client/stores.h"

namespace latchkey::auth::bsky {

/// bskyState and bskySession.
std::vector<Table> tables();

/// Seals with the first secret of a deployment, opens with any.
class Vault {
 public:
  explicit Vault(const std::vector<Secret<std::string>>& secrets, Rng& rng);
  std::string seal(const Secret<std::string>& text, const std::string& context) const;
  std::optional<Secret<std::string>> open(std::string_view sealed, const std::string& context) const;

 private:
  std::vector<crypto::Sealer> sealers_;
  Rng& rng_;
};

class States final : public oauth::client::StateStore {
 public:
  States(store::Database& db, const Vault& vault, Rng& rng, const Clock& clock)
      : db_(db), vault_(vault), rng_(rng), clock_(clock) {}
  Task<void> put(std::string state, oauth::client::AuthorizationState value) override;
  Task<std::optional<oauth::client::AuthorizationState>> take(std::string state, Time now) override;

 private:
  store::Database& db_;
  const Vault& vault_;
  Rng& rng_;
  const Clock& clock_;

  /// Whether expired rows are to be removed now: now and then, by whoever adds one.
  bool tidies_at(Time now);

  Remembered<oauth::client::AuthorizationState> begun_;  // in this process, where they most likely end
  std::mutex mutex_;
  Time next_tidying_{};
};

/// A session is stored with its user, whom the OAuth client does not know: insert() and hold() keep it in
/// this process, keep() gives it its row. A row that does not open, of another program or another secret, is
/// as good as none.
class Sessions final : public oauth::client::SessionStore {
 public:
  Sessions(store::Database& db, const Vault& vault, Rng& rng, const Clock& clock)
      : db_(db), vault_(vault), rng_(rng), clock_(clock) {}

  Task<void> insert(oauth::client::SessionData data) override;
  Task<std::optional<oauth::client::StoredSession>> load(std::string id) override;
  Task<bool> replace(oauth::client::SessionData data, std::int64_t expected_version) override;
  Task<bool> erase(std::string id) override;
  Task<std::vector<std::string>> ids_of(Did sub) override;
  Task<bool> lease(std::string id, std::string owner, Time now, Time until) override;
  Task<void> release(std::string id, std::string owner) override;

  // --- A new session, from the client to its row

  struct Fresh {
    std::string id, did, text;
  };
  /// What insert() was given, sealed; outside of a transaction.
  Fresh sealed(const std::string& id) const;
  /// Its row. The one the account had before is put aside: true when there was one.
  bool keep(store::Tx& tx, const Fresh& fresh, std::string_view user_id, Time now) const;
  /// After the transaction, whatever became of it: the row counts.
  void kept(const std::string& id);

  // --- Rows, in transactions of the plugin

  struct Found {
    std::string id, text;  // of the columns `id` and `session`
  };
  std::optional<Found> find(store::Tx& tx, std::string_view user_id, std::string_view did) const;
  std::vector<std::string> dids_of(store::Tx& tx, std::string_view user_id) const;
  /// Puts a user's sessions aside, all or that of one account: they are gone from here, and what
  /// take_put_aside() gives is to be revoked. False when there was none.
  bool put_aside(store::Tx& tx, std::string_view user_id, std::optional<std::string_view> did,
                 Time now) const;
  /// Sessions whose tokens nobody will use; once. load() finds them until erase().
  Task<std::vector<std::string>> take_put_aside();

 private:
  std::optional<oauth::client::StoredSession> held(const std::string& id) const;
  std::optional<oauth::client::SessionData> opened(const std::string& id, std::string_view sealed) const;
  void put_row_aside(store::Tx& tx, const store::Row& row, Time now) const;

  store::Database& db_;
  const Vault& vault_;
  Rng& rng_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, oauth::client::StoredSession, std::less<>> held_;
  mutable Remembered<oauth::client::SessionData> opened_;  // rows sealed or opened lately
};

}  // namespace latchkey::auth::bsky

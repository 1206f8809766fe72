#pragma once
// What a client remembers: authorization requests under way, and sessions. Memory here, databases in
// database_stores.h. Implementations are thread-safe.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "atproto/syntax/did.h"
#include "base/secret.h"
#include "base/task.h"
#include "base/time.h"
#include "crypto/key.h"

namespace latchkey::oauth::client {

/// One authorization request, between the redirect and the callback.
struct AuthorizationState {
  std::string issuer;
  std::string redirect_uri;
  crypto::PrivateKey dpop_key;
  Secret<std::string> code_verifier;
  std::string kid;                  // of the client key used for PAR; "" for public clients
  std::optional<Did> expected_sub;  // set when the flow began with an account
  std::string browser;    // digest of what binds the flow to a browser; "" when the app gave nothing
  std::string app_state;  // the app's own, returned by callback()
  Time expires_at;
};

class StateStore {
 public:
  virtual ~StateStore() = default;
  virtual Task<void> put(std::string state, AuthorizationState value) = 0;
  /// Removes and returns it: of two callbacks with one state, one gets it. Expired ones are absent.
  virtual Task<std::optional<AuthorizationState>> take(std::string state, Time now) = 0;
};

struct SessionData {
  std::string id;  // random; what an app keeps to find the session again
  Did sub;
  std::string issuer;
  std::string pds;  // origin of the resource server
  std::string kid;  // client key the session is bound to; "" for public clients
  crypto::PrivateKey dpop_key;
  Secret<std::string> access_token;
  std::optional<Secret<std::string>> refresh_token;
  std::string scope;  // as granted
  std::optional<Time> expires_at;
  Time created_at;
};

struct StoredSession {
  SessionData data;
  std::int64_t version;
};

class SessionStore {
 public:
  virtual ~SessionStore() = default;
  virtual Task<void> insert(SessionData data) = 0;  // version 1
  virtual Task<std::optional<StoredSession>> load(std::string id) = 0;
  /// Compare and swap: false when the stored version is another, or the session is gone.
  virtual Task<bool> replace(SessionData data, std::int64_t expected_version) = 0;
  virtual Task<bool> erase(std::string id) = 0;
  virtual Task<std::vector<std::string>> ids_of(Did sub) = 0;

  /// A lease across processes: true when `owner` holds it until `until`. A lease that ran out can be taken.
  virtual Task<bool> lease(std::string id, std::string owner, Time now, Time until) = 0;
  virtual Task<void> release(std::string id, std::string owner) = 0;
};

class MemoryStateStore final : public StateStore {
 public:
  explicit MemoryStateStore(std::size_t max_entries = 10'000) : max_entries_(max_entries) {}
  Task<void> put(std::string state, AuthorizationState value) override;
  Task<std::optional<AuthorizationState>> take(std::string state, Time now) override;

 private:
  std::mutex mutex_;
  std::size_t max_entries_;
  std::map<std::string, AuthorizationState> entries_;
};

class MemorySessionStore final : public SessionStore {
 public:
  Task<void> insert(SessionData data) override;
  Task<std::optional<StoredSession>> load(std::string id) override;
  Task<bool> replace(SessionData data, std::int64_t expected_version) override;
  Task<bool> erase(std::string id) override;
  Task<std::vector<std::string>> ids_of(Did sub) override;
  Task<bool> lease(std::string id, std::string owner, Time now, Time until) override;
  Task<void> release(std::string id, std::string owner) override;

 private:
  struct Entry {
    StoredSession session;
    std::string lease_owner;
    Time lease_until;
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace latchkey::oauth::client

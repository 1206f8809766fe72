#pragma once
// Permission sets: what `include:` scopes stand for. The documents are kept in the database, shared by all
// accounts, sessions and processes. Every statement on oauth_permission_set is in permission_sets_sql.cpp.
// Source: https://atproto.com/specs/permission#resolution-and-caching

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "atproto/lexicon/resolver.h"
#include "base/time.h"
#include "oauth/scopes/permission_set.h"
#include "oauth/scopes/scopes.h"
#include "oauth/server/error.h"
#include "store/database.h"
#include "store/migrate.h"

namespace latchkey::oauth {

/// Older than this, a set is asked for again before it is used; when that fails the old one stays.
inline constexpr std::chrono::hours k_set_stale_after{24};
/// Older than this, a set is good for sessions that exist, not for new ones.
inline constexpr std::chrono::hours k_set_expires_after{90 * 24};
/// After a failure, this long nobody is asked again: without an old value, and with one.
inline constexpr std::chrono::minutes k_set_failure_memory{1};
inline constexpr std::chrono::minutes k_set_refresh_pause{5};
/// Unused for longer than any session may rest, a set is forgotten.
inline constexpr std::chrono::hours k_set_forget_after{100 * 24};
/// Names of different sets in one request.
inline constexpr std::size_t k_max_sets_of_request = 10;
inline constexpr std::size_t k_max_set_bytes = 64 * 1024;

/// Thread-safe.
class PermissionSets {
 public:
  /// Without a resolver no set can be had that is not in the database.
  PermissionSets(store::Database& db, lexicon::Resolver* resolver, const Clock& clock);
  ~PermissionSets();
  PermissionSets(const PermissionSets&) = delete;

  enum class For { new_session, refresh };
  using Sets = std::map<std::string, PermissionSet>;  // by NSID

  /// The sets `scopes` includes. A new session needs every one of them: invalid_scope names the one that
  /// cannot be had. A refresh takes what there is: a set that cannot be had is absent and grants nothing.
  Task<Result<Sets, Fault>> load(ScopeSet scopes, For use);

  /// `scopes` with every include replaced by the permissions of its set.
  static ScopeSet expand(const ScopeSet& scopes, const Sets& sets);

  /// Forgets failures, and sets nobody has used for long.
  Task<void> clean();

 private:
  struct Flights;
  lexicon::Resolver* resolver_;
  store::Database& db_;
  const Clock& clock_;
  std::unique_ptr<Flights> flights_;
};

/// Component "oauth_sets".
std::span<const store::Migration> permission_set_migrations();

}  // namespace latchkey::oauth

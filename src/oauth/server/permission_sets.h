#pragma once
// Permission sets: what `include:` scopes stand for. The documents are kept in the database, shared by all
// accounts, sessions and processes. Every statement on oauth_permission_set is in permission_sets_sql.cpp.
// Source: https://atproto.com/specs/permission#resolution-and-caching

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/lexicon/resolver.h"
#include "base/keyed_lock.h"
#include "base/time.h"
#include "oauth/scopes/permission_set.h"
#include "oauth/scopes/scopes.h"
#include "oauth/server/error.h"
#include "store/database.h"

namespace latchkey::oauth {

/// From this age on a set is asked for again before it is used; when that fails the old one stays.
inline constexpr std::chrono::hours k_set_stale_after{24};
/// From this age on a set is good for sessions that exist, not for new ones.
inline constexpr std::chrono::hours k_set_expires_after{90 * 24};
/// For so long after a failure nobody is asked again: where there is no document, and where there is one.
inline constexpr std::chrono::minutes k_set_failure_memory{1};
inline constexpr std::chrono::minutes k_set_refresh_pause{5};
/// Unused for longer than any session may rest, a set is forgotten.
inline constexpr std::chrono::hours k_set_forget_after{100 * 24};
/// Different sets in one request.
inline constexpr std::size_t k_max_sets_of_request = 10;
/// JSON of one document; documents kept.
inline constexpr std::size_t k_max_set_bytes = 64 * 1024;
inline constexpr std::int64_t k_max_stored_sets = 5000;
/// All scopes of an access token with the sets expanded: the token has to fit into a request's header.
inline constexpr std::size_t k_max_expanded_bytes = 9 * 1024;

/// A row of the database.
struct StoredSet {
  std::optional<std::string> document;  // JSON; absent when no try was ever good
  Time fetched_at;                      // of the document
  Time last_tried_at;
  bool failed;  // the last try
  Time used_at;
};

namespace stored_sets {
std::optional<StoredSet> find(store::Tx&, std::string_view nsid);
void store(store::Tx&, const lexicon::Resolved& set, std::string_view document, Time now);
/// What is stored of an earlier try stays.
void note_failure(store::Tx&, std::string_view nsid, std::string_view why, Time now);
void note_use(store::Tx&, std::string_view nsid, Time now);
/// Failures that are over, sets unused for long, and beyond k_max_stored_sets those unused for longest.
std::int64_t clean(store::Tx&, Time now);
}  // namespace stored_sets

/// Thread-safe.
class PermissionSets {
 public:
  /// Without a resolver, only sets that are in the database can be had.
  PermissionSets(store::Database& db, lexicon::Resolver* resolver, const Clock& clock)
      : db_(db), resolver_(resolver), clock_(clock) {}

  enum class For { new_session, refresh };
  using Sets = std::map<std::string, PermissionSet>;  // by NSID

  /// The sets `scopes` includes. A new session needs every one, and all of them to fit: else invalid_scope. A
  /// refresh takes what there is: a set that cannot be had is absent and grants nothing.
  Task<Result<Sets, Fault>> load(ScopeSet scopes, For use);

  /// `scopes` with the permissions of its sets in the place of every include. A set that has grown so that
  /// the whole would exceed k_max_expanded_bytes is left out.
  static ScopeSet expand(const ScopeSet& scopes, const Sets& sets);

  /// Forgets failures, and sets nobody has used for long.
  Task<void> clean();

 private:
  Task<std::optional<PermissionSet>> get(Nsid nsid, For use);
  Task<void> get_into(Nsid nsid, For use, Completion<std::optional<PermissionSet>> to);
  Task<void> fetch_if_due(Nsid nsid);
  Task<std::optional<StoredSet>> find(Nsid nsid);

  store::Database& db_;
  lexicon::Resolver* resolver_;
  const Clock& clock_;
  KeyedLock fetching_;  // by NSID
};

}  // namespace latchkey::oauth

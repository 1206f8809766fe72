#pragma once
// What may be used once on every node: the jti of DPoP proofs (RFC 9449 §11.1) and of client assertions (RFC
// 7523 §3, 7). Every statement on oauth_seen is in replay_sql.cpp.

#include <memory>
#include <string>

#include "base/time.h"
#include "oauth/dpop/replay_cache.h"
#include "store/database.h"

namespace latchkey::oauth {

/// Remembers each (who, id) until its time; of uses at the same moment one is first, on whichever node.
/// Everything but FirstUse::yes means: refuse the request.
class Replay {
 public:
  virtual ~Replay() = default;
  /// `who` is the key's jkt or the client_id; `id` is of bounded length already.
  virtual Task<FirstUse> use(std::string who, std::string id, Time until) = 0;
  /// Forgets what nobody can replay any more.
  virtual Task<void> clean() = 0;
};

inline constexpr std::size_t k_replay_capacity = 500'000;

/// An SQLite file has one process, whose memory is enough. PostgreSQL has several: a row decides. Each node
/// puts at most `capacity` living identifiers there (then FirstUse::full), so the table is bounded too.
/// `purpose` keeps several of these apart in one table.
std::unique_ptr<Replay> make_replay(store::Database& db, const Clock& clock, std::string purpose,
                                    std::size_t capacity = k_replay_capacity);

}  // namespace latchkey::oauth

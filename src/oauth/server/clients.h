#pragma once
// Finding a client by its client_id: the guarded fetch of its document, and the cache around it.

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "base/fetch.h"
#include "base/keyed_lock.h"
#include "base/time.h"
#include "oauth/server/client_metadata.h"

namespace latchkey::oauth {

/// Documents are cached for 10 minutes, failures for 1 (pds-surface: "Clients"). At most `k_max_cached`
/// clients are kept; the least recently used goes first. Whoever asks for a document that is being fetched
/// waits for it. Thread-safe.
class Clients {
 public:
  static constexpr std::size_t k_max_cached = 2000;
  static constexpr std::size_t k_max_loopbacks = 500;  // apart: anybody can make these up without end
  static constexpr std::size_t k_max_document = 64 * 1024;

  static constexpr std::chrono::seconds k_fetch_timeout{5};

  /// `trusted`: client_ids the operator vouches for. A loopback client is nobody's and never trusted.
  Clients(Fetch& fetch, const Clock& clock, LocalHosts local, std::set<std::string> trusted = {})
      : fetch_(fetch), clock_(clock), local_(local), trusted_(std::move(trusted)) {}

  enum class Freshness { cached, refetch };
  /// invalid_request for an impossible client_id, invalid_client_metadata for a document we cannot get or
  /// accept. `refetch` asks again even when the cache has it, at most every 10 seconds a client (unknown
  /// keys); when that fails, what the cache has stays good.
  Task<Result<std::shared_ptr<const Client>, Fault>> load(std::string client_id,
                                                          Freshness freshness = Freshness::cached);

 private:
  using Outcome = Result<std::shared_ptr<const Client>, Fault>;
  struct Entry {
    Outcome outcome;
    Time fetched_at, tried_at;
    std::list<std::string>::iterator recent;
  };

  std::optional<Outcome> cached(const std::string& id, Freshness freshness);
  Task<Outcome> fetch_client(ClientId id);
  /// `also`: a media type that is as good as application/json.
  Task<Result<json::Value, Fault>> fetch_json(std::string url, std::string what, std::string also = {});
  Outcome remember(const std::string& id, Outcome outcome, Time now);

  Fetch& fetch_;
  const Clock& clock_;
  LocalHosts local_;
  std::set<std::string> trusted_;
  KeyedLock fetching_;  // by client_id
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> cache_;
  std::map<std::string, std::shared_ptr<const Client>, std::less<>> loopbacks_;
  std::list<std::string> recent_;  // most recent first
};

}  // namespace latchkey::oauth

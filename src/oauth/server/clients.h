#pragma once
// Finding a client by its client_id: the guarded fetch of its document, and the cache around it.

#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "base/fetch.h"
#include "base/time.h"
#include "oauth/server/client_metadata.h"

namespace latchkey::oauth {

/// Documents are cached for 10 minutes, failures for 1 (pds-surface: "Clients"). At most `k_max_cached`
/// clients are kept; the least recently used goes first. Thread-safe.
class Clients {
 public:
  static constexpr std::size_t k_max_cached = 2000;
  static constexpr std::size_t k_max_document = 64 * 1024;

  Clients(Fetch& fetch, const Clock& clock, LocalHosts local) : fetch_(fetch), clock_(clock), local_(local) {}

  enum class Freshness { cached, refetch };
  /// invalid_request for an impossible client_id, invalid_client_metadata for a document we cannot get or
  /// accept. `refetch` asks again even when the cache has it, at most every 10 seconds a client (unknown
  /// keys).
  Task<Result<std::shared_ptr<const Client>, Fault>> load(std::string client_id,
                                                          Freshness freshness = Freshness::cached);

 private:
  using Outcome = Result<std::shared_ptr<const Client>, Fault>;
  struct Entry {
    Outcome outcome;
    Time fetched_at;
    std::list<std::string>::iterator recent;
  };

  Task<Outcome> fetch_client(ClientId id);
  Task<Result<json::Value, Fault>> fetch_json(std::string url, std::string what);
  void remember(const std::string& id, Outcome outcome, Time now);

  Fetch& fetch_;
  const Clock& clock_;
  LocalHosts local_;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> cache_;
  std::list<std::string> recent_;  // most recent first
};

}  // namespace latchkey::oauth

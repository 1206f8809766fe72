#pragma once
// DID documents of local accounts, as the directory publishes them; kept for a while. Sessions carry them as
// a courtesy, so a directory that is down must not slow signing in: what is known is given for up to a day,
// and after a failure nobody asks again for half a minute.

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/json.h"
#include "base/time.h"
#include "pds/plc_client.h"

namespace latchkey::pds {

class DidDocs {
 public:
  DidDocs(PlcClient& plc, const Clock& clock, std::chrono::seconds lifetime = std::chrono::hours(1),
          std::size_t max_entries = 10'000)
      : plc_(plc), clock_(clock), lifetime_(lifetime), max_entries_(max_entries) {}

  /// std::nullopt when the directory has none, or cannot be reached and nothing is known.
  Task<std::optional<json::Value>> get(std::string did);
  void forget(const std::string& did);

 private:
  struct Entry {
    std::string did;
    std::optional<json::Value> document;
    Time fetched_at, ask_again_at;
  };
  PlcClient& plc_;
  const Clock& clock_;
  const std::chrono::seconds lifetime_;
  const std::size_t max_entries_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

/// The handle of the first at:// name in alsoKnownAs; "" when there is none.
std::string handle_in(const json::Value& document);

}  // namespace latchkey::pds

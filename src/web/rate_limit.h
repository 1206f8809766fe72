#pragma once
// How often one client may ask, counted in memory: protection against floods, not of secrets (the counters
// that guard codes and passwords survive a restart, auth/core/limits.h).
//
//   auto limits = std::make_shared<RateLimits>(RateLimitOptions{}, clock);
//   router.post("/oauth/par", limited(std::make_shared<RateLimiter>(
//       RateLimiter{.limits = limits, .name = "par", .rates = {{60, 1min}}}), par));

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "web/address.h"
#include "web/http.h"

namespace latchkey::web {

struct Rate {
  std::int64_t max;  // 1 to a million
  std::chrono::seconds window;
};

struct RateLimitOptions {
  /// Requests with this value in x-ratelimit-bypass are not counted. "": there is no such key.
  Secret<std::string> bypass_key{std::string()};
  /// Nor are those of these addresses or networks.
  std::vector<std::string> bypass_addresses;
  std::size_t max_keys = 100'000;  // a key takes about 150 bytes
};

/// What was counted, all rules together; bounded and safe from several threads.
///
/// Sliding windows of two counters: what is left of the window before counts in proportion. A GCRA would need
/// one counter, but refills while a burst runs, so that "60 a minute" would let the 61st of a minute pass; a
/// fixed window would let through twice its number around its end.
///
/// When the table is full, expired windows go first, then the quarter that has used least of what it may: a
/// counter near its limit stays, so getting rid of one costs as many requests by as many other clients as it
/// would take to get around it anyway.
class RateLimits {
 public:
  /// Throws std::invalid_argument for a bypass address that is none.
  RateLimits(RateLimitOptions options, const Clock& clock);

  struct Outcome {
    bool allowed;
    Rate rate;               // the one with the least room
    std::int64_t remaining;  // after this request
    Time reset;              // refused: when the next one is allowed. Else: the end of the window
  };
  /// Counts one request of `client` by rule `name`, when every rate has room for it. A refused request is
  /// not counted.
  Outcome take(std::string_view name, std::string_view client, std::span<const Rate> rates);
  bool bypassed(const Request& request) const;
  Time now() const { return clock_.now(); }
  std::size_t size() const;

 private:
  struct Window {
    Rate rate;
    Time start;
    std::int64_t count = 0, before = 0;

    void roll(Time now);
    std::int64_t used(Time now) const;
    Time room_at() const;
  };
  void sweep(Time now);

  const RateLimitOptions options_;
  std::vector<Network> bypass_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  // A tree: nobody can pick names that make it slow.
  std::map<std::string, Window, std::less<>> windows_;
};

/// One rule.
struct RateLimiter {
  std::shared_ptr<RateLimits> limits;
  std::string name;  // rules of one name share their counters
  std::vector<Rate> rates;
  /// Who asks; by default client_network() of the address.
  std::function<std::string(const Request&)> client = {};
  /// The 429 in the words of this surface; by default {"error":"RateLimitExceeded",…}.
  std::function<Response(const Request&)> refusal = {};
};

/// `inner` within the rule's limits. Answers carry ratelimit-limit, -remaining, -reset and -policy, refusals
/// retry-after as well. Of several rules around one handler the answer tells the one with the least room.
Handler limited(std::shared_ptr<const RateLimiter> limiter, Handler inner);

}  // namespace latchkey::web

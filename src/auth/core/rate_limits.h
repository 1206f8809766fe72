#pragma once
// How often one client may ask one route (better-auth contract, section 6). A counter starts again when
// `window` has passed without an allowed request; refused requests do not extend it.

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "auth/core/models.h"
#include "base/rng.h"
#include "base/task.h"

namespace latchkey::auth {

struct RateLimitRule {
  std::chrono::seconds window;
  int max;
};

class RateLimits {
 public:
  virtual ~RateLimits() = default;
  /// Counts a request. When there is no room: how long until there is, at least a second.
  virtual Task<std::optional<std::chrono::seconds>> take(std::string key, RateLimitRule rule, Time now) = 0;
  virtual Task<void> clean(Time now) = 0;
};

/// In this process: at most `max_keys`. When it is full, what has expired goes first, then what was used
/// least, so that a flood of addresses does not reset the counters that matter.
class MemoryRateLimits final : public RateLimits {
 public:
  explicit MemoryRateLimits(std::size_t max_keys = 100'000) : max_keys_(max_keys) {}
  Task<std::optional<std::chrono::seconds>> take(std::string key, RateLimitRule rule, Time now) override;
  Task<void> clean(Time now) override;
  std::size_t size() const;

 private:
  struct Counter {
    int count;
    Time last, until;
  };
  void make_room(Time now);

  const std::size_t max_keys_;
  mutable std::mutex mutex_;
  std::map<std::string, Counter, std::less<>> counters_;
};

/// In the table `rateLimit`, for all processes of a deployment.
class DatabaseRateLimits final : public RateLimits {
 public:
  DatabaseRateLimits(store::Database& db, const Models& models, Rng& rng);
  Task<std::optional<std::chrono::seconds>> take(std::string key, RateLimitRule rule, Time now) override;
  Task<void> clean(Time now) override;

 private:
  store::Database& db_;
  Rng& rng_;
  store::Sql find_, put_, clean_;
};

}  // namespace latchkey::auth

#include "auth/core/rate_limits.h"

#include <algorithm>
#include <vector>

namespace latchkey::auth {
namespace {

std::chrono::seconds remaining(Time last, RateLimitRule rule, Time now) {
  const auto left = std::chrono::ceil<std::chrono::seconds>(last + rule.window - now);
  return std::max(left, std::chrono::seconds(1));
}

}  // namespace

Task<std::optional<std::chrono::seconds>> MemoryRateLimits::take(std::string key, RateLimitRule rule,
                                                                 Time now) {
  std::lock_guard lock(mutex_);
  auto it = counters_.find(key);
  if (it == counters_.end()) {
    if (counters_.size() >= max_keys_) make_room(now);
    it = counters_.emplace(std::move(key), Counter{0, now, now}).first;
  }
  Counter& c = it->second;
  if (now - c.last >= rule.window) c.count = 0;
  if (c.count >= rule.max) co_return remaining(c.last, rule, now);
  ++c.count;
  c.last = now;
  c.until = now + rule.window;
  co_return std::nullopt;
}

void MemoryRateLimits::make_room(Time now) {
  std::erase_if(counters_, [&](const auto& entry) { return entry.second.until <= now; });
  if (counters_.size() < max_keys_) return;
  std::vector<int> counts;
  counts.reserve(counters_.size());
  for (const auto& [_, c] : counters_) counts.push_back(c.count);
  const auto quarter = counts.begin() + static_cast<std::ptrdiff_t>(counts.size() / 4);
  std::ranges::nth_element(counts, quarter);
  std::size_t to_go = counters_.size() / 4 + 1;
  std::erase_if(counters_, [limit = *quarter, &to_go](const auto& entry) {
    return entry.second.count <= limit && to_go > 0 && to_go-- > 0;
  });
}

Task<void> MemoryRateLimits::clean(Time now) {
  std::lock_guard lock(mutex_);
  std::erase_if(counters_, [&](const auto& entry) { return entry.second.until <= now; });
  co_return;
}

std::size_t MemoryRateLimits::size() const {
  std::lock_guard lock(mutex_);
  return counters_.size();
}

}  // namespace latchkey::auth

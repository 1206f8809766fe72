#pragma once
// Identifiers that may be used once: the jti of DPoP proofs (RFC 9449 §11.1) and of client assertions
// (RFC 7523 §3, 7).

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "base/time.h"

namespace latchkey::oauth {

enum class FirstUse { yes, no, full };

/// Remembers each (who, id) until its time. Bounded: when full it refuses the new rather than forget what a
/// thief could still replay. Thread-safe; of two racing uses one is first. One process's memory: several
/// processes need a shared home for this.
class ReplayCache {
 public:
  explicit ReplayCache(std::size_t capacity = 500'000) : capacity_(capacity) {}
  ReplayCache(const ReplayCache&) = delete;
  /// `who` is the key's jkt or the client_id. Everything but FirstUse::yes means: refuse the request.
  FirstUse use(std::string_view who, std::string_view id, Time until, Time now);
  std::size_t size() const;

 private:
  using Key = std::array<std::uint8_t, 16>;
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::map<std::int64_t, std::set<Key>> windows_;  // by number of the time window after which they go
};

}  // namespace latchkey::oauth

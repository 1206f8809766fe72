#pragma once
// One at a time for each key. Who comes meanwhile waits for the others to finish: what is fetched for one is
// then in the cache for all.
//
//   const auto turn = co_await fetching_.lock(url);
//   if (auto known = look_up(url)) co_return known;   // somebody before us brought it
//   …

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/task.h"

namespace latchkey {

/// Thread-safe. Outlives those who wait.
class KeyedLock {
 public:
  /// A turn; its end begins the next one's, also when it ends by an exception.
  class [[nodiscard]] Held {
   public:
    Held(Held&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), key_(std::move(other.key_)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (lock_) lock_->pass_on(key_);
    }

   private:
    friend class KeyedLock;
    Held(KeyedLock& lock, std::string key) : lock_(&lock), key_(std::move(key)) {}
    KeyedLock* lock_;
    std::string key_;
  };

  KeyedLock() = default;
  KeyedLock(const KeyedLock&) = delete;

  /// Resumes when nobody else holds the key, in the order of asking.
  Task<Held> lock(std::string key) {
    std::optional<Completion<bool>> turn;
    {
      std::lock_guard guard(mutex_);
      if (const auto [at, is_free] = waiting_.try_emplace(key); !is_free) turn = at->second.emplace_back();
    }
    if (turn) co_await *turn;
    co_return Held(*this, std::move(key));
  }

 private:
  void pass_on(const std::string& key) {
    std::optional<Completion<bool>> next;
    {
      std::lock_guard guard(mutex_);
      const auto at = waiting_.find(key);
      if (at->second.empty()) {
        waiting_.erase(at);
      } else {
        next = std::move(at->second.front());
        at->second.pop_front();
      }
    }
    if (next) next->deliver(true);
  }

  std::mutex mutex_;
  std::map<std::string, std::deque<Completion<bool>>> waiting_;  // keys that are held, and who waits
};

}  // namespace latchkey

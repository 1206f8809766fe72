#pragma once
// One coroutine at a time per key, within this process. (Across processes: SessionStore::lease.)

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/task.h"

namespace latchkey::oauth::client {

class SessionLock {
 public:
  class Guard {
   public:
    Guard(Guard&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), key_(std::move(other.key_)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (lock_) lock_->release(key_);
    }

   private:
    friend class SessionLock;
    Guard(SessionLock* lock, std::string key) : lock_(lock), key_(std::move(key)) {}
    SessionLock* lock_;
    std::string key_;
  };

  /// Waits its turn. The lock must outlive the guard.
  Task<Guard> acquire(std::string key);

 private:
  void release(const std::string& key);
  std::mutex mutex_;
  std::map<std::string, std::deque<Completion<bool>>> waiting_;  // an entry means: held
};

}  // namespace latchkey::oauth::client

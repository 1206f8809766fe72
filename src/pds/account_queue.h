#pragma once
// One write per account at a time in this process, in the order they came. It saves work that would lose the
// race for the head; correctness does not rest on it.

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/task.h"

namespace latchkey::pds {

class AccountQueue {
 public:
  explicit AccountQueue(std::size_t max_waiting = 100) : max_waiting_(max_waiting) {}

  /// Passes the turn on when it goes.
  class Turn {
   public:
    Turn(AccountQueue* queue, std::int64_t account_id) : queue_(queue), account_id_(account_id) {}
    Turn(Turn&& other) noexcept
        : queue_(std::exchange(other.queue_, nullptr)), account_id_(other.account_id_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (queue_) queue_->leave(account_id_);
    }

   private:
    AccountQueue* queue_;
    std::int64_t account_id_;
  };

  /// std::nullopt when `max_waiting` are waiting for this account already.
  Task<std::optional<Turn>> enter(std::int64_t account_id);

 private:
  void leave(std::int64_t account_id);

  const std::size_t max_waiting_;
  std::mutex mutex_;
  std::unordered_map<std::int64_t, std::deque<Completion<bool>>> waiting_;  // a key: somebody has the turn
};

}  // namespace latchkey::pds

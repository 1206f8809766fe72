#include "pds/account_queue.h"

namespace latchkey::pds {

Task<std::optional<AccountQueue::Turn>> AccountQueue::enter(std::int64_t account_id) {
  std::optional<Completion<bool>> wait;
  {
    std::lock_guard lock(mutex_);
    auto [entry, first] = waiting_.try_emplace(account_id);
    if (!first) {
      if (entry->second.size() >= max_waiting_) co_return std::nullopt;
      wait.emplace();
      entry->second.push_back(*wait);
    }
  }
  if (wait) co_await *wait;
  co_return std::optional<Turn>(Turn(this, account_id));
}

void AccountQueue::leave(std::int64_t account_id) {
  std::optional<Completion<bool>> next;
  {
    std::lock_guard lock(mutex_);
    auto entry = waiting_.find(account_id);
    if (entry->second.empty()) {
      waiting_.erase(entry);
      return;
    }
    next = std::move(entry->second.front());
    entry->second.pop_front();
  }
  next->deliver(true);
}

}  // namespace latchkey::pds

#include "oauth/client/session_lock.h"

namespace latchkey::oauth::client {

Task<SessionLock::Guard> SessionLock::acquire(std::string key) {
  std::optional<Completion<bool>> turn;
  {
    std::lock_guard lock(mutex_);
    const auto [entry, free] = waiting_.try_emplace(key);
    if (!free) turn = entry->second.emplace_back();
  }
  if (turn) co_await *turn;
  co_return Guard(this, std::move(key));
}

void SessionLock::release(const std::string& key) {
  std::optional<Completion<bool>> next;
  {
    std::lock_guard lock(mutex_);
    const auto entry = waiting_.find(key);
    if (entry->second.empty()) {
      waiting_.erase(entry);
    } else {  // handed over, never free in between
      next = std::move(entry->second.front());
      entry->second.pop_front();
    }
  }
  if (next) next->deliver(true);
}

}  // namespace latchkey::oauth::client

#include "oauth/client/stores.h"

#include <algorithm>

namespace latchkey::oauth::client {

Task<void> MemoryStateStore::put(std::string state, AuthorizationState value) {
  std::lock_guard lock(mutex_);
  // Bounded: the request that would expire first makes room.
  if (entries_.size() >= max_entries_ && !entries_.empty())
    entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& e) { return e.second.expires_at; }));
  entries_.insert_or_assign(std::move(state), std::move(value));
  co_return;
}

Task<std::optional<AuthorizationState>> MemoryStateStore::take(std::string state, Time now) {
  std::lock_guard lock(mutex_);
  auto node = entries_.extract(state);
  if (node.empty() || node.mapped().expires_at <= now) co_return std::nullopt;
  co_return std::optional(std::move(node.mapped()));
}

Task<void> MemorySessionStore::insert(SessionData data) {
  std::lock_guard lock(mutex_);
  auto id = data.id;
  entries_.insert_or_assign(std::move(id), Entry{{std::move(data), 1}, {}, {}});
  co_return;
}

Task<std::optional<StoredSession>> MemorySessionStore::load(std::string id) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return std::nullopt;
  co_return std::optional(found->second.session);
}

Task<bool> MemorySessionStore::replace(SessionData data, std::int64_t expected_version) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(data.id);
  if (found == entries_.end() || found->second.session.version != expected_version) co_return false;
  found->second.session = {std::move(data), expected_version + 1};
  co_return true;
}

Task<bool> MemorySessionStore::erase(std::string id) {
  std::lock_guard lock(mutex_);
  co_return entries_.erase(id) > 0;
}

Task<std::vector<std::string>> MemorySessionStore::ids_of(Did sub) {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_)
    if (entry.session.data.sub == sub) ids.push_back(id);
  co_return ids;
}

Task<bool> MemorySessionStore::lease(std::string id, std::string owner, Time now, Time until) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return false;
  auto& entry = found->second;
  if (!entry.lease_owner.empty() && entry.lease_owner != owner && entry.lease_until > now) co_return false;
  entry.lease_owner = std::move(owner);
  entry.lease_until = until;
  co_return true;
}

Task<void> MemorySessionStore::release(std::string id, std::string owner) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found != entries_.end() && found->second.lease_owner == owner) found->second.lease_owner.clear();
  co_return;
}

}  // namespace latchkey::oauth::client

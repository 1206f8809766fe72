#include "pds/tree_cache.h"

namespace latchkey::pds {

CachedRepoPtr TreeCache::get(std::int64_t account_id) {
  std::lock_guard lock(mutex_);
  auto found = index_.find(account_id);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->repo;
}

void TreeCache::put(std::int64_t account_id, CachedRepoPtr repo) {
  // The list, the index and the key beside the tree.
  constexpr std::size_t overhead = 512;
  const std::size_t bytes = repo->tree.memory() + repo->head.block.size() + overhead;
  std::lock_guard lock(mutex_);
  if (auto found = index_.find(account_id); found != index_.end()) drop(found->second);
  if (bytes > budget_) return;
  entries_.push_front({account_id, std::move(repo), bytes});
  index_[account_id] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > budget_) drop(std::prev(entries_.end()));
}

void TreeCache::erase(std::int64_t account_id) {
  std::lock_guard lock(mutex_);
  if (auto found = index_.find(account_id); found != index_.end()) drop(found->second);
}

void TreeCache::drop(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  index_.erase(entry->account_id);
  entries_.erase(entry);
}

std::size_t TreeCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t TreeCache::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace latchkey::pds

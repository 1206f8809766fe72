#include "oauth/dpop/replay_cache.h"

#include <algorithm>

#include "crypto/hash.h"

namespace latchkey::oauth {
namespace {

// Entries go together, a window at a time. Longer windows mean fewer lookups per use, and entries that stay
// up to one window longer than they must.
constexpr std::chrono::seconds k_window{120};

}  // namespace

FirstUse ReplayCache::use(std::string_view who, std::string_view id, Time until, Time now) {
  if (until <= now) return FirstUse::no;  // what it could not remember it does not vouch for
  crypto::Sha256 hash;
  hash.update(crypto::sha256(as_bytes(who)));  // of fixed length, so (who, id) cannot be split in another way
  hash.update(as_bytes(id));
  const auto digest = hash.finish();
  Key key;
  std::copy_n(digest.begin(), key.size(), key.begin());

  std::lock_guard lock(mutex_);
  const auto current = unix_seconds(now) / k_window.count();
  while (!windows_.empty() && windows_.begin()->first < current) {
    size_ -= windows_.begin()->second.size();
    windows_.erase(windows_.begin());
  }
  // The same id may come again with another time; a few windows are alive.
  for (const auto& [window, keys] : windows_)
    if (keys.contains(key)) return FirstUse::no;
  if (size_ >= capacity_) return FirstUse::full;
  windows_[unix_seconds(until) / k_window.count()].insert(key);
  ++size_;
  return FirstUse::yes;
}

std::size_t ReplayCache::size() const {
  std::lock_guard lock(mutex_);
  return size_;
}

}  // namespace latchkey::oauth

#include "oauth/jose/key_cache.h"

#include "oauth/jose/jwk.h"

namespace latchkey::oauth {

Result<KeyCache::Known, crypto::KeyError> KeyCache::from_coordinates(crypto::Curve curve, BytesView x,
                                                                     BytesView y) {
  // All of the key, so two keys never share a slot; no hash to collide.
  std::string id;
  id.reserve(1 + x.size() + y.size());
  id += curve == crypto::Curve::p256 ? 'p' : 'k';
  id += as_text(x);
  id += as_text(y);
  {
    std::lock_guard lock(mutex_);
    if (const auto it = index_.find(id); it != index_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->second;
    }
  }
  TRY(auto key, crypto::PublicKey::from_coordinates(curve, x, y));  // outside the lock: it is slow
  Known known{key, thumbprint(key)};
  std::lock_guard lock(mutex_);
  if (capacity_ == 0 || index_.contains(id)) return known;  // another thread was faster
  if (entries_.size() == capacity_) {
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(std::move(id), known);
  index_.emplace(entries_.front().first, entries_.begin());
  return known;
}

std::size_t KeyCache::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace latchkey::oauth

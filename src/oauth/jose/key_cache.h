#pragma once
// Parsed public keys, the least recently used forgotten first. Building an OpenSSL key costs a quarter of a
// signature check, and a DPoP client shows the same key with every request.

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace latchkey::oauth {

/// Thread-safe. Only keys that parsed are kept, at most `capacity` of them.
class KeyCache {
 public:
  explicit KeyCache(std::size_t capacity = 4096) : capacity_(capacity) {}
  KeyCache(const KeyCache&) = delete;
  struct Known {
    crypto::PublicKey key;
    std::string thumbprint;  // RFC 7638
  };
  Result<Known, crypto::KeyError> from_coordinates(crypto::Curve, BytesView x32, BytesView y32);
  std::size_t size() const;

 private:
  using Entry = std::pair<std::string, Known>;  // by curve and coordinates
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

}  // namespace latchkey::oauth

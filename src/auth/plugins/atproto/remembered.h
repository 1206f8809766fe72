#pragma once
// What rows lately opened hold: deriving a key anew costs more than signing the call it is for.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace latchkey::auth::bsky {

/// By the row's key; an entry counts while the row reads as it did. When full it starts over: a lost entry
/// costs its next use a derivation. Thread-safe.
template <class T>
class Remembered {
 public:
  std::optional<T> get(std::string_view key, std::string_view text) const {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end() || it->second.first != text) return std::nullopt;
    return it->second.second;
  }
  /// For what is used once.
  std::optional<T> take(std::string_view key, std::string_view text) {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return std::nullopt;
    auto entry = std::move(entries_.extract(it).mapped());
    if (entry.first != text) return std::nullopt;
    return std::move(entry.second);
  }
  void put(const std::string& key, std::string text, T value) {
    std::lock_guard lock(mutex_);
    if (entries_.size() >= k_max && !entries_.contains(key)) entries_.clear();
    entries_.insert_or_assign(key, std::pair(std::move(text), std::move(value)));
  }
  void forget(std::string_view key) {
    std::lock_guard lock(mutex_);
    if (const auto it = entries_.find(key); it != entries_.end()) entries_.erase(it);
  }
  template <class Which>
  void forget_if(Which which) {
    std::lock_guard lock(mutex_);
    std::erase_if(entries_, [&](const auto& entry) { return which(entry.second.second); });
  }

 private:
  static constexpr std::size_t k_max = 1000;
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<std::string, T>, std::less<>> entries_;
};

}  // namespace latchkey::auth::bsky

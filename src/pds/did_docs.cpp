#include "pds/did_docs.h"

namespace latchkey::pds {

namespace {
constexpr std::chrono::hours k_longest_life{24};
constexpr std::chrono::seconds k_pause{30};
}  // namespace

Task<std::optional<json::Value>> DidDocs::get(std::string did) {
  const Time now = clock_.now();
  {
    std::lock_guard lock(mutex_);
    if (auto found = index_.find(did); found != index_.end() && now < found->second->ask_again_at) {
      entries_.splice(entries_.begin(), entries_, found->second);
      co_return found->second->document;
    }
  }
  auto resolved = co_await plc_.resolve(did);
  Entry entry{.did = did, .document = std::nullopt, .fetched_at = now, .ask_again_at = now + k_pause};
  if (resolved && *resolved) {
    entry.document = **std::move(resolved);
    entry.ask_again_at = now + lifetime_;
  }
  std::lock_guard lock(mutex_);
  if (auto found = index_.find(did); found != index_.end()) {
    Entry& old = *found->second;
    if (!resolved && old.document && now - old.fetched_at < k_longest_life) {
      entry.document = std::move(old.document);
      entry.fetched_at = old.fetched_at;
    }
    entries_.erase(found->second);
    index_.erase(found);
  }
  entries_.push_front(std::move(entry));
  index_[did] = entries_.begin();
  if (entries_.size() > max_entries_) {
    index_.erase(entries_.back().did);
    entries_.pop_back();
  }
  co_return entries_.front().document;
}

void DidDocs::forget(const std::string& did) {
  std::lock_guard lock(mutex_);
  if (auto found = index_.find(did); found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
}

std::string handle_in(const json::Value& document) {
  const auto* names = document.find("alsoKnownAs");
  if (!names || !names->array()) return "";
  for (const auto& name : *names->array())
    if (const auto* text = name.string(); text && text->starts_with("at://")) return text->substr(5);
  return "";
}

}  // namespace latchkey::pds

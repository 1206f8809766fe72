#include "pds/did_docs.h"

namespace latchkey::pds {

Task<std::optional<json::Value>> DidDocs::get(std::string did) {
  const Time now = clock_.now();
  {
    std::lock_guard lock(mutex_);
    if (auto found = index_.find(did); found != index_.end() && now - found->second->fetched_at < lifetime_) {
      entries_.splice(entries_.begin(), entries_, found->second);
      co_return found->second->document;
    }
  }
  auto resolved = co_await plc_.resolve(did);
  if (!resolved || !*resolved) co_return std::nullopt;
  std::lock_guard lock(mutex_);
  if (auto found = index_.find(did); found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
  entries_.push_front({did, **resolved, now});
  index_[did] = entries_.begin();
  if (entries_.size() > max_entries_) {
    index_.erase(entries_.back().did);
    entries_.pop_back();
  }
  co_return **std::move(resolved);
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

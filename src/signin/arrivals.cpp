#include "signin/arrivals.h"

#include <fmt/format.h>

namespace latchkey::signin {

Task<void> note_arrival(store::Database* db, Letters* letters, Arrival arrival, Time now) {
  const bool fresh = arrival.browser == Browser::fresh;
  const std::string did = arrival.account.did.str();
  co_await db->write([&](store::Tx& tx) {
    audit::note(tx, did, fresh ? Event::new_device : Event::signed_in, arrival.by, arrival.actor, now);
  });
  // A code and a recovery wrote to a mailbox already.
  if (!fresh || arrival.by == "email" || arrival.by == "backup") co_return;
  letters->notify(arrival.account, {.what = name(Event::new_device), .detail = arrival.by},
                  std::move(arrival.actor), std::move(arrival.lang));
}

std::string by_words(const web::Catalogue& words, std::string_view by) {
  const std::string key = fmt::format("by.{}", by);
  return words.find(key) ? words.text(key) : std::string(by);
}

std::string event_words(const web::Catalogue& words, const AuditEntry& entry) {
  const std::string key = fmt::format("audit.{}", entry.event);
  const web::Message* message = words.find(key);
  if (!message) return {};
  if (!message->has("detail")) return words.text(key);
  const bool by = entry.event == name(Event::signed_in) || entry.event == name(Event::new_device);
  return words.text(key, {{"detail", by ? by_words(words, entry.detail) : entry.detail}});
}

}  // namespace latchkey::signin

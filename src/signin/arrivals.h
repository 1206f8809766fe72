#pragma once
// Somebody signed in: into the record of the account, and to its owner when it was from a browser we have not
// seen and not by a code, of which a mail told already.

#include "signin/audit.h"
#include "signin/letters.h"

namespace latchkey::signin {

enum class Browser { known, fresh };

struct Arrival {
  pds::Account account;
  std::string by;  // "email", "passkey", a provider's id, "backup"; "device": was signed in there already
  Browser browser;
  Actor actor;
  std::string lang;
};
Task<void> note_arrival(store::Database* db, Letters* letters, Arrival arrival, Time now);

/// "by.<by>" of the catalogue; the word itself for providers.
std::string by_words(const web::Catalogue& words, std::string_view by);
/// What an entry of the record says; "" for one this version does not know.
std::string event_words(const web::Catalogue& words, const AuditEntry& entry);

}  // namespace latchkey::signin

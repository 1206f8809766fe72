#pragma once
// What happened to an account, for the eyes of its owner. Written in the transaction of what it tells about.
// The newest k_audit_kept of an account are kept, and none for longer than k_audit_life. Statements:
// audit_sql.cpp.

#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"
#include "web/http.h"

namespace latchkey::signin {

inline constexpr std::chrono::hours k_audit_life{365 * 24};
inline constexpr std::int64_t k_audit_kept = 200;

/// In the database by these names; the words people read are "audit.<name>" of the catalogues.
enum class Event {
  account_created,
  signed_in,       // detail: by what
  new_device,      // detail: by what
  recovery_begun,  // detail: masked address
  recovery_cancelled,
  recovered,       // detail: masked address
  email_changed,   // detail: masked old address
  handle_changed,  // detail: new handle
  password_set,
  password_removed,
  app_password_created,   // detail: name
  app_password_revoked,   // detail: name
  passkey_added,          // detail: name
  passkey_removed,        // detail: name
  provider_linked,        // detail: provider
  provider_unlinked,      // detail: provider
  backup_email_added,     // detail: masked address
  backup_email_verified,  // detail: masked address
  backup_email_removed,   // detail: masked address
  app_allowed,            // detail: app
  app_ended,              // detail: app
  device_signed_out,      // detail: device
  all_signed_out,
  deactivated,
  reactivated,
  rotation_key_added,    // detail: did:key
  rotation_key_removed,  // detail: did:key
  data_downloaded,
};
std::string_view name(Event event);

/// Who did it, as far as a request tells.
struct Actor {
  std::string ip, agent;
  static Actor of(const web::Request& request);
};

struct AuditEntry {
  Time at;
  std::string event, detail, ip, agent;
};

namespace audit {
void note(store::Tx&, std::string_view did, Event event, std::string_view detail, const Actor& actor,
          Time now);
/// The newest first.
std::vector<AuditEntry> newest(store::Tx&, std::string_view did, std::int64_t limit);
/// The account is gone.
void remove_all(store::Tx&, std::string_view did);
void clean(store::Tx&, Time now);
}  // namespace audit

}  // namespace latchkey::signin

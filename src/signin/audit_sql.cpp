#include <cstdlib>

#include "signin/agent.h"
#include "signin/audit.h"

namespace latchkey::signin {
namespace {
using store::Sql;
constexpr Sql k_note{
    "INSERT INTO signin_audit (did, at, event, detail, ip, agent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"};
constexpr Sql k_keep_newest{
    "DELETE FROM signin_audit WHERE did = ?1 AND id <= (SELECT id FROM signin_audit WHERE did = ?1 "
    "ORDER BY id DESC LIMIT 1 OFFSET ?2)"};
constexpr Sql k_newest{
    "SELECT at, event, detail, ip, agent FROM signin_audit WHERE did = ?1 ORDER BY id DESC LIMIT ?2"};
constexpr Sql k_remove_all{"DELETE FROM signin_audit WHERE did = ?1"};
constexpr Sql k_clean{"DELETE FROM signin_audit WHERE at <= ?1"};
}  // namespace

std::string_view name(Event event) {
  switch (event) {
    case Event::account_created:
      return "account_created";
    case Event::signed_in:
      return "signed_in";
    case Event::new_device:
      return "new_device";
    case Event::recovery_begun:
      return "recovery_begun";
    case Event::recovery_cancelled:
      return "recovery_cancelled";
    case Event::recovered:
      return "recovered";
    case Event::email_changed:
      return "email_changed";
    case Event::handle_changed:
      return "handle_changed";
    case Event::password_set:
      return "password_set";
    case Event::password_removed:
      return "password_removed";
    case Event::app_password_created:
      return "app_password_created";
    case Event::app_password_revoked:
      return "app_password_revoked";
    case Event::passkey_added:
      return "passkey_added";
    case Event::passkey_removed:
      return "passkey_removed";
    case Event::provider_linked:
      return "provider_linked";
    case Event::provider_unlinked:
      return "provider_unlinked";
    case Event::backup_email_added:
      return "backup_email_added";
    case Event::backup_email_verified:
      return "backup_email_verified";
    case Event::backup_email_removed:
      return "backup_email_removed";
    case Event::app_allowed:
      return "app_allowed";
    case Event::app_ended:
      return "app_ended";
    case Event::device_signed_out:
      return "device_signed_out";
    case Event::all_signed_out:
      return "all_signed_out";
    case Event::deactivated:
      return "deactivated";
    case Event::reactivated:
      return "reactivated";
    case Event::rotation_key_added:
      return "rotation_key_added";
    case Event::rotation_key_removed:
      return "rotation_key_removed";
    case Event::data_downloaded:
      return "data_downloaded";
  }
  std::abort();
}

Actor Actor::of(const web::Request& request) {
  return {request.remote_ip, agent_words(request.headers.get("user-agent"))};
}

namespace audit {

void note(store::Tx& tx, std::string_view did, Event event, std::string_view detail, const Actor& actor,
          Time now) {
  tx.exec(k_note, did, now, name(event), detail, actor.ip, actor.agent);
  tx.exec(k_keep_newest, did, k_audit_kept);
}

std::vector<AuditEntry> newest(store::Tx& tx, std::string_view did, std::int64_t limit) {
  std::vector<AuditEntry> out;
  for (auto& row : tx.query(k_newest, did, limit))
    out.push_back({row.time(0), row.take_text(1), row.take_text(2), row.take_text(3), row.take_text(4)});
  return out;
}

void remove_all(store::Tx& tx, std::string_view did) { tx.exec(k_remove_all, did); }
void clean(store::Tx& tx, Time now) { tx.exec(k_clean, now - k_audit_life); }

}  // namespace audit
}  // namespace latchkey::signin

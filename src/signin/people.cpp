#include "signin/people.h"

#include <stdexcept>

#include "auth/plugins/social/social.h"
#include "signin/audit.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::hours k_opened_life{1};
constexpr std::int64_t k_cleaned_at_once = 500;  // in one transaction
constexpr std::string_view k_by_email = "email", k_by_pages = "account";

// What cannot be refused here: the rows are ours.
template <class T>
T required(Result<T, auth::Fault> result) {
  if (!result) throw std::runtime_error("a user could not be written: " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

const std::string* text_of(const json::Object& fields, std::string_view name) {
  const auto* value = fields.find(name);
  return value ? value->string() : nullptr;
}

}  // namespace

Task<std::optional<People::Proof>> People::proof(web::Request request, Time since) const {
  const auto who = co_await auth_.session_of(std::move(request));
  if (!who || who->session.created_at < since) co_return std::nullopt;
  const auto* by = text_of(who->session.fields, k_proven_by_field);
  Proof out{.did = std::nullopt, .email = who->user.email, .by = by ? *by : std::string(k_by_email)};
  // Opened by the pages for whoever was proven before: a proof that renewed itself would never grow old.
  if (out.by == k_by_pages) co_return std::nullopt;
  // A code shows who reads a mailbox, and whose that is the account says, not what the user's row kept.
  if (out.by != k_by_email)
    if (const auto* did = text_of(who->user.fields, k_did_field)) out.did = *did;
  // An address that was never proven is no proof of anything.
  if (!out.did && !who->user.email_verified) co_return std::nullopt;
  co_return out;
}

Task<web::Response> People::spend(web::Request request, web::Response answer) const {
  co_return co_await auth_.sign_out(std::move(request), std::move(answer));
}

std::optional<auth::User> People::user_of(store::Tx& tx, const pds::Account& account, Time now) const {
  const auto& users = auth_.users();
  const std::string did = account.did.str();
  if (auto known = users.find_by(tx, k_did_field, did)) {
    if (!account.email || !account.email_confirmed_at || known->email == *account.email) return known;
    email_changed(tx, account, now);
    return users.find_by(tx, k_did_field, did);
  }
  if (!account.email || !account.email_confirmed_at) return std::nullopt;
  if (const auto same = users.find_by_email(tx, *account.email)) {
    // Of somebody who proved this mailbox before there was an account; or, left behind, of another account.
    if (text_of(same->fields, k_did_field)) return std::nullopt;
    if (same->email_verified)
      return required(users.update(tx, same->id, {.fields = {{k_did_field, did}}}, now));
    required(users.remove(tx, same->id));
  }
  return required(users.create(
      tx, {.email = *account.email, .email_verified = true, .fields = {{k_did_field, did}}}, now));
}

Task<void> People::claim(pds::Account account) const {
  if (!account.email) co_return;
  const bool unclaimed = co_await auth_.db().read([&](store::Tx& tx) {
    const auto user = auth_.users().find_by_email(tx, *account.email);
    return user && !text_of(user->fields, k_did_field);
  });
  if (!unclaimed) co_return;
  const Time now = auth_.clock().now();
  co_await auth_.db().write([&](store::Tx& tx) { user_of(tx, account, now); });
}

void People::email_changed(store::Tx& tx, const pds::Account& account, Time now) const {
  const auto& users = auth_.users();
  const auto known = users.find_by(tx, k_did_field, account.did.str());
  const std::string email = account.email.value_or("");
  if (!known || email.empty() || known->email == email) return;
  // Whoever proved the new address without an account has one now: this one.
  if (const auto same = users.find_by_email(tx, email)) required(users.remove(tx, same->id));
  required(users.update(tx, known->id, {.email = email, .email_verified = true}, now));
  // Whoever proved the mailbox it had proved somebody else's by now.
  required(auth_.sessions().remove_all(tx, known->id));
}

void People::forget(store::Tx& tx, const Did& did) const {
  if (const auto known = auth_.users().find_by(tx, k_did_field, did.str()))
    required(auth_.users().remove(tx, known->id));
}

void People::end_sessions(store::Tx& tx, const Did& did) const {
  if (const auto known = auth_.users().find_by(tx, k_did_field, did.str()))
    required(auth_.sessions().remove_all(tx, known->id));
}

Task<std::optional<std::string>> People::link_pending(pds::Account account, web::Request request) const {
  const auto pending = co_await auth::pending_link(&auth_, request);
  if (!pending || pending->email != account.email) co_return std::nullopt;
  const Time now = auth_.clock().now();
  const Actor actor = Actor::of(request);
  co_return co_await auth_.db().write([&](store::Tx& tx) -> std::optional<std::string> {
    const auto user = user_of(tx, account, now);
    if (!user) return std::nullopt;
    const auto linked = auth::link_pending(auth_, tx, request, *user, now);
    if (!linked || !*linked) return std::nullopt;
    audit::note(tx, account.did.str(), Event::provider_linked, pending->provider_label, actor, now);
    return pending->provider_label;
  });
}

People::Methods People::methods(store::Tx& tx, const Did& did) const {
  const auto user = auth_.users().find_by(tx, k_did_field, did.str());
  if (!user) return {};
  return {auth::passkeys::list(tx, user->id), auth_.accounts().list(tx, user->id)};
}

Result<void, auth::Fault> People::may_remove_passkey(store::Tx& tx, const auth::Passkey& passkey,
                                                     std::size_t others) const {
  if (others > 0 || !auth_.accounts().list(tx, passkey.user_id).empty()) return {};
  const auto user = auth_.users().find(tx, passkey.user_id);
  if (!user || user->email_verified) return {};
  return auth::refuse(auth::Error::FAILED_TO_UNLINK_LAST_ACCOUNT);
}

Task<void> People::clean() const {
  const Time until = auth_.clock().now() - k_user_without_account_life;
  co_await auth_.db().write([&](store::Tx& tx) {
    for (const auto& id : idle_.list(tx, until, k_cleaned_at_once)) required(auth_.users().remove(tx, id));
  });
}

Task<std::optional<People::Opened>> People::open(pds::Account account, web::Request request,
                                                 web::Response answer) const {
  const Time now = auth_.clock().now();
  const auto session = co_await auth_.db().write([&](store::Tx& tx) -> std::optional<auth::Session> {
    const auto user = user_of(tx, account, now);
    if (!user) return std::nullopt;
    return required(auth_.sessions().create(tx,
                                            {.user_id = user->id,
                                             .expires_at = now + k_opened_life,
                                             .ip_address = request.remote_ip,
                                             .user_agent = std::string(request.headers.get("user-agent")),
                                             .fields = {{k_proven_by_field, std::string(k_by_pages)}}},
                                            now));
  });
  if (!session) co_return std::nullopt;
  const std::string name = auth_.cookies().name("session_token");
  Opened out{auth_.signed_in(std::move(answer), *session, auth::Remember::no), {}};
  for (const auto& line : out.answer.headers.all("set-cookie"))
    if (line.starts_with(name + "=")) out.cookie = line.substr(0, line.find(';'));
  co_return out;
}

}  // namespace latchkey::signin

// Addresses that can recover an account (epds-flows, section 7).

#include "signin/account_parts.h"

namespace latchkey::signin {

Task<web::Response> AccountPages::add_backup(Session at, web::Request request) {
  const auto address = mail::EmailAddress::parse(single(at.form, "email").value_or(""));
  if (!address) co_return failed("invalid_email");
  if (at.account.email == address->str()) co_return failed("already_primary");
  // Mails to strangers have the same limits as codes.
  if (!co_await otp_.count_send(*address, request.remote_ip)) co_return failed("send_failed");
  const std::string did = at.account.did.str();
  const Time now = clock_.now();
  const auto link = backup_emails::new_link(rng_);
  const BackupEmail row{.id = rng_.token(12), .did = did, .email = address->str(), .created_at = now};
  using backup_emails::Added;
  const Added added = co_await db_.write([&](store::Tx& tx) {
    const Added added = backup_emails::add(tx, row, link.hash, now + k_backup_link_life);
    if (added == Added::pending)
      audit::note(tx, did, Event::backup_email_added, address->masked(), Actor::of(request), now);
    return added;
  });
  if (added == Added::too_many) co_return failed("too_many_backups");
  if (added == Added::already_verified) co_return done("backup_verified");
  letters_.confirm_backup(*address, at.account.handle_text(),
                          "/account/backup-email/verify?token=" + link.token, at.reader.lang());
  co_return done("backup_added");
}

Task<web::Response> AccountPages::remove_backup(Session at, web::Request request) {
  const std::string did = at.account.did.str(), id = single(at.form, "backup").value_or("");
  const Time now = clock_.now();
  const auto removed = co_await db_.write([&](store::Tx& tx) {
    const auto removed = backup_emails::remove(tx, did, id);
    if (removed) {
      const auto address = mail::EmailAddress::parse(removed->email);
      audit::note(tx, did, Event::backup_email_removed, address ? address->masked() : "", Actor::of(request),
                  now);
    }
    return removed;
  });
  if (!removed) co_return done("nothing");
  if (removed->verified_at)
    if (const auto address = mail::EmailAddress::parse(removed->email))
      letters_.notify(at.account, {.what = name(Event::backup_email_removed), .detail = address->masked()},
                      Actor::of(request), at.reader.lang());
  co_return done("backup_removed");
}

// --- The link in the mail, which needs no session: it may be opened where that mailbox is read

Task<web::Response> AccountPages::backup_page(web::Request request) {
  // Opening it changes nothing: mail scanners open it, too.
  const std::string token = request.query_value("token").value_or("");
  const auto hash = backup_emails::hash_of(token);
  const Time now = clock_.now();
  struct Found {
    BackupEmail backup;
    std::string handle;
  };
  std::optional<Found> found;
  if (hash)
    found = co_await db_.read([&](store::Tx& tx) -> std::optional<Found> {
      auto backup = backup_emails::find_pending(tx, *hash, now);
      const auto did = backup ? Did::parse(backup->did) : Did::parse("");
      const auto account = did ? pds::accounts::by_did(tx, *did) : std::nullopt;
      if (!account) return std::nullopt;
      return Found{std::move(*backup), account->handle_text()};
    });
  if (!found) co_return pages_.error_page(400, "backup_over", request);
  const Reader reader = pages_.reader(request);
  co_return pages_.page(reader, "account_backup_verify",
                        {{"title", reader.text("backup.title")},
                         {"email", found->backup.email},
                         {"handle", found->handle},
                         {"csrf", this->token("backup", token)},
                         {"token", token}});
}

Task<web::Response> AccountPages::verify_backup(web::Request request) {
  // No cookie takes part: whoever sends the token has read the mail, and the form came from the page it
  // opens.
  const auto form = Pages::form_of(request);
  const std::string sent = single(form, "token").value_or("");
  if (!Pages::has_token(form, token("backup", sent))) co_return pages_.forged(request);
  const auto hash = backup_emails::hash_of(sent);
  const Time now = clock_.now();
  std::optional<pds::Account> account;
  std::optional<BackupEmail> backup;
  if (hash)
    account = co_await db_.write([&](store::Tx& tx) -> std::optional<pds::Account> {
      backup = backup_emails::verify(tx, *hash, now);
      const auto did = backup ? Did::parse(backup->did) : Did::parse("");
      const auto account = did ? pds::accounts::by_did(tx, *did) : std::nullopt;
      if (account) {
        const auto address = mail::EmailAddress::parse(backup->email);
        audit::note(tx, backup->did, Event::backup_email_verified, address ? address->masked() : "",
                    Actor::of(request), now);
      }
      return account;
    });
  // Whoever is signed in here sees it among their settings.
  const auto visit = co_await devices_.visit(request);
  const bool settings = visit && !(co_await accounts_on(visit->device)).empty();
  const auto answered = [&](web::Response response) {
    if (visit) devices_.set_cookie(response, *visit);
    return response;
  };
  if (!account)
    co_return answered(settings ? failed("verify_failed") : pages_.error_page(400, "backup_over", request));
  const Reader reader = pages_.reader(request);
  const auto address = mail::EmailAddress::parse(backup->email);
  letters_.notify(*account,
                  {.what = name(Event::backup_email_verified), .detail = address ? address->masked() : ""},
                  Actor::of(request), reader.lang());
  if (settings) co_return answered(done("backup_verified"));
  co_return answered(pages_.page(reader, "message",
                                 {{"title", reader.text("backup.done.title")},
                                  {"heading", reader.text("backup.done.title")},
                                  {"message", reader.text("backup.done")},
                                  {"good", true},
                                  {"next_url", "/account"},
                                  {"next_label", reader.text("backup.done.next")}}));
}

}  // namespace latchkey::signin

#include "pds/account_lifecycle.h"

#include "base/log.h"
#include "pds/call.h"
#include "pds/event_payloads.h"
#include "pds/events.h"
#include "pds/invites.h"
#include "pds/mailed_tokens.h"
#include "pds/records.h"
#include "pds/sessions.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::int64_t k_sweep_batch = 10'000;  // numbers looked through in one transaction

std::unexpected<Fault> gone() { return refuse(Error::AccountNotFound, "Account not found"); }

Fault fault_of(mailed_tokens::Bad bad) {
  switch (bad) {
    case mailed_tokens::Bad::unknown:
      return {Error::InvalidToken, "Token is invalid"};
    case mailed_tokens::Bad::expired:
      return {Error::ExpiredToken, "Token is expired"};
  }
  std::abort();
}

}  // namespace

AccountLifecycle::AccountLifecycle(Shared shared, RepoService& repos, BlobService& blobs,
                                   AccountSettings& settings, IdentityService& identity, DidDocs& did_docs,
                                   AccountMailer* mailer, RecentSignIn recent_sign_in)
    : shared_(shared),
      repos_(repos),
      blobs_(blobs),
      settings_(settings),
      identity_(identity),
      did_docs_(did_docs),
      mailer_(mailer),
      recent_sign_in_(std::move(recent_sign_in)) {}

Task<Result<void, Fault>> AccountLifecycle::deactivate(Account account, std::optional<Time> delete_after) {
  const Time now = shared_.clock.now();
  co_return co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    auto current = accounts::by_did(tx, account.did);
    if (!current) return gone();
    repo_heads::lock(tx, current->id);
    if (!current->deactivated_at) current->deactivated_at = now;
    accounts::set_deactivated(tx, current->id, current->deactivated_at, delete_after);
    events::append(tx, shared_.db.engine(), current->id, EventKind::account,
                   account_payload(current->did, current->status(), now), now);
    return {};
  });
}

Task<Result<void, Fault>> AccountLifecycle::activate(Account account) {
  CO_TRY_VOID(co_await identity_.check_entry(account, (co_await repos_.signing_key(account)).public_key()));
  const Time now = shared_.clock.now();
  co_return co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    auto current = accounts::by_did(tx, account.did);
    if (!current) return gone();
    repo_heads::lock(tx, current->id);
    const auto head = repo_heads::get(tx, current->id);
    if (!head) throw std::logic_error("an account without a repository: " + current->did.str());
    current->deactivated_at.reset();
    accounts::set_deactivated(tx, current->id, std::nullopt);
    const auto engine = shared_.db.engine();
    events::append(tx, engine, current->id, EventKind::account,
                   account_payload(current->did, current->status(), now), now);
    events::append(tx, engine, current->id, EventKind::identity,
                   identity_payload(current->did, current->handle, now), now);
    events::append(tx, engine, current->id, EventKind::sync, sync_payload(current->did, *head, now), now);
    return {};
  });
}

Task<Result<void, Fault>> AccountLifecycle::request_delete(Account account) {
  const auto to = account.email ? mail::EmailAddress::parse(*account.email) : mail::EmailAddress::parse("");
  if (!to) co_return invalid("account does not have an email address");
  if (!mailer_) co_return refuse(Error::UpstreamFailure, "This server sends no mails");
  const Time now = shared_.clock.now();
  const std::string token = new_mailed_token(shared_.rng);
  const Bytes hash = hash_mailed_token(token, account.id, TokenPurpose::delete_account);
  const bool kept = co_await shared_.db.write([&](store::Tx& tx) {
    return mailed_tokens::put(tx, account.id, TokenPurpose::delete_account, hash, now);
  });
  if (!kept) co_return refuse(Error::RateLimitExceeded, "Rate Limit Exceeded");
  const auto sent = co_await mailer_->send_account_delete(*to, account.handle_text(), token);
  if (!sent) {
    log::error("mail not sent", {{"email", log::redact_email(to->str())}, {"detail", sent.error().detail}});
    co_return refuse(Error::UpstreamFailure, "The mail could not be sent");
  }
  co_return {};
}

Task<Result<void, Fault>> AccountLifecycle::delete_with_token(Account account, Secret<std::string> password,
                                                              std::string token) {
  const bool by_password = co_await settings_.has_password(account);
  if (by_password && !co_await settings_.is_password(account, std::move(password)))
    co_return refuse(Error::AuthenticationRequired, "Invalid did or password");
  const Time now = shared_.clock.now();
  const Bytes hash = hash_mailed_token(token, account.id, TokenPurpose::delete_account);
  co_return co_await delete_if(account, [&](store::Tx& tx) -> Result<void, Fault> {
    if (const auto spent = mailed_tokens::spend(tx, account.id, TokenPurpose::delete_account, hash, now);
        !spent)
      return fail(fault_of(spent.error()));
    if (!by_password && !(recent_sign_in_ && recent_sign_in_(tx, account.did, now)))
      return refuse(Error::AuthenticationRequired,
                    "The account has no password: sign in to its account page first");
    return {};
  });
}

Task<Result<void, Fault>> AccountLifecycle::delete_account(Account account) {
  return delete_if(std::move(account), [](store::Tx&) -> Result<void, Fault> { return {}; });
}

Task<Result<void, Fault>> AccountLifecycle::delete_if(Account account, Permit permit) {
  const Time now = shared_.clock.now();
  const std::int64_t id = account.id;
  CO_TRY(auto files, co_await shared_.db.write([&](store::Tx& tx) -> Result<std::vector<BlobKey>, Fault> {
    if (!accounts::by_did(tx, account.did)) return gone();
    TRY_VOID(permit(tx));
    repo_heads::lock(tx, id);  // a write that is under way finds the repository gone
    records::remove_all(tx, id);
    auto blobs = blobs::remove_all(tx, id);
    repo_heads::remove(tx, id);
    sessions::revoke_all(tx, id);
    app_passwords::remove_all(tx, id);
    mailed_tokens::remove_all(tx, id);
    plc_updates::remove_all(tx, id);
    invites::forget_account(tx, id);
    events::remove_account(tx, id);
    accounts::remove(tx, id);
    for (const auto& remove : on_deleted_) remove(tx, account.did);
    events::append(tx, shared_.db.engine(), id, EventKind::account,
                   account_payload(account.did, "deleted", now), now);
    return blobs;
  }));
  co_await blobs_.remove_files(std::move(files));
  repos_.cache().erase(id);
  did_docs_.forget(account.did.str());
  log::info("account deleted", {{"did", account.did.str()}});
  co_return {};
}

Task<void> AccountLifecycle::sweep_events() {
  while (co_await shared_.db.write([](store::Tx& tx) { return events::sweep(tx, k_sweep_batch); })) {
  }
}

}  // namespace latchkey::pds

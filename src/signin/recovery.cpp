#include "signin/recovery.h"

#include <fmt/format.h>

namespace latchkey::signin {
namespace {

constexpr std::string_view k_purpose = "recovery";

auth::EmailOtp::Subject subject(const mail::EmailAddress& backup, std::string flow) {
  return {backup, std::string(k_purpose), std::move(flow)};
}

}  // namespace

Task<void> Recovery::send(std::string flow, mail::EmailAddress backup, Reader reader, std::string ip) {
  co_await codes_.send(std::move(reader), subject(backup, std::move(flow)),
                       {.audience = CodeMail::Audience::backups}, std::move(ip));
}

Task<bool> Recovery::verify(std::string flow, mail::EmailAddress backup, std::string code, std::string ip) {
  // Without an account behind the address nobody was told the code.
  co_return co_await otp_.verify(subject(backup, std::move(flow)), std::move(code), std::move(ip));
}

Task<std::vector<pds::Account>> Recovery::accounts(mail::EmailAddress backup) {
  co_return co_await db_.read([&](store::Tx& tx) {
    std::vector<pds::Account> out;
    for (const auto& did : backup_emails::accounts_of(tx, backup.str()))
      if (const auto parsed = Did::parse(did))
        if (auto account = pds::accounts::by_did(tx, *parsed)) out.push_back(std::move(*account));
    return out;
  });
}

Task<Recovery::Taken> Recovery::take(pds::Account account, mail::EmailAddress backup, std::string lang,
                                     Actor actor) {
  const Time now = clock_.now();
  const std::string did = account.did.str();
  const auto link = backup_emails::new_link(rng_);
  struct Outcome {
    std::optional<Time> from;
    bool begun;
  };
  const Outcome outcome = co_await db_.write([&](store::Tx& tx) -> Outcome {
    if (options_.delay.count() > 0) {
      const auto waiting = recoveries::find(tx, did, now);
      if (!waiting) {
        const Time ready = now + options_.delay;
        recoveries::begin(tx, {did, ready, ready + recoveries::k_open_for}, link.hash, now);
        audit::note(tx, did, Event::recovery_begun, backup.masked(), actor, now);
        return {ready, true};
      }
      if (waiting->ready_at > now) return {waiting->ready_at, false};
      recoveries::remove(tx, did);
    }
    audit::note(tx, did, Event::recovered, backup.masked(), actor, now);
    devices::remove_everywhere(tx, did);
    return {std::nullopt, false};
  });
  if (outcome.begun)
    letters_.notify(account,
                    {.what = name(Event::recovery_begun),
                     .detail = backup.masked(),
                     .path = "/auth/recover/cancel?token=" + link.token},
                    std::move(actor), std::move(lang));
  else if (!outcome.from)
    letters_.notify(account, {.what = name(Event::recovered), .detail = backup.masked()}, std::move(actor),
                    std::move(lang));
  co_return Taken{outcome.from};
}

Task<std::optional<pds::Account>> Recovery::find_by_link(std::string token) {
  const auto hash = backup_emails::hash_of(token);
  if (!hash) co_return std::nullopt;
  const Time now = clock_.now();
  co_return co_await db_.read([&](store::Tx& tx) -> std::optional<pds::Account> {
    const auto recovery = recoveries::find_by_link(tx, *hash, now);
    const auto did = recovery ? Did::parse(recovery->did) : Did::parse("");
    if (!did) return std::nullopt;
    return pds::accounts::by_did(tx, *did);
  });
}

Task<bool> Recovery::call_off(std::string token, Actor actor) {
  const auto hash = backup_emails::hash_of(token);
  if (!hash) co_return false;
  const Time now = clock_.now();
  co_return co_await db_.write([&](store::Tx& tx) {
    const auto recovery = recoveries::cancel(tx, *hash, now);
    if (recovery) audit::note(tx, recovery->did, Event::recovery_cancelled, {}, actor, now);
    return recovery.has_value();
  });
}

Task<void> Recovery::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) {
    backup_emails::clean(tx, now);
    recoveries::clean(tx, now);
    audit::clean(tx, now);
  });
}

}  // namespace latchkey::signin

// "Confirm it is you": what changes an account asks for a proof from now, not from a week ago (epds-flows,
// section 8). A code goes to the account's address. Whoever came in by recovery has lost that mailbox, and
// confirms by the one they came in with.

#include "signin/account_parts.h"

namespace latchkey::signin {
namespace {

constexpr std::string_view k_purpose = "confirm";

// Of one browser and account.
std::string flow_of(const std::string& device, const pds::Account& account) {
  return "confirm." + device + "." + account.did.str();
}

}  // namespace

Task<std::vector<mail::EmailAddress>> AccountPages::confirm_targets(Session at) {
  std::vector<mail::EmailAddress> out;
  if (at.proven_by == k_by_backup) {
    const Time now = clock_.now();
    const auto backups = co_await db_.read(
        [&](store::Tx& tx) { return backup_emails::of_account(tx, at.account.did.str(), now); });
    for (const auto& backup : backups)
      if (auto address = mail::EmailAddress::parse(backup.email); backup.verified_at && address)
        out.push_back(std::move(*address));
  }
  if (out.empty())
    if (auto address = mail::EmailAddress::parse(at.account.email.value_or("")))
      out.push_back(std::move(*address));
  co_return out;
}

Task<web::Response> AccountPages::confirm(Session at, web::Request) {
  co_return co_await confirm_page(std::move(at), std::nullopt);
}

Task<web::Response> AccountPages::confirm_page(Session at, std::optional<mail::EmailAddress> sent_to,
                                               std::string error) {
  json::Object view{{"title", at.reader.text("confirm.title")},
                    {"csrf", csrf(at)},
                    {"did", at.account.did.str()},
                    {"sent", sent_to.has_value()}};
  json::Array targets;
  for (const auto& target : co_await confirm_targets(at))
    if (!sent_to || target == *sent_to)
      // By its place in the list: the page of a recovered account shows no whole address.
      targets.push_back(json::Object{{"target", target.masked()}, {"target_masked", target.masked()}});
  view.set("targets", std::move(targets));
  if (sent_to) view.set("masked_email", sent_to->masked()).set("purpose", sent_to->masked());
  view.set("has_passkeys", !sent_to && co_await has_passkeys(at.account));
  const bool failed = !error.empty();
  if (failed) view.set("error", std::move(error));
  co_return pages_.page(at.reader, "account_confirm", std::move(view), failed ? 400 : 200);
}

// The form names one of the addresses by its masked form; two that look alike are told apart by neither the
// page nor the person, and the first is taken.
Task<std::optional<mail::EmailAddress>> AccountPages::confirm_target(Session at, std::string masked) {
  for (auto& target : co_await confirm_targets(std::move(at)))
    if (target.masked() == masked) co_return std::move(target);
  co_return std::nullopt;
}

Task<web::Response> AccountPages::confirm_send(Session at, web::Request request) {
  const auto to = co_await confirm_target(at, single(at.form, "to").value_or(""));
  if (!to) co_return to_confirm();
  co_await codes_.send(at.reader, {*to, std::string(k_purpose), flow_of(at.device, at.account)}, {},
                       request.remote_ip);
  co_return co_await confirm_page(std::move(at), *to);
}

Task<web::Response> AccountPages::confirm_verify(Session at, web::Request request) {
  const auto to = co_await confirm_target(at, single(at.form, "purpose").value_or(""));
  if (!to) co_return to_confirm();
  const std::string code = single(at.form, "code").value_or("");
  if (!co_await otp_.verify({*to, std::string(k_purpose), flow_of(at.device, at.account)}, code,
                            request.remote_ip)) {
    std::string error = at.reader.text("code.wrong");
    co_return co_await confirm_page(std::move(at), *to, std::move(error));
  }
  // As a sign-in does: whoever holds an older cookie of this browser is not confirmed with it.
  const Visit visit = co_await devices_.sign_in(request, at.account.did.str(), at.stay, at.proven_by);
  web::Response response = done("confirmed");
  devices_.set_cookie(response, visit);
  co_return response;
}

}  // namespace latchkey::signin

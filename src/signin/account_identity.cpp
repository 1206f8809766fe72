// Names of an account: its handle and its address.

#include "signin/account_parts.h"

namespace latchkey::signin {
namespace {

constexpr std::string_view k_purpose = "change-email";

std::string flow_of(const std::string& device, const pds::Account& account) {
  return "email." + device + "." + account.did.str();
}

}  // namespace

Task<web::Response> AccountPages::change_handle(Session at, web::Request request) {
  std::string typed = single(at.form, "handle").value_or("");
  if (typed.starts_with('@')) typed.erase(0, 1);
  // A bare name is one of this server's.
  if (!typed.empty() && typed.find('.') == std::string::npos) typed += options_.handle_domain;
  const auto handle = Handle::parse(typed);
  if (!handle) co_return failed("invalid_handle");
  if (at.account.handle == *handle) co_return to_account();
  const auto changed = co_await pds_.identity().change_handle(at.account, *handle);
  if (!changed) {
    using xrpc::Error;
    switch (changed.error().code) {
      case Error::HandleNotAvailable:
        co_return failed("handle_taken");
      case Error::InvalidHandle:
      case Error::UnsupportedDomain:
        co_return failed("invalid_handle");
      case Error::InvalidRequest:
        // Its own domain does not point here, or somebody has the name.
        co_return failed(changed.error().message.find("taken") != std::string::npos ? "handle_taken"
                                                                                    : "handle_unproven");
      default:
        log_failure("handle change failed", request, changed.error());
        co_return failed("handle_failed");
    }
  }
  co_await note(at, Event::handle_changed, handle->str(), request);
  letters_.notify(at.account, {.what = name(Event::handle_changed), .detail = handle->str()},
                  Actor::of(request), at.reader.lang());
  co_return done("handle_updated");
}

// The address is changed by whoever reads the new mailbox and has just proven to be the account's owner by
// the old one (or, after a recovery, by a backup).
Task<web::Response> AccountPages::change_email(Session at, web::Request request) {
  const auto address = mail::EmailAddress::parse(single(at.form, "email").value_or(""));
  if (!address) co_return failed("invalid_email");
  if (at.account.email == address->str()) co_return failed("already_primary");
  // Whether somebody has it shows only to who reads it.
  co_await codes_.send(at.reader, {*address, std::string(k_purpose), flow_of(at.device, at.account)}, {},
                       request.remote_ip);
  co_return email_change_page(at, address->str());
}

web::Response AccountPages::email_change_page(const Session& at, std::string address,
                                              std::string error) const {
  json::Object view{{"title", at.reader.text("email_change.title")},
                    {"csrf", csrf(at)},
                    {"did", at.account.did.str()},
                    {"new_email", std::move(address)}};
  const bool failed = !error.empty();
  if (failed) view.set("error", std::move(error));
  return pages_.page(at.reader, "account_email_change", std::move(view), failed ? 400 : 200);
}

Task<web::Response> AccountPages::verify_email(Session at, web::Request request) {
  const auto address = mail::EmailAddress::parse(single(at.form, "email").value_or(""));
  if (!address) co_return failed("invalid_email");
  const std::string code = single(at.form, "code").value_or("");
  if (!co_await otp_.verify({*address, std::string(k_purpose), flow_of(at.device, at.account)}, code,
                            request.remote_ip))
    co_return email_change_page(at, address->str(), at.reader.text("code.wrong"));
  const auto old = mail::EmailAddress::parse(at.account.email.value_or(""));
  const auto changed = co_await pds_.settings().change_email(at.account, *address, pds::EmailProof::proven);
  if (!changed) co_return failed("email_taken");
  const std::string did = at.account.did.str();
  const Time now = clock_.now();
  co_await db_.write([&](store::Tx& tx) {
    backup_emails::remove_address(tx, did, address->str());
    audit::note(tx, did, Event::email_changed, old ? old->masked() : "", Actor::of(request), now);
  });
  // To both: the old mailbox must hear of it, and it is the one that is losing the account.
  for (const auto& to : {old ? std::optional(*old) : std::nullopt, std::optional(*address)})
    if (to)
      letters_.notify(*to, at.account.handle_text(),
                      {.what = name(Event::email_changed), .detail = address->masked()}, Actor::of(request),
                      at.reader.lang());
  co_return done("email_updated");
}

}  // namespace latchkey::signin

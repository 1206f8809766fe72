// Recovery inside of a sign-in: a code to a backup address leads to the account it was confirmed for
// (epds-flows, section 7).

#include <fmt/format.h>

#include "signin/dates.h"
#include "signin/sign_in.h"
#include "signin/sign_in_parts.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_max_typed = 254;  // given back for correction
constexpr std::string_view k_cancel = "recover/cancel";

std::optional<mail::EmailAddress> backup_of(const Flow& flow) {
  auto address = mail::EmailAddress::parse(flow.backup_email.value_or(""));
  if (!address) return std::nullopt;
  return std::move(*address);
}

}  // namespace

void SignIn::add_recovery_routes(web::Router& router) {
  using Page = Task<web::Response> (SignIn::*)(web::Request);
  const auto on = [this](Page page) {
    return [this, page](web::Request r) { return (this->*page)(std::move(r)); };
  };
  pages_.get_and_post(router, "/auth/recover", on(&SignIn::recover_page), on(&SignIn::recover_send));
  pages_.post(router, "/auth/recover/resend", on(&SignIn::recover_resend));
  pages_.post(router, "/auth/recover/verify", on(&SignIn::recover_verify));
  pages_.post(router, "/auth/recover/choose", on(&SignIn::recover_choose));
  pages_.get_and_post(router, "/auth/recover/cancel", on(&SignIn::recover_cancel_page),
                      on(&SignIn::recover_cancel));
}

Task<web::Response> SignIn::recover_page(web::Request request) {
  auto loaded = co_await load(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  if (at.flow.is_proven()) co_return show_step(at);
  if (at.recovering) co_return co_await recovered_page(std::move(*loaded));
  if (request.query_value("different") == "1") co_return recover_form(at);
  const bool again = request.query_value("sent") == "again";
  co_return at.flow.backup_email ? recover_code_page(at, {}, again ? at.reader.text("code.sent_again") : "")
                                 : recover_form(at);
}

Task<web::Response> SignIn::recover_send(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  if (at.flow.is_proven()) co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  const auto typed = single(at.form, "email").value_or("");
  const auto address = mail::EmailAddress::parse(typed);
  if (!address) {
    auto response = recover_form(at, at.reader.text("problem.invalid_email"), typed);
    response.status = 400;
    co_return response;
  }
  const bool fresh =
      co_await db_.write([&](store::Tx& tx) { return flows::take_backup(tx, at.flow.id, address->str()); });
  if (fresh) co_await recovery_.send(at.flow.id, *address, at.reader, request.remote_ip);
  co_return web::Response::redirect(303, link("/auth/recover", at.flow.id));
}

Task<web::Response> SignIn::recover_resend(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  const auto address = backup_of(at.flow);
  if (address && !at.flow.is_proven() && !at.flow.backup_proven)
    co_await recovery_.send(at.flow.id, *address, at.reader, request.remote_ip);
  co_return web::Response::redirect(303, link("/auth/recover", at.flow.id) + "&sent=again");
}

Task<web::Response> SignIn::recover_verify(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const auto address = backup_of(at.flow);
  if (!address || at.flow.is_proven())
    co_return web::Response::redirect(303, link("/auth/recover", at.flow.id));
  const std::string code = single(at.form, "code").value_or("");
  if (!co_await recovery_.verify(at.flow.id, *address, code, request.remote_ip)) {
    auto response = recover_code_page(at, at.reader.text("code.wrong"));
    response.status = 400;
    co_return response;
  }
  const std::string session = rng_.token();
  const bool proven = co_await db_.write([&](store::Tx& tx) {
    return flows::prove_backup(tx, at.flow.id, address->str(), flows::hash_of(session));
  });
  web::Response response;
  const auto accounts = co_await recoverable(at.flow, *address);
  if (!proven)  // another address was typed in another tab meanwhile
    response = web::Response::redirect(303, link("/auth/recover", at.flow.id));
  else if (accounts.size() == 1)
    co_return co_await recover_account(std::move(at), accounts[0], *address, std::move(request));
  else
    response = web::Response::redirect(303, link("/auth/recover", at.flow.id));
  if (proven) set_session_cookie(response, at.flow.id, session);
  co_return response;
}

// A hint in the request holds for recovery, too.
Task<std::vector<pds::Account>> SignIn::recoverable(Flow flow, mail::EmailAddress backup) {
  auto accounts = co_await recovery_.accounts(std::move(backup));
  if (flow.locked_did)
    std::erase_if(accounts, [&](const pds::Account& a) { return a.did.str() != *flow.locked_did; });
  co_return accounts;
}

Task<web::Response> SignIn::recover_choose(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const auto address = backup_of(at.flow);
  if (!at.recovering || !address) co_return web::Response::redirect(303, link("/auth/recover", at.flow.id));
  // Looked up, never believed: the form only says which of the accounts this mailbox recovers.
  const auto wanted = single(at.form, "account");
  for (const auto& account : co_await recoverable(at.flow, *address))
    if (wanted == account.did.str())
      co_return co_await recover_account(std::move(at), account, *address, std::move(request));
  co_return web::Response::redirect(303, link("/auth/recover", at.flow.id));
}

Task<web::Response> SignIn::recover_account(Step at, pds::Account account, mail::EmailAddress backup,
                                            web::Request request) {
  const auto taken = co_await recovery_.take(account, backup, at.reader.lang(), Actor::of(request));
  if (taken.from) {
    json::Object view{{"title", at.reader.text("recover.wait.title")},
                      {"from", to_the_minute(at.reader, *taken.from)},
                      {"from_iso", rfc3339(*taken.from)}};
    co_return pages_.page(at.reader, "recover_wait", std::move(view));
  }
  const std::string session = rng_.token();
  const bool proven = co_await db_.write([&](store::Tx& tx) {
    return flows::prove_account(tx, at.flow.id, account.did.str(), flows::hash_of(session), "backup", false);
  });
  web::Response response =
      web::Response::redirect(303, link(proven ? "/auth/complete" : "/auth/step", at.flow.id));
  if (proven) set_session_cookie(response, at.flow.id, session);
  co_return response;
}

// The mailbox was proven, and it recovers several accounts or, for this request, none.
Task<web::Response> SignIn::recovered_page(Step at) {
  const auto address = backup_of(at.flow);
  json::Array accounts;
  if (address)
    for (const auto& account : co_await recoverable(at.flow, *address))
      accounts.push_back(json::Object{{"did", account.did.str()}, {"handle", account.handle_text()}});
  json::Object view = Pages::app_view(at.reader, *at.open.client);
  view.set("title", at.reader.text("recover.choose.title"));
  view.set("csrf", csrf_token(at.cookie, at.flow.id));
  view.set("choose_action", link("/auth/recover/choose", at.flow.id));
  view.set("has_accounts", !accounts.empty());
  view.set("accounts", std::move(accounts));
  view.set("back_url", link("/auth/recover", at.flow.id) + "&different=1");
  co_return pages_.page(at.reader, "recover_choose", std::move(view));
}

web::Response SignIn::recover_form(const Step& at, std::string error, std::string typed) const {
  json::Object view{{"title", at.reader.text("recover.title")},
                    {"csrf", csrf_token(at.cookie, at.flow.id)},
                    {"action", link("/auth/recover", at.flow.id)},
                    {"back_url", link("/auth/step", at.flow.id)}};
  if (!error.empty()) view.set("error", std::move(error));
  if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
  return pages_.page(at.reader, "recover", std::move(view));
}

web::Response SignIn::recover_code_page(const Step& at, std::string error, std::string notice) const {
  const auto address = backup_of(at.flow);
  json::Object view{{"title", at.reader.text("recover.title")},
                    {"csrf", csrf_token(at.cookie, at.flow.id)},
                    {"masked_email", address ? address->masked() : ""},
                    {"verify_action", link("/auth/recover/verify", at.flow.id)},
                    {"resend_action", link("/auth/recover/resend", at.flow.id)},
                    {"different_url", link("/auth/recover", at.flow.id) + "&different=1"}};
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  return pages_.page(at.reader, "recover_code", std::move(view));
}

// --- Calling it off, from the primary mailbox

Task<web::Response> SignIn::recover_cancel_page(web::Request request) {
  // Opening the link changes nothing: mail scanners open it, too.
  const std::string token = request.query_value("token").value_or("");
  const auto account = co_await recovery_.find_by_link(token);
  if (!account) co_return pages_.error_page(400, "recovery_over", request);
  const Reader reader = pages_.reader(request);
  json::Object view{{"title", reader.text("recover.cancel.title")},
                    {"handle", account->handle_text()},
                    {"csrf", csrf_token(token, k_cancel)},
                    {"token", token}};
  co_return pages_.page(reader, "recover_cancel", std::move(view));
}

Task<web::Response> SignIn::recover_cancel(web::Request request) {
  // No cookie takes part: whoever sends the token has read the mail, and the form came from the page it
  // opens.
  const auto form = Pages::form_of(request);
  const std::string token = single(form, "token").value_or("");
  if (!Pages::has_token(form, csrf_token(token, k_cancel))) co_return pages_.forged(request);
  if (!co_await recovery_.call_off(token, Actor::of(request)))
    co_return pages_.error_page(400, "recovery_over", request);
  const Reader reader = pages_.reader(request);
  json::Object view{{"title", reader.text("recover.cancelled.title")},
                    {"heading", reader.text("recover.cancelled.title")},
                    {"message", reader.text("recover.cancelled")},
                    {"good", true},
                    {"next_url", "/account"},
                    {"next_label", reader.text("recover.cancelled.next")}};
  co_return pages_.page(reader, "message", std::move(view));
}

}  // namespace latchkey::signin

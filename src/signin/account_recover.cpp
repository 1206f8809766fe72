// Recovery without an app: the same as inside of a sign-in (sign_in_recover.cpp), at the end of which the
// account's pages are open.

#include "signin/account_parts.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_max_typed = 254;  // given back for correction
constexpr const char* k_here = "/account/recover";

std::optional<mail::EmailAddress> backup_of(const std::optional<Flow>& flow) {
  auto address = mail::EmailAddress::parse(flow ? flow->backup_email.value_or("") : "");
  if (!address) return std::nullopt;
  return std::move(*address);
}

}  // namespace

Task<web::Response> AccountPages::recover(web::Request request) {
  Login at = co_await load_login(request);
  at.reader.here = k_here;
  const auto address = backup_of(at.flow);
  if (!address || request.query_value("different") == "1") co_return with_login_cookie(recover_form(at), at);
  // Bound to the login cookie like everything before sign-in: it is what the mailbox was proven in.
  if (at.flow->backup_proven) co_return co_await recover_choose_page(std::move(at), *address);
  const bool again = request.query_value("sent") == "again";
  co_return with_login_cookie(recover_code_page(at, {}, again ? at.reader.text("code.sent_again") : ""), at);
}

Task<web::Response> AccountPages::recover_send(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  Login& at = *loaded;
  at.reader.here = k_here;
  const auto typed = single(at.form, "email").value_or("");
  const auto address = mail::EmailAddress::parse(typed);
  if (!address) {
    auto response = recover_form(at, at.reader.text("problem.invalid_email"), typed);
    response.status = 400;
    co_return response;
  }
  const Flow fresh = login_flow(at);
  const bool first = co_await db_.write([&](store::Tx& tx) {
    flows::insert(tx, fresh);
    return flows::take_backup(tx, fresh.id, address->str());
  });
  if (first) co_await recovery_.send(fresh.id, *address, at.reader, request.remote_ip);
  co_return with_login_cookie(web::Response::redirect(303, k_here), at);
}

Task<web::Response> AccountPages::recover_resend(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  const Login& at = *loaded;
  const auto address = backup_of(at.flow);
  if (address && !at.flow->backup_proven)
    co_await recovery_.send(at.flow->id, *address, at.reader, request.remote_ip);
  co_return web::Response::redirect(303, "/account/recover?sent=again");
}

Task<web::Response> AccountPages::recover_verify(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  Login& at = *loaded;
  at.reader.here = k_here;
  const auto address = backup_of(at.flow);
  if (!address) co_return web::Response::redirect(303, k_here);
  const std::string code = single(at.form, "code").value_or("");
  if (!co_await recovery_.verify(at.flow->id, *address, code, request.remote_ip)) {
    auto response = recover_code_page(at, at.reader.text("code.wrong"));
    response.status = 400;
    co_return response;
  }
  // A new secret at the moment of the proof: whoever knew the cookie before knows nothing of what follows.
  at.cookie = rng_.token();
  const Flow proven = login_flow(at);
  co_await db_.write([&](store::Tx& tx) {
    flows::start_over(tx, at.flow->id);
    flows::insert(tx, proven);
    flows::take_backup(tx, proven.id, address->str());
    flows::prove_backup(tx, proven.id, address->str(), {});
  });
  at.flow = proven;
  const auto accounts = co_await recovery_.accounts(*address);
  if (accounts.size() == 1)
    co_return co_await recover_account(std::move(at), accounts[0], *address, std::move(request));
  co_return with_login_cookie(web::Response::redirect(303, k_here), at);
}

Task<web::Response> AccountPages::recover_choose(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  Login& at = *loaded;
  const auto address = backup_of(at.flow);
  const auto wanted = single(at.form, "account");
  if (address && at.flow->backup_proven)
    for (const auto& account : co_await recovery_.accounts(*address))
      if (wanted == account.did.str())
        co_return co_await recover_account(std::move(at), account, *address, std::move(request));
  co_return web::Response::redirect(303, k_here);
}

Task<web::Response> AccountPages::recover_account(Login at, pds::Account account, mail::EmailAddress backup,
                                                  web::Request request) {
  const auto taken = co_await recovery_.take(account, backup, at.reader.lang(), Actor::of(request));
  if (taken.from)
    co_return pages_.page(at.reader, "recover_wait",
                          {{"title", at.reader.text("recover.wait.title")},
                           {"from", to_the_minute(at.reader, *taken.from)},
                           {"from_iso", rfc3339(*taken.from)}});
  co_await db_.write([&](store::Tx& tx) { flows::start_over(tx, at.flow->id); });
  web::Response response = co_await arrive(account, Stay::this_time, std::string(k_by_backup),
                                           at.reader.lang(), std::move(request));
  // The first thing to do is to give the account a mailbox that works.
  response.header("location", "/account?success=recovered");
  co_return response;
}

Task<web::Response> AccountPages::recover_choose_page(Login at, mail::EmailAddress backup) {
  json::Array accounts;
  for (const auto& account : co_await recovery_.accounts(std::move(backup)))
    accounts.push_back(json::Object{{"did", account.did.str()}, {"handle", account.handle_text()}});
  const bool any = !accounts.empty();
  co_return pages_.page(at.reader, "recover_choose",
                        {{"title", at.reader.text("recover.choose.title")},
                         {"csrf", token("login", at.cookie)},
                         {"choose_action", "/account/recover/choose"},
                         {"has_accounts", any},
                         {"accounts", std::move(accounts)},
                         {"back_url", "/account/recover?different=1"}});
}

web::Response AccountPages::recover_form(const Login& at, std::string error, std::string typed) const {
  json::Object view{{"title", at.reader.text("recover.title")},
                    {"csrf", token("login", at.cookie)},
                    {"action", k_here},
                    {"back_url", "/account/login"}};
  if (!error.empty()) view.set("error", std::move(error));
  if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
  return pages_.page(at.reader, "recover", std::move(view));
}

web::Response AccountPages::recover_code_page(const Login& at, std::string error, std::string notice) const {
  const auto address = backup_of(at.flow);
  json::Object view{
      {"title", at.reader.text("recover.title")},         {"csrf", token("login", at.cookie)},
      {"masked_email", address ? address->masked() : ""}, {"verify_action", "/account/recover/verify"},
      {"resend_action", "/account/recover/resend"},       {"different_url", "/account/recover?different=1"}};
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  return pages_.page(at.reader, "recover_code", std::move(view));
}

}  // namespace latchkey::signin

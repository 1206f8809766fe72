// Proving an address, and changing it.
#include "auth/core/email_tokens.h"
#include "auth/core/routes.h"

namespace latchkey::auth {
namespace {

using namespace std::chrono_literals;

/// Signed out, every answer takes at least this long, so that mailing does not show.
constexpr auto k_least_time = 500ms;

Task<Answer> send_verification_email(Context& c) {
  if (!c.auth.options().email_verification.send_verification_email)
    co_return refuse(Error::VERIFICATION_EMAIL_NOT_ENABLED);
  const std::string address = lower_case(c.text("email"));
  if (const SessionAndUser* who = co_await c.session()) {
    if (who->user.email != address) co_return refuse(Error::EMAIL_MISMATCH);
    if (who->user.email_verified) co_return refuse(Error::EMAIL_ALREADY_VERIFIED);
    co_await send_verification_mail(c, who->user, c.opt_text("callbackURL"));
    co_return status_true();
  }
  const auto user =
      co_await c.auth.db().read([&](store::Tx& tx) { return c.auth.users().find_by_email(tx, address); });
  if (user && !user->email_verified) co_await send_verification_mail(c, *user, c.opt_text("callbackURL"));
  const auto left = k_least_time - (c.auth.clock().now() - c.now);
  if (left > 0s) co_await sleep_for(std::chrono::ceil<std::chrono::milliseconds>(left));
  co_return status_true();
}

/// Where a link ends: at its callbackURL, or in JSON.
Answer ended(const Context& c) {
  const auto callback = c.query_text("callbackURL").value_or("");
  if (callback.empty()) return json_answer(json::Object{{"status", true}, {"user", nullptr}});
  return redirect_answer(callback);
}
Answer ended(const Context& c, Fault fault) {
  const auto callback = c.query_text("callbackURL").value_or("");
  if (callback.empty()) return std::unexpected(std::move(fault).with_status(401));
  return redirect_answer(with_query(callback, "error", fault.code));
}

/// The link went to the old address: its owner agrees, so the new one is asked to prove itself.
Task<Answer> confirm_change(Context& c, User user, EmailToken token) {
  const std::string next = sign_email_token(c.auth,
                                            {.email = user.email,
                                             .user_id = user.id,
                                             .update_to = token.update_to,
                                             .request_type = k_change_verification},
                                            c.now);
  user.email = token.update_to;
  if (const auto& send = c.auth.options().email_verification.send_verification_email)
    co_await c.auth.mail(&send, {user, verification_url(c.auth, next, c.query_text("callbackURL")), next,
                                 c.accept_language()});
  co_return ended(c);
}

Task<Answer> change_address(Context& c, User user, EmailToken token) {
  const auto changed = co_await c.auth.db().write(
      [&](store::Tx& tx) { return c.auth.users().update(tx, user.id, {.email = token.update_to}, c.now); });
  if (!changed) co_return ended(c, changed.error());
  if (c.current()) c.update_session_user(*changed);
  co_return ended(c);
}

Task<Answer> verify_email(Context& c) {
  const auto token = read_email_token(c.auth, *c.query_text("token"), c.now);
  if (!token) co_return ended(c, token.error());
  const auto user = co_await c.auth.db().read([&](store::Tx& tx) {
    return token->user_id.empty() ? c.auth.users().find_by_email(tx, token->email)
                                  : c.auth.users().find(tx, token->user_id);
  });
  if (!user) co_return ended(c, Fault(wire(Error::USER_NOT_FOUND)));
  // A link proves the address it was made for, which may not be the user's any more. (A used change link is
  // opened again by mail scanners: then the address is the new one already.)
  if (user->email != token->email) {
    if (!token->update_to.empty() && user->email == token->update_to) co_return ended(c);
    co_return ended(c, Fault(wire(Error::INVALID_TOKEN)));
  }
  const SessionAndUser* const who = co_await c.session();
  if (!token->update_to.empty()) {
    if (who && who->user.id != user->id) co_return ended(c, Fault(wire(Error::UNAUTHORIZED)));
    if (token->request_type == k_change_confirmation) co_return co_await confirm_change(c, *user, *token);
    co_return co_await change_address(c, *user, *token);
  }
  if (user->email_verified) co_return ended(c);
  const auto verified = co_await c.auth.db().write(
      [&](store::Tx& tx) { return c.auth.users().update(tx, user->id, {.email_verified = true}, c.now); });
  if (!verified) co_return ended(c, verified.error());
  if (c.auth.options().email_verification.auto_sign_in_after_verification) {
    if (who && who->user.id == user->id)
      c.update_session_user(*verified);
    else
      CO_TRY_VOID(co_await c.start_session(*verified, Remember::yes));
  }
  co_return ended(c);
}

// One answer for free and taken addresses.
Task<Answer> change_email(Context& c) {
  const Options& o = c.auth.options();
  if (!o.user.change_email.enabled) co_return refuse(Error::CHANGE_EMAIL_DISABLED);
  const std::string fresh = lower_case(c.text("newEmail"));
  User user = c.signed_in().user;
  if (fresh == user.email) co_return refuse(400, "Email is the same");
  const auto& confirm = o.user.change_email.send_change_email_confirmation;
  const bool ask_old = confirm && user.email_verified;
  if (!ask_old && !o.email_verification.send_verification_email)
    co_return refuse(Error::VERIFICATION_EMAIL_NOT_ENABLED);
  const bool taken = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.users().find_by_email(tx, fresh).has_value(); });
  const std::string token =
      sign_email_token(c.auth,
                       {.email = user.email,
                        .user_id = user.id,
                        .update_to = fresh,
                        .request_type = ask_old ? k_change_confirmation : k_change_verification},
                       c.now);
  const std::string url = verification_url(c.auth, token, c.opt_text("callbackURL"));
  if (!taken) {
    if (!ask_old) user.email = fresh;  // the link goes to the new address
    co_await c.auth.mail(ask_old ? &confirm : &o.email_verification.send_verification_email,
                         {user, url, token, c.accept_language()});
  }
  co_return status_true();
}

}  // namespace

std::vector<Endpoint> email_routes() {
  return {post("/send-verification-email", &send_verification_email,
               {.body = Shape{{email("email"), optional_text("callbackURL")}}}),
          get("/verify-email", &verify_email,
              {.query = Shape{{text("token"), optional_text("callbackURL")}},
               .callback = CallbackQuery::checked}),
          post("/change-email", &change_email,
               {.body = Shape{{email("newEmail"), optional_text("callbackURL")}}, .needs = Needs::session})};
}

}  // namespace latchkey::auth

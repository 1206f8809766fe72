// A forgotten password: mail, link, new password.
#include <fmt/format.h>

#include "auth/core/routes.h"

namespace latchkey::auth {
namespace {

constexpr std::size_t k_token_length = 24;

std::string identifier_of(std::string_view token) { return fmt::format("reset-password:{}", token); }

// Known and unknown addresses get one answer, and cost one write each: the row of an unknown one is dead from
// the start.
Task<Answer> request_password_reset(Context& c) {
  const EmailAndPasswordOptions& o = c.auth.options().email_and_password;
  if (!o.send_reset_password) co_return refuse(Error::RESET_PASSWORD_DISABLED);
  const std::string token = random_id(c.auth.rng(), k_token_length);
  const auto user = co_await c.auth.db().write([&](store::Tx& tx) {
    auto found = c.auth.users().find_by_email(tx, c.text("email"));
    c.auth.verifications().put(tx, identifier_of(token), found ? found->id : "",
                               found ? c.now + o.reset_password_token_expires_in : c.now, c.now);
    return found;
  });
  if (user)
    co_await c.auth.mail(&o.send_reset_password,
                         {*user,
                          fmt::format("{}?callbackURL={}", c.auth.url("/reset-password/" + token),
                                      encode_uri_component(c.text("redirectTo"))),
                          token, c.accept_language()});
  co_return json_answer(
      json::Object{{"status", true},
                   {"message", "If this email exists in our system, check your email for the reset link"}});
}

// The link in the mail. Mail scanners open it too, so it spends nothing.
Task<Answer> open_reset_link(Context& c) {
  const auto callback = c.query_text("callbackURL").value_or("");
  const std::string target = callback.empty() ? c.auth.url("/error") : c.auth.absolute(callback);
  const std::string token = c.params["token"];
  const auto row = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.verifications().find(tx, identifier_of(token), c.now); });
  if (!row || callback.empty())
    co_return redirect_answer(with_query(target, "error", wire(Error::INVALID_TOKEN).code));
  co_return redirect_answer(with_query(target, "token", token));
}

Task<Answer> reset_password(Context& c) {
  const EmailAndPasswordOptions& o = c.auth.options().email_and_password;
  const std::string password = c.text("newPassword");
  const std::string token = c.opt_text("token").value_or(c.query_text("token").value_or(""));
  if (token.empty()) co_return refuse(Error::INVALID_TOKEN);
  CO_TRY_VOID(c.auth.check_password_length(password));
  const std::string identifier = identifier_of(token);
  const auto seen = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.verifications().find(tx, identifier, c.now); });
  if (!seen) co_return refuse(Error::INVALID_TOKEN);  // guesses cost no hash
  const std::string hash = co_await c.auth.hash_password(password);
  CO_TRY_VOID(co_await c.auth.db().write([&](store::Tx& tx) -> Result<void, Fault> {
    const auto row = c.auth.verifications().take(tx, identifier, c.now);
    if (!row || !c.auth.users().find(tx, row->value)) return refuse(Error::INVALID_TOKEN);
    if (auto account = c.auth.accounts().credential(tx, row->value)) {
      account->password = hash;
      TRY_VOID(c.auth.accounts().update(tx, *account, c.now));
    } else {
      TRY_VOID(c.auth.accounts().link(
          tx,
          {.account_id = row->value, .provider_id = k_credential, .user_id = row->value, .password = hash},
          c.now));
    }
    if (o.revoke_sessions_on_password_reset) return c.auth.sessions().remove_all(tx, row->value);
    return {};
  }));
  co_return status_true();
}

}  // namespace

std::vector<Endpoint> reset_password_routes() {
  return {post("/request-password-reset", &request_password_reset,
               {.body = Shape{{email("email"), optional_text("redirectTo")}}}),
          get("/reset-password/:token", &open_reset_link, {.callback = CallbackQuery::checked}),
          post("/reset-password", &reset_password,
               {.body = Shape{{text("newPassword"), optional_text("token")}}})};
}

}  // namespace latchkey::auth

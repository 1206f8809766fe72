// Changing and deleting oneself.
#include <fmt/format.h>

#include "auth/core/routes.h"

namespace latchkey::auth {
namespace {

Task<Answer> update_user(Context& c) {
  if (const auto* email = c.body.find("email"); email && !email->is_null() && *email != json::Value(""))
    co_return refuse(Error::EMAIL_CAN_NOT_BE_UPDATED);
  UserChanges changes;
  changes.name = c.opt_text("name");
  if (c.body.find("image")) changes.image = c.opt_text("image");
  CO_TRY(changes.fields, writable_fields(c.auth.users().fields(), c.body, Writing::update));
  if (!changes.name && !changes.image && changes.fields.empty()) co_return refuse(400, "No fields to update");
  CO_TRY(User user, co_await c.auth.db().write([&](store::Tx& tx) {
    return c.auth.users().update(tx, c.signed_in().user.id, changes, c.now);
  }));
  c.update_session_user(std::move(user));
  co_return status_true();
}

std::string identifier_of(std::string_view token) { return fmt::format("delete-account-{}", token); }

/// 32 of [0-9a-z].
std::string delete_token(Rng& rng) {
  constexpr std::string_view alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string token;
  for (int i = 0; i < 32; ++i) token += alphabet[rng.below(alphabet.size())];
  return token;
}

json::Object deleted(std::string_view message) { return {{"success", true}, {"message", message}}; }

/// Spends the token of the mail and deletes its user, who must be the one signed in.
Task<Result<void, Fault>> delete_by_token(Context& c, std::string token) {
  const std::string me = c.signed_in().user.id;
  CO_TRY_VOID(co_await c.auth.db().write([&](store::Tx& tx) -> Result<void, Fault> {
    const std::string identifier = identifier_of(token);
    const auto row = c.auth.verifications().find(tx, identifier, c.now);
    if (!row || row->value != me) return refuse(Error::INVALID_TOKEN, 404);
    c.auth.verifications().remove(tx, identifier);
    return c.auth.users().remove(tx, me);
  }));
  c.clear_session();
  co_return Result<void, Fault>();
}

Task<Answer> delete_user(Context& c) {
  const auto& o = c.auth.options().user.delete_user;
  if (!o.enabled) co_return refuse(404);
  const User me = c.signed_in().user;
  const auto password = c.opt_text("password");
  if (password) {
    const auto account =
        co_await c.auth.db().read([&](store::Tx& tx) { return c.auth.accounts().credential(tx, me.id); });
    if (!account || !account->password) co_return refuse(Error::CREDENTIAL_ACCOUNT_NOT_FOUND);
    if (!co_await c.auth.verify_password(*password, account->password))
      co_return refuse(Error::INVALID_PASSWORD);
  }
  if (const auto token = c.opt_text("token")) {
    CO_TRY_VOID(co_await delete_by_token(c, *token));
    co_return json_answer(deleted("User deleted"));
  }
  if (o.send_delete_account_verification) {
    const std::string token = delete_token(c.auth.rng());
    co_await c.auth.db().write([&](store::Tx& tx) {
      c.auth.verifications().put(tx, identifier_of(token), me.id, c.now + o.delete_token_expires_in, c.now);
    });
    co_await c.auth.mail(&o.send_delete_account_verification,
                         {me,
                          fmt::format("{}?token={}&callbackURL={}", c.auth.url("/delete-user/callback"),
                                      token, encode_uri_component(c.opt_text("callbackURL").value_or("/"))),
                          token, c.accept_language()});
    co_return json_answer(deleted("Verification email sent"));
  }
  if (!password && !c.is_fresh()) co_return refuse(Error::SESSION_EXPIRED);
  CO_TRY_VOID(co_await c.auth.db().write([&](store::Tx& tx) { return c.auth.users().remove(tx, me.id); }));
  c.clear_session();
  co_return json_answer(deleted("User deleted"));
}

Task<Answer> delete_user_callback(Context& c) {
  if (!c.auth.options().user.delete_user.enabled) co_return refuse(404);
  if (!co_await c.session()) co_return refuse(Error::FAILED_TO_GET_USER_INFO, 404);
  CO_TRY_VOID(co_await delete_by_token(c, *c.query_text("token")));
  const auto callback = c.query_text("callbackURL").value_or("");
  if (callback.empty()) co_return json_answer(deleted("User deleted"));
  co_return redirect_answer(callback);
}

}  // namespace

std::vector<Endpoint> user_routes() {
  return {
      post("/update-user", &update_user,
           {.body = Shape{{optional_text("name"), {.name = "image", .presence = Member::Presence::nullable}}},
            .needs = Needs::session}),
      post("/delete-user", &delete_user,
           {.body = Shape{.members = {optional_text("password"), optional_text("token"),
                                      optional_text("callbackURL")},
                          .absent = Shape::Absent::allowed},
            .needs = Needs::session}),
      get("/delete-user/callback", &delete_user_callback,
          {.query = Shape{{text("token"), optional_text("callbackURL")}},
           .callback = CallbackQuery::checked})};
}

}  // namespace latchkey::auth

// Sign-up and sign-in with an address and a password, and changing it.
#include "auth/core/email_tokens.h"
#include "auth/core/routes.h"

namespace latchkey::auth {
namespace {

Task<Answer> sign_up(Context& c) {
  const EmailAndPasswordOptions& o = c.auth.options().email_and_password;
  if (!o.enabled || o.disable_sign_up) co_return refuse(Error::EMAIL_PASSWORD_SIGN_UP_DISABLED);
  const std::string password = c.text("password");
  CO_TRY_VOID(c.auth.check_password_length(password));
  CO_TRY(auto fields, writable_fields(c.auth.users().fields(), c.body, Writing::create));
  // Hashed ahead of looking at the address: a taken one takes as long.
  const std::string hash = co_await c.auth.hash_password(password);
  const bool silent = o.require_email_verification || !o.auto_sign_in;  // says nothing about duplicates
  const NewUser fresh{.email = c.text("email"),
                      .name = c.text("name"),
                      .image = c.opt_text("image"),
                      .fields = std::move(fields)};
  const Remember remember = c.flag("rememberMe", true) ? Remember::yes : Remember::no;

  struct Made {
    User user;
    std::optional<Session> session;
  };
  auto made = co_await c.auth.db().write([&](store::Tx& tx) -> Result<Made, Fault> {
    Made m;
    TRY(m.user, c.auth.users().create(tx, fresh, c.now));
    TRY_VOID(c.auth.accounts().link(
        tx, {.account_id = m.user.id, .provider_id = k_credential, .user_id = m.user.id, .password = hash},
        c.now));
    if (silent) return m;
    TRY(m.session, c.auth.sessions().create(tx, c.new_session(m.user.id, remember), c.now));
    return m;
  });
  if (!made) {
    const bool taken = made.error().code == wire(Error::USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL).code;
    if (!taken || !silent) co_return std::unexpected(std::move(made).error());
    const User invented = c.auth.users().invented(fresh, c.now);
    co_return json_answer(json::Object{{"token", nullptr}, {"user", c.auth.users().to_json(invented)}});
  }
  const bool mails =
      c.auth.options().email_verification.send_on_sign_up.value_or(o.require_email_verification);
  if (mails) co_await send_verification_mail(c, made->user, c.opt_text("callbackURL"));
  json::Value token;
  if (made->session) {
    token = made->session->token;
    c.set_session({*made->session, made->user}, remember);
  }
  co_return json_answer(
      json::Object{{"token", std::move(token)}, {"user", c.auth.users().to_json(made->user)}});
}

Task<Answer> sign_in(Context& c) {
  const EmailAndPasswordOptions& o = c.auth.options().email_and_password;
  if (!o.enabled) co_return refuse(Error::EMAIL_PASSWORD_DISABLED);
  const std::string address = c.text("email");
  if (!is_email(address)) co_return refuse(Error::INVALID_EMAIL);
  struct Known {
    std::optional<User> user;
    std::optional<Account> account;
  };
  Known known = co_await c.auth.db().read([&](store::Tx& tx) {
    Known k{c.auth.users().find_by_email(tx, address), std::nullopt};
    if (k.user) k.account = c.auth.accounts().credential(tx, k.user->id);
    return k;
  });
  const std::optional<std::string> hash = known.account ? known.account->password : std::nullopt;
  if (!co_await c.auth.verify_password(c.text("password"), hash))
    co_return refuse(Error::INVALID_EMAIL_OR_PASSWORD);
  if (o.require_email_verification && !known.user->email_verified) {
    if (c.auth.options().email_verification.send_on_sign_in)
      co_await send_verification_mail(c, *known.user, c.opt_text("callbackURL"));
    co_return refuse(Error::EMAIL_NOT_VERIFIED);
  }

  const Remember remember = c.flag("rememberMe", true) ? Remember::yes : Remember::no;
  CO_TRY(const SessionAndUser in, co_await c.start_session(*known.user, remember));
  const auto callback = c.opt_text("callbackURL");
  json::Object answer{{"redirect", callback.has_value()},
                      {"token", in.session.token},
                      {"user", c.auth.users().to_json(in.user)}};
  if (callback) answer.append("url", *callback);
  web::Response response = json_answer(std::move(answer));
  if (callback) response.header("location", *callback);
  co_return response;
}

/// The stored hash of the signed-in user's password; CREDENTIAL_ACCOUNT_NOT_FOUND.
Task<Result<Account, Fault>> own_credential(Context& c) {
  auto account = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.accounts().credential(tx, c.signed_in().user.id); });
  if (!account || !account->password) co_return refuse(Error::CREDENTIAL_ACCOUNT_NOT_FOUND);
  co_return std::move(*account);
}

Task<Answer> change_password(Context& c) {
  const std::string fresh = c.text("newPassword");
  CO_TRY_VOID(c.auth.check_password_length(fresh));
  CO_TRY(const Account account, co_await own_credential(c));
  if (!co_await c.auth.verify_password(c.text("currentPassword"), account.password))
    co_return refuse(Error::INVALID_PASSWORD);
  Account changed = account;
  changed.password = co_await c.auth.hash_password(fresh);
  const bool revoke = c.flag("revokeOtherSessions", false);
  const Remember remember = c.remembered();
  const User user = c.signed_in().user;
  CO_TRY(const std::optional<Session> session,
         co_await c.auth.db().write([&](store::Tx& tx) -> Result<std::optional<Session>, Fault> {
           TRY_VOID(c.auth.accounts().update(tx, changed, c.now));
           if (!revoke) return std::nullopt;
           TRY_VOID(c.auth.sessions().remove_all(tx, user.id));
           TRY(Session s, c.auth.sessions().create(tx, c.new_session(user.id, remember), c.now));
           return s;
         }));
  json::Value token;
  if (session) {
    token = session->token;
    c.set_session({*session, user}, remember);
  }
  co_return json_answer(json::Object{{"token", std::move(token)}, {"user", c.auth.users().to_json(user)}});
}

Task<Answer> verify_password(Context& c) {
  const auto account = co_await own_credential(c);
  const std::optional<std::string> hash = account ? account->password : std::nullopt;
  if (!co_await c.auth.verify_password(c.text("password"), hash)) co_return refuse(Error::INVALID_PASSWORD);
  co_return status_true();
}

}  // namespace

std::vector<Endpoint> email_and_password_routes() {
  return {post("/change-password", &change_password,
               {.body = Shape{{text("currentPassword"), text("newPassword"),
                               optional_flag("revokeOtherSessions")}},
                .needs = Needs::session}),
          post("/verify-password", &verify_password,
               {.body = Shape{{text("password")}}, .needs = Needs::session}),
          post("/sign-up/email", &sign_up,
               {.body = Shape{{text("name"), email("email"), text("password"), optional_text("image"),
                               optional_text("callbackURL"), optional_flag("rememberMe")}},
                .forms = Forms::taken,
                .form_guard = FormGuard::on}),
          post("/sign-in/email", &sign_in,
               {.body = Shape{{text("email"), text("password"), optional_text("callbackURL"),
                               optional_flag("rememberMe")}},
                .forms = Forms::taken,
                .form_guard = FormGuard::on})};
}

}  // namespace latchkey::auth

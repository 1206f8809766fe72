#include <memory>

#include "auth/core/auth.h"
#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/anonymous/errors.h"

namespace latchkey::auth {
namespace {

constexpr const char* k_field = "isAnonymous";

class Anonymous {
 public:
  explicit Anonymous(AnonymousOptions options) : options_(std::move(options)) {}

  Task<Answer> sign_in(Context& c) {
    const SessionAndUser* const who = co_await c.session(Refresh::no);
    if (who && is_anonymous(who->user))
      co_return refuse(AnonymousError::ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY);
    // RFC 6761 §6.4: no mail can reach `.invalid`, so nobody proves to be this address.
    const NewUser fresh{.email = random_id(c.auth.rng()) + "@anonymous.placeholder.invalid",
                        .name = options_.name,
                        .fields = {{k_field, true}}};
    CO_TRY(User user, co_await c.auth.db().write(
                          [&](store::Tx& tx) { return c.auth.users().create(tx, fresh, c.now); }));
    CO_TRY(const SessionAndUser in, co_await c.start_session(std::move(user), Remember::yes));
    co_return json_answer(
        json::Object{{"token", in.session.token}, {"user", c.auth.users().to_json(in.user)}});
  }

  Task<Answer> remove(Context& c) {
    if (options_.disable_delete_anonymous_user)
      co_return refuse(AnonymousError::DELETE_ANONYMOUS_USER_DISABLED);
    if (!is_anonymous(c.signed_in().user)) co_return refuse(AnonymousError::USER_IS_NOT_ANONYMOUS);
    CO_TRY_VOID(co_await c.auth.db().write(
        [&](store::Tx& tx) { return c.auth.users().remove(tx, c.signed_in().user.id); }));
    c.clear_session();
    co_return json_answer(json::Object{{"success", true}});
  }

  Task<void> signed_in(Context& c, web::Response&) {
    const auto token = c.session_token();
    if (!token || !c.started() || is_anonymous(c.started()->user)) co_return;
    const auto before =
        co_await c.auth.db().read([&](store::Tx& tx) { return c.auth.sessions().find(tx, *token); });
    if (!before || before->session.expires_at <= c.now || !is_anonymous(before->user)) co_return;
    if (before->user.id == c.started()->user.id) co_return;
    if (options_.on_link) co_await options_.on_link(*before, *c.started());
    if (options_.disable_delete_anonymous_user) co_return;
    co_await c.auth.db().write([&](store::Tx& tx) { return c.auth.users().remove(tx, before->user.id); });
  }

 private:
  const AnonymousOptions options_;
};

}  // namespace

bool is_anonymous(const User& user) {
  const json::Value* const v = user.fields.find(k_field);
  return v && v->boolean() && *v->boolean();
}

Plugin anonymous(AnonymousOptions options) {
  auto it = std::make_shared<Anonymous>(std::move(options));
  return {
      .id = "anonymous",
      .endpoints = {post("/sign-in/anonymous", [it](Context& c) { return it->sign_in(c); },
                         {.form_guard = FormGuard::on}),
                    post("/delete-anonymous-user", [it](Context& c) { return it->remove(c); },
                         {.needs = Needs::session})},
      .user_fields = {{.name = k_field, .type = FieldType::boolean, .input = false, .default_value = false}},
      .after = {{.run = [it](Context& c, web::Response& r) { return it->signed_in(c, r); }}},
      .errors = {wire(AnonymousError::ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY),
                 wire(AnonymousError::USER_IS_NOT_ANONYMOUS),
                 wire(AnonymousError::DELETE_ANONYMOUS_USER_DISABLED)}};
}

}  // namespace latchkey::auth

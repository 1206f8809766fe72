#include "auth/core/routes.h"

#include <algorithm>

namespace latchkey::auth {
namespace {

Task<Answer> ok(Context&) { co_return json_answer(json::Object{{"ok", true}}); }

web::Response never_stored(web::Response r) {
  r.header("cache-control", "no-store");
  r.header("pragma", "no-cache");
  return r;
}

Task<Answer> get_session(Context& c) {
  const bool stay = c.query_text("disableRefresh") == "true";
  const SessionAndUser* who = co_await c.session(stay ? Refresh::no : Refresh::allowed);
  if (!who) co_return never_stored(json_answer(nullptr));
  co_return never_stored(json_answer(json::Object{{"session", c.auth.sessions().to_json(who->session)},
                                                  {"user", c.auth.users().to_json(who->user)}}));
}

Task<Answer> get_session_by_post(Context&) {
  co_return never_stored(render(Fault(wire(Error::METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED))));
}

Task<Answer> sign_out(Context& c) {
  if (const auto token = c.session_token())
    CO_TRY_VOID(
        co_await c.auth.db().write([&](store::Tx& tx) { return c.auth.sessions().remove(tx, *token); }));
  c.clear_session();
  co_return json_answer(json::Object{{"success", true}});
}

Task<Answer> list_sessions(Context& c) {
  const auto sessions = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.sessions().list(tx, c.signed_in().user.id, c.now); });
  json::Array out;
  for (const Session& s : sessions) out.emplace_back(c.auth.sessions().to_json(s));
  co_return json_answer(std::move(out));
}

// The answer is the same for a token that is nobody's, or somebody else's: nothing happens then.
Task<Answer> revoke_session(Context& c) {
  const std::string token = c.text("token"), me = c.signed_in().user.id;
  CO_TRY_VOID(co_await c.auth.db().write([&](store::Tx& tx) -> Result<void, Fault> {
    const auto found = c.auth.sessions().find(tx, token);
    if (!found || found->user.id != me) return {};
    return c.auth.sessions().remove(tx, token);
  }));
  if (token == c.signed_in().session.token) c.clear_session();
  co_return status_true();
}

Task<Answer> revoke_sessions(Context& c) {
  const std::string me = c.signed_in().user.id;
  CO_TRY_VOID(
      co_await c.auth.db().write([&](store::Tx& tx) { return c.auth.sessions().remove_all(tx, me); }));
  c.clear_session();
  co_return status_true();
}

Task<Answer> revoke_other_sessions(Context& c) {
  const SessionAndUser& me = c.signed_in();
  CO_TRY_VOID(co_await c.auth.db().write(
      [&](store::Tx& tx) { return c.auth.sessions().remove_others(tx, me.user.id, me.session.token); }));
  co_return status_true();
}

// https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1 gives codes this alphabet, and apostrophes occur.
bool is_error_code(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '\'';
  });
}

Task<Answer> error_page(Context& c) {
  std::string code = c.query_text("error").value_or("");
  if (!is_error_code(code)) code = "UNKNOWN";
  const std::string& target = c.auth.options().error_url;
  std::string location = with_query(target.empty() ? "/" : target, "error", code);
  if (const auto description = c.query_text("error_description"))
    location = with_query(location, "error_description", *description);
  co_return redirect_answer(std::move(location));
}

}  // namespace

web::Response status_true() { return json_answer(json::Object{{"status", true}}); }

std::vector<Endpoint> session_routes() {
  return {get("/ok", &ok),
          get("/error", &error_page),
          get("/get-session", &get_session),
          post("/get-session", &get_session_by_post),
          post("/sign-out", &sign_out),
          get("/list-sessions", &list_sessions, {.needs = Needs::fresh_session}),
          post("/revoke-session", &revoke_session, {.body = Shape{{text("token")}}, .needs = Needs::session}),
          post("/revoke-sessions", &revoke_sessions, {.needs = Needs::session}),
          post("/revoke-other-sessions", &revoke_other_sessions, {.needs = Needs::session})};
}

}  // namespace latchkey::auth

#include "auth/plugins/social/state.h"

#include "crypto/hash.h"

namespace latchkey::auth {
namespace {

std::string identifier(std::string_view state) { return "auth-state:" + std::string(state); }

std::optional<std::string> opt_text(const json::Value& v, std::string_view name) {
  const auto* text = v.string_at(name);
  return text ? std::optional(*text) : std::nullopt;
}

}  // namespace

json::Object OAuthState::to_json(std::string_view state, Time expires_at) const {
  json::Object o = additional;
  o.set("callbackURL", callback_url);
  o.set("codeVerifier", code_verifier);
  o.set("provider", provider);
  // Set in any case: additional data must not stand in for what was not asked for.
  const auto set_or_erase = [&](const char* name, const std::optional<std::string>& value) {
    o.erase(name);
    if (value) o.set(name, *value);
  };
  set_or_erase("errorURL", error_url);
  set_or_erase("newUserURL", new_user_url);
  set_or_erase("idTokenNonce", nonce);
  o.erase("link");
  if (link)
    o.set("link",
          json::Object{{"userId", link->user_id}, {"email", link->email}, {"sessionId", link->session_id}});
  o.set("requestSignUp", request_sign_up);
  o.set("expiresAt", std::chrono::floor<std::chrono::milliseconds>(expires_at).time_since_epoch().count());
  o.set("oauthState", state);
  return o;
}

std::optional<OAuthState> OAuthState::parse(std::string_view text) {
  const auto v = json::parse(text);
  if (!v) return std::nullopt;
  const auto provider = opt_text(*v, "provider"), verifier = opt_text(*v, "codeVerifier"),
             callback = opt_text(*v, "callbackURL");
  if (!provider || !verifier || !callback) return std::nullopt;
  OAuthState out{.provider = *provider, .code_verifier = *verifier, .callback_url = *callback};
  out.error_url = opt_text(*v, "errorURL");
  out.new_user_url = opt_text(*v, "newUserURL");
  out.nonce = opt_text(*v, "idTokenNonce");
  if (const auto* link = v->find("link")) {
    const auto user = opt_text(*link, "userId"), email = opt_text(*link, "email"),
               session = opt_text(*link, "sessionId");
    if (!user || !email || !session) return std::nullopt;
    out.link = LinkRequest{*user, *email, *session};
  }
  const auto* sign_up = v->find("requestSignUp");
  out.request_sign_up = sign_up && sign_up->boolean() && *sign_up->boolean();
  return out;
}

Task<std::string> remember_state(Context& c, OAuthState state) {
  const std::string value = c.auth.rng().token(24);  // 32 characters
  const Time expires_at = c.now + k_state_lifetime;
  const std::string row = json::Value(state.to_json(value, expires_at)).dump();
  co_await c.auth.db().write(
      [&](store::Tx& tx) { c.auth.verifications().put(tx, identifier(value), row, expires_at, c.now); });
  c.set_cookie(c.auth.cookies().signed_cookie("state", value, k_state_cookie_lifetime));
  co_return value;
}

Task<ReturnedState> take_state(Context& c, std::string provider, std::string state) {
  using Verdict = ReturnedState::Verdict;
  const auto cookie = c.auth.cookies().read_signed(c.request, "state");
  const bool same_browser = cookie && crypto::equal(*cookie, state);
  co_return co_await c.auth.db().write([&](store::Tx& tx) -> ReturnedState {
    const Verifications& rows = c.auth.verifications();
    const auto row = rows.newest(tx, identifier(state));
    auto known = row ? OAuthState::parse(row->value) : std::nullopt;
    if (!known) return {Verdict::unknown};
    if (!same_browser || known->provider != provider) return {Verdict::other_browser, std::move(known)};
    rows.remove(tx, identifier(state));
    return {row->expires_at <= c.now ? Verdict::expired : Verdict::accepted, std::move(known)};
  });
}

}  // namespace latchkey::auth

#include "auth/core/context.h"

#include <algorithm>

#include "auth/core/auth.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

constexpr std::chrono::seconds k_not_remembered{86'400};
constexpr std::size_t k_max_user_agent = 1024;

bool storable(std::string_view text) { return text.find('\0') == text.npos && is_valid_utf8(text); }

}  // namespace

Context::Context(Auth& auth_, web::Request request_, std::string path_, Time now_)
    : auth(auth_), request(std::move(request_)), path(std::move(path_)), now(now_) {}

std::string Context::text(std::string_view name) const { return opt_text(name).value_or(""); }

std::optional<std::string> Context::opt_text(std::string_view name) const {
  const json::Value* v = body.find(name);
  return v && v->string() ? std::optional(*v->string()) : std::nullopt;
}

bool Context::flag(std::string_view name, bool otherwise) const {
  const json::Value* v = body.find(name);
  return v && v->boolean() ? *v->boolean() : otherwise;
}

std::optional<std::string> Context::query_text(std::string_view name) const {
  const json::Value* v = query.find(name);
  return v && v->string() ? std::optional(*v->string()) : std::nullopt;
}

std::string Context::user_agent() const {
  const auto agent = request.headers.get("user-agent");
  return agent.size() <= k_max_user_agent && storable(agent) ? std::string(agent) : std::string();
}

std::string Context::accept_language() const { return std::string(request.headers.get("accept-language")); }

void Context::use_session_token(std::string token) {
  token_ = storable(token) ? std::move(token) : std::string();  // "" is nobody's
}

std::optional<std::string> Context::session_token() const {
  return token_ ? token_ : auth.session_token(request);
}

Remember Context::remembered() const {
  return auth.cookies().read_signed(request, "dont_remember") == "true" ? Remember::no : Remember::yes;
}

Task<const SessionAndUser*> Context::session(Refresh refresh) {
  if (resolved_) co_return current();
  resolved_ = true;
  const auto token = session_token();
  if (!token) co_return nullptr;
  auto found = co_await auth.db().read([&](store::Tx& tx) { return auth.sessions().find(tx, *token); });
  if (!found || found->session.expires_at <= now) {
    clear_session();
    if (found) co_await auth.db().write([&](store::Tx& tx) { return auth.sessions().remove(tx, *token); });
    co_return nullptr;
  }
  const SessionOptions& options = auth.options().session;
  const bool due = found->session.expires_at - options.expires_in + options.update_age <= now;
  if (due && refresh == Refresh::allowed && remembered() == Remember::yes) {
    const Time expires_at = store::Date(now + options.expires_in).at;
    const bool extended = co_await auth.db().write(
        [&](store::Tx& tx) { return auth.sessions().extend(tx, *token, expires_at, now); });
    if (!extended) {  // revoked in between
      clear_session();
      co_return nullptr;
    }
    found->session.expires_at = expires_at;
    found->session.updated_at = store::Date(now).at;
    send_session_cookies(found->session, Remember::yes);
  }
  session_ = std::move(found);
  co_return &*session_;
}

bool Context::is_fresh() const {
  const auto age = auth.options().session.fresh_age;
  return session_ && (age == std::chrono::seconds(0) || now - session_->session.created_at < age);
}

NewSession Context::new_session(std::string user_id, Remember remember) const {
  const auto lifetime = remember == Remember::yes ? auth.options().session.expires_in : k_not_remembered;
  return {.user_id = std::move(user_id),
          .expires_at = now + lifetime,
          .ip_address = client_address(),
          .user_agent = user_agent()};
}

void Context::set_session(SessionAndUser fresh, Remember remember) {
  send_session_cookies(fresh.session, remember);
  resolved_ = true;
  session_ = fresh;
  started_ = std::move(fresh);
}

Task<Result<SessionAndUser, Fault>> Context::start_session(User user, Remember remember) {
  auto session = co_await auth.db().write(
      [&](store::Tx& tx) { return auth.sessions().create(tx, new_session(user.id, remember), now); });
  if (!session) co_return std::unexpected(std::move(session).error());
  SessionAndUser both{std::move(*session), std::move(user)};
  set_session(both, remember);
  co_return both;
}

void Context::update_session_user(User user) {
  session_->user = std::move(user);
  send_session_cookies(session_->session, remembered());
}

void Context::send_session_cookies(const Session& session, Remember remember) {
  const Cookies& make = auth.cookies();
  if (remember == Remember::yes) {
    set_cookie(make.signed_cookie("session_token", session.token, auth.options().session.expires_in));
    if (make.read(request, "dont_remember")) set_cookie(make.cleared("dont_remember"));
  } else {
    set_cookie(make.signed_cookie("session_token", session.token, std::nullopt));
    set_cookie(make.signed_cookie("dont_remember", "true", std::nullopt));
  }
}

void Context::clear_session() {
  for (const auto* key : {"session_token", "session_data", "dont_remember"})
    set_cookie(auth.cookies().cleared(key));
  session_.reset();
  started_.reset();
}

void Context::set_cookie(web::SetCookie cookie) {
  std::erase_if(cookies_, [&](const web::SetCookie& c) {
    return c.name == cookie.name && c.domain == cookie.domain && c.path == cookie.path;
  });
  cookies_.push_back(std::move(cookie));
}

}  // namespace latchkey::auth

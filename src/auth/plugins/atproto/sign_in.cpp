// To the account's PDS and back (better-auth contract, section 11).
#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/atproto/profile.h"
#include "auth/plugins/atproto/service.h"
#include "base/log.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

using namespace std::chrono_literals;
using ClientError = oauth::client::Error;
using ClientFault = oauth::client::Fault;

constexpr const char* k_cookie = "bsky_state";
constexpr std::chrono::seconds k_state_lifetime{600};

/// What the callback wants to know of the start; it travels in the sealed state.
struct Started {
  std::string callback_url;
  std::optional<std::string> user_id;  // who was signed in

  std::string str() const {
    json::Object out{{"to", callback_url}};
    if (user_id) out.set("user", *user_id);
    return json::Value(std::move(out)).dump();
  }
  static Started parse(std::string_view text) {
    const auto value = json::parse(text);
    const auto *to = value ? value->string_at("to") : nullptr,
               *user = value ? value->string_at("user") : nullptr;
    return {to ? *to : "", user ? std::optional(*user) : std::nullopt};
  }
};

/// An anonymous user is nobody yet: accounts are not linked to one, who is deleted at the next sign-in.
std::optional<std::string> user_id_of(const SessionAndUser* who) {
  return who && !is_anonymous(who->user) ? std::optional(who->user.id) : std::nullopt;
}

Fault failed(AtprotoError error, const ClientFault& why) {
  Fault fault(wire(error));
  fault.message = why.message;
  fault.detail = why.oauth_error + (why.oauth_error.empty() ? "" : ": ") + why.detail;
  return fault;
}

Fault start_failed(const ClientFault& why) {
  const bool input = why.code == ClientError::invalid_input || why.code == ClientError::unknown_account;
  return failed(input ? AtprotoError::INVALID_HANDLE : AtprotoError::AUTHORIZATION_FAILED, why);
}

/// What the person or the browser can do something about is said on the error page.
Answer callback_failed(Context& c, const ClientFault& why) {
  std::string error;
  if (why.code == ClientError::unknown_state) error = "state_mismatch";
  if (why.code == ClientError::issuer_mismatch) error = "issuer_mismatch";
  if (why.code == ClientError::invalid_callback) error = "invalid_callback";
  if (why.code == ClientError::access_denied)
    error = why.oauth_error.empty() ? "access_denied" : why.oauth_error;
  if (error.empty()) return fail(failed(AtprotoError::CALLBACK_FAILED, why));
  std::string url = with_query(c.auth.url("/error"), "error", error);
  if (why.code == ClientError::access_denied && !why.detail.empty())
    url = with_query(url, "error_description", why.detail);
  return redirect_answer(std::move(url));
}

}  // namespace

Task<Answer> AtprotoService::sign_in(Context& c) {
  // One value for all flows of a browser: a second tab does not take the first one's away.
  std::string browser = c.auth.cookies().read_signed(c.request, k_cookie).value_or("");
  if (browser.empty()) browser = c.auth.rng().token();
  const Started started{c.text("callbackURL"), user_id_of(co_await c.session())};
  const auto on_the_way =
      co_await on_->client.authorize(c.text("handle"), {.app_state = started.str(), .browser = browser});
  if (!on_the_way) co_return fail(start_failed(on_the_way.error()));
  c.set_cookie(c.auth.cookies().signed_cookie(k_cookie, browser, k_state_lifetime));
  co_return json_answer(json::Object{{"url", on_the_way->url}, {"redirect", true}});
}

/// A development client comes back to 127.0.0.1 (see metadata_for), and the cookies of a flow that began on
/// localhost are not sent there. Nothing is read or spent before the browser is where its cookies are; where
/// that is, the base URL says, and no request.
std::optional<std::string> AtprotoService::hand_over(const Context& c) const {
  const Url base = *Url::parse(c.auth.origin());
  if (base.scheme != "http" || base.host != "localhost" || c.request.hostname() != "127.0.0.1" ||
      c.auth.cookies().read_signed(c.request, k_cookie))
    return std::nullopt;
  return c.auth.url(c.path) + (c.request.query.empty() ? "" : "?" + c.request.query);
}

Task<Answer> AtprotoService::callback(Context& c) {
  if (auto there = hand_over(c)) co_return redirect_answer(*std::move(there));
  auto params = c.request.query_fields();  // the dispatcher has seen that they are well-formed
  auto in = co_await on_->client.callback(*std::move(params),
                                          c.auth.cookies().read_signed(c.request, k_cookie).value_or(""));
  if (!in) co_return callback_failed(c, in.error());
  co_return co_await arrive(c, *std::move(in));
}

Task<Answer> AtprotoService::arrive(Context& c, oauth::client::SignedIn in) {
  struct Held {  // until the session has its row, or is given back
    bsky::Sessions& sessions;
    std::string id;
    ~Held() { sessions.kept(id); }
  } held{on_->sessions, in.session.id()};
  std::optional<Answer> answer;
  std::exception_ptr trouble;
  try {
    answer = co_await admit(c, in);
  } catch (...) {
    trouble = std::current_exception();
  }
  if (trouble || !*answer) co_await in.session.sign_out();  // tokens nobody will use
  if (trouble) std::rethrow_exception(trouble);
  co_return *std::move(answer);
}

Task<Answer> AtprotoService::admit(Context& c, oauth::client::SignedIn in) {
  bsky::Sessions& sessions = on_->sessions;
  const Started started = Started::parse(in.app_state);
  bsky::Arrival arrival{.did = in.session.did(), .handle = in.handle, .profile = co_await profile_of(in)};
  arrival.visitor = {started.user_id, user_id_of(co_await c.session())};
  const AtprotoProfile known =
      arrival.profile.value_or(AtprotoProfile{.did = arrival.did, .handle = in.handle});
  arrival.shown = bsky::map_profile(options_.map_profile_to_user, known);
  arrival.name_of_new_user = bsky::default_name(known);
  const bsky::AdmissionRules rules{options_.disable_sign_up,
                                   options_.profile_sync == AtprotoOptions::ProfileSync::at_every_sign_in};
  const auto row = sessions.sealed(in.session.id());

  struct Done {
    bsky::Admitted who;
    std::optional<Session> session;
    bool replaced;  // the session the account had before
  };
  auto done = co_await c.auth.db().write([&](store::Tx& tx) -> Result<Done, Fault> {
    // Signed out on another device, perhaps a moment ago.
    if (arrival.visitor.now && !c.auth.sessions().find(tx, c.current()->session.token))
      return refuse(AtprotoError::SIGNED_IN_USER_CHANGED);
    TRY(auto who, bsky::admit(c.auth, tx, arrival, rules, c.now));
    const bool replaced = sessions.keep(tx, row, who.user.id, c.now);
    if (who.kind == bsky::Admitted::Kind::linked) return Done{std::move(who), std::nullopt, replaced};
    TRY(auto session, c.auth.sessions().create(tx, c.new_session(who.user.id, Remember::yes), c.now));
    return Done{std::move(who), std::move(session), replaced};
  });
  if (!done) co_return fail(std::move(done).error());
  if (done->replaced) put_aside_ = true;
  if (done->session)
    c.set_session({*std::move(done->session), std::move(done->who.user)}, Remember::yes);
  else
    c.update_session_user(std::move(done->who.user));
  const bool ours = c.auth.origins().allows_redirect(started.callback_url);
  co_return redirect_answer(ours ? started.callback_url : "/");
}

/// A profile that cannot be read is none: it fails no sign-in.
Task<std::optional<AtprotoProfile>> AtprotoService::profile_of(oauth::client::SignedIn in) {
  using Sync = AtprotoOptions::ProfileSync;
  if (options_.profile_sync == Sync::off) co_return std::nullopt;
  if (options_.profile_sync == Sync::at_sign_up) {
    const auto owner = co_await on_->auth.db().read(
        [&](store::Tx& tx) { return bsky::owner_of(on_->auth, tx, in.session.did()); });
    if (!owner || *owner) co_return std::nullopt;
  }
  auto read = co_await bsky::read_profile(in.session);
  if (!read) {
    log::info("no atproto profile", {{"did", in.session.did().str()}, {"detail", read.error().detail}});
    co_return std::nullopt;
  }
  read->profile.handle = in.handle;
  co_return std::move(read->profile);
}

}  // namespace latchkey::auth

#include "signin/account_pages.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "signin/permission_words.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::seconds k_login_cookie_life{600};
constexpr std::string_view k_purpose = "account";
constexpr std::size_t k_max_typed = 254;  // given back for correction

// The ids of flows that began with an app are hashes, without a dot.
std::string flow_id(std::string_view cookie) { return "account." + flows::hash_of(cookie); }

// The scripts of the page show it in the reader's own zone.
std::string to_the_minute(Time at) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", std::chrono::floor<std::chrono::seconds>(at));
}
// A use is noted once a day: an hour would say more than we know.
std::string to_the_day(Time at) {
  return fmt::format("{:%Y-%m-%d}", std::chrono::floor<std::chrono::seconds>(at));
}

// Of permission sets only the names: the page that ends an app's access waits for nobody's network.
json::Array permission_views(std::string_view scope, std::string_view lang) {
  json::Array out;
  const auto scopes = oauth::ScopeSet::parse(scope);
  if (!scopes) return out;
  for (const auto& group : explain_scopes(*scopes, {}, lang))
    for (const auto& words : group.items) out.push_back(json::Object{{"permission", words.title}});
  return out;
}

json::Object session_view(const oauth::Session& session, std::string_view lang) {
  return {{"session_id", session.id},
          {"session_ip", session.ip},
          {"session_created", to_the_minute(session.created_at)},
          {"session_created_iso", rfc3339(session.created_at)},
          {"session_used", to_the_minute(session.last_used_at)},
          {"session_used_iso", rfc3339(session.last_used_at)},
          {"permissions", permission_views(session.scope, lang)}};
}

// One entry an app, the one used last first, each with its sessions.
json::Array app_views(const std::vector<oauth::Session>& sessions, std::string_view lang) {
  std::vector<std::string> apps;
  for (const auto& session : sessions)
    if (std::ranges::find(apps, session.client_id) == apps.end()) apps.push_back(session.client_id);
  json::Array out;
  for (const auto& client_id : apps) {
    json::Object app = Pages::app_view(client_id);
    json::Array of_app;
    for (const auto& session : sessions)
      if (session.client_id == client_id) of_app.push_back(session_view(session, lang));
    app.set("sessions", std::move(of_app));
    out.push_back(std::move(app));
  }
  return out;
}

json::Array device_views(const std::vector<SignedInDevice>& devices, std::string_view here) {
  json::Array out;
  for (const auto& device : devices)
    out.push_back(json::Object{{"device_id", device.device},
                               {"device_agent", device.agent},
                               {"device_ip", device.ip},
                               {"device_since", to_the_day(device.proven_at)},
                               {"device_seen", to_the_day(device.last_used_at)},
                               {"device_here", device.device == here}});
  return out;
}

std::string_view notice_text(std::string_view done) {
  if (done == "access") return "The app has no access any more.";
  if (done == "device") return "That device is signed out.";
  if (done == "devices") return "You are signed out on all other devices.";
  if (done == "everything") return "You are signed out on all other devices, and no app has access any more.";
  if (done == "nothing") return "That was over already.";
  return {};
}

web::Response to_account(std::string_view done = {}) {
  return web::Response::redirect(303, done.empty() ? "/account" : fmt::format("/account?done={}", done));
}
web::Response to_login() { return web::Response::redirect(303, "/account/login"); }

}  // namespace

AccountPages::AccountPages(Secret<Bytes> secret, store::Database& db, oauth::Server& oauth,
                           auth::EmailOtp& otp, CodeMail& codes, Devices& devices, const Pages& pages,
                           const Clock& clock, Rng& rng)
    : secret_(std::move(secret)),
      login_cookie_(web::host_cookie_name("latchkey_login", pages.https())),
      db_(db),
      oauth_(oauth),
      otp_(otp),
      codes_(codes),
      devices_(devices),
      pages_(pages),
      clock_(clock),
      rng_(rng) {}

void AccountPages::add_routes(web::Router& router) {
  using Page = Task<web::Response> (AccountPages::*)(web::Request);
  const auto on = [this](Page page) {
    return [this, page](web::Request r) { return (this->*page)(std::move(r)); };
  };
  const auto act = [this](Action action) {
    return [this, action](web::Request r) { return signed_in(action, std::move(r)); };
  };
  pages_.get(router, "/account/login", on(&AccountPages::login));
  pages_.post(router, "/account/send-otp", on(&AccountPages::send_otp));
  pages_.post(router, "/account/verify-otp", on(&AccountPages::verify_otp));
  pages_.get(router, "/account", act(&AccountPages::account));
  pages_.post(router, "/account/switch", act(&AccountPages::switch_account));
  pages_.post(router, "/account/session/revoke", act(&AccountPages::revoke));
  pages_.post(router, "/account/sessions/revoke-all", act(&AccountPages::revoke_all));
  pages_.post(router, "/account/logout", act(&AccountPages::logout));
}

// --- Signing in
// ----------------------------------------------------------------------------------------------------

Task<AccountPages::Login> AccountPages::load_login(web::Request request) {
  Login at{.cookie = request.cookie(login_cookie_).value_or(""), .flow = {}};
  if (at.cookie.size() != 43 || !from_base64url(at.cookie)) {
    at.cookie = rng_.token();
    co_return at;
  }
  at.flow = co_await db_.read(
      [&](store::Tx& tx) { return flows::find(tx, flow_id(at.cookie), flows::hash_of(at.cookie)); });
  co_return at;
}

Task<Result<AccountPages::Login, web::Response>> AccountPages::load_login_form(web::Request request) {
  // Without the cookie the fresh value of load_login never fits the token.
  Login at = co_await load_login(request);
  at.form = Pages::form_of(request);
  if (!Pages::has_token(at.form, token("login", at.cookie))) co_return fail(pages_.forged(request));
  co_return at;
}

Task<web::Response> AccountPages::login(web::Request request) {
  const auto visit = co_await devices_.visit(request);
  const bool known = visit && !(co_await accounts_on(visit->device)).empty();
  const Login at = co_await load_login(request);
  const bool sent = at.flow && at.flow->email, adds = request.query_value("add") == "1";
  const bool stay = request.query_value("stay") == "yes", resent = request.query_value("sent") == "again";
  web::Response response;
  if (known && !sent && !adds)
    response = to_account();
  else if (sent && request.query_value("different") != "1")
    response = with_login_cookie(code_page(at, stay, {}, resent ? "We sent you a new code." : ""), at);
  else
    response = with_login_cookie(login_page(at, stay), at);
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> AccountPages::send_otp(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  Login& at = *loaded;
  const bool stay = single(at.form, "stay") == "yes", again = single(at.form, "resend") == "1";
  const std::string next = fmt::format("/account/login?stay={}", stay ? "yes" : "no");
  const std::string typed =
      again ? (at.flow ? at.flow->email.value_or("") : "") : single(at.form, "email").value_or("");
  const auto address = mail::EmailAddress::parse(typed);
  if (!address) {
    if (again) co_return web::Response::redirect(303, next);
    auto response = login_page(at, stay, address.error().message, typed);
    response.status = 400;
    co_return response;
  }
  const Time now = clock_.now();
  const Flow fresh{.id = flow_id(at.cookie), .browser = flows::hash_of(at.cookie), .created_at = now};
  const bool first = co_await db_.write([&](store::Tx& tx) {
    flows::insert(tx, fresh);
    return flows::take_address(tx, fresh.id, address->str(), now);
  });
  if (first || again)
    co_await codes_.send({*address, std::string(k_purpose), fresh.id}, {}, request.remote_ip);
  co_return with_login_cookie(web::Response::redirect(303, again ? next + "&sent=again" : next), at);
}

Task<web::Response> AccountPages::verify_otp(web::Request request) {
  auto loaded = co_await load_login_form(request);
  if (!loaded) co_return std::move(loaded.error());
  Login& at = *loaded;
  const bool stay = single(at.form, "stay") == "yes";
  const auto address = mail::EmailAddress::parse(at.flow ? at.flow->email.value_or("") : "");
  if (!address) co_return to_login();
  const std::string code = single(at.form, "code").value_or("");
  if (!co_await otp_.verify({*address, std::string(k_purpose), at.flow->id}, code, request.remote_ip)) {
    auto response = code_page(at, stay, "Invalid or expired code");
    response.status = 400;
    co_return response;
  }
  const auto account = co_await db_.write([&](store::Tx& tx) {
    flows::forget_address(tx, at.flow->id);
    return pds::accounts::by_email(tx, address->str());
  });
  // Only now, to somebody who reads this mailbox. Anybody can make an account by password with somebody
  // else's address and wait: an address that was never confirmed leads to no account.
  if (!account || !account->email_confirmed_at) {
    auto response =
        login_page(at, stay, "No account here has this address, or it was never confirmed", address->str());
    response.status = 400;
    co_return response;
  }
  const Visit visit =
      co_await devices_.sign_in(request, account->did.str(), stay ? Stay::signed_in : Stay::this_time);
  web::Response response = to_account();
  devices_.set_cookie(response, visit);
  web::clear_cookie(
      response,
      {.name = login_cookie_, .value = "", .max_age = std::nullopt, .domain = "", .secure = pages_.https()});
  co_return response;
}

// --- Signed in
// -----------------------------------------------------------------------------------------------------

Task<std::vector<pds::Account>> AccountPages::accounts_on(std::string device) {
  const auto signed_in = co_await devices_.accounts(std::move(device));
  co_return co_await db_.read([&](store::Tx& tx) { return devices::behind(tx, signed_in); });
}

Task<web::Response> AccountPages::signed_in(Action action, web::Request request) {
  const auto visit = co_await devices_.visit(request);
  auto accounts = visit ? co_await accounts_on(visit->device) : std::vector<pds::Account>{};
  const bool form = request.method == "POST";
  web::Response response;
  if (accounts.empty()) {
    response = to_login();
  } else if (!form) {
    const auto first = accounts[0];
    response = co_await (this->*action)({visit->device, std::move(accounts), first, {}}, std::move(request));
  } else {
    auto fields = Pages::form_of(request);
    const std::string did = single(fields, "account").value_or("");
    const auto named = std::ranges::find(accounts, did, [](const auto& a) { return a.did.str(); });
    if (!Pages::has_token(fields, token("account", visit->device, did)))
      response = pages_.forged(request);
    else if (named == accounts.end())  // signed out meanwhile, in another tab
      response = to_account();
    else {
      const auto account = *named;
      response = co_await (this->*action)({visit->device, std::move(accounts), account, std::move(fields)},
                                          std::move(request));
    }
  }
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> AccountPages::account(Session at, web::Request request) {
  const std::string did = at.account.did.str();
  co_await devices_.used(at.device, did, request.remote_ip, Devices::Note::daily);
  json::Object view{{"title", "Your account"},
                    {"csrf", token("account", at.device, did)},
                    {"handle", at.account.handle_text()},
                    {"did", did},
                    {"email", at.account.email.value_or("")}};
  if (const auto notice = notice_text(request.query_value("done").value_or("")); !notice.empty())
    view.set("notice", notice);
  json::Array others;
  for (const auto& other : at.accounts)
    if (other.id != at.account.id)
      others.push_back(json::Object{{"other_handle", other.handle_text()}, {"other_did", other.did.str()}});
  view.set("has_others", !others.empty()).set("others", std::move(others));
  auto apps =
      app_views(co_await oauth_.sessions_of(did), wanted_language(request.headers.get("accept-language")));
  view.set("has_apps", !apps.empty()).set("apps", std::move(apps));
  auto devices = device_views(co_await devices_.devices_of(did), at.device);
  view.set("devices", std::move(devices));
  co_return pages_.page("account", std::move(view));
}

Task<web::Response> AccountPages::switch_account(Session at, web::Request request) {
  co_await devices_.used(at.device, single(at.form, "to").value_or(""), request.remote_ip,
                         Devices::Note::now);
  co_return to_account();
}

Task<web::Response> AccountPages::revoke(Session at, web::Request) {
  const std::string did = at.account.did.str();
  // Somebody else's id is as unknown as one that never was.
  if (const auto device = single(at.form, "device"))
    co_return to_account(co_await devices_.sign_out(*device, did) ? "device" : "nothing");
  const auto id = single(at.form, "session");
  const auto sessions = co_await oauth_.sessions_of(did);
  const auto session = std::ranges::find(sessions, id, [](const auto& s) { return std::optional(s.id); });
  if (session == sessions.end() || !co_await oauth_.end_session(did, *id)) co_return to_account("nothing");
  // The app's last session: when it comes back, the person is asked again.
  if (std::ranges::count(sessions, session->client_id, &oauth::Session::client_id) == 1)
    co_await oauth_.forget_approval(did, session->client_id);
  co_return to_account("access");
}

Task<web::Response> AccountPages::revoke_all(Session at, web::Request) {
  const std::string did = at.account.did.str();
  const bool apps = single(at.form, "apps") == "yes";
  co_await devices_.sign_out_others(did, at.device);
  if (apps) {
    for (const auto& session : co_await oauth_.sessions_of(did))
      co_await oauth_.forget_approval(did, session.client_id);
    co_await oauth_.end_sessions(did);
  }
  co_return to_account(apps ? "everything" : "devices");
}

Task<web::Response> AccountPages::logout(Session at, web::Request) {
  co_await devices_.sign_out(at.device, at.account.did.str());
  co_return to_login();
}

// --- Pages
// ---------------------------------------------------------------------------------------------------------

web::Response AccountPages::login_page(const Login& at, bool stay, std::string error,
                                       std::string typed) const {
  json::Object view{
      {"title", "Sign in to your account"}, {"csrf", token("login", at.cookie)}, {"stay", stay}};
  if (!error.empty()) view.set("error", std::move(error));
  if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
  return pages_.page("account_login", std::move(view));
}

web::Response AccountPages::code_page(const Login& at, bool stay, std::string error,
                                      std::string notice) const {
  const auto address = mail::EmailAddress::parse(at.flow->email.value_or(""));
  json::Object view{{"title", "Sign in to your account"},
                    {"csrf", token("login", at.cookie)},
                    {"stay", stay},
                    {"masked_email", address ? address->masked() : ""}};
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  return pages_.page("account_code", std::move(view));
}

web::Response AccountPages::with_login_cookie(web::Response response, const Login& at) const {
  web::set_cookie(response, {.name = login_cookie_,
                             .value = at.cookie,
                             .max_age = k_login_cookie_life,
                             .domain = "",
                             .secure = pages_.https()});
  return response;
}

std::string AccountPages::token(std::string_view what, std::string_view first,
                                std::string_view second) const {
  return base64url(
      crypto::hmac_sha256(secret_.reveal(), as_bytes(fmt::format("csrf\n{}\n{}\n{}", what, first, second))));
}

}  // namespace latchkey::signin

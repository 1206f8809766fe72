#include "signin/account_parts.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "signin/agent.h"
#include "signin/permission_words.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::seconds k_login_cookie_life{600};
constexpr std::size_t k_max_typed = 254;  // given back for correction

// The ids of flows that began with an app are hashes, without a dot.
std::string flow_id(std::string_view cookie) { return "account." + flows::hash_of(cookie); }

// Of permission sets only the names: the page that ends an app's access waits for nobody's network.
json::Array permission_views(const Reader& reader, std::string_view scope) {
  json::Array out;
  const auto scopes = oauth::ScopeSet::parse(scope);
  if (!scopes) return out;
  for (const auto& group : explain_scopes(*scopes, {}, reader))
    for (const auto& words : group.items) out.push_back(json::Object{{"permission", words.title}});
  return out;
}

json::Object session_view(const Reader& reader, const oauth::Session& session) {
  return {{"session_id", session.id},
          {"session_ip", session.ip},
          {"session_created", to_the_minute(reader, session.created_at)},
          {"session_created_iso", rfc3339(session.created_at)},
          {"session_used", to_the_minute(reader, session.last_used_at)},
          {"session_used_iso", rfc3339(session.last_used_at)},
          {"permissions", permission_views(reader, session.scope)}};
}

// One entry an app, the one used last first, each with its sessions.
json::Array app_views(const Reader& reader, const std::vector<oauth::Session>& sessions) {
  std::vector<std::string> apps;
  for (const auto& session : sessions)
    if (std::ranges::find(apps, session.client_id) == apps.end()) apps.push_back(session.client_id);
  json::Array out;
  for (const auto& client_id : apps) {
    json::Object app = Pages::app_view(reader, client_id);
    json::Array of_app;
    for (const auto& session : sessions)
      if (session.client_id == client_id) of_app.push_back(session_view(reader, session));
    app.set("sessions", std::move(of_app));
    out.push_back(std::move(app));
  }
  return out;
}

json::Array device_views(const Reader& reader, const std::vector<SignedInDevice>& devices,
                         std::string_view here) {
  json::Array out;
  for (const auto& device : devices)
    out.push_back(json::Object{{"device_id", device.device},
                               {"device_agent", agent_words(reader, device.agent)},
                               {"device_ip", device.ip},
                               {"device_since", to_the_day(reader, device.proven_at)},
                               {"device_since_iso", day_of(device.proven_at)},
                               {"device_seen", to_the_day(reader, device.last_used_at)},
                               {"device_seen_iso", day_of(device.last_used_at)},
                               {"device_here", device.device == here}});
  return out;
}

// What went wrong at a provider, as far as there are words for it.
std::string login_problem(const Reader& reader, const web::Request& request) {
  const auto error = request.query_value("error");
  if (!error) return {};
  const std::string key = "problem." + *error;
  return reader.text(reader.words->find(key) ? key : "problem.unknown");
}

}  // namespace

AccountPages::AccountPages(Options options, Parts parts)
    : options_(std::move(options)),
      login_cookie_(web::host_cookie_name("latchkey_login", parts.pages.https())),
      db_(parts.db),
      oauth_(parts.oauth),
      pds_(parts.pds),
      otp_(parts.otp),
      codes_(parts.codes),
      letters_(parts.letters),
      recovery_(parts.recovery),
      people_(parts.people),
      devices_(parts.devices),
      pages_(parts.pages),
      clock_(parts.clock),
      rng_(parts.rng) {}

void AccountPages::add_routes(web::Router& router) {
  using Page = Task<web::Response> (AccountPages::*)(web::Request);
  using This = AccountPages;
  const auto on = [this](Page page) {
    return [this, page](web::Request r) { return (this->*page)(std::move(r)); };
  };
  const auto act = [this](Action action, Proof proof = Proof::any) {
    return [this, action, proof](web::Request r) { return signed_in(action, proof, std::move(r)); };
  };
  const auto change = [&](const char* path, Action action) {
    pages_.post(router, path, act(action, Proof::recent));
  };
  pages_.get(router, "/account/login", on(&This::login));
  pages_.post(router, "/account/send-otp", on(&This::send_otp));
  pages_.post(router, "/account/verify-otp", on(&This::verify_otp));
  pages_.get(router, "/account/complete", on(&This::complete));
  pages_.get_and_post(router, "/account/recover", on(&This::recover), on(&This::recover_send));
  pages_.post(router, "/account/recover/resend", on(&This::recover_resend));
  pages_.post(router, "/account/recover/verify", on(&This::recover_verify));
  pages_.post(router, "/account/recover/choose", on(&This::recover_choose));
  pages_.get(router, "/account", act(&This::account));
  pages_.post(router, "/account/switch", act(&This::switch_account));
  pages_.post(router, "/account/session/revoke", act(&This::revoke));
  pages_.post(router, "/account/sessions/revoke-all", act(&This::revoke_all));
  pages_.post(router, "/account/logout", act(&This::logout));
  pages_.get(router, "/account/confirm", act(&This::confirm));
  pages_.post(router, "/account/confirm/send", act(&This::confirm_send));
  pages_.post(router, "/account/confirm/verify", act(&This::confirm_verify));
  change("/account/handle", &This::change_handle);
  change("/account/email", &This::change_email);
  change("/account/email/verify", &This::verify_email);
  change("/account/backup-email/add", &This::add_backup);
  change("/account/backup-email/remove", &This::remove_backup);
  pages_.get_and_post(router, "/account/backup-email/verify", on(&This::backup_page),
                      on(&This::verify_backup));
  change("/account/passkey/add", &This::add_passkey);
  pages_.get(router, "/account/passkey", act(&This::passkey_page));
  change("/account/passkey/rename", &This::rename_passkey);
  change("/account/passkey/remove", &This::remove_passkey);
  change("/account/provider/link", &This::link_provider);
  change("/account/provider/unlink", &This::unlink_provider);
  change("/account/password", &This::set_password);
  change("/account/password/remove", &This::remove_password);
  change("/account/app-password/add", &This::add_app_password);
  pages_.post(router, "/account/app-password/revoke", act(&This::revoke_app_password));
  pages_.post(router, "/account/data/repo", act(&This::download_repo));
  pages_.post(router, "/account/data/archive", act(&This::download_archive));
  change("/account/rotation-key/add", &This::add_rotation_key);
  change("/account/rotation-key/remove", &This::remove_rotation_key);
  change("/account/deactivate", &This::deactivate);
  pages_.post(router, "/account/reactivate", act(&This::reactivate));
  change("/account/delete", &This::remove_account);
}

// --- Signing in

Flow AccountPages::login_flow(const Login& at) const {
  return {.id = flow_id(at.cookie), .browser = flows::hash_of(at.cookie), .created_at = clock_.now()};
}

Task<AccountPages::Login> AccountPages::load_login(web::Request request) {
  Login at{
      .reader = pages_.reader(request), .cookie = request.cookie(login_cookie_).value_or(""), .flow = {}};
  at.reader.here = request.query_value("add") == "1" ? "/account/login?add=1" : "/account/login";
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
    response =
        with_login_cookie(code_page(at, stay, {}, resent ? at.reader.text("code.sent_again") : ""), at);
  else
    response = with_login_cookie(login_page(at, stay, login_problem(at.reader, request)), at);
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
    auto response = login_page(at, stay, address_words(at.reader, address.error()), typed);
    response.status = 400;
    co_return response;
  }
  const Time now = clock_.now();
  const Flow fresh = login_flow(at);
  const bool first = co_await db_.write([&](store::Tx& tx) {
    flows::insert(tx, fresh);
    return flows::take_address(tx, fresh.id, address->str(), now);
  });
  if (first || again)
    co_await codes_.send(at.reader, {*address, std::string(k_login_purpose), fresh.id}, {},
                         request.remote_ip);
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
  if (!co_await otp_.verify({*address, std::string(k_login_purpose), at.flow->id}, code, request.remote_ip)) {
    auto response = code_page(at, stay, at.reader.text("code.wrong"));
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
    auto response = login_page(at, stay, at.reader.text("account.none"), address->str());
    response.status = 400;
    co_return response;
  }
  // What a provider brought and waited for this proof.
  if (const auto label = co_await people_.link_pending(*account, request))
    letters_.notify(*account, {.what = name(Event::provider_linked), .detail = *label}, Actor::of(request),
                    at.reader.lang());
  auto response = co_await arrive(*account, stay ? Stay::signed_in : Stay::this_time, std::string(k_by_email),
                                  at.reader.lang(), request);
  web::clear_cookie(
      response,
      {.name = login_cookie_, .value = "", .max_age = std::nullopt, .domain = "", .secure = pages_.https()});
  co_return response;
}

Task<web::Response> AccountPages::arrive(pds::Account account, Stay stay, std::string by, std::string lang,
                                         web::Request request) {
  const Visit visit = co_await devices_.sign_in(request, account.did.str(), stay, by);
  co_await note_arrival(&db_, &letters_,
                        {.account = std::move(account),
                         .by = std::move(by),
                         .browser = visit.new_here ? Browser::fresh : Browser::known,
                         .actor = Actor::of(request),
                         .lang = std::move(lang)},
                        clock_.now());
  web::Response response = to_account();
  devices_.set_cookie(response, visit);
  co_return response;
}

// A passkey or a provider proved who this is, by the routes of /api/auth.
Task<web::Response> AccountPages::complete(web::Request request) {
  const Reader reader = pages_.reader(request);
  const auto proof = co_await people_.proof(request, clock_.now() - k_recent_proof);
  if (!proof) co_return to_login();
  const auto account = co_await db_.read([&](store::Tx& tx) -> std::optional<pds::Account> {
    if (!proof->did) return pds::accounts::by_email(tx, proof->email);
    const auto did = Did::parse(*proof->did);
    return did ? pds::accounts::by_did(tx, *did) : std::nullopt;
  });
  if (!account || (!proof->did && !account->email_confirmed_at))
    co_return co_await people_.spend(request, to_login("no_account"));
  if (!proof->did) co_await people_.claim(*account);
  Stay stay = request.query_value("stay") == "yes" ? Stay::signed_in : Stay::this_time;
  // To confirm it is you takes nothing away from a browser where you stay signed in.
  if (const auto visit = co_await devices_.visit(request))
    for (const auto& here : co_await devices_.accounts(visit->device))
      if (here.remembered && here.did == account->did.str()) stay = Stay::signed_in;
  co_return co_await people_.spend(request,
                                   co_await arrive(*account, stay, proof->by, reader.lang(), request));
}

// --- Signed in

Task<std::vector<pds::Account>> AccountPages::accounts_on(std::string device) {
  const auto signed_in = co_await devices_.accounts(std::move(device));
  co_return co_await db_.read([&](store::Tx& tx) { return devices::behind(tx, signed_in); });
}

Task<web::Response> AccountPages::signed_in(Action action, Proof proof, web::Request request) {
  const auto visit = co_await devices_.visit(request);
  const auto signed_in = visit ? co_await devices_.accounts(visit->device) : std::vector<SignedIn>{};
  auto accounts = co_await db_.read([&](store::Tx& tx) { return devices::behind(tx, signed_in); });
  web::Response response;
  if (accounts.empty()) {
    response = to_login();
  } else {
    const bool form = request.method == "POST";
    FormFields fields = form ? Pages::form_of(request) : FormFields();
    const std::string did = form ? single(fields, "account").value_or("") : accounts[0].did.str();
    const auto named = std::ranges::find(accounts, did, [](const auto& a) { return a.did.str(); });
    if (form && !Pages::has_token(fields, token("account", visit->device, did))) {
      response = pages_.forged(request);
    } else if (named == accounts.end()) {  // signed out meanwhile, in another tab
      response = to_account();
    } else {
      const auto since = std::ranges::find(signed_in, did, &SignedIn::did);
      Session at{.reader = pages_.reader(request),
                 .device = visit->device,
                 .accounts = {},
                 .account = *named,
                 .stay = since->remembered ? Stay::signed_in : Stay::this_time,
                 .proven_by = since->proven_by,
                 .proven_at = since->proven_at,
                 .form = std::move(fields)};
      at.accounts = std::move(accounts);
      if (at.reader.here.empty()) at.reader.here = "/account";
      if (proof == Proof::recent && !is_recent(at))
        response = to_confirm();
      else
        response = co_await (this->*action)(std::move(at), std::move(request));
    }
  }
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> AccountPages::account(Session at, web::Request request) {
  co_await devices_.used(at.device, at.account.did.str(), request.remote_ip, Devices::Note::daily);
  // Only words we have: nobody puts a text of their own on this page by a link.
  const auto words = [&](std::string_view what) {
    const std::string key =
        fmt::format("{}.{}", what, request.query_value(what == "problem" ? "error" : what).value_or(""));
    return at.reader.words->find(key) ? at.reader.text(key) : std::string();
  };
  std::string notice = words("success"), error = words("problem");
  co_return co_await account_page(std::move(at), std::move(notice), std::move(error));
}

Task<web::Response> AccountPages::account_page(Session at, std::string notice, std::string error,
                                               std::string new_app_password) {
  const std::string did = at.account.did.str();
  const Time now = clock_.now();
  json::Object view{{"title", at.reader.text("account.title")},
                    {"csrf", csrf(at)},
                    {"handle", at.account.handle_text()},
                    {"did", did},
                    {"email", at.account.email.value_or("")},
                    {"recent", is_recent(at)},
                    {"deactivated", at.account.deactivated_at.has_value()}};
  if (!notice.empty()) view.set("notice", std::move(notice));
  if (!error.empty()) view.set("error", std::move(error));
  if (!new_app_password.empty()) view.set("new_app_password", std::move(new_app_password));
  json::Array others;
  for (const auto& other : at.accounts)
    if (other.id != at.account.id)
      others.push_back(json::Object{{"other_handle", other.handle_text()}, {"other_did", other.did.str()}});
  view.set("has_others", !others.empty()).set("others", std::move(others));
  auto apps = app_views(at.reader, co_await oauth_.sessions_of(did));
  view.set("has_apps", !apps.empty()).set("apps", std::move(apps));
  view.set("devices", device_views(at.reader, co_await devices_.devices_of(did), at.device));
  co_await add_methods(view, at);
  co_await add_keys(view, at);

  json::Array app_passwords, backups, log;
  for (const auto& one : co_await pds_.settings().app_passwords(at.account))
    app_passwords.push_back(
        json::Object{{"app_password_name", one.name},
                     {"app_password_created", to_the_day(at.reader, one.created_at)},
                     {"app_password_privileged", one.privileged == pds::Privileged::yes}});
  view.set("has_app_passwords", !app_passwords.empty()).set("app_passwords", std::move(app_passwords));
  struct Read {
    std::vector<BackupEmail> backups;
    std::vector<AuditEntry> log;
  };
  const Read read = co_await db_.read([&](store::Tx& tx) {
    return Read{backup_emails::of_account(tx, did, now), audit::newest(tx, did, k_shown_events)};
  });
  for (const auto& one : read.backups)
    backups.push_back(json::Object{{"backup_id", one.id},
                                   {"backup_email", one.email},
                                   {"backup_verified", one.verified_at.has_value()}});
  view.set("has_backups", !backups.empty()).set("backups", std::move(backups));
  for (const auto& one : read.log)
    log.push_back(json::Object{{"log_words", event_words(*at.reader.words, one)},
                               {"log_at", to_the_minute(at.reader, one.at)},
                               {"log_at_iso", rfc3339(one.at)},
                               {"log_agent", agent_words(at.reader, one.agent)},
                               {"log_ip", one.ip}});
  view.set("has_log", !log.empty()).set("log", std::move(log));
  const bool wrong = view.find("error") != nullptr;
  co_return pages_.page(at.reader, "account", std::move(view), wrong ? 400 : 200);
}

Task<void> AccountPages::note(Session at, Event event, std::string detail, web::Request request) {
  const std::string did = at.account.did.str();
  const Actor actor = Actor::of(request);
  const Time now = clock_.now();
  co_await db_.write([&](store::Tx& tx) { audit::note(tx, did, event, detail, actor, now); });
}

std::string AccountPages::csrf(const Session& at) const {
  return token("account", at.device, at.account.did.str());
}

Task<web::Response> AccountPages::switch_account(Session at, web::Request request) {
  co_await devices_.used(at.device, single(at.form, "to").value_or(""), request.remote_ip,
                         Devices::Note::now);
  co_return to_account();
}

Task<web::Response> AccountPages::revoke(Session at, web::Request request) {
  const std::string did = at.account.did.str();
  // Somebody else's id is as unknown as one that never was.
  if (const auto device = single(at.form, "device")) {
    if (!co_await devices_.sign_out(*device, did)) co_return done("nothing");
    co_await note(at, Event::device_signed_out, {}, request);
    co_return done("device");
  }
  const auto id = single(at.form, "session");
  const auto sessions = co_await oauth_.sessions_of(did);
  const auto session = std::ranges::find(sessions, id, [](const auto& s) { return std::optional(s.id); });
  if (session == sessions.end() || !co_await oauth_.end_session(did, *id)) co_return done("nothing");
  // The app's last session: when it comes back, the person is asked again.
  if (std::ranges::count(sessions, session->client_id, &oauth::Session::client_id) == 1)
    co_await oauth_.forget_approval(did, session->client_id);
  co_await note(at, Event::app_ended,
                *Pages::app_view(at.reader, session->client_id).find("app_name")->string(), request);
  co_return done("access");
}

Task<web::Response> AccountPages::revoke_all(Session at, web::Request request) {
  const std::string did = at.account.did.str();
  const bool apps = single(at.form, "apps") == "yes";
  co_await devices_.sign_out_others(did, at.device);
  co_await db_.write([&](store::Tx& tx) { people_.end_sessions(tx, at.account.did); });
  co_await note(at, Event::all_signed_out, {}, request);
  if (apps) {
    for (const auto& session : co_await oauth_.sessions_of(did))
      co_await oauth_.forget_approval(did, session.client_id);
    co_await oauth_.end_sessions(did);
  }
  co_return done(apps ? "everything" : "devices");
}

Task<web::Response> AccountPages::logout(Session at, web::Request) {
  co_await devices_.sign_out(at.device, at.account.did.str());
  co_return to_login();
}

// --- Pages

web::Response AccountPages::login_page(const Login& at, bool stay, std::string error,
                                       std::string typed) const {
  json::Object view{{"title", at.reader.text("account.sign_in_title")},
                    {"csrf", token("login", at.cookie)},
                    {"stay", stay}};
  if (!error.empty()) view.set("error", std::move(error));
  if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
  view.set("recover_url", "/account/recover").set("passkey_next", "/account/complete");
  auto providers = provider_links();
  view.set("has_providers", !providers.empty()).set("providers", std::move(providers));
  return pages_.page(at.reader, "account_login", std::move(view));
}

web::Response AccountPages::code_page(const Login& at, bool stay, std::string error,
                                      std::string notice) const {
  const auto address = mail::EmailAddress::parse(at.flow->email.value_or(""));
  json::Object view{{"title", at.reader.text("account.sign_in_title")},
                    {"csrf", token("login", at.cookie)},
                    {"stay", stay},
                    {"masked_email", address ? address->masked() : ""}};
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  return pages_.page(at.reader, "account_code", std::move(view));
}

web::SetCookie AccountPages::login_cookie(const Login& at) const {
  return {.name = login_cookie_,
          .value = at.cookie,
          .max_age = k_login_cookie_life,
          .domain = "",
          .secure = pages_.https()};
}

web::Response AccountPages::with_login_cookie(web::Response response, const Login& at) const {
  web::set_cookie(response, login_cookie(at));
  return response;
}

std::string AccountPages::token(std::string_view what, std::string_view first,
                                std::string_view second) const {
  return base64url(crypto::hmac_sha256(options_.secret.reveal(),
                                       as_bytes(fmt::format("csrf\n{}\n{}\n{}", what, first, second))));
}

}  // namespace latchkey::signin

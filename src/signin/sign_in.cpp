#include "signin/sign_in.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "pds/accounts.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::seconds k_cookie_life{600};
constexpr std::string_view k_purpose = "sign-in";

std::string hash_text(std::string_view text) { return base64url(crypto::sha256(as_bytes(text))); }

json::Array scope_views(std::string_view scope) {
  struct Words {
    std::string_view name, title, detail;
  };
  static constexpr Words k_words[] = {{oauth::k_scope_atproto, "Know who you are",
                                       "Your account's handle and its permanent identifier (DID)."},
                                      {oauth::k_scope_generic, "Act on your behalf",
                                       "Read and write everything in your repository, such as posts, likes "
                                       "and follows, and your preferences. It "
                                       "cannot read direct messages or change your account."},
                                      {oauth::k_scope_email, "See your e-mail address", ""},
                                      {oauth::k_scope_chat, "Read and send your direct messages", ""}};
  json::Array out;
  const auto scopes = oauth::ScopeSet::parse(scope);
  for (const auto& token : scopes ? scopes->tokens() : std::vector<std::string>{}) {
    json::Object item{{"scope_name", token}, {"scope_title", token}};
    for (const auto& words : k_words)
      if (words.name == token) {
        item.set("scope_title", words.title);
        if (!words.detail.empty()) item.set("scope_detail", words.detail);
      }
    out.push_back(std::move(item));
  }
  return out;
}

// For CSP form-action. Browsers apply it to every redirect that answers a form, also to those of the app's
// own callback to its next page, which may be on another host: so the scheme, and no host.
std::string redirect_scheme(std::string_view redirect_uri) {
  return std::string(redirect_uri.substr(0, redirect_uri.find(':') + 1));
}
// For people: where they go next.
std::string redirect_target(const std::string& redirect_uri) {
  const auto url = Url::parse(redirect_uri);
  return url ? url->authority() : redirect_uri;
}

}  // namespace

SignIn::SignIn(Options options, store::Database& db, oauth::Server& oauth, pds::AccountService& accounts,
               auth::EmailOtp& otp, mail::Sender& mailer, const web::Templates& templates, const Clock& clock,
               Rng& rng)
    : options_(std::move(options)),
      https_(options_.origin.starts_with("https://")),
      flow_cookie_(web::host_cookie_name("magic_auth_flow", https_)),
      session_cookie_(web::host_cookie_name("magic_auth_session", https_)),
      db_(db),
      oauth_(oauth),
      accounts_(accounts),
      otp_(otp),
      mailer_(mailer),
      templates_(templates),
      clock_(clock),
      rng_(rng) {}

void SignIn::add_routes(web::Router& router) {
  router.get("/oauth/authorize", [this](web::Request r) { return authorize(std::move(r)); });
  router.get("/auth/step", [this](web::Request r) { return step(std::move(r)); });
  router.post("/auth/email", [this](web::Request r) { return email(std::move(r)); });
  router.post("/auth/send", [this](web::Request r) { return send(std::move(r)); });
  router.post("/auth/resend", [this](web::Request r) { return resend(std::move(r)); });
  router.post("/auth/different", [this](web::Request r) { return different(std::move(r)); });
  router.post("/auth/verify", [this](web::Request r) { return verify(std::move(r)); });
  router.get("/auth/complete", [this](web::Request r) { return complete(std::move(r)); });
  router.get("/auth/consent", [this](web::Request r) { return consent(std::move(r)); });
  router.post("/auth/consent", [this](web::Request r) { return decide(std::move(r)); });
}

// --- Opening
// -------------------------------------------------------------------------------------------------------

Task<web::Response> SignIn::authorize(web::Request request) {
  const auto request_uri = request.query_value("request_uri"), client_id = request.query_value("client_id");
  if (!request_uri || !client_id)
    co_return error_page(400, "This link is incomplete", "The app sent you here without a sign-in request.",
                         request);

  // One secret a browser, so that two tabs can be open at once; each flow is bound to it.
  auto cookie = request.cookie(flow_cookie_);
  if (!cookie || cookie->size() != 43) cookie = rng_.token();
  auto open = co_await oauth_.open(*request_uri, *client_id, hash_text(*cookie));
  if (!open) co_return fault_page(open.error(), request);

  if (open->request.prompt == "none") {
    // Nobody is ever signed in here without typing a code.
    auto response =
        co_await oauth_.refuse(std::move(*open), oauth::Error::login_required, "Sign-in is required");
    if (!response) co_return fault_page(response.error(), request);
    co_return std::move(*response);
  }

  const Flow fresh = co_await first_state(*open, hash_text(*cookie), request.query_value("login_hint"));
  co_await db_.write([&](store::Tx& tx) { flows::insert(tx, fresh); });
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, fresh.id, fresh.browser); });
  if (!flow)
    co_return error_page(400, "Start again", "This sign-in was started in another browser.", request);
  web::Response response = show_step(Step{std::move(*flow), std::move(*open), *cookie}, request);
  set_flow_cookie(response, *cookie);
  co_return response;
}

Task<Flow> SignIn::first_state(oauth::OpenRequest open, std::string browser,
                               std::optional<std::string> url_hint) {
  Flow flow{.id = open.request.id, .browser = std::move(browser), .created_at = clock_.now()};
  // The hint of the pushed request decides; one on the URL, which anybody can write, only helps where there
  // is none.
  const auto& hint = open.request.login_hint ? open.request.login_hint : url_hint;
  if (!hint) co_return flow;
  if (const auto identifier = AtIdentifier::parse(*hint)) {
    const auto account =
        co_await db_.read([&](store::Tx& tx) { return pds::accounts::by_identifier(tx, *identifier); });
    if (open.request.login_hint) flow.locked_did = account ? account->did.str() : identifier->str();
    if (account) flow.email = account->email;
  } else if (const auto address = mail::EmailAddress::parse(*hint)) {
    flow.email = address->str();
  }
  co_return flow;
}

// --- Checks every later step shares
// --------------------------------------------------------------------------------

Task<Result<SignIn::Step, web::Response>> SignIn::load(web::Request request, Csrf csrf) {
  const auto expired = [&] {
    return fail(error_page(
        400, "Authentication session expired",
        "This sign-in is over or was started in another browser. Go back to the app and start again.",
        request));
  };
  const auto flow_id = request.query_value("flow_id");
  const auto cookie = request.cookie(flow_cookie_);
  if (!flow_id || !cookie) co_return expired();
  if (csrf == Csrf::required) {
    const auto form = request.form();
    const auto token = form ? single(*form, "csrf") : std::nullopt;
    // Browsers say where a form comes from; programs may say nothing, and for them the token is enough.
    const bool says_origin = request.headers.has("sec-fetch-site") || request.headers.has("origin");
    if (!token || !crypto::equal(as_bytes(*token), as_bytes(csrf_token(*cookie, *flow_id))) ||
        (says_origin && !request.from_same_origin(options_.origin)))
      co_return fail(error_page(403, "That did not come from this page",
                                "For your safety nothing was done. Go back to the app and start again.",
                                request));
  }
  const std::string browser = hash_text(*cookie);
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, *flow_id, browser); });
  if (!flow) co_return expired();
  auto open = co_await oauth_.reopen(*flow_id, browser);
  if (!open) co_return expired();
  co_return Step{std::move(*flow), std::move(*open), *cookie};
}

Task<Result<SignIn::Step, web::Response>> SignIn::load_proven(web::Request request, Csrf csrf) {
  CO_TRY(auto step, co_await load(request, csrf));
  const auto session = request.cookie(session_cookie_);
  if (!step.flow.proven_email || !session || !step.flow.session ||
      !crypto::equal(as_bytes(hash_text(*session)), as_bytes(*step.flow.session)))
    co_return fail(web::Response::redirect(303, link("/auth/step", step.flow.id)));
  co_return step;
}

// --- Steps
// ---------------------------------------------------------------------------------------------------------

Task<web::Response> SignIn::step(web::Request request) {
  auto loaded = co_await load(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  const bool resent = request.query_value("sent") == "again";
  co_return show_step(*loaded, request, {}, resent ? "We sent you a new code." : "");
}

Task<web::Response> SignIn::email(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  // Proven already, or the request names the account: there is no address to choose.
  if (at.flow.proven_email || (at.flow.locked_did && at.flow.email))
    co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  const auto typed = single(*request.form(), "email").value_or("");
  const auto address = mail::EmailAddress::parse(typed);
  if (!address) {
    at.flow.email = std::nullopt;
    auto response = show_step(at, request, address.error().message);
    response.status = 400;
    co_return response;
  }
  at.flow.email = address->str();
  co_await db_.write([&](store::Tx& tx) {
    flows::set_email(tx, at.flow.id, at.flow.email);
    flows::mark_sent(tx, at.flow.id, clock_.now());
  });
  co_await send_code(at, request.remote_ip);
  co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
}

Task<web::Response> SignIn::send(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Flow& flow = loaded->flow;
  if (flow.email && !flow.proven_email) {
    const bool first =
        co_await db_.write([&](store::Tx& tx) { return flows::mark_sent(tx, flow.id, clock_.now()); });
    if (first) co_await send_code(*loaded, request.remote_ip);
  }
  co_return web::Response::redirect(303, link("/auth/step", flow.id));
}

Task<web::Response> SignIn::resend(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  if (loaded->flow.email && !loaded->flow.proven_email) co_await send_code(*loaded, request.remote_ip);
  co_return web::Response::redirect(303, link("/auth/step", loaded->flow.id) + "&sent=again");
}

Task<web::Response> SignIn::different(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  if (!loaded->flow.locked_did)
    co_await db_.write([&](store::Tx& tx) { flows::set_email(tx, loaded->flow.id, std::nullopt); });
  co_return web::Response::redirect(303, link("/auth/step", loaded->flow.id));
}

Task<web::Response> SignIn::verify(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  if (!at.flow.email) co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  const auto address = mail::EmailAddress::parse(*at.flow.email);
  const std::string code = single(*request.form(), "code").value_or("");
  if (!address ||
      !co_await otp_.verify({*address, std::string(k_purpose), at.flow.id}, code, request.remote_ip)) {
    web::Response response = show_step(at, request, "Invalid or expired code");
    response.status = 400;
    co_return response;
  }
  // A new secret at the moment of sign-in: whoever knew the flow cookie before knows nothing of what follows.
  const std::string session = rng_.token();
  co_await db_.write(
      [&](store::Tx& tx) { flows::prove(tx, at.flow.id, address->str(), hash_text(session)); });
  web::Response response = web::Response::redirect(303, link("/auth/complete", at.flow.id));
  web::set_cookie(
      response,
      {.name = session_cookie_, .value = session, .max_age = k_cookie_life, .domain = "", .secure = https_});
  co_return response;
}

Task<web::Response> SignIn::complete(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const auto account = co_await account_of(*at.flow.proven_email);
  if (at.flow.locked_did && (!account || account->did.str() != *at.flow.locked_did)) {
    auto response = co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied,
                                           "The account that signed in is not the one that was asked for");
    co_return response ? std::move(*response) : fault_page(response.error(), request);
  }
  if (!account && !options_.may_sign_up) {
    auto response = co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied,
                                           "This server takes no new accounts");
    co_return response ? std::move(*response) : fault_page(response.error(), request);
  }
  if (account && !account->active())
    co_return error_page(403, "This account is not active", "It cannot be used to sign in.", request);
  if (account && co_await oauth_.is_approved(at.open, account->did.str())) {
    auto response = co_await oauth_.approve(std::move(at.open), account->did.str());
    co_return response ? std::move(*response) : fault_page(response.error(), request);
  }
  co_return web::Response::redirect(303, link("/auth/consent", at.flow.id));
}

Task<web::Response> SignIn::consent(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  const auto account = co_await account_of(*at.flow.proven_email);
  json::Object view = app_view(*at.open.client);
  view.set("title", account ? "Authorize Application" : "Create Account & Authorize");
  view.set("csrf", csrf_token(at.cookie, at.flow.id));
  view.set("action", link("/auth/consent", at.flow.id));
  view.set("client_id", at.open.request.client_id);
  view.set("email", *at.flow.proven_email);
  view.set("new_account", !account);
  if (account) {
    view.set("handle", account->handle_text());
    view.set("did", account->did.str());
  }
  view.set("scopes", scope_views(at.open.request.scope));
  view.set("redirect_host", redirect_target(at.open.request.redirect_uri));
  co_return page("consent", std::move(view), request, 200, {redirect_scheme(at.open.request.redirect_uri)});
}

Task<web::Response> SignIn::decide(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const auto action = single(*request.form(), "action");
  if (action == "deny") {
    auto response = co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied,
                                           "The user denied the request");
    co_return response ? std::move(*response) : fault_page(response.error(), request);
  }
  if (action != "approve") co_return web::Response::redirect(303, link("/auth/consent", at.flow.id));

  const auto account = co_await account_of(*at.flow.proven_email);
  if ((at.flow.locked_did && (!account || account->did.str() != *at.flow.locked_did)) ||
      (!account && !options_.may_sign_up) || (account && !account->active()))
    co_return web::Response::redirect(303, link("/auth/complete", at.flow.id));
  std::string did;
  if (account) {
    did = account->did.str();
  } else {
    auto made = co_await accounts_.create_account(
        {.email = *mail::EmailAddress::parse(*at.flow.proven_email), .email_proof = pds::EmailProof::proven});
    // The button pressed twice: the other request made the account.
    const auto twin = made ? std::optional(*made) : co_await account_of(*at.flow.proven_email);
    if (!twin) {
      log::error(
          "account creation failed",
          {{"request_id", request.id}, {"error", made.error().message}, {"detail", made.error().detail}});
      auto response = co_await oauth_.refuse(std::move(at.open), oauth::Error::server_error,
                                             "The account could not be created. Try again.");
      co_return response ? std::move(*response) : fault_page(response.error(), request);
    }
    did = twin->did.str();
  }
  auto response = co_await oauth_.approve(std::move(at.open), did);
  co_return response ? std::move(*response) : fault_page(response.error(), request);
}

// --- Mail
// ----------------------------------------------------------------------------------------------------------

Task<void> SignIn::send_code(Step at, std::string ip) {
  const auto address = mail::EmailAddress::parse(*at.flow.email);
  if (!address) co_return;
  auto code = co_await otp_.issue({*address, std::string(k_purpose), at.flow.id}, std::move(ip));
  if (!code) {
    log::info("sign-in code not sent: limit reached", {{"email", log::redact_email(address->str())}});
    co_return;
  }
  // Not awaited: whether a mail goes out, and how fast, must not show in the time of the answer.
  const json::Object app = app_view(*at.open.client);
  mails_.spawn(mail_code(*address, std::move(*code), *app.find("app_name")->string()));
}

Task<void> SignIn::mail_code(mail::EmailAddress to, std::string code, std::string app_name) {
  try {
    const bool is_new = !co_await account_of(to.str());
    const std::string base = is_new ? "mail_welcome_code" : "mail_code";
    const json::Object view{{"code", code},
                            {"name", options_.service_name},
                            {"app_name", app_name},
                            {"service_name", options_.service_name},
                            {"service_host", options_.service_host},
                            {"minutes", std::int64_t{auth::k_email_code_lifetime.count()}}};
    mail::Message message{
        .to = to,
        .subject = is_new ? fmt::format("{} — Welcome to {}", code, options_.service_name)
                          : fmt::format("{} is your sign-in code for {}", code, options_.service_name),
        .text = templates_.render(base + ".txt", view),
        .html = templates_.render(base, view)};
    if (auto sent = co_await mailer_.send(std::move(message)); !sent)
      log::error("sign-in mail not sent", {{"email", log::redact_email(to.str())},
                                           {"kind", std::string(mail::name(sent.error().kind))},
                                           {"detail", sent.error().detail}});
  } catch (const std::exception& e) {
    log::error("sign-in mail not sent", {{"detail", e.what()}});
  }
}

Task<std::optional<pds::Account>> SignIn::account_of(std::string email) {
  co_return co_await db_.read([&](store::Tx& tx) { return pds::accounts::by_email(tx, email); });
}

Task<void> SignIn::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) { return flows::clean(tx, now); });
}

// --- Pages
// ---------------------------------------------------------------------------------------------------------

web::Response SignIn::show_step(const Step& at, const web::Request& request, std::string error,
                                std::string notice) const {
  const Flow& flow = at.flow;
  if (flow.proven_email) return web::Response::redirect(303, link("/auth/complete", flow.id));
  json::Object view = app_view(*at.open.client);
  view.set("title", fmt::format("Sign in to {}", *view.find("app_name")->string()));
  view.set("csrf", csrf_token(at.cookie, flow.id));
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  const std::string leaves_to = redirect_scheme(at.open.request.redirect_uri);
  if (!flow.email) {
    view.set("action", link("/auth/email", flow.id));
    return page("signin_email", std::move(view), request, 200, {leaves_to});
  }
  const auto address = mail::EmailAddress::parse(*flow.email);
  // The address behind a handle is the account's, not the visitor's: say no more than the handle did.
  view.set("masked_email", flow.locked_did || !address ? "the address of this account" : address->masked());
  if (!flow.locked_did) view.set("different_action", link("/auth/different", flow.id));
  if (!flow.sent_at) {
    view.set("send", true);
    view.set("send_action", link("/auth/send", flow.id));
  } else {
    view.set("verify_action", link("/auth/verify", flow.id));
    view.set("resend_action", link("/auth/resend", flow.id));
  }
  return page("signin_code", std::move(view), request, 200, {leaves_to});
}

web::Response SignIn::page(const std::string& name, json::Object view, const web::Request&, int status,
                           std::vector<std::string> form_action) const {
  view.set("lang", "en");
  view.set("service_host", options_.service_host);
  return web::html_page(templates_.render(name, view),
                        {.status = status, .form_action = std::move(form_action), .https = https_});
}

web::Response SignIn::error_page(int status, std::string heading, std::string message,
                                 const web::Request& request) const {
  return page("error",
              {{"title", heading}, {"heading", heading}, {"message", message}, {"request_id", request.id}},
              request, status);
}

web::Response SignIn::fault_page(const oauth::Fault& fault, const web::Request& request) const {
  const int status = oauth::wire(fault.code).status;
  return error_page(status, status >= 500 ? "Something went wrong" : "This sign-in cannot go on",
                    fault.description, request);
}

json::Object SignIn::app_view(const oauth::Client& client) const {
  const std::string host = client.id.host();
  std::string name = client.client_name;
  if (name.empty())
    name = client.id.kind() == oauth::ClientId::Kind::loopback ? "an app on this computer" : host;
  if (name.size() > 80) {  // cut at a character's border
    std::size_t end = 80;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
    name.resize(end);
  }
  std::string initial = "A";
  if (const char c = name[0]; (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
    initial = std::string(1, c & ~0x20);
  return {{"app_name", name}, {"app_host", host}, {"app_initial", initial}};
}

std::string SignIn::csrf_token(std::string_view cookie, std::string_view flow_id) const {
  return base64url(
      crypto::hmac_sha256(options_.secret.reveal(), as_bytes(fmt::format("csrf\n{}\n{}", cookie, flow_id))));
}

std::string SignIn::link(std::string_view path, std::string_view flow_id) const {
  return fmt::format("{}?flow_id={}", path, percent_encode(flow_id));
}

void SignIn::set_flow_cookie(web::Response& response, std::string_view value) const {
  web::set_cookie(response, {.name = flow_cookie_,
                             .value = std::string(value),
                             .max_age = k_cookie_life,
                             .domain = "",
                             .secure = https_});
}

}  // namespace latchkey::signin

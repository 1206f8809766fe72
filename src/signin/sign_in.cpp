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
// How long to wait for the request that is making the same account.
constexpr int k_twin_looks = 13;
constexpr std::chrono::milliseconds k_twin_pause{250};
constexpr std::size_t k_max_typed = 254;  // given back for correction
constexpr std::size_t k_max_name = 80;    // characters

std::string hash_text(std::string_view text) { return base64url(crypto::sha256(as_bytes(text))); }

// Resumes when the job that runs now has ended.
Task<void> after_this_job() {
  Completion<bool> later;
  Executor::current()->post([later] { later.deliver(true); });
  co_await later;
}

// Unicode's controls, and what turns or hides text: a name must not look like something else, and in a mail
// it must not begin a line.
bool is_odd(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
         c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

// One line of at most k_max_name characters of what a client calls itself; "" when nothing visible is left.
std::string plain_name(std::string_view utf8) {
  std::string out;
  std::size_t characters = 0;
  bool space = false;
  for (std::size_t at = 0; at < utf8.size() && characters < k_max_name;) {
    const auto lead = static_cast<unsigned char>(utf8[at]);
    const std::size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = n == 1 ? lead : lead & (0xff >> (n + 1));
    for (std::size_t i = 1; i < n && at + i < utf8.size(); ++i)
      c = c << 6 | (static_cast<unsigned char>(utf8[at + i]) & 0x3f);
    if (c == ' ' || c == 0xa0 || is_odd(c)) {
      space = true;
    } else {
      if (space && !out.empty()) out += ' ', ++characters;
      space = false;
      if (characters < k_max_name) out += utf8.substr(at, n);
      ++characters;
    }
    at += n;
  }
  return out;
}

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

// Anybody can make an account by password with somebody else's address and wait. So an address leads to an
// account only once it was confirmed, unless the request names that account; signing in that way confirms it.
bool is_squatted(const Flow& flow, const pds::Account& account) {
  return !account.email_confirmed_at && !flow.locked_did;
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
      host_(Url::parse(options_.origin).value().host),
      flow_cookie_(web::host_cookie_name("magic_auth_flow", https_)),
      db_(db),
      oauth_(oauth),
      accounts_(accounts),
      otp_(otp),
      mailer_(mailer),
      templates_(templates),
      clock_(clock),
      rng_(rng) {}

void SignIn::add_routes(web::Router& router) {
  const auto add = [&](const char* method, const char* path, Page page) {
    router.add(method, path, [this, page](web::Request r) { return guarded(page, std::move(r)); });
  };
  const auto refuse_others = [&](const char* path, const char* allow) {
    router.add("*", path, [this, allow](web::Request r) {
      auto response =
          error_page(405, "That is not how this page works", "Go back to the app and start again.", r);
      response.header("allow", allow);
      return web::ready(std::move(response));
    });
  };
  const auto get = [&](const char* path, Page page) {
    add("GET", path, page);
    refuse_others(path, "GET, HEAD");
  };
  const auto post = [&](const char* path, Page page) {
    add("POST", path, page);
    refuse_others(path, "POST");
  };
  get("/oauth/authorize", &SignIn::authorize);
  get("/auth/step", &SignIn::step);
  post("/auth/email", &SignIn::email);
  post("/auth/send", &SignIn::send);
  post("/auth/resend", &SignIn::resend);
  post("/auth/different", &SignIn::different);
  post("/auth/verify", &SignIn::verify);
  get("/auth/complete", &SignIn::complete);
  add("GET", "/auth/consent", &SignIn::consent);
  add("POST", "/auth/consent", &SignIn::decide);
  refuse_others("/auth/consent", "GET, HEAD, POST");
}

Task<web::Response> SignIn::guarded(Page page, web::Request request) {
  // Everybody with an account has a name below the service's: what answers there must not look like us.
  if (request.hostname() != host_ && request.hostname().ends_with("." + host_)) co_return not_found(request);
  // Opening binds the request to a browser and prompt=none ends it. A link preview that only looks must do
  // neither.
  if (request.method == "HEAD") co_return web::html_page({}, {.https = https_});
  web::Response response;
  int failed = 0;
  try {
    response = co_await (this->*page)(request);
  } catch (const Overloaded&) {
    failed = 503;
  } catch (const std::exception& e) {
    failed = 500;
    log::error("sign-in failed", {{"request_id", request.id}, {"path", request.path}, {"detail", e.what()}});
  }
  if (failed) co_return error_page(failed, "Something went wrong", "Please try again in a moment.", request);
  if (!response.headers.has("content-security-policy")) {
    const std::string referrer(response.headers.get("referrer-policy"));
    web::add_page_headers(response, {.https = https_});
    if (!referrer.empty()) response.header("referrer-policy", referrer);
  }
  co_return response;
}

web::Response SignIn::not_found(const web::Request& request) const {
  return error_page(404, "There is no such page", "Go back to the app and start again.", request);
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
  if (!cookie || cookie->size() != 43 || !from_base64url(*cookie)) cookie = rng_.token();
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
  const bool proven = holds_session(request, *flow);
  web::Response response = show_step(Step{std::move(*flow), std::move(*open), *cookie, proven}, request);
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
    const auto address =
        account ? mail::EmailAddress::parse(account->email.value_or("")) : mail::EmailAddress::parse("");
    if (address) flow.email = address->str();
    // A lock also keeps the account's address off the page. One that nobody here can open comes only from the
    // pushed request, whose author wanted that account and no other.
    if (address)
      flow.locked_did = account->did.str();
    else if (open.request.login_hint)
      flow.locked_did = account ? account->did.str() : identifier->str();
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
  const bool proven = holds_session(request, *flow);
  co_return Step{std::move(*flow), std::move(*open), *cookie, proven};
}

// One cookie a flow: two tabs sign in side by side.
std::string SignIn::session_cookie(std::string_view flow_id) const {
  return web::host_cookie_name(fmt::format("magic_auth_session_{}", flow_id.substr(0, 16)), https_);
}

bool SignIn::holds_session(const web::Request& request, const Flow& flow) const {
  const auto session = request.cookie(session_cookie(flow.id));
  return flow.proven_email && flow.session && session &&
         crypto::equal(as_bytes(hash_text(*session)), as_bytes(*flow.session));
}

Task<Result<SignIn::Step, web::Response>> SignIn::load_proven(web::Request request, Csrf csrf) {
  CO_TRY(auto step, co_await load(request, csrf));
  if (!step.proven) co_return fail(web::Response::redirect(303, link("/auth/step", step.flow.id)));
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
    auto response = show_step(at, request, address.error().message, {}, typed);
    response.status = 400;
    co_return response;
  }
  at.flow.email = address->str();
  const bool fresh = co_await db_.write(
      [&](store::Tx& tx) { return flows::take_address(tx, at.flow.id, *at.flow.email, clock_.now()); });
  if (fresh) co_await send_code(at, request.remote_ip);
  co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
}

Task<web::Response> SignIn::send(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Flow& flow = loaded->flow;
  if (flow.email && !loaded->proven) {
    const bool first =
        co_await db_.write([&](store::Tx& tx) { return flows::mark_sent(tx, flow.id, clock_.now()); });
    if (first) co_await send_code(*loaded, request.remote_ip);
  }
  co_return web::Response::redirect(303, link("/auth/step", flow.id));
}

Task<web::Response> SignIn::resend(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Flow& flow = loaded->flow;
  if (flow.email && !loaded->proven) {
    co_await db_.write([&](store::Tx& tx) { flows::mark_sent(tx, flow.id, clock_.now()); });
    co_await send_code(*loaded, request.remote_ip);
  }
  co_return web::Response::redirect(303, link("/auth/step", loaded->flow.id) + "&sent=again");
}

Task<web::Response> SignIn::different(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  if (!loaded->flow.locked_did)
    co_await db_.write([&](store::Tx& tx) { flows::forget_address(tx, loaded->flow.id); });
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
  const bool proven = co_await db_.write(
      [&](store::Tx& tx) { return flows::prove(tx, at.flow.id, address->str(), hash_text(session)); });
  // Another address was typed in another tab meanwhile.
  if (!proven) co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  web::Response response = web::Response::redirect(303, link("/auth/complete", at.flow.id));
  web::set_cookie(response, {.name = session_cookie(at.flow.id),
                             .value = session,
                             .max_age = k_cookie_life,
                             .domain = "",
                             .secure = https_});
  co_return response;
}

Task<web::Response> SignIn::complete(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const std::string id = at.flow.id;
  const auto account = co_await account_of(*at.flow.proven_email);
  const char* refusal = nullptr;
  if (at.flow.locked_did && (!account || account->did.str() != *at.flow.locked_did))
    refusal = "The account that signed in is not the one that was asked for";
  else if (!account && !options_.may_sign_up)
    refusal = "This server takes no new accounts";
  else if (account && !account->active())
    refusal = "This account is not active";
  else if (account && is_squatted(at.flow, *account))
    refusal = "This address was never confirmed for its account. Sign in with the account's handle";
  if (refusal)
    co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied, refusal), id,
                    request);
  // The app may want the page even where nothing new is asked (OpenID Connect Core §3.1.2.1).
  if (account && at.open.request.prompt != "consent" &&
      co_await oauth_.is_approved(at.open, account->did.str()))
    co_return leave(co_await oauth_.approve(std::move(at.open), account->did.str()), id, request);
  co_return web::Response::redirect(303, link("/auth/consent", id));
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
  const std::string id = at.flow.id;
  const auto action = single(*request.form(), "action");
  if (action == "deny")
    co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied,
                                           "The user denied the request"),
                    id, request);
  if (action != "approve") co_return web::Response::redirect(303, link("/auth/consent", id));

  const auto account = co_await account_of(*at.flow.proven_email);
  if ((at.flow.locked_did && (!account || account->did.str() != *at.flow.locked_did)) ||
      (!account && !options_.may_sign_up) ||
      (account && (!account->active() || is_squatted(at.flow, *account))))
    co_return web::Response::redirect(303, link("/auth/complete", id));
  std::string did;
  if (account) {
    did = account->did.str();
    if (!account->email_confirmed_at)
      co_await db_.write([&](store::Tx& tx) {
        pds::accounts::confirm_email(tx, account->id, *at.flow.proven_email, clock_.now());
      });
  } else {
    auto made = co_await make_account(*at.flow.proven_email);
    if (!made) {
      log::error(
          "account creation failed",
          {{"request_id", request.id}, {"error", made.error().message}, {"detail", made.error().detail}});
      co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::server_error,
                                             "The account could not be created. Try again."),
                      id, request);
    }
    did = made->did.str();
  }
  co_return leave(co_await oauth_.approve(std::move(at.open), did), id, request);
}

Task<Result<pds::Account, xrpc::Fault>> SignIn::make_account(std::string email) {
  auto made = co_await accounts_.create_account(
      {.email = *mail::EmailAddress::parse(email), .email_proof = pds::EmailProof::proven});
  if (made || made.error().code != xrpc::Error::InvalidRequest) co_return made;
  // Taken: the button was pressed twice, or the person signs in for the first time in two places. The other
  // request is about to have the account.
  for (int i = 0; i < k_twin_looks; ++i) {
    if (i > 0) co_await sleep_for(k_twin_pause);
    if (auto twin = co_await account_of(email)) co_return *std::move(twin);
  }
  co_return made;
}

web::Response SignIn::leave(Result<web::Response, oauth::Fault> outcome, std::string flow_id,
                            const web::Request& request) const {
  if (!outcome) return fault_page(outcome.error(), request);
  web::clear_cookie(*outcome, {.name = session_cookie(flow_id),
                               .value = "",
                               .max_age = std::nullopt,
                               .domain = "",
                               .secure = https_});
  return std::move(*outcome);
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
    // After the answer: how long a mail takes to write does not show in its time.
    co_await after_this_job();
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
                                std::string notice, std::string typed) const {
  const Flow& flow = at.flow;
  if (at.proven) return web::Response::redirect(303, link("/auth/complete", flow.id));
  json::Object view = app_view(*at.open.client);
  view.set("title", fmt::format("Sign in to {}", *view.find("app_name")->string()));
  view.set("csrf", csrf_token(at.cookie, flow.id));
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  const std::string leaves_to = redirect_scheme(at.open.request.redirect_uri);
  if (!flow.email) {
    view.set("action", link("/auth/email", flow.id));
    if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
    return page("signin_email", std::move(view), request, 200, {leaves_to});
  }
  const auto address = mail::EmailAddress::parse(*flow.email);
  // The address behind a handle is the account's, not the visitor's: say no more than the handle did.
  view.set("masked_email", flow.locked_did || !address ? "the address of this account" : address->masked());
  if (!flow.locked_did && !flow.proven_email) view.set("different_action", link("/auth/different", flow.id));
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
  std::string name = plain_name(client.client_name);
  if (name.empty())
    name = client.id.kind() == oauth::ClientId::Kind::loopback ? "an app on this computer" : host;
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

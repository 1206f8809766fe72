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

// Anybody can make an account by password with somebody else's address and wait. So an address leads to an
// account only once it was confirmed, unless the request names that account; signing in that way confirms it.
bool is_squatted(const Flow& flow, const pds::Account& account) {
  return !account.email_confirmed_at && !flow.locked_did;
}

oauth::Approval all_asked(const oauth::OpenRequest& open, std::string did, const web::Request& request) {
  const auto asked = oauth::ScopeSet::parse(open.request.scope);
  return {.did = std::move(did), .scope = asked ? *asked : oauth::ScopeSet(), .ip = request.remote_ip};
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
               auth::EmailOtp& otp, CodeMail& codes, const Pages& pages, const Clock& clock, Rng& rng)
    : options_(std::move(options)),
      flow_cookie_(web::host_cookie_name("magic_auth_flow", pages.https())),
      db_(db),
      oauth_(oauth),
      accounts_(accounts),
      otp_(otp),
      codes_(codes),
      pages_(pages),
      clock_(clock),
      rng_(rng) {}

void SignIn::add_routes(web::Router& router) {
  using Page = Task<web::Response> (SignIn::*)(web::Request);
  const auto on = [this](Page page) {
    return [this, page](web::Request r) { return (this->*page)(std::move(r)); };
  };
  pages_.get(router, "/oauth/authorize", on(&SignIn::authorize));
  pages_.get(router, "/auth/step", on(&SignIn::step));
  pages_.post(router, "/auth/email", on(&SignIn::email));
  pages_.post(router, "/auth/send", on(&SignIn::send));
  pages_.post(router, "/auth/resend", on(&SignIn::resend));
  pages_.post(router, "/auth/different", on(&SignIn::different));
  pages_.post(router, "/auth/verify", on(&SignIn::verify));
  pages_.get(router, "/auth/complete", on(&SignIn::complete));
  pages_.get_and_post(router, "/auth/consent", on(&SignIn::consent), on(&SignIn::decide));
}

// --- Opening
// -------------------------------------------------------------------------------------------------------

Task<web::Response> SignIn::authorize(web::Request request) {
  const auto request_uri = request.query_value("request_uri"), client_id = request.query_value("client_id");
  if (!request_uri || !client_id)
    co_return pages_.error_page(400, "This link is incomplete",
                                "The app sent you here without a sign-in request.", request);

  // One secret a browser, so that two tabs can be open at once; each flow is bound to it.
  auto cookie = request.cookie(flow_cookie_);
  if (!cookie || cookie->size() != 43 || !from_base64url(*cookie)) cookie = rng_.token();
  auto open = co_await oauth_.open(*request_uri, *client_id, hash_text(*cookie));
  if (!open) co_return pages_.fault_page(open.error(), request);

  if (open->request.prompt == "none") {
    // Nobody is ever signed in here without typing a code.
    auto response =
        co_await oauth_.refuse(std::move(*open), oauth::Error::login_required, "Sign-in is required");
    if (!response) co_return pages_.fault_page(response.error(), request);
    co_return oauth::redirect_response(*response);
  }

  const Flow fresh = co_await first_state(*open, hash_text(*cookie), request.query_value("login_hint"));
  co_await db_.write([&](store::Tx& tx) { flows::insert(tx, fresh); });
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, fresh.id, fresh.browser); });
  if (!flow)
    co_return pages_.error_page(400, "Start again", "This sign-in was started in another browser.", request);
  const bool proven = holds_session(request, *flow);
  web::Response response = show_step(Step{std::move(*flow), std::move(*open), *cookie, proven});
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
    return fail(pages_.error_page(
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
        (says_origin && !request.from_same_origin(pages_.origin())))
      co_return fail(pages_.error_page(
          403, "That did not come from this page",
          "For your safety nothing was done. Go back to the app and start again.", request));
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
  return web::host_cookie_name(fmt::format("magic_auth_session_{}", flow_id.substr(0, 16)), pages_.https());
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
  co_return show_step(*loaded, {}, resent ? "We sent you a new code." : "");
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
    auto response = show_step(at, address.error().message, {}, typed);
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
    web::Response response = show_step(at, "Invalid or expired code");
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
                             .secure = pages_.https()});
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
    co_return leave(co_await oauth_.approve(at.open, all_asked(at.open, account->did.str(), request)), id,
                    request);
  co_return web::Response::redirect(303, link("/auth/consent", id));
}

Task<web::Response> SignIn::consent(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  const auto account = co_await account_of(*at.flow.proven_email);
  json::Object view = Pages::app_view(*at.open.client);
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
  co_return pages_.page("consent", std::move(view), 200, {redirect_scheme(at.open.request.redirect_uri)});
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
  co_return leave(co_await oauth_.approve(at.open, all_asked(at.open, did, request)), id, request);
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

web::Response SignIn::leave(Result<oauth::AuthorizationResponse, oauth::Fault> outcome, std::string flow_id,
                            const web::Request& request) const {
  if (!outcome) return pages_.fault_page(outcome.error(), request);
  web::Response response = oauth::redirect_response(*outcome);
  web::clear_cookie(response, {.name = session_cookie(flow_id),
                               .value = "",
                               .max_age = std::nullopt,
                               .domain = "",
                               .secure = pages_.https()});
  return response;
}

// --- Mail
// ----------------------------------------------------------------------------------------------------------

Task<void> SignIn::send_code(Step at, std::string ip) {
  const auto address = mail::EmailAddress::parse(*at.flow.email);
  if (!address) co_return;
  const json::Object app = Pages::app_view(*at.open.client);
  co_await codes_.send({*address, std::string(k_purpose), at.flow.id}, *app.find("app_name")->string(),
                       std::move(ip));
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

web::Response SignIn::show_step(const Step& at, std::string error, std::string notice,
                                std::string typed) const {
  const Flow& flow = at.flow;
  if (at.proven) return web::Response::redirect(303, link("/auth/complete", flow.id));
  json::Object view = Pages::app_view(*at.open.client);
  view.set("title", fmt::format("Sign in to {}", *view.find("app_name")->string()));
  view.set("csrf", csrf_token(at.cookie, flow.id));
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  const std::string leaves_to = redirect_scheme(at.open.request.redirect_uri);
  if (!flow.email) {
    view.set("action", link("/auth/email", flow.id));
    if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
    return pages_.page("signin_email", std::move(view), 200, {leaves_to});
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
  return pages_.page("signin_code", std::move(view), 200, {leaves_to});
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
                             .secure = pages_.https()});
}

}  // namespace latchkey::signin

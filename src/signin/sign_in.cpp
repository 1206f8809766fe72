#include "signin/sign_in.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "signin/sign_in_parts.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::seconds k_cookie_life{600};
constexpr std::string_view k_purpose = "sign-in";
constexpr std::size_t k_max_typed = 254;  // given back for correction

}  // namespace

SignIn::SignIn(Options options, store::Database& db, oauth::Server& oauth, pds::AccountService& accounts,
               auth::EmailOtp& otp, CodeMail& codes, Devices& devices, const Pages& pages, const Clock& clock,
               Rng& rng)
    : options_(std::move(options)),
      flow_cookie_(web::host_cookie_name("magic_auth_flow", pages.https())),
      db_(db),
      oauth_(oauth),
      accounts_(accounts),
      otp_(otp),
      codes_(codes),
      devices_(devices),
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
  pages_.post(router, "/auth/choose", on(&SignIn::choose));
  pages_.post(router, "/auth/switch", on(&SignIn::start_over));
  pages_.post(router, "/auth/email", on(&SignIn::email));
  pages_.post(router, "/auth/send", on(&SignIn::send));
  pages_.post(router, "/auth/resend", on(&SignIn::resend));
  pages_.post(router, "/auth/different", on(&SignIn::different));
  pages_.post(router, "/auth/verify", on(&SignIn::verify));
  pages_.get(router, "/auth/complete", on(&SignIn::complete));
  pages_.get_and_post(router, "/auth/consent", on(&SignIn::consent), on(&SignIn::decide));
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
  FormFields form;
  if (csrf == Csrf::required) {
    form = Pages::form_of(request, k_max_form_fields);
    if (!Pages::has_token(form, csrf_token(*cookie, *flow_id))) co_return fail(pages_.forged(request));
  }
  const std::string browser = flows::hash_of(*cookie);
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, *flow_id, browser); });
  if (!flow) co_return expired();
  auto open = co_await oauth_.reopen(*flow_id, browser);
  if (!open) co_return expired();
  const bool proven = holds_session(request, *flow);
  co_return Step{std::move(*flow), std::move(*open), *cookie, proven, std::move(form)};
}

// One cookie a flow: two tabs sign in side by side.
std::string SignIn::session_cookie(std::string_view flow_id) const {
  return web::host_cookie_name(fmt::format("magic_auth_session_{}", flow_id.substr(0, 16)), pages_.https());
}

bool SignIn::holds_session(const web::Request& request, const Flow& flow) const {
  const auto session = request.cookie(session_cookie(flow.id));
  return flow.is_proven() && flow.session && session &&
         crypto::equal(as_bytes(flows::hash_of(*session)), as_bytes(*flow.session));
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
  if (request.query_value("sent") == "again") co_return show_step(*loaded, {}, "We sent you a new code.");
  if (request.query_value("account") == "other") co_return show_step(*loaded);
  const auto visit = co_await devices_.visit(request);
  web::Response response = co_await first_page(std::move(*loaded), co_await accounts_here(visit));
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> SignIn::email(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  // Proven already, or the request names the account: there is no address to choose.
  if (at.flow.is_proven() || (at.flow.locked_did && at.flow.email))
    co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  const auto typed = single(at.form, "email").value_or("");
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
  const std::string code = single(at.form, "code").value_or("");
  if (!address ||
      !co_await otp_.verify({*address, std::string(k_purpose), at.flow.id}, code, request.remote_ip)) {
    web::Response response = show_step(at, "Invalid or expired code");
    response.status = 400;
    co_return response;
  }
  // A new secret at the moment of sign-in: whoever knew the flow cookie before knows nothing of what follows.
  const std::string session = rng_.token();
  const bool stay = single(at.form, "stay") == "yes";
  const bool proven = co_await db_.write([&](store::Tx& tx) {
    return flows::prove(tx, at.flow.id, address->str(), flows::hash_of(session), stay);
  });
  // Another address was typed in another tab meanwhile.
  if (!proven) co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  web::Response response = web::Response::redirect(303, link("/auth/complete", at.flow.id));
  set_session_cookie(response, at.flow.id, session);
  co_return response;
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
    view.set("stay", true);
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

void SignIn::set_session_cookie(web::Response& response, std::string_view flow_id,
                                std::string_view value) const {
  web::set_cookie(response, {.name = session_cookie(flow_id),
                             .value = std::string(value),
                             .max_age = k_cookie_life,
                             .domain = "",
                             .secure = pages_.https()});
}

void SignIn::set_flow_cookie(web::Response& response, std::string_view value) const {
  web::set_cookie(response, {.name = flow_cookie_,
                             .value = std::string(value),
                             .max_age = k_cookie_life,
                             .domain = "",
                             .secure = pages_.https()});
}

}  // namespace latchkey::signin

#include "signin/sign_in.h"

#include <fmt/format.h>

#include <algorithm>

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

SignIn::SignIn(Options options, Parts parts)
    : options_(std::move(options)),
      flow_cookie_(web::host_cookie_name("magic_auth_flow", parts.pages.https())),
      db_(parts.db),
      oauth_(parts.oauth),
      accounts_(parts.accounts),
      otp_(parts.otp),
      codes_(parts.codes),
      letters_(parts.letters),
      recovery_(parts.recovery),
      people_(parts.people),
      devices_(parts.devices),
      pages_(parts.pages),
      clock_(parts.clock),
      rng_(parts.rng) {}

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
  add_recovery_routes(router);
}

// --- Checks every later step shares

Task<Result<SignIn::Step, web::Response>> SignIn::load(web::Request request, Csrf csrf) {
  const auto expired = [&] { return fail(pages_.error_page(400, "expired", request)); };
  auto flow_id = request.query_value("flow_id");
  const auto cookie = request.cookie(flow_cookie_);
  if (!cookie) co_return expired();
  // Pages of others lead back without saying which sign-in it was: the one this browser began last.
  if (!flow_id && csrf == Csrf::not_needed)
    flow_id = co_await db_.read([&](store::Tx& tx) { return flows::newest(tx, flows::hash_of(*cookie)); });
  if (!flow_id) co_return expired();
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
  const bool holds = holds_session(request, *flow);
  Reader reader = pages_.reader(request);
  reader.here = link("/auth/step", flow->id);
  const bool proven = holds && flow->is_proven(), recovering = holds && flow->backup_proven;
  co_return Step{std::move(reader), std::move(*flow), std::move(*open), *cookie, proven,
                 recovering,        std::move(form)};
}

// One cookie a flow: two tabs sign in side by side.
std::string SignIn::session_cookie(std::string_view flow_id) const {
  return web::host_cookie_name(fmt::format("magic_auth_session_{}", flow_id.substr(0, 16)), pages_.https());
}

bool SignIn::holds_session(const web::Request& request, const Flow& flow) const {
  const auto session = request.cookie(session_cookie(flow.id));
  return flow.session && session &&
         crypto::equal(as_bytes(flows::hash_of(*session)), as_bytes(*flow.session));
}

Task<Result<SignIn::Step, web::Response>> SignIn::load_proven(web::Request request, Csrf csrf) {
  CO_TRY(auto step, co_await load(request, csrf));
  if (!step.proven) co_return fail(web::Response::redirect(303, link("/auth/step", step.flow.id)));
  co_return step;
}

// --- Steps

Task<web::Response> SignIn::step(web::Request request) {
  auto loaded = co_await load(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  if (request.query_value("sent") == "again")
    co_return show_step(*loaded, {}, loaded->reader.text("code.sent_again"));
  if (request.query_value("account") == "other") co_return show_step(*loaded);
  if (const auto label = request.query_value("linking");
      label &&
      std::ranges::find(options_.providers, *label, &ProviderButton::label) != options_.providers.end())
    co_return show_step(*loaded, {}, loaded->reader.text("signin.linking", {{"provider_label", *label}}));
  if (const auto error = request.query_value("error"); error && !loaded->proven) {
    // From a provider; only words we have.
    const std::string key = "problem." + *error;
    co_return show_step(*loaded,
                        loaded->reader.text(loaded->reader.words->find(key) ? key : "problem.unknown"));
  }
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
    auto response = show_step(at, address_words(at.reader, address.error()), {}, typed);
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
    web::Response response = show_step(at, at.reader.text("code.wrong"));
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

Task<void> SignIn::send_code(Step at, std::string ip) {
  const auto address = mail::EmailAddress::parse(*at.flow.email);
  if (!address) co_return;
  const json::Object app = Pages::app_view(at.reader, *at.open.client);
  co_await codes_.send(at.reader, {*address, std::string(k_purpose), at.flow.id},
                       {.app_name = *app.find("app_name")->string(), .client = at.open.client},
                       std::move(ip));
}

Task<std::optional<std::string>> SignIn::prove_control(auth::Context& context, auth::PendingLink link) {
  const auto cookie = context.request.cookie(flow_cookie_);
  if (!cookie) co_return std::nullopt;
  const std::string browser = flows::hash_of(*cookie);
  // The flow is in the path the browser was to come back to.
  const auto query = link.callback_url.find('?');
  const auto fields = parse_form(query == std::string::npos ? "" : link.callback_url.substr(query + 1));
  const auto id = fields ? single(*fields, "flow_id") : std::nullopt;
  if (!id) co_return std::nullopt;
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, *id, browser); });
  auto open = co_await oauth_.reopen(*id, browser);
  if (!flow || !open || flow->is_proven()) co_return std::nullopt;
  if (flow->locked_did && flow->email != link.email) co_return std::nullopt;
  const bool fresh = co_await db_.write(
      [&](store::Tx& tx) { return flows::take_address(tx, *id, link.email, clock_.now()); });
  flow->email = link.email;
  Step at{pages_.reader(context.request), std::move(*flow), std::move(*open), *cookie, false};
  if (fresh) co_await send_code(std::move(at), context.request.remote_ip);
  co_return this->link("/auth/step", *id) + "&linking=" + percent_encode(link.provider_label);
}

Task<std::optional<pds::Account>> SignIn::account_of(std::string email) {
  co_return co_await db_.read([&](store::Tx& tx) { return pds::accounts::by_email(tx, email); });
}

Task<void> SignIn::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) { return flows::clean(tx, now); });
}

// --- Pages

web::Response SignIn::show_step(const Step& at, std::string error, std::string notice,
                                std::string typed) const {
  const Flow& flow = at.flow;
  if (at.proven) return web::Response::redirect(303, link("/auth/complete", flow.id));
  json::Object view = Pages::app_view(at.reader, *at.open.client);
  view.set("title", at.reader.text("email.title", {{"app_name", *view.find("app_name")->string()}}));
  view.set("csrf", csrf_token(at.cookie, flow.id));
  if (!error.empty()) view.set("error", std::move(error));
  if (!notice.empty()) view.set("notice", std::move(notice));
  pages_.add_branding(view, *at.open.client);
  const std::string leaves_to = redirect_scheme(at.open.request.redirect_uri);
  if (!flow.email) {
    view.set("action", link("/auth/email", flow.id));
    if (typed.size() <= k_max_typed) view.set("email", std::move(typed));
    view.set("sign_up_note", sign_up_note(at.reader));
    offer_other_ways(view, flow);
    return pages_.page(at.reader, "signin_email", std::move(view), 200, {leaves_to});
  }
  const auto address = mail::EmailAddress::parse(*flow.email);
  // The address behind a handle is the account's, not the visitor's: say no more than the handle did.
  view.set("masked_email",
           flow.locked_did || !address ? at.reader.text("code.this_account") : address->masked());
  view.set("recover_url", link("/auth/recover", flow.id));
  if (!flow.locked_did && !flow.proven_email) view.set("different_action", link("/auth/different", flow.id));
  if (!flow.sent_at) {
    view.set("send", true);
    view.set("send_action", link("/auth/send", flow.id));
  } else {
    view.set("stay", true);
    view.set("verify_action", link("/auth/verify", flow.id));
    view.set("resend_action", link("/auth/resend", flow.id));
  }
  return pages_.page(at.reader, "signin_code", std::move(view), 200, {leaves_to});
}

void SignIn::offer_other_ways(json::Object& view, const Flow& flow) const {
  json::Array providers;
  for (const auto& provider : options_.providers) {
    json::Object button = provider.view();
    button.set("provider_url", "/api/auth/sign-in/social?" +
                                   encode_form({{"provider", provider.id},
                                                {"callbackURL", link("/auth/complete", flow.id)},
                                                {"errorCallbackURL", link("/auth/step", flow.id)}}));
    providers.push_back(std::move(button));
  }
  view.set("has_providers", !providers.empty()).set("providers", std::move(providers));
  view.set("passkey_next", link("/auth/complete", flow.id));
  view.set("recover_url", link("/auth/recover", flow.id));
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

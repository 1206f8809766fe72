// The beginning of a sign-in: the request is opened, and whoever is signed in on this device already may go
// on without a code (OpenID Connect Core §3.1.2.1 for prompt, §3.1.2.6 for its errors).

#include "base/encoding.h"
#include "signin/sign_in.h"
#include "signin/sign_in_parts.h"

namespace latchkey::signin {
namespace {

// The app wants a proof from now, or an account that does not exist yet.
bool wants_fresh_proof(const oauth::OpenRequest& open) {
  return open.request.prompt == "login" || open.request.prompt == "create";
}

// Those of the accounts that a hint leaves.
std::vector<pds::Account> fitting(const Flow& flow, std::vector<pds::Account> here) {
  std::erase_if(here, [&](const pds::Account& account) {
    if (flow.locked_did) return account.did.str() != *flow.locked_did;
    return flow.email && account.email != flow.email;
  });
  return here;
}

}  // namespace

Task<web::Response> SignIn::authorize(web::Request request) {
  const auto request_uri = request.query_value("request_uri"), client_id = request.query_value("client_id");
  if (!request_uri || !client_id) co_return pages_.error_page(400, "incomplete", request);

  // One secret a browser, so that two tabs can be open at once; each flow is bound to it.
  auto cookie = request.cookie(flow_cookie_);
  if (!cookie || cookie->size() != 43 || !from_base64url(*cookie)) cookie = rng_.token();
  auto open = co_await oauth_.open(*request_uri, *client_id, flows::hash_of(*cookie));
  if (!open) co_return pages_.fault_page(open.error(), request);
  // As with the hint: what was pushed goes before what is on the URL.
  const std::string ui_locales =
      open->request.ui_locales.value_or(request.query_value("ui_locales").value_or(""));

  const Flow fresh = co_await first_state(*open, flows::hash_of(*cookie), request.query_value("login_hint"));
  const auto visit = co_await devices_.visit(request);
  auto here = co_await accounts_here(visit);
  if (open->request.prompt == "none") {
    web::Response response =
        co_await silent(std::move(*open), fitting(fresh, std::move(here)), std::move(request), visit);
    if (visit) devices_.set_cookie(response, *visit);
    co_return response;
  }

  co_await db_.write([&](store::Tx& tx) { flows::insert(tx, fresh); });
  auto flow = co_await db_.read([&](store::Tx& tx) { return flows::find(tx, fresh.id, fresh.browser); });
  if (!flow) co_return pages_.error_page(400, "other_browser", request);
  const bool proven = flow->is_proven() && holds_session(request, *flow);
  Reader reader = pages_.reader(request, ui_locales);
  reader.here = link("/auth/step", flow->id);
  web::Response response = co_await first_page(
      Step{std::move(reader), std::move(*flow), std::move(*open), *cookie, proven}, std::move(here));
  set_flow_cookie(response, *cookie);
  pages_.readers().remember_ui_locales(response, ui_locales);
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> SignIn::silent(oauth::OpenRequest open, std::vector<pds::Account> here,
                                   web::Request request, std::optional<Visit> visit) {
  using oauth::Error;
  struct Refusal {
    Error error;
    const char* description;
  };
  std::optional<Refusal> refusal;
  if (here.empty())
    refusal = {Error::login_required, "Sign-in is required"};
  else if (here.size() > 1)
    refusal = {Error::account_selection_required, "More than one account is signed in"};
  else if (!co_await oauth_.is_approved(open, here[0].did.str()))
    refusal = {Error::consent_required, "Consent is required"};
  if (refusal)
    co_return answer(co_await oauth_.refuse(std::move(open), refusal->error, refusal->description), request);
  auto approval = approval_of(here[0].did.str(), asked_scopes(open), request, visit);
  co_return answer(co_await oauth_.approve(std::move(open), std::move(approval)), request);
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

Task<std::vector<pds::Account>> SignIn::accounts_here(std::optional<Visit> visit) {
  if (!visit) co_return std::vector<pds::Account>{};
  auto signed_in = co_await devices_.accounts(visit->device);
  std::erase_if(signed_in, [](const SignedIn& one) { return !one.remembered; });
  auto out = co_await db_.read([&](store::Tx& tx) { return devices::behind(tx, signed_in); });
  std::erase_if(out, [](const pds::Account& account) { return !account.active(); });
  co_return out;
}

Task<web::Response> SignIn::first_page(Step at, std::vector<pds::Account> here) {
  // The cookie set at the choice is gone: the choice is void, so that an address can be proven instead.
  if (at.flow.proven_did && !at.proven) {
    co_await db_.write([&](store::Tx& tx) { flows::start_over(tx, at.flow.id); });
    at.flow.proven_did = at.flow.email = at.flow.session = std::nullopt;
  }
  if (at.proven || at.flow.sent_at || wants_fresh_proof(at.open)) co_return show_step(at);
  here = fitting(at.flow, std::move(here));
  const bool hinted = at.flow.locked_did || at.flow.email;
  if (here.empty()) co_return show_step(at);
  if (hinted && at.open.request.prompt != "select_account")
    co_return co_await adopt(at.flow.id, here[0].did.str());
  co_return choose_page(at, here);
}

Task<web::Response> SignIn::choose(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  const auto wanted = single(at.form, "account");
  const auto visit = co_await devices_.visit(request);
  // Looked up, never believed: the form only says which of the accounts signed in here.
  const auto here = fitting(at.flow, co_await accounts_here(visit));
  const bool is_here =
      wanted && std::ranges::any_of(here, [&](const auto& account) { return account.did.str() == *wanted; });
  web::Response response = is_here && !wants_fresh_proof(at.open)
                               ? co_await adopt(at.flow.id, *wanted)
                               : web::Response::redirect(303, link("/auth/step", at.flow.id));
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

Task<web::Response> SignIn::adopt(std::string flow_id, std::string did) {
  const std::string session = rng_.token();
  const bool chosen = co_await db_.write(
      [&](store::Tx& tx) { return flows::choose(tx, flow_id, did, flows::hash_of(session)); });
  // An address was proven in another tab meanwhile.
  if (!chosen) co_return web::Response::redirect(303, link("/auth/step", flow_id));
  web::Response response = web::Response::redirect(303, link("/auth/complete", flow_id));
  set_session_cookie(response, flow_id, session);
  co_return response;
}

Task<web::Response> SignIn::start_over(web::Request request) {
  auto loaded = co_await load(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  const Flow& flow = loaded->flow;
  if (!flow.locked_did) co_await db_.write([&](store::Tx& tx) { flows::start_over(tx, flow.id); });
  co_return web::Response::redirect(303, link("/auth/step", flow.id));
}

web::Response SignIn::choose_page(const Step& at, const std::vector<pds::Account>& here) const {
  json::Object view = Pages::app_view(at.reader, *at.open.client);
  view.set("title", at.reader.text("choose.heading"));
  view.set("csrf", csrf_token(at.cookie, at.flow.id));
  view.set("choose_action", link("/auth/choose", at.flow.id));
  if (!at.flow.locked_did) view.set("other_url", link("/auth/step", at.flow.id) + "&account=other");
  json::Array accounts;
  for (const auto& account : here)
    accounts.push_back(json::Object{{"did", account.did.str()},
                                    {"handle", account.handle_text()},
                                    {"email", masked(account.email.value_or(""))}});
  view.set("accounts", std::move(accounts));
  pages_.add_branding(view, *at.open.client);
  return pages_.page(at.reader, "signin_choose", std::move(view), 200,
                     {redirect_scheme(at.open.request.redirect_uri)});
}

}  // namespace latchkey::signin

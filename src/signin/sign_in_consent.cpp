// The end of a sign-in: who this is, what they allow, and the way back to the app.

#include <fmt/format.h>

#include "base/log.h"
#include "oauth/scopes/permissions.h"
#include "signin/permission_words.h"
#include "signin/sign_in.h"
#include "signin/sign_in_parts.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

// How long to wait for the request that is making the same account.
constexpr int k_twin_looks = 13;
constexpr std::chrono::milliseconds k_twin_pause{250};

// Anybody can make an account by password with somebody else's address and wait. So an address leads to an
// account only once it was confirmed, unless the request names that account; signing in that way confirms it.
bool is_squatted(const Flow& flow, const pds::Account& account) {
  return flow.proven_email && !account.email_confirmed_at && !flow.locked_did;
}

// For people: where they go next.
std::string redirect_target(const std::string& redirect_uri) {
  const auto url = Url::parse(redirect_uri);
  return url ? url->authority() : redirect_uri;
}

// What was left ticked. Browsers send at least `atproto`, whose box cannot be unticked; a program that posts
// the form without the boxes agrees to the page as it is.
oauth::ScopeSet ticked(const oauth::ScopeSet& asked, const FormFields& form) {
  std::string text(oauth::k_scope_atproto);
  bool any = false;
  for (const auto& [name, value] : form)
    if (name == "scope") {
      any = true;
      text += ' ';
      text += value;
    }
  if (!any) return asked;
  const auto kept = oauth::ScopeSet::parse(text);
  return kept ? asked.intersect(*kept) : asked.intersect(oauth::ScopeSet::parse("atproto").value());
}

}  // namespace

Task<SignIn::Person> SignIn::person_of(Flow flow) {
  Person person;
  if (flow.proven_did) {
    const auto did = Did::parse(*flow.proven_did);
    if (did) person.account = co_await accounts_.find(*did);
    if (person.account) person.email = person.account->email.value_or("");
  } else {
    person.email = *flow.proven_email;
    person.account = co_await account_of(person.email);
  }
  co_return person;
}

const char* SignIn::refusal(const Flow& flow, const Person& person) const {
  const auto& account = person.account;
  if (flow.locked_did && (!account || account->did.str() != *flow.locked_did))
    return "The account that signed in is not the one that was asked for";
  if (!account && flow.proven_did) return "This account is gone";
  if (!account && !options_.may_sign_up) return "This server takes no new accounts";
  if (account && !account->active()) return "This account is not active";
  if (account && is_squatted(flow, *account))
    return "This address was never confirmed for its account. Sign in with the account's handle";
  return nullptr;
}

Task<web::Response> SignIn::complete(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const std::string id = at.flow.id;
  const Person person = co_await person_of(at.flow);
  if (const char* why = refusal(at.flow, person))
    co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied, why), id,
                    request);
  // The app may want the page even where nothing new is asked (OpenID Connect Core §3.1.2.1).
  if (person.account && at.open.request.prompt != "consent" &&
      co_await oauth_.is_approved(at.open, person.account->did.str())) {
    auto asked = asked_scopes(at.open);
    co_return co_await finish(std::move(at), person.account->did.str(), std::move(asked), request);
  }
  co_return web::Response::redirect(303, link("/auth/consent", id));
}

Task<web::Response> SignIn::consent(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  const Step& at = *loaded;
  const Person person = co_await person_of(at.flow);
  const auto& account = person.account;
  const auto& client = *at.open.client;
  const auto before =
      account ? co_await oauth_.approved_scope(account->did.str(), client.id.str()) : oauth::ScopeSet();

  json::Object view = Pages::app_view(client);
  std::string begins = *view.find("app_name")->string();
  if (begins[0] >= 'a' && begins[0] <= 'z' && client.client_name.empty() &&
      client.id.kind() == oauth::ClientId::Kind::loopback)
    begins[0] = static_cast<char>(begins[0] - 'a' + 'A');
  view.set("app_begins", std::move(begins));
  view.set("title", account ? "Authorize Application" : "Create Account & Authorize");
  view.set("csrf", csrf_token(at.cookie, at.flow.id));
  view.set("action", link("/auth/consent", at.flow.id));
  if (!at.flow.locked_did) view.set("switch_action", link("/auth/switch", at.flow.id));
  // Its name is only what it says; its URL is what it is. A loopback client's URL says no more than its host.
  view.set("stranger", !client.trusted && client.id.kind() == oauth::ClientId::Kind::discoverable);
  view.set("client_id", at.open.request.client_id);
  view.set("email", at.flow.proven_email ? person.email : masked(person.email));
  view.set("new_account", !account);
  if (account) {
    view.set("handle", account->handle_text());
    view.set("did", account->did.str());
  }
  view.set("scope", at.open.request.scope);
  view.set("returning", !before.empty());
  view.set("redirect_host", redirect_target(at.open.request.redirect_uri));
  std::int64_t number = 0;
  json::Array groups;
  const auto sets = co_await oauth_.permission_sets(asked_scopes(at.open));
  for (const auto& group :
       explain_scopes(asked_scopes(at.open), sets, wanted_language(request.headers.get("accept-language")))) {
    json::Array items;
    for (const auto& words : group.items) {
      const auto alone = oauth::ScopeSet::parse(words.token);
      json::Array parts;
      for (const auto& part : words.parts) parts.push_back(json::Object{{"part", part}});
      items.push_back(json::Object{{"number", ++number},
                                   {"scope_name", words.token},
                                   {"scope_title", words.title},
                                   {"scope_detail", words.detail},
                                   {"described", !words.detail.empty()},
                                   {"title_lang", words.title_lang},
                                   {"detail_lang", words.detail_lang},
                                   {"set_name", words.name},
                                   {"locked", words.locked},
                                   {"is_new", !before.empty() && alone && !oauth::covers(before, *alone)},
                                   {"has_parts", !parts.empty()},
                                   {"parts", std::move(parts)}});
    }
    groups.push_back(json::Object{{"group_title", group.title}, {"scopes", std::move(items)}});
  }
  view.set("optional", number > 1);
  view.set("groups", std::move(groups));
  co_return pages_.page("consent", std::move(view), 200, {redirect_scheme(at.open.request.redirect_uri)});
}

Task<web::Response> SignIn::decide(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::required);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  const std::string id = at.flow.id;
  const auto action = single(at.form, "action");
  if (action == "deny")
    co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied,
                                           "The user denied the request"),
                    id, request);
  if (action != "approve") co_return web::Response::redirect(303, link("/auth/consent", id));

  const Person person = co_await person_of(at.flow);
  if (refusal(at.flow, person)) co_return web::Response::redirect(303, link("/auth/complete", id));
  std::string did;
  if (person.account) {
    did = person.account->did.str();
    if (at.flow.proven_email && !person.account->email_confirmed_at)
      co_await db_.write([&](store::Tx& tx) {
        pds::accounts::confirm_email(tx, person.account->id, person.email, clock_.now());
      });
  } else {
    auto made = co_await make_account(person.email);
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
  auto scope = ticked(asked_scopes(at.open), at.form);
  co_return co_await finish(std::move(at), std::move(did), std::move(scope), std::move(request));
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

Task<web::Response> SignIn::finish(Step at, std::string did, oauth::ScopeSet scope, web::Request request) {
  std::optional<Visit> visit;
  if (at.flow.stay)
    visit = co_await devices_.sign_in(request, did, Stay::signed_in);
  else if ((visit = co_await devices_.visit(request)))
    co_await devices_.used(visit->device, did, request.remote_ip, Devices::Note::daily);
  auto outcome = co_await oauth_.approve(std::move(at.open),
                                         approval_of(std::move(did), std::move(scope), request, visit));
  web::Response response = leave(std::move(outcome), at.flow.id, request);
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

web::Response SignIn::answer(Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                             const web::Request& request) const {
  if (!outcome) return pages_.fault_page(outcome.error(), request);
  if (outcome->response_mode != "form_post") return oauth::redirect_response(*outcome);
  // OAuth 2.0 Form Post Response Mode §2: the browser carries the parameters in a form of its own.
  json::Array parameters;
  for (const auto& [name, value] : outcome->parameters)
    parameters.push_back(json::Object{{"name", name}, {"value", value}});
  return pages_.page("form_post",
                     {{"title", "Back to the app"},
                      {"redirect_uri", outcome->redirect_uri},
                      {"redirect_host", redirect_target(outcome->redirect_uri)},
                      {"parameters", std::move(parameters)}},
                     200, {redirect_scheme(outcome->redirect_uri)});
}

web::Response SignIn::leave(Result<oauth::AuthorizationResponse, oauth::Fault> outcome, std::string flow_id,
                            const web::Request& request) const {
  web::Response response = answer(std::move(outcome), request);
  web::clear_cookie(response, {.name = session_cookie(flow_id),
                               .value = "",
                               .max_age = std::nullopt,
                               .domain = "",
                               .secure = pages_.https()});
  return response;
}

}  // namespace latchkey::signin

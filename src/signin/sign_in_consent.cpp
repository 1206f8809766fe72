// The end of a sign-in: who this is, what they allow, and the way back to the app.

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "oauth/scopes/permissions.h"
#include "signin/arrivals.h"
#include "signin/audit.h"
#include "signin/permission_words.h"
#include "signin/sign_in.h"
#include "signin/sign_in_parts.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

// Anybody can make an account by password with somebody else's address and wait. So an address leads to an
// account only once it was confirmed, unless the request names that account; signing in that way confirms it.
bool is_squatted(const Flow& flow, const pds::Account& account) {
  return flow.proven_email && !account.email_confirmed_at && !flow.locked_did;
}

bool is_ticked(const FormFields& form, std::string_view scope) {
  return std::ranges::any_of(
      form, [&](const auto& field) { return field.first == "scope" && field.second == scope; });
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

std::optional<std::string> SignIn::refusal(const Flow& flow, const Person& person) const {
  const auto& account = person.account;
  if (flow.locked_did && (!account || account->did.str() != *flow.locked_did))
    return "The account that signed in is not the one that was asked for";
  if (!account && flow.proven_did) return "This account is gone";
  if (!account)
    if (auto why = sign_up_refusal(person.email); !why.empty()) return why;
  if (account && !account->active()) return "This account is not active";
  if (account && is_squatted(flow, *account))
    return "This address was never confirmed for its account. Sign in with the account's handle";
  return std::nullopt;
}

Task<std::optional<web::Response>> SignIn::adopt_proof(Step at, web::Request request) {
  const auto proof = co_await people_.proof(request, at.flow.created_at);
  if (!proof) co_return std::nullopt;
  const std::string session = rng_.token();
  const bool stay = request.query_value("stay") == "yes";
  const bool taken = co_await db_.write([&](store::Tx& tx) {
    const std::string hash = flows::hash_of(session);
    return proof->did ? flows::prove_account(tx, at.flow.id, *proof->did, hash, proof->by, stay)
                      : flows::prove_address(tx, at.flow.id, proof->email, hash, proof->by, stay);
  });
  web::Response response = co_await people_.spend(
      request, web::Response::redirect(303, link(taken ? "/auth/complete" : "/auth/step", at.flow.id)));
  if (taken) set_session_cookie(response, at.flow.id, session);
  co_return response;
}

Task<web::Response> SignIn::complete(web::Request request) {
  auto loaded = co_await load(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  Step& at = *loaded;
  if (!at.proven) {
    if (auto adopted = co_await adopt_proof(at, request)) co_return std::move(*adopted);
    co_return web::Response::redirect(303, link("/auth/step", at.flow.id));
  }
  const std::string id = at.flow.id;
  const Person person = co_await person_of(at.flow);
  if (const auto why = refusal(at.flow, person))
    co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::access_denied, *why), id,
                    request);
  // The app may want the page even where nothing new is asked (OpenID Connect Core §3.1.2.1).
  if (person.account && at.open.request.prompt != "consent" &&
      co_await oauth_.is_approved(at.open, person.account->did.str())) {
    auto asked = asked_scopes(at.open);
    co_return co_await finish(std::move(at), person.account->did.str(), std::move(asked),
                              Consent::given_before, request);
  }
  co_return web::Response::redirect(303, link("/auth/consent", id));
}

Task<web::Response> SignIn::consent(web::Request request) {
  auto loaded = co_await load_proven(request, Csrf::not_needed);
  if (!loaded) co_return std::move(loaded.error());
  Person person = co_await person_of(loaded->flow);
  co_return co_await consent_page(std::move(*loaded), std::move(person));
}

Task<web::Response> SignIn::consent_page(Step at, Person person, std::string error) {
  at.reader.here = link("/auth/consent", at.flow.id);
  const bool again = !error.empty();
  const auto& account = person.account;
  const auto& client = *at.open.client;
  const auto before =
      account ? co_await oauth_.approved_scope(account->did.str(), client.id.str()) : oauth::ScopeSet();

  json::Object view = Pages::app_view(at.reader, client);
  std::string begins = *view.find("app_name")->string();
  if (begins[0] >= 'a' && begins[0] <= 'z' && client.client_name.empty() &&
      client.id.kind() == oauth::ClientId::Kind::loopback)
    begins[0] = static_cast<char>(begins[0] - 'a' + 'A');
  view.set("app_begins", std::move(begins));
  view.set("title", at.reader.text(account ? "consent.heading" : "consent.heading_new"));
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
  } else {
    ask_for_account(view, at.form);
  }
  if (again) view.set("error", std::move(error));
  view.set("scope", at.open.request.scope);
  view.set("returning", !before.empty());
  view.set("redirect_host", redirect_target(at.open.request.redirect_uri));
  pages_.add_branding(view, client);
  const bool boxes =
      again && std::ranges::any_of(at.form, [](const auto& field) { return field.first == "scope"; });
  std::int64_t number = 0;
  json::Array groups;
  const auto sets = co_await oauth_.permission_sets(asked_scopes(at.open));
  for (const auto& group : explain_scopes(asked_scopes(at.open), sets, at.reader)) {
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
                                   {"unticked", boxes && !words.locked && !is_ticked(at.form, words.token)},
                                   {"is_new", !before.empty() && alone && !oauth::covers(before, *alone)},
                                   {"has_parts", !parts.empty()},
                                   {"parts", std::move(parts)}});
    }
    groups.push_back(json::Object{{"group_title", group.title}, {"scopes", std::move(items)}});
  }
  view.set("optional", number > 1);
  view.set("groups", std::move(groups));
  co_return pages_.page(at.reader, "consent", std::move(view), again ? 400 : 200,
                        {redirect_scheme(at.open.request.redirect_uri)});
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
    auto made = co_await make_account(person.email, at.form, Actor::of(request));
    if (!made && !made.error().key.empty()) {
      auto words = at.reader.text(made.error().key);
      co_return co_await consent_page(std::move(at), person, std::move(words));
    }
    if (!made) {
      const auto& fault = made.error().fault;
      log::error("account creation failed",
                 {{"request_id", request.id}, {"error", fault.message}, {"detail", fault.detail}});
      co_return leave(co_await oauth_.refuse(std::move(at.open), oauth::Error::server_error,
                                             "The account could not be created. Try again."),
                      id, request);
    }
    did = made->did.str();
  }
  auto scope = ticked(asked_scopes(at.open), at.form);
  co_return co_await finish(std::move(at), std::move(did), std::move(scope), Consent::asked,
                            std::move(request));
}

Task<void> SignIn::bring_together(std::string did, web::Request request) {
  const auto parsed = Did::parse(did);
  const auto account = parsed ? co_await accounts_.find(*parsed) : std::nullopt;
  if (!account) co_return;
  co_await people_.claim(*account);
  const auto label = co_await people_.link_pending(*account, request);
  if (label)
    letters_.notify(*account, {.what = name(Event::provider_linked), .detail = *label}, Actor::of(request),
                    pages_.reader(request).lang());
}

Task<web::Response> SignIn::finish(Step at, std::string did, oauth::ScopeSet scope, Consent consent,
                                   web::Request request) {
  if (at.flow.proven_email) co_await bring_together(did, request);
  std::optional<Visit> visit;
  bool known_here = false;
  if (at.flow.stay) {
    visit = co_await devices_.sign_in(request, did, Stay::signed_in, at.flow.proven_by);
    known_here = !visit->new_here;
  } else if ((visit = co_await devices_.visit(request))) {
    const auto here = co_await devices_.accounts(visit->device);
    known_here = std::ranges::find(here, did, &SignedIn::did) != here.end();
    co_await devices_.used(visit->device, did, request.remote_ip, Devices::Note::daily);
  }
  if (const auto parsed = Did::parse(did))
    if (auto account = co_await accounts_.find(*parsed))
      co_await note_arrival(&db_, &letters_,
                            {.account = std::move(*account),
                             .by = at.flow.proven_by.empty() ? "device" : at.flow.proven_by,
                             .browser = known_here ? Browser::known : Browser::fresh,
                             .actor = Actor::of(request),
                             .lang = at.reader.lang()},
                            clock_.now());
  const json::Object app = Pages::app_view(at.reader, *at.open.client);
  auto outcome =
      co_await oauth_.approve(std::move(at.open), approval_of(did, std::move(scope), request, visit));
  if (outcome && consent == Consent::asked)
    co_await db_.write([&](store::Tx& tx) {
      audit::note(tx, did, Event::app_allowed, *app.find("app_name")->string(), Actor::of(request),
                  clock_.now());
    });
  web::Response response = leave(std::move(outcome), at.flow.id, request);
  if (visit) devices_.set_cookie(response, *visit);
  co_return response;
}

web::Response SignIn::answer(Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                             const web::Request& request) const {
  return way_back(pages_, std::move(outcome), request);
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

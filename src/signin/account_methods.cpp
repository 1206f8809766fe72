// How an account is signed in to: passkeys and identities elsewhere (epds-flows, 4.2 and 4.3). The JSON
// routes of /api/auth do the work; these pages open them for whoever has just confirmed to be the owner.

#include "auth/plugins/passkey/names.h"
#include "signin/account_parts.h"

namespace latchkey::signin {
namespace {

// Better Auth's own row for passwords; the PDS keeps those of accounts.
bool is_link(const auth::Account& account) { return account.provider_id != auth::k_credential; }

std::optional<Did> did_of(const auth::User& user) {
  const auto* did = user.fields.find(k_did_field);
  auto parsed = Did::parse(did && did->string() ? *did->string() : "");
  if (!parsed) return std::nullopt;
  return std::move(*parsed);
}

std::string begun_in(const web::Response& response) {
  const auto body = json::parse(response.body);
  const std::string* url = body ? body->string_at("url") : nullptr;
  return response.status == 200 && url ? *url : std::string();
}

}  // namespace

// --- Passkeys

Task<web::Response> AccountPages::add_passkey(Session at, web::Request request) {
  auto opened = co_await people_.open(at.account, request, web::Response::redirect(303, "/account/passkey"));
  if (!opened) co_return failed("passkey_failed");
  co_return std::move(opened->answer);
}

Task<web::Response> AccountPages::passkey_page(Session at, web::Request) {
  json::Object view{
      {"title", at.reader.text("passkey.title")}, {"csrf", csrf(at)}, {"did", at.account.did.str()}};
  co_return pages_.page(at.reader, "account_passkey", std::move(view));
}

Task<web::Response> AccountPages::rename_passkey(Session at, web::Request) {
  const auto id = single(at.form, "passkey");
  const auto name = auth::parse_passkey_name(single(at.form, "name").value_or(""));
  if (!name) co_return failed("invalid_name");
  const bool renamed = co_await db_.write([&](store::Tx& tx) {
    for (const auto& passkey : people_.methods(tx, at.account.did).passkeys)
      if (passkey.id == id) {
        auth::passkeys::rename(tx, passkey.id, *name);
        return true;
      }
    return false;
  });
  co_return done(renamed ? "passkey_renamed" : "nothing");
}

Task<web::Response> AccountPages::remove_passkey(Session at, web::Request request) {
  const auto id = single(at.form, "passkey");
  const Time now = clock_.now();
  const Actor actor = Actor::of(request);
  // Judged where it is removed: two at once may not take both of the last two.
  const Taken removed = co_await db_.write([&](store::Tx& tx) -> Taken {
    for (const auto& passkey : people_.methods(tx, at.account.did).passkeys)
      if (passkey.id == id) {
        if (!has_other_method(tx, at.account, Method::passkey)) return {.label = std::nullopt, .last = true};
        auth::passkeys::remove(tx, passkey.id);
        const std::string name = passkey.name.value_or("");
        audit::note(tx, at.account.did.str(), Event::passkey_removed, name, actor, now);
        return {.label = name};
      }
    return {};
  });
  if (removed.last) co_return failed("last_method");
  if (!removed.label) co_return done("nothing");
  letters_.notify(at.account, {.what = name(Event::passkey_removed), .detail = *removed.label}, actor,
                  at.reader.lang());
  co_return done("passkey_removed");
}

// --- Identities elsewhere

Task<web::Response> AccountPages::link_provider(Session at, web::Request request) {
  const std::string provider = single(at.form, "provider").value_or("");
  auto opened = co_await people_.open(at.account, request, web::Response::empty(200));
  if (!opened) co_return failed("link_failed");
  // The route of the framework, as this browser would call it with the session it is about to get.
  web::Request start = request;
  start.method = "POST";
  start.path = start.target = "/api/auth/link-social";
  start.query.clear();
  start.headers = {
      {"content-type", "application/json"}, {"origin", pages_.origin()}, {"cookie", opened->cookie}};
  start.body = json::Value(json::Object{{"provider", provider},
                                        {"callbackURL", "/account?success=provider_linked"},
                                        {"errorCallbackURL", "/account"}})
                   .dump();
  const web::Response begun = co_await people_.auth().handle(std::move(start));
  const std::string url = begun_in(begun);
  if (url.empty()) co_return failed("link_failed");
  // Not by a redirect: browsers hold form-action against every redirect that answers a form, and where a
  // provider sends people on its way nobody knows.
  const auto button = std::ranges::find(options_.providers, provider, &ProviderButton::id);
  const std::string label = button == options_.providers.end() ? provider : button->label;
  const std::string heading = at.reader.text("email.provider", {{"provider_label", label}});
  web::Response response = pages_.page(at.reader, "message",
                                       {{"title", heading},
                                        {"heading", heading},
                                        {"message", at.reader.text("account.provider.leave")},
                                        {"next_url", url},
                                        {"next_label", at.reader.text("common.continue")}});
  for (const auto* part : {&std::as_const(opened->answer), &begun})
    for (const auto& cookie : part->headers.all("set-cookie")) response.headers.add("set-cookie", cookie);
  response.header("refresh", "0;url=" + url);
  co_return response;
}

Task<web::Response> AccountPages::unlink_provider(Session at, web::Request request) {
  const auto id = single(at.form, "link");
  const Time now = clock_.now();
  const Actor actor = Actor::of(request);
  const Taken unlinked = co_await db_.write([&](store::Tx& tx) -> Taken {
    for (const auto& link : people_.methods(tx, at.account.did).links)
      if (is_link(link) && link.id == id) {
        if (!has_other_method(tx, at.account, Method::provider)) return {.label = std::nullopt, .last = true};
        if (!people_.auth().accounts().remove(tx, link)) return {};
        const std::string label = provider_label(link.provider_id);
        audit::note(tx, at.account.did.str(), Event::provider_unlinked, label, actor, now);
        return {.label = label};
      }
    return {};
  });
  if (unlinked.last) co_return failed("last_method");
  if (!unlinked.label) co_return done("nothing");
  letters_.notify(at.account, {.what = name(Event::provider_unlinked), .detail = *unlinked.label}, actor,
                  at.reader.lang());
  co_return done("provider_unlinked");
}

// --- What /api/auth asks

Task<std::optional<std::string>> AccountPages::prove_control(auth::Context& context, auth::PendingLink link) {
  const auto address = mail::EmailAddress::parse(link.email);
  if (!address) co_return std::nullopt;
  Login at = co_await load_login(context.request);
  const Flow fresh = login_flow(at);
  const bool first = co_await db_.write([&](store::Tx& tx) {
    flows::insert(tx, fresh);
    return flows::take_address(tx, fresh.id, address->str(), clock_.now());
  });
  if (first)
    co_await codes_.send(at.reader, {*address, std::string(k_login_purpose), fresh.id}, {},
                         context.request.remote_ip);
  context.set_cookie(login_cookie(at));
  co_return "/account/login";
}

Task<void> AccountPages::passkey_changed(auth::User user, auth::Passkey passkey, auth::PasskeyChange change) {
  const auto parsed = did_of(user);
  if (!parsed) co_return;
  const Event event = change == auth::PasskeyChange::added ? Event::passkey_added : Event::passkey_removed;
  const std::string label = passkey.name.value_or("");
  const Time now = clock_.now();
  const auto account = co_await db_.write([&](store::Tx& tx) {
    audit::note(tx, parsed->str(), event, label, {}, now);
    return pds::accounts::by_did(tx, *parsed);
  });
  if (account) letters_.notify(*account, {.what = name(event), .detail = label}, {}, {});
}

Task<void> AccountPages::provider_linked(auth::Context& context, auth::User user, std::string label) {
  const auto did = did_of(user);
  if (!did) co_return;
  const Actor actor = Actor::of(context.request);
  const auto account = co_await db_.write([&](store::Tx& tx) {
    audit::note(tx, did->str(), Event::provider_linked, label, actor, context.now);
    return pds::accounts::by_did(tx, *did);
  });
  if (account)
    letters_.notify(*account, {.what = name(Event::provider_linked), .detail = label}, actor,
                    pages_.reader(context.request).lang());
}

// As on the page: the last way in stays, and the record has it.
Result<void, auth::Fault> AccountPages::before_provider_unlinked(store::Tx& tx, const auth::Context& context,
                                                                 const auth::User& user,
                                                                 const auth::Account& account) const {
  const auto did = did_of(user);
  const auto owner = did ? pds::accounts::by_did(tx, *did) : std::nullopt;
  if (!owner) return {};
  if (!has_other_method(tx, *owner, Method::provider))
    return auth::refuse(auth::Error::FAILED_TO_UNLINK_LAST_ACCOUNT);
  audit::note(tx, did->str(), Event::provider_unlinked, provider_label(account.provider_id),
              Actor::of(context.request), context.now);
  return {};
}

Task<void> AccountPages::provider_unlinked(auth::Context& context, auth::User user, auth::Account account) {
  const auto did = did_of(user);
  if (!did) co_return;
  const auto owner = co_await db_.read([&](store::Tx& tx) { return pds::accounts::by_did(tx, *did); });
  if (owner)
    letters_.notify(*owner,
                    {.what = name(Event::provider_unlinked), .detail = provider_label(account.provider_id)},
                    Actor::of(context.request), pages_.reader(context.request).lang());
}

// --- What there is

std::string AccountPages::provider_label(std::string_view account_provider_id) const {
  for (const auto& provider : options_.providers)
    if (provider.account_provider_id == account_provider_id) return provider.label;
  return std::string(account_provider_id);  // of a provider that is configured no more
}

json::Array AccountPages::provider_links() const {
  json::Array out;
  for (const auto& provider : options_.providers) {
    json::Object view = provider.view();
    view.set("provider_url",
             "/api/auth/sign-in/social?" + encode_form({{"provider", provider.id},
                                                        {"callbackURL", "/account/complete"},
                                                        {"errorCallbackURL", "/account/login"}}));
    out.push_back(std::move(view));
  }
  return out;
}

Task<bool> AccountPages::has_passkeys(pds::Account account) {
  co_return co_await db_.read(
      [&](store::Tx& tx) { return !people_.methods(tx, account.did).passkeys.empty(); });
}

bool AccountPages::has_other_method(store::Tx& tx, const pds::Account& account, Method method) const {
  // A mailbox that was confirmed always opens it, by a code.
  if (account.email && account.email_confirmed_at && method != Method::email) return true;
  const auto methods = people_.methods(tx, account.did);
  const auto links = static_cast<std::size_t>(std::ranges::count_if(methods.links, is_link));
  const std::size_t others = methods.passkeys.size() + links;
  return others > (method == Method::passkey || method == Method::provider ? 1 : 0);
}

Task<void> AccountPages::add_methods(json::Object& view, Session at) {
  const auto methods = co_await db_.read([&](store::Tx& tx) { return people_.methods(tx, at.account.did); });
  json::Array passkeys, linked, providers;
  std::int64_t number = 0;
  for (const auto& one : methods.passkeys)
    passkeys.push_back(
        json::Object{{"passkey_number", ++number},
                     {"passkey_id", one.id},
                     {"passkey_name", one.name.value_or("")},
                     {"passkey_created", one.created_at ? to_the_day(at.reader, *one.created_at) : ""},
                     {"passkey_used", one.last_used_at ? to_the_day(at.reader, *one.last_used_at) : ""}});
  for (const auto& one : methods.links)
    if (is_link(one))
      linked.push_back(
          json::Object{{"link_id", one.id}, {"provider_label", provider_label(one.provider_id)}});
  for (const auto& one : options_.providers)
    if (std::ranges::none_of(methods.links,
                             [&](const auto& link) { return link.provider_id == one.account_provider_id; }))
      providers.push_back(one.view());
  view.set("passkeys", std::move(passkeys)).set("linked", std::move(linked));
  view.set("providers", std::move(providers));
  view.set("has_password", co_await pds_.settings().has_password(at.account));
}

}  // namespace latchkey::signin

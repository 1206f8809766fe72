#include <set>
#include <stdexcept>

#include "auth/plugins/social/service.h"

namespace latchkey::auth {
namespace {

using Presence = Member::Presence;

Member optional(std::string name, Type type) { return {std::move(name), type, Presence::optional}; }

Shape start_body() {
  return {{{"provider", Type::any},
           optional_text("callbackURL"),
           optional_text("errorCallbackURL"),
           optional_text("newUserCallbackURL"),
           optional_flag("disableRedirect"),
           optional_flag("requestSignUp"),
           optional("scopes", Type::strings),
           optional_text("loginHint"),
           optional("additionalParams", Type::object),
           optional("additionalData", Type::object),
           optional("idToken", Type::object)}};
}

/// A union in Better Auth, which therefore names no member when it does not fit (account_id in tokens.cpp).
Shape account_choice() {
  return {.members = {optional("accountId", Type::any), optional("userId", Type::any)},
          .others = Shape::Others::refused};
}

std::vector<ErrorCode> errors() {
  std::vector<ErrorCode> out;
  for (int e = 0; e <= static_cast<int>(SocialError::FAILED_TO_REFRESH_ACCESS_TOKEN); ++e)
    out.push_back(wire(static_cast<SocialError>(e)));
  return out;
}

}  // namespace

SocialProvider* SocialService::find(std::string_view id) const {
  for (const auto& p : options_.providers)
    if (p->description().id == id) return p.get();
  return nullptr;
}

SocialProvider* SocialService::find_by_account(std::string_view account_provider_id) const {
  for (const auto& p : options_.providers)
    if (p->description().account_provider_id == account_provider_id) return p.get();
  return nullptr;
}

Plugin social(SocialOptions options) {
  std::set<std::string> ids, account_ids;
  for (const auto& p : options.providers) {
    const auto& about = p->description();
    // Two providers that share their account rows would share their people.
    if (about.id.empty() || about.account_provider_id == k_credential || !ids.insert(about.id).second ||
        !account_ids.insert(about.account_provider_id).second)
      throw std::invalid_argument("social: two providers are \"" + about.id + "\"");
  }
  const bool by_link = options.get_sign_in == SocialOptions::GetSignIn::on;
  const auto service = std::make_shared<SocialService>(std::move(options));

  Plugin plugin{
      .id = "social",
      .endpoints = {post("/sign-in/social", [service](Context& c) { return service->sign_in(c); },
                         {.body = start_body()}),
                    post("/link-social", [service](Context& c) { return service->link(c); },
                         {.body = start_body(), .needs = Needs::session}),
                    get("/callback/:id", [service](Context& c) { return service->callback(c); }),
                    post("/callback/:id", [service](Context& c) { return service->callback_by_form(c); },
                         {.forms = Forms::taken}),
                    post("/get-access-token", [service](Context& c) { return service->get_access_token(c); },
                         {.body = account_choice()}),
                    post("/refresh-token", [service](Context& c) { return service->refresh_token(c); },
                         {.body = account_choice()}),
                    get("/account-info", [service](Context& c) { return service->account_info(c); },
                        {.query = account_choice()})},
      .errors = errors(),
      .cookies = {"state", "pending_link"}};
  if (by_link)
    plugin.endpoints.push_back(
        get("/sign-in/social", [service](Context& c) { return service->sign_in_by_link(c); }));
  return plugin;
}

}  // namespace latchkey::auth

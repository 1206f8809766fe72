// Calls on behalf of the user: the provider's tokens, and what it says about its person now.
#include <algorithm>

#include "auth/plugins/social/service.h"
#include "auth/plugins/social/token_vault.h"

namespace latchkey::auth {
namespace {

// A token that ends while the answer is on its way is none.
constexpr std::chrono::seconds k_least_life{5};

json::Value date(const std::optional<Time>& t) { return t ? json::Value(rfc3339(*t)) : json::Value(); }
json::Value text(const std::optional<std::string>& s) { return s ? json::Value(*s) : json::Value(); }
json::Value token(const Auth& auth, const std::optional<std::string>& stored) {
  return stored ? json::Value(stored_token(auth, *stored)) : json::Value();
}

// A bare 401 that says it is JSON, as Better Auth's token routes do.
web::Response signed_out() {
  web::Response r = web::Response::empty(401);
  r.header("content-type", "application/json");
  return r;
}

Result<std::string, Fault> account_id(const json::Object& part, std::string_view name) {
  const auto* id = part.find("accountId");
  if (!id || !id->string() || id->string()->empty())
    return fail(Fault(400, "VALIDATION_ERROR", "[" + std::string(name) + "] Invalid input"));
  return *id->string();
}

json::Array scopes_of(const Account& account) {
  json::Array out;
  std::string_view left = account.scope ? std::string_view(*account.scope) : std::string_view();
  while (!left.empty()) {
    const auto comma = std::min(left.find(','), left.size());
    if (comma > 0) out.emplace_back(left.substr(0, comma));
    left.remove_prefix(std::min(comma + 1, left.size()));
  }
  return out;
}

}  // namespace

Task<Result<SocialService::OwnAccount, Fault>> SocialService::own_account(Context& c, std::string id) {
  const std::string user_id = c.signed_in().user.id;
  auto mine = co_await c.auth.db().read([&](store::Tx& tx) { return c.auth.accounts().list(tx, user_id); });
  const auto found = std::ranges::find(mine, id, &Account::id);
  if (found == mine.end()) co_return refuse(Error::ACCOUNT_NOT_FOUND);
  auto* provider = find_by_account(found->provider_id);
  if (!provider) co_return refuse(SocialError::PROVIDER_NOT_CONFIGURED);
  co_return OwnAccount{std::move(*found), provider};
}

Task<Result<Account, Fault>> SocialService::refreshed(Context& c, OwnAccount own, SocialError failure) {
  const std::string used = *own.account.refresh_token;
  auto tokens = co_await own.provider->refresh(stored_token(c.auth, used));
  if (!tokens) {
    Fault fault(wire(failure));
    fault.detail = tokens.error().detail;
    co_return fail(std::move(fault));
  }
  const std::string user_id = own.account.user_id, id = own.account.id;
  co_return co_await c.auth.db().write([&](store::Tx& tx) -> Result<Account, Fault> {
    auto mine = c.auth.accounts().list(tx, user_id);
    const auto now_stored = std::ranges::find(mine, id, &Account::id);
    if (now_stored == mine.end()) return refuse(Error::ACCOUNT_NOT_FOUND);  // unlinked meanwhile
    // Of two refreshes at once the later must not put back what the provider has replaced.
    if (now_stored->refresh_token != used) return std::move(*now_stored);
    const auto scope = now_stored->scope;
    take_tokens(c.auth, *now_stored, *tokens);
    now_stored->scope = scope;
    return c.auth.accounts().update(tx, std::move(*now_stored), c.now);
  });
}

Task<Result<Account, Fault>> SocialService::usable(Context& c, OwnAccount own) {
  const auto& expires = own.account.access_token_expires_at;
  if (own.account.refresh_token && expires && *expires - c.now < k_least_life)
    co_return co_await refreshed(c, std::move(own), SocialError::FAILED_TO_GET_ACCESS_TOKEN);
  if (!own.account.access_token) co_return refuse(SocialError::ACCESS_TOKEN_NOT_FOUND);
  co_return std::move(own.account);
}

Task<Answer> SocialService::get_access_token(Context& c) {
  CO_TRY(const std::string id, account_id(c.body, "body"));
  if (!co_await c.session()) co_return signed_out();
  CO_TRY(auto own, co_await own_account(c, id));
  CO_TRY(const Account account, co_await usable(c, std::move(own)));
  json::Object answer{{"accessToken", token(c.auth, account.access_token)}, {"scopes", scopes_of(account)}};
  if (account.access_token_expires_at)
    answer.append("accessTokenExpiresAt", date(account.access_token_expires_at));
  if (account.id_token) answer.append("idToken", *account.id_token);
  co_return json_answer(std::move(answer));
}

Task<Answer> SocialService::refresh_token(Context& c) {
  CO_TRY(const std::string id, account_id(c.body, "body"));
  if (!co_await c.session()) co_return signed_out();
  CO_TRY(auto own, co_await own_account(c, id));
  if (!own.account.refresh_token) co_return refuse(SocialError::REFRESH_TOKEN_NOT_FOUND);
  CO_TRY(const Account account,
         co_await refreshed(c, std::move(own), SocialError::FAILED_TO_REFRESH_ACCESS_TOKEN));
  co_return json_answer(json::Object{{"accessToken", token(c.auth, account.access_token)},
                                     {"refreshToken", token(c.auth, account.refresh_token)},
                                     {"accessTokenExpiresAt", date(account.access_token_expires_at)},
                                     {"refreshTokenExpiresAt", date(account.refresh_token_expires_at)},
                                     {"scope", text(account.scope)},
                                     {"idToken", text(account.id_token)},
                                     {"providerId", account.provider_id},
                                     {"accountId", account.id}});
}

Task<Answer> SocialService::account_info(Context& c) {
  CO_TRY(const std::string id, account_id(c.query, "query"));
  if (!co_await c.session()) co_return signed_out();
  CO_TRY(auto own, co_await own_account(c, id));
  auto* provider = own.provider;
  CO_TRY(const Account account, co_await usable(c, std::move(own)));
  const auto profile =
      co_await provider->current_profile(stored_token(c.auth, *account.access_token), account.account_id);
  if (!profile) {
    Fault fault(wire(Error::FAILED_TO_GET_USER_INFO));
    fault.detail = profile.error().detail;
    co_return fail(std::move(fault));
  }
  json::Object user{{"name", profile->name}, {"emailVerified", profile->email_verified}};
  if (profile->email) user.append("email", *profile->email);
  if (profile->image) user.append("image", *profile->image);
  json::Object data = profile->raw;
  data.set("emailVerified", profile->email_verified);
  if (profile->image) data.set("image", *profile->image);
  co_return json_answer(json::Object{{"user", std::move(user)},
                                     {"data", std::move(data)},
                                     {"account", json::Object{{"id", account.id},
                                                              {"providerId", account.provider_id},
                                                              {"accountId", account.account_id}}}});
}

}  // namespace latchkey::auth

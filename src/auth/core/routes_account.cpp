// The identities of the signed-in user.
#include <algorithm>

#include "auth/core/routes.h"

namespace latchkey::auth {
namespace {

json::Array scopes_of(const Account& a) {
  json::Array out;
  std::string_view rest = a.scope ? std::string_view(*a.scope) : std::string_view();
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    if (comma != 0) out.emplace_back(rest.substr(0, comma));
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
  }
  return out;
}

// Tokens and the password stay here.
Task<Answer> list_accounts(Context& c) {
  const auto accounts = co_await c.auth.db().read(
      [&](store::Tx& tx) { return c.auth.accounts().list(tx, c.signed_in().user.id); });
  json::Array out;
  for (const Account& a : accounts)
    out.emplace_back(json::Object{{"accountId", a.account_id},
                                  {"providerId", a.provider_id},
                                  {"userId", a.user_id},
                                  {"createdAt", rfc3339(a.created_at)},
                                  {"updatedAt", rfc3339(a.updated_at)},
                                  {"id", a.id},
                                  {"scopes", scopes_of(a)}});
  co_return json_answer(std::move(out));
}

Task<Answer> unlink_account(Context& c) {
  const User me = c.signed_in().user;
  const std::string id = c.text("accountId");
  const AccountOptions& options = c.auth.options().account;
  CO_TRY(Account gone, co_await c.auth.db().write([&](store::Tx& tx) -> Result<Account, Fault> {
    const auto accounts = c.auth.accounts().list(tx, me.id);
    if (accounts.size() == 1 && !options.linking.allow_unlinking_all)
      return refuse(Error::FAILED_TO_UNLINK_LAST_ACCOUNT);
    const auto it = std::ranges::find(accounts, id, &Account::id);
    if (it == accounts.end()) return refuse(Error::ACCOUNT_NOT_FOUND);
    if (options.before_unlink) TRY_VOID(options.before_unlink(tx, c, me, *it));
    TRY_VOID(c.auth.accounts().remove(tx, *it));
    return *it;
  }));
  if (options.unlinked) co_await options.unlinked(c, me, std::move(gone));
  co_return status_true();
}

}  // namespace

std::vector<Endpoint> account_routes() {
  return {get("/list-accounts", &list_accounts, {.needs = Needs::session}),
          post("/unlink-account", &unlink_account,
               {.body = Shape{{text("accountId")}}, .needs = Needs::fresh_session})};
}

}  // namespace latchkey::auth

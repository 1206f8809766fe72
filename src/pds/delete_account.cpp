// com.atproto.server.deleteAccount
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> delete_account(Pds& pds, Call call) {
  CO_TRY(auto did, call.required<Did>("did"));
  CO_TRY(auto password, call.required_text("password"));
  CO_TRY(auto token, call.required_text("token"));
  auto account = co_await pds.accounts().find(did);
  if (!account) co_return invalid("account not found");
  CO_TRY_VOID(co_await pds.lifecycle().delete_with_token(
      *std::move(account), Secret<std::string>(std::move(password)), std::move(token)));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

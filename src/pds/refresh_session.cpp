// com.atproto.server.refreshSession
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/session_answer.h"

namespace latchkey::pds {

Task<Answer> refresh_session(Pds& pds, Call call) {
  const RefreshClaims claims = *call.caller.refresh;
  CO_TRY(auto tokens, co_await pds.sessions().refresh(claims));
  auto account = co_await pds.accounts().find(claims.did);
  if (!account) co_return refuse(xrpc::Error::AccountNotFound, "Account not found");
  co_return co_await session_response(&pds, *std::move(account), std::move(tokens));
}

}  // namespace latchkey::pds

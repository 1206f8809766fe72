// com.atproto.sync.getLatestCommit
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/repo_access.h"

namespace latchkey::pds {

Task<Answer> get_latest_commit(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  CO_TRY(auto account, co_await readable_repo(&pds, did, call.caller.account));
  const auto head =
      co_await pds.db().read([id = account.id](store::Tx& tx) { return repo_heads::get(tx, id); });
  if (!head) co_return refuse(xrpc::Error::RepoNotFound, "Could not find root for DID: " + did.str());
  co_return web::Response::json(json::Object{{"cid", head->commit.str()}, {"rev", head->rev}});
}

}  // namespace latchkey::pds

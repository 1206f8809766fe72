// com.atproto.sync.getRepoStatus
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> get_repo_status(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  struct Found {
    std::optional<Account> account;
    std::optional<RepoHead> head;
  };
  const auto found = co_await pds.db().read([&](store::Tx& tx) {
    Found f;
    f.account = accounts::by_did(tx, did);
    if (f.account) f.head = repo_heads::get(tx, f.account->id);
    return f;
  });
  if (!found.account)
    co_return refuse(xrpc::Error::RepoNotFound, "Could not find repo for DID: " + did.str());
  json::Object out{{"did", did.str()}, {"active", found.account->active()}};
  if (auto status = found.account->status()) out.append("status", *status);
  if (found.account->active() && found.head) out.append("rev", found.head->rev);
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds

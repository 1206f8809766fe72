// com.atproto.sync.getRecord
#include "atproto/repo/export.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/records.h"
#include "pds/repo_access.h"

namespace latchkey::pds {

Task<Answer> sync_get_record(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  CO_TRY(auto collection, call.param<Nsid>("collection"));
  CO_TRY(auto rkey, call.param<RecordKey>("rkey"));
  CO_TRY(auto account, co_await readable_repo(&pds, did, call.caller.account));
  const std::string path = collection.str() + "/" + rkey.str();
  // The record is read after the tree; when it was replaced in between, the tree is asked for again.
  for (int round = 0; round < 20; ++round) {
    auto repo = co_await pds.repos().current(account);
    if (!repo) co_return refuse(xrpc::Error::RepoNotFound, "Could not find repo for DID: " + did.str());
    const auto cid = repo->tree.get(path);
    std::optional<StoredRecord> record;
    if (cid) {
      record = co_await pds.db().read(
          [&](store::Tx& tx) { return records::get(tx, account.id, collection, rkey); });
      if (!record || record->cid != *cid) continue;
    }
    co_return web::Response::bytes(
        repo::proof_car(repo->head.commit, repo->head.block, repo->tree, path,
                        record ? std::optional<BytesView>(record->value) : std::nullopt),
        "application/vnd.ipld.car");
  }
  co_return refuse(xrpc::Error::NotEnoughResources, "The record changes too fast");
}

}  // namespace latchkey::pds

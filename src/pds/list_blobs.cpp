// com.atproto.sync.listBlobs
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/repo_access.h"

namespace latchkey::pds {

Task<Answer> list_blobs(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  CO_TRY(auto since, call.text_param("since"));
  if (since && !Tid::parse(*since)) co_return Call::malformed("Params", "since", "tid");
  CO_TRY(auto limit, call.int_param("limit", 1, 1000, 500));
  CO_TRY(auto cursor, call.optional_param<Cid>("cursor"));
  CO_TRY(auto account, co_await readable_repo(&pds, did, call.caller.account));
  const auto found = co_await pds.db().read(
      [&](store::Tx& tx) { return blobs::list(tx, account.id, since, cursor, limit); });
  json::Array cids;
  for (const auto& blob : found) cids.push_back(blob.cid.str());
  json::Object out;
  if (static_cast<std::int64_t>(found.size()) == limit) out.append("cursor", found.back().cid.str());
  out.append("cids", std::move(cids));
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds

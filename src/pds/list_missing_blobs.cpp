// com.atproto.repo.listMissingBlobs
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> list_missing_blobs(Pds& pds, Call call) {
  CO_TRY(auto limit, call.int_param("limit", 1, 1000, 500));
  CO_TRY(auto cursor, call.optional_param<Cid>("cursor"));
  const Account& account = call.who().account;
  const auto found =
      co_await pds.db().read([&](store::Tx& tx) { return blobs::missing(tx, account.id, cursor, limit); });
  json::Array list;
  for (const auto& missing : found)
    list.push_back(json::Object{{"cid", missing.cid.str()},
                                {"recordUri", "at://" + account.did.str() + "/" + missing.path}});
  json::Object out;
  if (static_cast<std::int64_t>(found.size()) == limit) out.append("cursor", found.back().cid.str());
  out.append("blobs", std::move(list));
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds

// com.atproto.repo.deleteRecord
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/write_request.h"

namespace latchkey::pds {

Task<Answer> delete_record(Pds& pds, Call call) {
  CO_TRY(auto account, own_repo(call));
  CO_TRY(auto collection, call.required<Nsid>("collection"));
  CO_TRY_VOID(call.who().may_write(RepoAction::remove, collection));
  CO_TRY(auto rkey, call.required<RecordKey>("rkey"));
  CO_TRY(auto swap_commit, call.optional_input<Cid>("swapCommit"));
  CO_TRY(auto swap_record, call.optional_input<Cid>("swapRecord"));
  RecordWrite write{.kind = RecordWrite::Kind::remove_if_there,
                    .collection = std::move(collection),
                    .rkey = std::move(rkey)};
  if (swap_record) write.swap_record.emplace(*swap_record);
  CO_TRY(auto commit, co_await pds.repos().write(account, {std::move(write)}, swap_commit));
  json::Object out;
  if (commit) out.append("commit", commit_json(*commit));
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds

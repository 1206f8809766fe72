// com.atproto.repo.createRecord
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/write_request.h"

namespace latchkey::pds {

Task<Answer> create_record(Pds& pds, Call call) {
  CO_TRY(auto account, own_repo(call));
  CO_TRY(auto collection, call.required<Nsid>("collection"));
  CO_TRY_VOID(call.who().may_write(RepoAction::create, collection));
  CO_TRY(auto rkey, call.optional_input<RecordKey>("rkey"));
  CO_TRY(auto swap_commit, call.optional_input<Cid>("swapCommit"));
  CO_TRY(auto validate, validate_input(call));
  CO_TRY(auto record, record_member(call.input, "record", collection, validate));
  const RecordWrite write{.kind = RecordWrite::Kind::create,
                          .collection = std::move(collection),
                          .rkey = rkey ? *std::move(rkey) : RecordKey(pds.repos().next_tid()),
                          .record = std::move(record)};
  CO_TRY(auto commit, co_await pds.repos().write(account, {write}, swap_commit));
  co_return web::Response::json(write_result(account, write, commit, validate));
}

}  // namespace latchkey::pds

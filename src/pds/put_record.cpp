// com.atproto.repo.putRecord
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/write_request.h"

namespace latchkey::pds {

Task<Answer> put_record(Pds& pds, Call call) {
  CO_TRY(auto account, own_repo(call));
  CO_TRY(auto collection, call.required<Nsid>("collection"));
  // Which of the two it is, is known only when it is done.
  CO_TRY_VOID(call.who().may_write(RepoAction::create, collection));
  CO_TRY_VOID(call.who().may_write(RepoAction::update, collection));
  CO_TRY(auto rkey, call.required<RecordKey>("rkey"));
  CO_TRY(auto swap_commit, call.optional_input<Cid>("swapCommit"));
  std::optional<std::optional<Cid>> swap_record;
  if (const auto* value = call.input.find("swapRecord"); value && value->is_null()) {
    swap_record.emplace(std::nullopt);  // null: the record must not exist
  } else if (value) {
    CO_TRY(auto cid, call.required<Cid>("swapRecord"));
    swap_record.emplace(cid);
  }
  CO_TRY(auto validate, validate_input(call));
  CO_TRY(auto record, record_member(call.input, "record", collection, validate));
  const RecordWrite write{.kind = RecordWrite::Kind::put,
                          .collection = std::move(collection),
                          .rkey = std::move(rkey),
                          .record = std::move(record),
                          .swap_record = swap_record};
  CO_TRY(auto commit, co_await pds.repos().write(account, {write}, swap_commit));
  co_return web::Response::json(write_result(account, write, commit, validate));
}

}  // namespace latchkey::pds

// com.atproto.repo.getRecord
#include "atproto/cbor/json.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/records.h"

namespace latchkey::pds {

Task<Answer> get_record(Pds& pds, Call call) {
  CO_TRY(auto repo, call.param<AtIdentifier>("repo"));
  CO_TRY(auto collection, call.param<Nsid>("collection"));
  CO_TRY(auto rkey, call.param<RecordKey>("rkey"));
  CO_TRY(auto cid, call.optional_param<Cid>("cid"));
  struct Found {
    std::optional<Account> account;
    std::optional<StoredRecord> record;
  };
  const auto found = co_await pds.db().read([&](store::Tx& tx) {
    Found f;
    f.account = accounts::by_identifier(tx, repo);
    if (f.account && f.account->active()) f.record = records::get(tx, f.account->id, collection, rkey);
    return f;
  });
  if (!found.account) co_return refuse(xrpc::Error::RecordNotFound, "Could not locate record");
  const std::string uri = "at://" + found.account->did.str() + "/" + collection.str() + "/" + rkey.str();
  if (!found.record || (cid && found.record->cid != *cid))
    co_return refuse(xrpc::Error::RecordNotFound, "Could not locate record: " + uri);

  std::string body = R"({"uri":)";
  json::append_string(body, uri);
  body += R"(,"cid":")";
  found.record->cid.append_to(body);
  body += R"(","value":)";
  if (!cbor::write_json(found.record->value, body))
    throw std::runtime_error("stored record is damaged: " + uri);
  body += '}';
  co_return web::Response::json_text(std::move(body));
}

}  // namespace latchkey::pds

// com.atproto.repo.listRecords
#include "atproto/cbor/json.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/records.h"

namespace latchkey::pds {

Task<Answer> list_records(Pds& pds, Call call) {
  CO_TRY(auto repo, call.param<AtIdentifier>("repo"));
  CO_TRY(auto collection, call.param<Nsid>("collection"));
  CO_TRY(const auto limit, call.int_param("limit", 1, 100, 50));
  CO_TRY(auto cursor, call.text_param("cursor"));
  CO_TRY(const bool reverse, call.bool_param("reverse", false));
  const auto order = reverse ? records::Order::oldest_first : records::Order::newest_first;
  struct Found {
    std::optional<Account> account;
    std::vector<StoredRecord> records;
  };
  const auto found = co_await pds.db().read([&](store::Tx& tx) {
    Found f;
    f.account = accounts::by_identifier(tx, repo);
    if (f.account && f.account->active())
      f.records = records::list(tx, f.account->id, collection, limit, cursor, order);
    return f;
  });
  if (!found.account || !found.account->active()) co_return invalid("Could not find repo: " + repo.str());

  std::string body = R"({"records":[)";
  const std::string prefix = "at://" + found.account->did.str() + "/" + collection.str() + "/";
  for (const auto& record : found.records) {
    if (&record != &found.records.front()) body += ',';
    body += R"({"uri":)";
    json::append_string(body, prefix + record.rkey);
    body += R"(,"cid":")";
    record.cid.append_to(body);
    body += R"(","value":)";
    if (!cbor::write_json(record.value, body))
      throw std::runtime_error("stored record is damaged: " + prefix + record.rkey);
    body += '}';
  }
  body += ']';
  if (!found.records.empty()) {
    body += R"(,"cursor":)";
    json::append_string(body, found.records.back().rkey);
  }
  body += '}';
  co_return web::Response::json_text(std::move(body));
}

}  // namespace latchkey::pds

// com.atproto.repo.applyWrites
#include "atproto/repo/engine.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/write_request.h"

namespace latchkey::pds {
namespace {

constexpr std::string_view k_name = "com.atproto.repo.applyWrites";

Result<RecordWrite, xrpc::Fault> read_write(Pds& pds, const Call& call, const json::Value& input,
                                            Validate validate) {
  using Kind = RecordWrite::Kind;
  if (!input.object()) return invalid("Input/writes must hold objects");
  const auto* type = input.string_at("$type");
  if (!type) return Call::missing("Input/writes", "$type");
  const auto fragment = type->starts_with(k_name) ? std::string_view(*type).substr(k_name.size()) : "";
  const bool create = fragment == "#create", update = fragment == "#update", remove = fragment == "#delete";
  if (!create && !update && !remove) return invalid("Action not supported: " + *type);

  TRY(auto collection, Call::member<Nsid>(input, "Input/writes", "collection"));
  TRY_VOID(call.who().may_write(create   ? RepoAction::create
                                : update ? RepoAction::update
                                         : RepoAction::remove,
                                collection));
  TRY(auto rkey, Call::optional_member<RecordKey>(input, "Input/writes", "rkey"));
  if (!rkey && !create) return Call::missing("Input/writes", "rkey");
  std::optional<PreparedRecord> record;
  if (!remove) {
    TRY(auto prepared, record_member(input, "value", collection, validate));
    record = std::move(prepared);
  }
  return RecordWrite{.kind = create   ? Kind::create
                             : update ? Kind::update
                                      : Kind::remove,
                     .collection = std::move(collection),
                     .rkey = rkey ? *std::move(rkey) : RecordKey(pds.repos().next_tid()),
                     .record = std::move(record)};
}

}  // namespace

Task<Answer> apply_writes(Pds& pds, Call call) {
  CO_TRY(auto account, own_repo(call));
  CO_TRY(auto swap_commit, call.optional_input<Cid>("swapCommit"));
  CO_TRY(auto validate, validate_input(call));
  const auto* list = call.input.find("writes");
  if (!list) co_return Call::missing("Input", "writes");
  if (!list->array()) co_return Call::malformed("Input", "writes", "array");
  if (list->array()->size() > repo::k_max_ops) co_return invalid("Too many writes. Max: 200");

  std::vector<RecordWrite> writes;
  writes.reserve(list->array()->size());
  for (const auto& item : *list->array()) {
    CO_TRY(auto write, read_write(pds, call, item, validate));
    writes.push_back(std::move(write));
  }
  CO_TRY(auto commit, co_await pds.repos().write(account, writes, swap_commit));

  json::Array results;
  for (const auto& write : writes) {
    if (!write.record) {
      results.push_back(json::Object{{"$type", std::string(k_name) + "#deleteResult"}});
      continue;
    }
    const bool created = write.kind == RecordWrite::Kind::create;
    auto result = write_result(account, write, std::nullopt, validate);
    result.set("$type", std::string(k_name) + (created ? "#createResult" : "#updateResult"));
    results.push_back(std::move(result));
  }
  json::Object out;
  if (commit) out.append("commit", commit_json(*commit));
  out.append("results", std::move(results));
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds

#include "pds/record_rules.h"

#include "atproto/cbor/cbor.h"
#include "atproto/cbor/json.h"
#include "atproto/repo/engine.h"

namespace latchkey::pds {
namespace {

std::unexpected<xrpc::Fault> invalid(std::string message) {
  return fail(xrpc::Fault{.code = xrpc::Error::InvalidRequest, .message = std::move(message)});
}

}  // namespace

Result<PreparedRecord, xrpc::Fault> prepare_record(const Nsid& collection, const json::Value& input,
                                                   Validate validate) {
  auto record = cbor::record_from_json(input);
  if (!record) return invalid("Invalid " + collection.str() + " record: " + record.error().str());

  if (const auto* type = record->find("$type")) {
    const auto* text = type->string();
    if (!text || *text != collection.str())
      return invalid("Invalid $type: expected " + collection.str() + ", got " + (text ? *text : "no string"));
  } else {
    record->set("$type", collection.str());
  }

  // No lexicon is known here, so `validate: true` cannot be satisfied.
  if (validate == Validate::required) return invalid("Unknown lexicon type: " + collection.str());

  const cbor::Value value(*std::move(record));
  if (cbor::find_blobs(value).has_legacy) return invalid("Legacy blobs are not allowed");
  auto blobs = blobs_used(value);
  if (validate == Validate::skip)
    for (auto& use : blobs) use.limit = nullptr;

  Bytes block = cbor::encode(value);
  if (block.size() > repo::k_max_record_bytes)
    return invalid("Record is too large: " + std::to_string(block.size()) + " bytes, at most " +
                   std::to_string(repo::k_max_record_bytes));
  const Cid cid = Cid::of_dag_cbor(block);
  return PreparedRecord{.block = std::move(block), .cid = cid, .blobs = std::move(blobs)};
}

}  // namespace latchkey::pds

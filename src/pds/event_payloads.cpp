#include "pds/event_payloads.h"

#include "atproto/car/writer.h"
#include "atproto/cbor/cbor.h"

namespace latchkey::pds {
namespace {

using cbor::Value;

cbor::Map commit_map(const Did& did, const Cid& commit, std::string rev, Time now) {
  return cbor::Map{{"repo", did.str()},      {"commit", commit},    {"rev", std::move(rev)},
                   {"blobs", cbor::Array{}}, {"rebase", false},  // deprecated, but required by the lexicon
                   {"tooBig", false},        {"time", rfc3339(now)}};
}

}  // namespace

Bytes commit_payload(const Did& did, const repo::CommitResult& result, const std::vector<Cid>& blobs,
                     Time now) {
  cbor::Array ops;
  ops.reserve(result.ops.size());
  for (const auto& op : result.ops) {
    cbor::Map map{{"action", wire(op.action)}, {"path", op.path}, {"cid", op.cid ? Value(*op.cid) : Value()}};
    if (op.prev) map.set("prev", *op.prev);
    ops.push_back(std::move(map));
  }
  auto map = commit_map(did, result.commit, result.rev.str(), now);
  map.set("since", result.since ? Value(result.since->str()) : Value());
  map.set("blocks", result.car());
  map.set("ops", std::move(ops));
  if (!blobs.empty()) map.set("blobs", cbor::Array(blobs.begin(), blobs.end()));
  if (result.prev_data) map.set("prevData", *result.prev_data);
  return cbor::encode(std::move(map));
}

Bytes first_commit_payload(const Did& did, const RepoHead& head, BytesView blocks, Time now) {
  auto map = commit_map(did, head.commit, head.rev, now);
  map.set("since", nullptr);
  map.set("blocks", blocks);
  map.set("ops", cbor::Array{});
  return cbor::encode(std::move(map));
}

Bytes sync_payload(const Did& did, const RepoHead& head, Time now) {
  Bytes car;
  car::Writer writer(car);
  writer.header(head.commit);
  writer.block(head.commit, head.block);
  return cbor::encode(
      cbor::Map{{"did", did.str()}, {"rev", head.rev}, {"blocks", std::move(car)}, {"time", rfc3339(now)}});
}

Bytes identity_payload(const Did& did, const std::optional<Handle>& handle, Time now) {
  cbor::Map map{{"did", did.str()}, {"time", rfc3339(now)}};
  if (handle) map.set("handle", handle->str());
  return cbor::encode(std::move(map));
}

Bytes account_payload(const Did& did, std::optional<std::string_view> status, Time now) {
  cbor::Map map{{"did", did.str()}, {"time", rfc3339(now)}, {"active", !status.has_value()}};
  if (status) map.set("status", *status);
  return cbor::encode(std::move(map));
}

}  // namespace latchkey::pds

#include "atproto/repo/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>
#include <unordered_set>

#include "atproto/car/writer.h"
#include "atproto/cbor/cbor.h"

namespace latchkey::repo {

std::string_view wire(Action action) {
  switch (action) {
    case Action::create:
      return "create";
    case Action::update:
      return "update";
    case Action::remove:
      return "delete";
  }
  std::abort();
}

namespace {

auto refuse(Error::Code code, std::string detail) { return fail(Error{code, std::move(detail)}); }

// A record's links, depth and sizes are the business of whoever encoded it; here it has to be a canonical
// block, and a map as every record is.
bool is_record(BytesView block) {
  constexpr std::uint8_t k_map = 5;
  return !block.empty() && block[0] >> 5 == k_map && cbor::validate(block).has_value();
}

// "The revision number must always increase between commits for the same repository, even if the account
// migrates between hosts."
Result<Tid, Error> next_rev(const std::optional<Tid>& last, const Tid& wanted) {
  if (!last || wanted > *last) return wanted;
  if (last->micros() >= Tid::k_max_micros) return refuse(Error::Code::bad_rev, last->str());
  return Tid::from(last->micros() + 1, wanted.clock_id());
}

// Bytes of one section of a CAR: varint length, CID, block.
std::size_t section_bytes(const mst::Block& block) {
  std::size_t length = Cid::k_size + block.bytes.size();
  std::size_t varint = 1;
  for (std::size_t rest = length; rest >= 0x80; rest >>= 7) ++varint;
  return varint + length;
}

constexpr std::size_t k_car_header_bytes = 59;  // for one root, its varint included

}  // namespace

Bytes CommitResult::car() const {
  Bytes out;
  std::size_t size = k_car_header_bytes;
  for (const auto& each : blocks) size += section_bytes(each);
  out.reserve(size);
  car::Writer writer(out);
  writer.header(commit);
  for (const auto& each : blocks) writer.block(each.cid, each.bytes);
  return out;
}

Result<CommitResult, Error> apply(const State& state, std::span<const Write> writes, const Tid& rev,
                                  const crypto::PrivateKey& key) {
  using Code = Error::Code;
  if (writes.size() > k_max_ops)
    return refuse(Code::too_many_ops, fmt::format("{} writes, at most {}", writes.size(), k_max_ops));

  // 1. The writes in their order; what each path was before and the record it has now.
  struct Touched {
    std::string path;
    std::optional<Cid> before, now;
    const Bytes* record = nullptr;
  };
  mst::Tree tree = state.tree;
  std::vector<Touched> touched;
  std::unordered_map<std::string, std::size_t> index;
  touched.reserve(writes.size());
  for (const Write& write : writes) {
    std::string path = write.path();
    const auto [at, first] = index.emplace(path, touched.size());
    if (first) {
      const auto before = state.tree.get(path);
      touched.push_back({.path = path, .before = before, .now = before});
    }
    Touched& t = touched[at->second];
    if (write.action == Action::create && t.now) return refuse(Code::record_exists, std::move(path));
    if (write.action != Action::create && !t.now) return refuse(Code::record_not_found, std::move(path));
    if (write.action == Action::remove) {
      t.now.reset();
      t.record = nullptr;
      tree = tree.erase(path);
      continue;
    }
    if (write.record.size() > k_max_record_bytes) return refuse(Code::record_too_large, std::move(path));
    if (!is_record(write.record)) return refuse(Code::bad_record, std::move(path));
    t.now = Cid::of_dag_cbor(write.record);
    t.record = &write.record;
    tree = tree.put(path, *t.now);
  }

  // 2. The commit. prev has been null since version 3; the link to the past is prevData.
  TRY(const Tid its_rev, next_rev(state.rev, rev));
  const Cid data = tree.root();
  Bytes block =
      Commit::sign({.did = state.did, .data = data, .rev = its_rev, .prev = std::nullopt}, key).encode();
  const Cid commit = Cid::of_dag_cbor(block);

  // 3. The event: net operations, and the blocks that prove them and let them be inverted.
  std::vector<Op> ops;
  std::vector<std::string> keys;
  std::vector<mst::Block> blocks{{commit, block}};
  std::unordered_set<Cid> records;
  std::vector<mst::Block> record_blocks;
  for (const Touched& t : touched) {
    if (t.before == t.now) continue;
    keys.push_back(t.path);
    ops.push_back({.action = !t.before ? Action::create
                             : t.now   ? Action::update
                                       : Action::remove,
                   .path = t.path,
                   .cid = t.now,
                   .prev = t.before});
    if (t.now && records.insert(*t.now).second) record_blocks.push_back({*t.now, *t.record});
  }
  for (auto& node : mst::blocks_of_commit(state.tree, tree, keys)) {
    if (mst::entry_count(node.bytes) > mst::k_max_node_entries)
      return refuse(Code::tree_too_dense, "a tree node would have too many entries");
    blocks.push_back(std::move(node));
  }
  std::ranges::move(record_blocks, std::back_inserter(blocks));
  std::size_t bytes = k_car_header_bytes;
  for (const auto& each : blocks) bytes += section_bytes(each);
  if (bytes > k_max_blocks_bytes)
    return refuse(Code::commit_too_large,
                  fmt::format("{} bytes of blocks, at most {}", bytes, k_max_blocks_bytes));

  return CommitResult{.commit = commit,
                      .block = std::move(block),
                      .rev = its_rev,
                      .since = state.rev,
                      .data = data,
                      .prev_data = state.head ? std::optional(state.tree.root()) : std::nullopt,
                      .ops = std::move(ops),
                      .blocks = std::move(blocks),
                      .tree = std::move(tree)};
}

}  // namespace latchkey::repo

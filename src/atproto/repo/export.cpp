#include "atproto/repo/export.h"

#include <unordered_map>

#include "atproto/car/reader.h"
#include "atproto/car/writer.h"
#include "atproto/cbor/cbor.h"

namespace latchkey::repo {

Exporter::Exporter(const Cid& commit, Bytes commit_block, mst::Tree tree, Record record)
    : commit_(commit), commit_block_(std::move(commit_block)), walker_(tree), record_(std::move(record)) {}

void Exporter::read(Bytes& out, std::size_t chunk) {
  car::Writer writer(out);
  const std::size_t enough = out.size() + chunk;
  if (!started_) {
    started_ = true;
    writer.header(commit_);
    writer.block(commit_, commit_block_);
  }
  while (!done_ && out.size() < enough) {
    const auto item = walker_.next();
    if (!item) {
      done_ = true;
    } else if (const auto* node = std::get_if<mst::Block>(&*item)) {
      writer.block(node->cid, node->bytes);
    } else {
      const auto& leaf = std::get<mst::Leaf>(*item);
      record_block_.clear();
      if (!record_(leaf.key, leaf.value, record_block_)) {
        done_ = failed_ = true;
        return;
      }
      writer.block(leaf.value, record_block_);
    }
  }
}

Bytes proof_car(const Cid& commit, BytesView commit_block, const mst::Tree& tree, std::string_view path,
                std::optional<BytesView> record) {
  Bytes out;
  car::Writer writer(out);
  writer.header(commit);
  writer.block(commit, commit_block);
  for (const auto& node : tree.proof(path)) writer.block(node.cid, node.bytes);
  if (record) writer.block(Cid::of_dag_cbor(*record), *record);
  return out;
}

namespace {

std::unexpected<VerifyError> bad(std::string why) { return fail(VerifyError{std::move(why)}); }

// The blocks of a CAR with one root, which is a commit of this account.
struct SignedBlocks {
  std::vector<std::pair<Cid, Bytes>> blocks;  // every one the content its CID says
  std::unordered_map<Cid, BytesView> index;   // into `blocks`, whose elements do not move
  Cid head;
  Commit commit;

  std::optional<BytesView> find(const Cid& cid) const {
    const auto found = index.find(cid);
    return found == index.end() ? std::nullopt : std::optional(found->second);
  }
};

Result<SignedBlocks, VerifyError> read_signed(BytesView car, const Did& did, const crypto::PublicKey& key,
                                              const car::Limits& limits = {}) {
  auto contents = car::read_all(car, limits);  // checks every block against its CID
  if (!contents) return bad(std::string(contents.error().message()));
  if (contents->roots.size() != 1) return bad("not one root");
  const Cid head = contents->roots.front();

  std::unordered_map<Cid, BytesView> index;
  index.reserve(contents->blocks.size());
  for (const auto& [cid, bytes] : contents->blocks) index.emplace(cid, bytes);
  const auto commit_block = index.find(head);
  if (commit_block == index.end()) return bad("the commit is missing");
  auto commit = Commit::decode(commit_block->second);
  if (!commit) return bad("commit: " + commit.error().message);
  if (commit->did() != did) return bad("the commit belongs to another account");
  if (!commit->verify(key)) return bad("the commit's signature does not match");
  return SignedBlocks{std::move(contents->blocks), std::move(index), head, *std::move(commit)};
}

}  // namespace

Result<Proven, VerifyError> verify_proof_car(BytesView car, const Did& did, const crypto::PublicKey& key,
                                             std::string_view path) {
  TRY(auto file, read_signed(car, did, key, {.total = k_max_proof_bytes, .blocks = k_max_proof_blocks}));
  const auto find = [&](const Cid& cid) { return file.find(cid); };
  const auto tree = mst::PartialTree::load(file.commit.data(), find);
  if (!tree) return bad("tree: " + tree.error().detail);
  const auto cid = tree->get(path);
  if (!cid) return bad("the path to the record is not complete");
  std::optional<mst::Block> record;
  if (*cid) {
    const auto block = find(**cid);
    if (!block) return bad("the record is missing");
    if (!cbor::validate(*block)) return bad("the record is not DAG-CBOR");
    record = mst::Block{**cid, to_bytes(*block)};
  }
  return Proven{std::move(file.commit), std::move(record)};
}

Result<Verified, VerifyError> verify_car(BytesView car, const Did& did, const crypto::PublicKey& key,
                                         Records records) {
  TRY(auto file, read_signed(car, did, key));
  const auto find = [&](const Cid& cid) { return file.find(cid); };
  auto tree = mst::Tree::load(file.commit.data(), find);
  if (!tree) return bad("tree: " + tree.error().detail);
  std::string missing;
  tree->walk([&](const mst::Leaf& leaf) {
    const auto record = find(leaf.value);
    if (record ? !cbor::validate(*record) : records == Records::required) missing = leaf.key;
    return missing.empty();
  });
  if (!missing.empty()) return bad("record missing or not DAG-CBOR: " + missing);
  return Verified{.commit = std::move(file.commit),
                  .head = file.head,
                  .tree = *std::move(tree),
                  .blocks = std::move(file.blocks)};
}

}  // namespace latchkey::repo

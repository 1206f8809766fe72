// Any bytes as a node of a Merkle search tree; and as several nodes that link to each other, with a lookup
// that lets the input choose which block a link leads to, so that hostile shapes need no hash to be found.
#include <algorithm>
#include <cstdlib>

#include "atproto/cbor/cbor.h"
#include "atproto/mst/tree.h"

using namespace latchkey;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void one_node(BytesView input) {
  const auto node = mst::decode_node(input);
  if (!node) return;
  require(std::ranges::equal(mst::encode_node(*node), input));
  require(cbor::validate(input).has_value());
  require(mst::entry_count(input) == node->entries.size());
}

void several_nodes(BytesView input) {
  std::vector<BytesView> blocks;
  while (input.size() > 2 && blocks.size() < 16) {
    const std::size_t size = std::min<std::size_t>(input[0] << 8 | input[1], input.size() - 2);
    blocks.push_back(input.subspan(2, size));
    input = input.subspan(2 + size);
  }
  if (blocks.empty()) return;
  const auto lookup = [&](const Cid& cid) -> std::optional<BytesView> {
    const std::size_t i = cid.digest()[0];
    return i < blocks.size() ? std::optional(blocks[i]) : std::nullopt;
  };
  Bytes root_bytes = to_bytes(Cid::of_dag_cbor({}).bytes());
  root_bytes[4] = 0;
  const Cid root = *Cid::from_bytes(root_bytes);

  const auto whole = mst::Tree::load(root, lookup);
  const auto partial = mst::PartialTree::load(root, lookup);
  if (!partial) {
    require(!whole);
    return;
  }
  require(whole.has_value() == partial->complete());
  std::vector<std::string> keys;
  partial->walk([&](const mst::Leaf& leaf) {
    require(keys.empty() || keys.back() < leaf.key);
    keys.emplace_back(leaf.key);
    return keys.size() < 64;
  });
  mst::PartialTree tree = *partial;
  for (const std::string& key : keys) {
    const auto value = tree.get(key);
    require(value.has_value() && value->has_value());
    if (const auto without = tree.erase(key)) {
      require(!without->get(key) || !without->get(key)->has_value());
      if (const auto again = without->put(key, **value)) require(again->get(key).value() == *value);
      tree = *without;
    }
  }
  if (whole && whole->size() <= 64) {
    mst::Builder builder;
    whole->walk([&](const mst::Leaf& leaf) {
      builder.add(leaf.key, leaf.value);
      return true;
    });
    require(builder.finish().size() == whole->size());
    require(tree.root() == mst::Tree().root());  // all erased
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  one_node({data, size});
  several_nodes({data, size});
  return 0;
}

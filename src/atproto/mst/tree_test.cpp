#include "atproto/mst/tree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "base/json.h"

namespace latchkey::mst {
namespace {

const Cid k_leaf = *Cid::parse("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454");

using Model = std::map<std::string, Cid>;
using Store = std::map<Cid, Bytes>;

Store blocks_of(const Tree& tree) {
  Store store;
  Walker walker(tree);
  while (auto item = walker.next())
    if (auto* block = std::get_if<Block>(&*item)) store.emplace(block->cid, std::move(block->bytes));
  return store;
}

Store store_of(const std::vector<Block>& blocks) {
  Store store;
  for (const auto& block : blocks) {
    EXPECT_EQ(Cid::of_dag_cbor(block.bytes), block.cid);
    EXPECT_TRUE(store.emplace(block.cid, block.bytes).second) << "a block twice";
  }
  return store;
}

BlockLookup lookup(const Store& store) {
  return [&store](const Cid& cid) -> std::optional<BytesView> {
    const auto found = store.find(cid);
    if (found == store.end()) return std::nullopt;
    return BytesView(found->second);
  };
}

Tree tree_of(const std::vector<std::string>& keys) {
  Tree tree;
  for (const auto& key : keys) tree = tree.put(key, k_leaf);
  return tree;
}

Model model_of(const Tree& tree) {
  Model model;
  tree.walk([&](const Leaf& leaf) { return model.emplace(std::string(leaf.key), leaf.value).second; });
  return model;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  std::string key() {
    static const char* const collections[] = {"app.bsky.feed.post", "app.bsky.feed.like",
                                              "app.bsky.graph.follow", "a.b.c"};
    return fmt::format("{}/{:x}", collections[below(4)], below(2000));
  }
  Cid value() {
    const auto n = engine_();
    return Cid::of_dag_cbor(as_bytes(std::string_view(reinterpret_cast<const char*>(&n), sizeof n)));
  }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

std::string path(const char* rkey) { return std::string("com.example.record/") + rkey; }

// Roots known to every implementation.

TEST(Tree, HasTheKnownRootWhenEmpty) {
  const Tree tree;
  EXPECT_EQ(tree.root().str(), "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
  EXPECT_EQ(tree.size(), 0u);
  EXPECT_EQ(Builder().finish().root(), tree.root());
  const Store store = blocks_of(tree);
  EXPECT_TRUE(Tree::load(tree.root(), lookup(store))->empty());
}

TEST(Tree, HasTheKnownRoots) {
  EXPECT_EQ(tree_of({path("3jqfcqzm3fo2j")}).root().str(),
            "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu");
  EXPECT_EQ(tree_of({path("3jqfcqzm3fx2j")}).root().str(),
            "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai");
  EXPECT_EQ(tree_of({path("3jqfcqzm3fp2j"), path("3jqfcqzm3fr2j"), path("3jqfcqzm3fs2j"),
                     path("3jqfcqzm3ft2j"), path("3jqfcqzm4fc2j")})
                .root()
                .str(),
            "bafyreicmahysq4n6wfuxo522m6dpiy7z7qzym3dzs756t5n7nfdgccwq7m");
}

TEST(Tree, TrimsItsTopOnErase) {
  const Tree before = tree_of({path("3jqfcqzm3fn2j"), path("3jqfcqzm3fo2j"), path("3jqfcqzm3fp2j"),
                               path("3jqfcqzm3fs2j"), path("3jqfcqzm3ft2j"), path("3jqfcqzm3fu2j")});
  EXPECT_EQ(before.root().str(), "bafyreifnqrwbk6ffmyaz5qtujqrzf5qmxf7cbxvgzktl4e3gabuxbtatv4");
  EXPECT_EQ(before.erase(path("3jqfcqzm3fs2j")).root().str(),
            "bafyreie4kjuxbwkhzg2i5dljaswcroeih4dgiqq6pazcmunwt2byd725vi");
}

TEST(Tree, SplitsTwoLayersDownAndMergesAgain) {
  const Tree before =
      tree_of({path("3jqfcqzm3fo2j"), path("3jqfcqzm3fp2j"), path("3jqfcqzm3fr2j"), path("3jqfcqzm3fs2j"),
               path("3jqfcqzm3ft2j"), path("3jqfcqzm3fz2j"), path("3jqfcqzm4fc2j"), path("3jqfcqzm4fd2j"),
               path("3jqfcqzm4ff2j"), path("3jqfcqzm4fg2j"), path("3jqfcqzm4fh2j")});
  EXPECT_EQ(before.root().str(), "bafyreiettyludka6fpgp33stwxfuwhkzlur6chs4d2v4nkmq2j3ogpdjem");
  const Tree after = before.put(path("3jqfcqzm3fx2j"), k_leaf);
  EXPECT_EQ(after.root().str(), "bafyreid2x5eqs4w4qxvc5jiwda4cien3gw2q6cshofxwnvv7iucrmfohpm");
  EXPECT_EQ(after.erase(path("3jqfcqzm3fx2j")), before);
}

TEST(Tree, GrowsTwoLayersAtOnce) {
  const Tree low = tree_of({path("3jqfcqzm3ft2j"), path("3jqfcqzm3fz2j")});
  EXPECT_EQ(low.root().str(), "bafyreidfcktqnfmykz2ps3dbul35pepleq7kvv526g47xahuz3rqtptmky");
  const Tree high = low.put(path("3jqfcqzm3fx2j"), k_leaf);
  EXPECT_EQ(high.root().str(), "bafyreiavxaxdz7o7rbvr3zg2liox2yww46t7g6hkehx4i4h3lwudly7dhy");
  EXPECT_EQ(high.erase(path("3jqfcqzm3fx2j")), low);
  const Tree wide = high.put(path("3jqfcqzm4fd2j"), k_leaf);
  EXPECT_EQ(wide.root().str(), "bafyreig4jv3vuajbsybhyvb7gggvpwh2zszwfyttjrj6qwvcsp24h6popu");
  EXPECT_EQ(wide.erase(path("3jqfcqzm4fd2j")), high);
}

// Behaviour.

TEST(Tree, ChangesLeaveOlderTreesAsTheyWere) {
  const Tree one = tree_of({"a.b.c/1"});
  const Cid root = one.root();
  const Tree two = one.put("a.b.c/2", k_leaf);
  const Tree none = one.erase("a.b.c/1");
  EXPECT_EQ(one.root(), root);
  EXPECT_EQ(one.size(), 1u);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(one.contains("a.b.c/2"));
}

TEST(Tree, IsUnchangedByPuttingWhatIsThereOrErasingWhatIsNot) {
  const Tree tree = tree_of({"a.b.c/1", "a.b.c/2"});
  EXPECT_TRUE(diff(tree, tree.put("a.b.c/1", k_leaf)).added.empty());
  EXPECT_TRUE(diff(tree, tree.erase("a.b.c/3")).added.empty());
  EXPECT_TRUE(Tree().erase("a.b.c/3").empty());
}

TEST(Tree, RefusesKeysThatAreNoPaths) {
  EXPECT_THROW((void)Tree().put("nope", k_leaf), std::invalid_argument);
  EXPECT_THROW((void)Tree().put("coll/" + std::string(1020, 'a'), k_leaf), std::invalid_argument);
  EXPECT_NO_THROW((void)Tree().put("coll/" + std::string(1019, 'a'), k_leaf));
}

TEST(Builder, RefusesKeysOutOfOrder) {
  Builder builder;
  builder.add("a.b.c/2", k_leaf);
  EXPECT_THROW(builder.add("a.b.c/1", k_leaf), std::invalid_argument);
  EXPECT_THROW(builder.add("a.b.c/2", k_leaf), std::invalid_argument);
  EXPECT_THROW(builder.add("nope", k_leaf), std::invalid_argument);
}

TEST(Tree, IsWhatABulkBuildOfItsLeavesGives) {
  Random random(1);
  Tree tree;
  Model model;
  for (int step = 0; step < 4000; ++step) {
    const std::string key = random.key();
    if (random.below(3) == 0) {
      tree = tree.erase(key);
      model.erase(key);
    } else {
      const Cid value = random.value();
      tree = tree.put(key, value);
      model.insert_or_assign(key, value);
    }
    if (step % 100 != 0) continue;
    ASSERT_EQ(tree.root(), Tree::from_sorted(model).root()) << step;
    ASSERT_EQ(tree.size(), model.size());
    ASSERT_EQ(model_of(tree), model);
  }
  for (const auto& [key, value] : model) EXPECT_EQ(tree.get(key), value);
  for (const auto& [key, value] : model) tree = tree.erase(key);
  EXPECT_TRUE(tree.empty());
}

TEST(Tree, DoesNotDependOnTheOrderOfInsertion) {
  Random random(2);
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back(fmt::format("a.b.c/{}", i));
  const Cid root = tree_of(keys).root();
  for (int round = 0; round < 5; ++round) {
    std::ranges::shuffle(keys, random.engine());
    EXPECT_EQ(tree_of(keys).root(), root);
  }
}

TEST(Tree, WalksFromAnyKey) {
  Random random(3);
  Model model;
  for (int i = 0; i < 300; ++i) model.insert_or_assign(random.key(), random.value());
  const Tree tree = Tree::from_sorted(model);
  for (int i = 0; i < 200; ++i) {
    const std::string from = random.key();
    std::vector<std::string> seen, expected;
    tree.walk(
        [&](const Leaf& leaf) {
          seen.emplace_back(leaf.key);
          return seen.size() < 10;
        },
        from);
    for (auto it = model.lower_bound(from); it != model.end() && expected.size() < 10; ++it)
      expected.push_back(it->first);
    ASSERT_EQ(seen, expected) << from;
  }
}

TEST(Tree, LoadsFromItsBlocks) {
  Random random(4);
  Model model;
  for (int i = 0; i < 1000; ++i) model.insert_or_assign(random.key(), random.value());
  const Tree tree = Tree::from_sorted(model);
  const Store store = blocks_of(tree);
  const auto loaded = Tree::load(tree.root(), lookup(store));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(model_of(*loaded), model);
  EXPECT_EQ(blocks_of(*loaded), store);
  for (const auto& [cid, bytes] : store) {
    Store holed = store;
    holed.erase(cid);
    ASSERT_EQ(Tree::load(tree.root(), lookup(holed)).error().kind, ErrorKind::missing_block);
  }
}

TEST(Tree, WalksInPreOrder) {
  const Tree tree =
      tree_of({path("3jqfcqzm3ft2j"), path("3jqfcqzm3fx2j"), path("3jqfcqzm3fz2j")});  // layers 0 2 0
  std::string shape;
  Walker walker(tree);
  while (auto item = walker.next()) shape += std::holds_alternative<Block>(*item) ? 'n' : 'l';
  EXPECT_EQ(shape, "nnnllnnl");
}

TEST(Tree, CountsItsMemory) {
  Tree tree;
  EXPECT_EQ(tree.memory(), 0u);
  for (int i = 0; i < 1000; ++i) tree = tree.put(fmt::format("app.bsky.feed.post/{:013}", i), k_leaf);
  EXPECT_GT(tree.memory(), 1000u * (32 + 36));
  EXPECT_LT(tree.memory(), 1000u * 400);
}

// Lazily computed CIDs are the only thing shared trees write.
TEST(Tree, MayBeReadByManyThreads) {
  Random random(5);
  Model model;
  for (int i = 0; i < 1000; ++i) model.insert_or_assign(random.key(), random.value());
  const Tree tree = Tree::from_sorted(model);
  const Cid expected = Tree::from_sorted(model).root();
  std::vector<std::thread> threads;
  std::array<std::optional<Cid>, 4> roots;
  for (auto& root : roots) threads.emplace_back([&root, tree] { root = tree.root(); });
  for (auto& thread : threads) thread.join();
  for (const auto& root : roots) EXPECT_EQ(root, expected);
}

// Differences.

TEST(Diff, TellsChangesAndNodesExactly) {
  Random random(6);
  for (int round = 0; round < 80; ++round) {
    Model before_model;
    const std::size_t size = random.below(300);
    for (std::size_t i = 0; i < size; ++i) before_model.insert_or_assign(random.key(), random.value());
    Model after_model = before_model;
    for (std::size_t i = random.below(12); i > 0; --i) {
      if (random.below(2) == 0 && !after_model.empty())
        after_model.erase(
            std::next(after_model.begin(), static_cast<long>(random.below(after_model.size()))));
      else
        after_model.insert_or_assign(random.key(), random.value());
    }
    const Tree before = Tree::from_sorted(before_model);
    const Tree after = Tree::from_sorted(after_model);  // shares no node: equal nodes are found by CID

    std::vector<Change> expected;
    std::set<std::string> keys;
    for (const auto& [key, _] : before_model) keys.insert(key);
    for (const auto& [key, _] : after_model) keys.insert(key);
    for (const auto& key : keys) {
      const auto then = before.get(key), now = after.get(key);
      if (then != now) expected.push_back({.key = key, .cid = now, .prev = then});
    }
    const Diff found = diff(before, after);
    ASSERT_EQ(found.changes, expected);

    const Store old_nodes = blocks_of(before), new_nodes = blocks_of(after);
    Store added, removed;
    for (const auto& block : new_nodes)
      if (!old_nodes.contains(block.first)) added.insert(block);
    for (const auto& block : old_nodes)
      if (!new_nodes.contains(block.first)) removed.insert(block);
    ASSERT_EQ(store_of(found.added), added);
    ASSERT_EQ(found.removed.size(), removed.size());
    for (const Cid& cid : found.removed) ASSERT_TRUE(removed.contains(cid));
    ASSERT_EQ(store_of(blocks_of_change(before, after)), added);
  }
}

TEST(Diff, SeesTheEmptyTreeAsANode) {
  const Tree empty, one = tree_of({"a.b.c/1"});
  EXPECT_EQ(diff(empty, one).removed, std::vector{empty.root()});
  EXPECT_EQ(diff(one, empty).added.at(0).cid, empty.root());
  EXPECT_TRUE(diff(empty, empty).added.empty());
}

// Proofs.

TEST(Proof, ShowsPresenceAndAbsenceFromThePathAlone) {
  Random random(7);
  Model model;
  for (int i = 0; i < 1000; ++i) model.insert_or_assign(random.key(), random.value());
  const Tree tree = Tree::from_sorted(model);
  for (int i = 0; i < 500; ++i) {
    const std::string key = random.key();
    const auto proof = tree.proof(key);
    EXPECT_EQ(proof.front().cid, tree.root());
    const Store store = store_of(proof);
    const auto partial = PartialTree::load(tree.root(), lookup(store));
    ASSERT_TRUE(partial);
    EXPECT_EQ(*partial->get(key), tree.get(key));
    EXPECT_FALSE(partial->complete());
  }
  const auto of_nothing = Tree().proof("a.b.c/1");
  ASSERT_EQ(of_nothing.size(), 1u);
  const Store store = store_of(of_nothing);
  EXPECT_EQ(*PartialTree::load(Tree().root(), lookup(store))->get("a.b.c/1"), std::nullopt);
}

TEST(PartialTree, SaysWhichBlockItLacks) {
  Random random(8);
  Model model;
  for (int i = 0; i < 1000; ++i) model.insert_or_assign(random.key(), random.value());
  const Tree tree = Tree::from_sorted(model);
  const Store store = store_of(tree.proof(model.begin()->first));
  const auto partial = *PartialTree::load(tree.root(), lookup(store));
  const auto& last = model.rbegin()->first;
  EXPECT_EQ(partial.get(last).error().kind, ErrorKind::missing_block);
  EXPECT_EQ(partial.put(last, k_leaf).error().kind, ErrorKind::missing_block);
  EXPECT_EQ(partial.erase(last).error().kind, ErrorKind::missing_block);
  EXPECT_EQ(partial.put("nope", k_leaf).error().kind, ErrorKind::bad_key);
  EXPECT_EQ(PartialTree::load(k_leaf, lookup(store)).error().kind, ErrorKind::missing_block);
}

std::string read_fixture(const std::string& name) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES) + "/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> strings(const json::Value& list) {
  std::vector<std::string> out;
  for (const auto& item : *list.array()) out.push_back(*item.string());
  return out;
}

TEST(Inversion, WorksOnTheInteropCommitProofsInEveryOrder) {
  const auto rows = *json::parse(read_fixture("firehose/commit-proof-fixtures.json"));
  ASSERT_EQ(rows.array()->size(), 6u);
  for (const auto& row : *rows.array()) {
    SCOPED_TRACE(*row.string_at("comment"));
    const Cid leaf = *Cid::parse(*row.string_at("leafValue"));
    Tree before;
    for (const auto& key : strings(*row.find("keys"))) before = before.put(key, leaf);
    EXPECT_EQ(before.root().str(), *row.string_at("rootBeforeCommit"));

    Tree after = before;
    std::vector<Change> changes;
    std::vector<std::string> touched;
    for (const auto& key : strings(*row.find("adds"))) {
      after = after.put(key, leaf);
      changes.push_back({.key = key, .cid = leaf, .prev = std::nullopt});
      touched.push_back(key);
    }
    for (const auto& key : strings(*row.find("dels"))) {
      after = after.erase(key);
      changes.push_back({.key = key, .cid = std::nullopt, .prev = leaf});
      touched.push_back(key);
    }
    EXPECT_EQ(after.root().str(), *row.string_at("rootAfterCommit"));

    const Store store = store_of(blocks_of_commit(before, after, touched));
    for (const auto& cid : strings(*row.find("blocksInProof")))
      EXPECT_TRUE(store.contains(*Cid::parse(cid))) << cid;

    const auto by_key = [](const Change& a, const Change& b) { return a.key < b.key; };
    std::ranges::sort(changes, by_key);
    do {
      const auto inverted = PartialTree::load(after.root(), lookup(store))->invert(changes);
      ASSERT_TRUE(inverted) << inverted.error().detail;
      EXPECT_EQ(inverted->root(), before.root());
    } while (std::ranges::next_permutation(changes, by_key).found);
  }
}

TEST(Inversion, LeadsBackFromTheBlocksOfAnyCommit) {
  Random random(9);
  for (int round = 0; round < 80; ++round) {
    Model model;
    const std::size_t size = random.below(400);
    for (std::size_t i = 0; i < size; ++i) model.insert_or_assign(random.key(), random.value());
    const Tree before = Tree::from_sorted(model);
    Tree after = before;
    for (std::size_t i = 1 + random.below(8); i > 0; --i) {
      if (random.below(2) == 0 && !model.empty())
        after = after.erase(std::next(model.begin(), static_cast<long>(random.below(model.size())))->first);
      else
        after = after.put(random.key(), random.value());
    }
    auto changes = diff(before, after).changes;
    std::vector<std::string> keys;
    for (const auto& change : changes) keys.push_back(change.key);
    const auto blocks = blocks_of_commit(before, after, keys);
    EXPECT_EQ(blocks.front().cid, after.root());
    const Store store = store_of(blocks);
    for (const auto& block : blocks_of_change(before, after)) ASSERT_TRUE(store.contains(block.cid));
    for (int order = 0; order < 4; ++order) {
      std::ranges::shuffle(changes, random.engine());
      const auto inverted = PartialTree::load(after.root(), lookup(store))->invert(changes);
      ASSERT_TRUE(inverted) << inverted.error().detail;
      ASSERT_EQ(inverted->root(), before.root());
    }
    if (changes.size() < 2) continue;
    changes.pop_back();  // an operation kept secret shows
    const auto partly = PartialTree::load(after.root(), lookup(store))->invert(changes);
    ASSERT_TRUE(partly);
    ASSERT_NE(partly->root(), before.root());
  }
}

TEST(Inversion, RefusesOperationsThatAreNotTrue) {
  const Tree tree = tree_of({"a.b.c/1", "a.b.c/2"});
  const Store store = blocks_of(tree);
  const auto partial = *PartialTree::load(tree.root(), lookup(store));
  const Cid other = Cid::of_dag_cbor(as_bytes("other"));
  const Change lies[] = {
      {.key = "a.b.c/1", .cid = other, .prev = std::nullopt},         // created with another value
      {.key = "a.b.c/3", .cid = k_leaf, .prev = std::nullopt},        // created, but not there
      {.key = "a.b.c/1", .cid = std::nullopt, .prev = k_leaf},        // deleted, but there
      {.key = "a.b.c/3", .cid = std::nullopt, .prev = std::nullopt},  // nothing
  };
  for (const Change& lie : lies)
    EXPECT_EQ(partial.invert(std::span(&lie, 1)).error().kind, ErrorKind::not_inverse) << lie.key;
}

// Hostile trees (attack group 25): each is made of nodes that are well-formed alone.

class Forge {
 public:
  Cid node(std::optional<Cid> left, std::vector<std::pair<std::string, std::optional<Cid>>> entries) {
    NodeData data{.left = left, .entries = {}};
    for (auto& [key, tree] : entries) data.entries.push_back({.key = key, .value = k_leaf, .tree = tree});
    Bytes block = encode_node(data);
    const Cid cid = Cid::of_dag_cbor(block);
    store.emplace(cid, std::move(block));
    return cid;
  }
  std::optional<ErrorKind> error(const Cid& root) const {
    const auto tree = Tree::load(root, lookup(store));
    const auto partial = PartialTree::load(root, lookup(store));
    EXPECT_EQ(tree.has_value(), partial.has_value());
    return tree ? std::nullopt : std::optional(tree.error().kind);
  }
  Store store;
};

TEST(HostileTree, IsRefused) {
  // Layers: A 0, B 0, S 1, X 2, Z 0.
  const std::string a = path("3jqfcqzm3fo2j"), b = path("3jqfcqzm3fp2j"), s = path("3jqfcqzm3fs2j"),
                    x = path("3jqfcqzm3fx2j"), z = path("3jqfcqzm3fz2j");
  Forge forge;
  const Cid node_a = forge.node({}, {{a, {}}});
  const Cid node_z = forge.node({}, {{z, {}}});
  const Cid empty = forge.node({}, {});
  EXPECT_EQ(forge.error(forge.node(node_a, {{s, node_z}})), std::nullopt) << "sound";

  EXPECT_EQ(forge.error(forge.node(node_z, {{s, {}}})), ErrorKind::out_of_range) << "left child sorts after";
  EXPECT_EQ(forge.error(forge.node({}, {{s, node_a}})), ErrorKind::out_of_range)
      << "right child sorts before";
  EXPECT_EQ(forge.error(forge.node(node_a, {{s, node_a}})), ErrorKind::out_of_range) << "one child twice";
  EXPECT_EQ(forge.error(forge.node({}, {{x, node_z}})), ErrorKind::wrong_layer) << "a layer is skipped";
  EXPECT_EQ(forge.error(forge.node({}, {{x, forge.node(node_z, {})}})), std::nullopt)
      << "an empty node between";
  EXPECT_EQ(forge.error(forge.node({}, {{s, forge.node(node_z, {})}})), ErrorKind::wrong_layer)
      << "a layer too many";
  EXPECT_EQ(forge.error(forge.node({}, {{s, empty}})), ErrorKind::bad_node) << "an empty leaf";
  EXPECT_EQ(forge.error(forge.node({}, {{x, forge.node(empty, {})}})), ErrorKind::bad_node)
      << "an empty leaf, deeper";
  EXPECT_EQ(forge.error(forge.node(node_a, {})), ErrorKind::bad_node) << "an untrimmed top";
  EXPECT_EQ(forge.error(forge.node(forge.node(node_a, {{s, {}}}), {{x, {}}})), std::nullopt)
      << "sound, three layers";
  // A grandchild may only use the gap all its parents leave.
  EXPECT_EQ(forge.error(forge.node(forge.node({}, {{s, node_z}}), {{x, {}}})), ErrorKind::out_of_range);
  EXPECT_EQ(forge.error(empty), std::nullopt) << "the empty tree";
}

}  // namespace
}  // namespace latchkey::mst

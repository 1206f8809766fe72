#include "atproto/repo/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "atproto/car/reader.h"
#include "atproto/cbor/cbor.h"

namespace latchkey::repo {
namespace {

using Code = Error::Code;

const Did k_did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");
const Nsid k_post = *Nsid::parse("app.bsky.feed.post");

Tid rev(std::uint64_t n) { return Tid::from(1'750'000'000'000'000 + n, 7); }

crypto::PrivateKey signing_key() {
  static const crypto::PrivateKey key = [] {
    SeededRng rng(1);
    return crypto::PrivateKey::generate(crypto::Curve::k256, rng);
  }();
  return key;
}

Bytes record(std::string text) {
  return cbor::encode(cbor::Map{{"$type", "app.bsky.feed.post"}, {"text", std::move(text)}});
}

// A record of exactly `size` bytes.
Bytes record_of_size(std::size_t size) {
  std::string text(size - 64, 'x');
  while (record(text).size() < size) text += 'x';
  return record(text);
}

Write create(const std::string& rkey, Bytes bytes) {
  return {Action::create, k_post, *RecordKey::parse(rkey), std::move(bytes)};
}
Write update(const std::string& rkey, Bytes bytes) {
  return {Action::update, k_post, *RecordKey::parse(rkey), std::move(bytes)};
}
Write remove(const std::string& rkey) { return {Action::remove, k_post, *RecordKey::parse(rkey), {}}; }

State empty_state() { return {.did = k_did, .tree = {}}; }

Result<CommitResult, Error> run(const State& state, const std::vector<Write>& writes, std::uint64_t n = 1) {
  return apply(state, writes, rev(n), signing_key());
}

State with(const std::vector<Write>& writes) { return run(empty_state(), writes)->state(k_did); }

// What a relay does with a #commit event: everything from the CAR alone.
void expect_consistent(const CommitResult& result) {
  const auto car = car::read_all(result.car());
  ASSERT_TRUE(car) << car.error().message();
  ASSERT_EQ(car->roots, std::vector{result.commit});
  std::map<Cid, Bytes> blocks;
  for (const auto& [cid, bytes] : car->blocks)
    EXPECT_TRUE(blocks.emplace(cid, bytes).second) << "a block twice";

  const auto commit = Commit::decode(blocks.at(result.commit));
  ASSERT_TRUE(commit);
  EXPECT_TRUE(commit->verify(signing_key().public_key()));
  EXPECT_EQ(commit->rev(), result.rev);
  EXPECT_EQ(commit->data(), result.data);

  const auto find = [&](const Cid& cid) -> std::optional<BytesView> {
    const auto found = blocks.find(cid);
    return found == blocks.end() ? std::nullopt : std::optional<BytesView>(found->second);
  };
  const auto partial = mst::PartialTree::load(commit->data(), find);
  ASSERT_TRUE(partial) << partial.error().detail;
  std::vector<mst::Change> changes;
  for (const Op& op : result.ops) {
    changes.push_back({.key = op.path, .cid = op.cid, .prev = op.prev});
    if (op.cid) EXPECT_TRUE(blocks.contains(*op.cid)) << "record block of " << op.path;
    if (op.prev) EXPECT_FALSE(op.prev != op.cid && blocks.contains(*op.prev)) << "old record of " << op.path;
  }
  const auto before = partial->invert(changes);
  ASSERT_TRUE(before) << before.error().detail;
  EXPECT_EQ(before->root(), result.prev_data.value_or(mst::Tree().root()));
}

TEST(Engine, MakesTheFirstCommitOfAnEmptyRepository) {
  const auto result = run(empty_state(), {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->data.str(), "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
  EXPECT_EQ(result->since, std::nullopt);
  EXPECT_EQ(result->prev_data, std::nullopt);
  EXPECT_TRUE(result->ops.empty());
  EXPECT_EQ(result->blocks.size(), 2u) << "the commit and the empty root";
  expect_consistent(*result);
}

TEST(Engine, TellsACreateAsTheFirehoseDoes) {
  const auto first = run(empty_state(), {});
  const Bytes post = record("hello");
  const auto result = run(first->state(k_did), {create("one", post)}, 2);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->since, first->rev);
  EXPECT_EQ(result->prev_data, first->data);
  EXPECT_EQ(result->ops, (std::vector<Op>{{.action = Action::create,
                                           .path = "app.bsky.feed.post/one",
                                           .cid = Cid::of_dag_cbor(post),
                                           .prev = std::nullopt}}));
  EXPECT_EQ(result->tree.get("app.bsky.feed.post/one"), Cid::of_dag_cbor(post));
  EXPECT_EQ(wire(result->ops[0].action), "create");
  expect_consistent(*result);
}

TEST(Engine, TellsAnUpdateAndADeleteWithWhatWasThere) {
  const Bytes old_post = record("old"), new_post = record("new");
  const State state = with({create("one", old_post), create("two", old_post)});
  const auto result = run(state, {update("one", new_post), remove("two")}, 2);
  ASSERT_TRUE(result);
  const Cid then = Cid::of_dag_cbor(old_post), now = Cid::of_dag_cbor(new_post);
  EXPECT_EQ(
      result->ops,
      (std::vector<Op>{
          {.action = Action::update, .path = "app.bsky.feed.post/one", .cid = now, .prev = then},
          {.action = Action::remove, .path = "app.bsky.feed.post/two", .cid = std::nullopt, .prev = then}}));
  EXPECT_EQ(wire(result->ops[1].action), "delete");
  expect_consistent(*result);
}

TEST(Engine, LeavesTheStateAsItWas) {
  const State state = with({create("one", record("x"))});
  const Cid root = state.tree.root();
  ASSERT_TRUE(run(state, {remove("one")}, 2));
  EXPECT_EQ(state.tree.root(), root);
}

TEST(Engine, RefusesWritesThatDoNotFitTheState) {
  const State state = with({create("one", record("x"))});
  EXPECT_EQ(run(state, {create("one", record("y"))}).error().code, Code::record_exists);
  EXPECT_EQ(run(state, {update("two", record("y"))}).error().code, Code::record_not_found);
  EXPECT_EQ(run(state, {remove("two")}).error().code, Code::record_not_found);
  EXPECT_EQ(run(state, {create("two", record("y")), create("two", record("z"))}).error().code,
            Code::record_exists);
  EXPECT_EQ(run(state, {remove("one"), remove("one")}).error().code, Code::record_not_found);
}

TEST(Engine, AnnouncesTheNetEffectOfSeveralWritesToOnePath) {
  const Bytes a = record("a"), b = record("b");
  const State state = with({create("one", a)});
  struct Row {
    const char* why;
    std::vector<Write> writes;
    std::vector<Op> ops;
  };
  const std::string one = "app.bsky.feed.post/one", two = "app.bsky.feed.post/two";
  const Cid ca = Cid::of_dag_cbor(a), cb = Cid::of_dag_cbor(b);
  const Row rows[] = {
      {"created and removed", {create("two", a), remove("two")}, {}},
      {"created and updated",
       {create("two", a), update("two", b)},
       {{Action::create, two, cb, std::nullopt}}},
      {"updated and removed", {update("one", b), remove("one")}, {{Action::remove, one, std::nullopt, ca}}},
      {"removed and created", {remove("one"), create("one", b)}, {{Action::update, one, cb, ca}}},
      {"removed and created as it was", {remove("one"), create("one", a)}, {}},
      {"updated to what it is", {update("one", a)}, {}},
  };
  for (const Row& row : rows) {
    const auto result = run(state, row.writes, 2);
    ASSERT_TRUE(result) << row.why;
    EXPECT_EQ(result->ops, row.ops) << row.why;
    expect_consistent(*result);
  }
}

TEST(Engine, TakesRecordsInCanonicalDagCborOnly) {
  const auto code = [&](Bytes bytes) {
    const auto result = run(empty_state(), {create("one", std::move(bytes))});
    return result ? std::nullopt : std::optional(result.error().code);
  };
  EXPECT_EQ(code(record("x")), std::nullopt);
  EXPECT_EQ(code({}), Code::bad_record);
  EXPECT_EQ(code({0xf6}), Code::bad_record) << "null";
  EXPECT_EQ(code({0x80}), Code::bad_record) << "a list";
  EXPECT_EQ(code({0xa0}), std::nullopt) << "an empty map";
  EXPECT_EQ(code({0xa0, 0xa0}), Code::bad_record) << "bytes behind";
  EXPECT_EQ(code({0xb8, 0x00}), Code::bad_record) << "a length that could be shorter";
  EXPECT_EQ(code({0xa1, 0x61, 'x', 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}), Code::bad_record) << "a float";
}

TEST(Engine, RaisesTheRevisionWhenTheClockIsBehind) {
  const auto first = run(empty_state(), {}, 100);
  const auto second = run(first->state(k_did), {}, 50);
  EXPECT_GT(second->rev, first->rev);
  EXPECT_EQ(second->rev.micros(), first->rev.micros() + 1);
  EXPECT_EQ(run(second->state(k_did), {}, 101)->rev.micros(), second->rev.micros() + 1)
      << "an equal revision";
  State last = second->state(k_did);
  last.rev = Tid::from(Tid::k_max_micros, 7);
  EXPECT_EQ(run(last, {}, 1).error().code, Code::bad_rev);
}

// "At most 200 record operations can be included in a commit."
TEST(Engine, Takes200WritesAtMost) {
  std::vector<Write> writes;
  for (int i = 0; i < 200; ++i) writes.push_back(create(fmt::format("r{}", i), record("x")));
  const auto result = run(empty_state(), writes);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->ops.size(), 200u);
  expect_consistent(*result);
  writes.push_back(create("one-more", record("x")));
  EXPECT_EQ(run(empty_state(), writes).error().code, Code::too_many_ops);
}

TEST(Engine, TakesRecordsOfOneMillionBytesAtMost) {
  ASSERT_EQ(record_of_size(k_max_record_bytes).size(), k_max_record_bytes);
  EXPECT_TRUE(run(empty_state(), {create("one", record_of_size(k_max_record_bytes))}));
  EXPECT_EQ(run(empty_state(), {create("one", record_of_size(k_max_record_bytes + 1))}).error().code,
            Code::record_too_large);
}

TEST(Engine, KeepsTheEventsBlocksBelowTwoMillionBytes) {
  const auto size_with = [](std::size_t second) {
    return run(empty_state(),
               {create("one", record_of_size(999'900)), create("two", record_of_size(second))});
  };
  const auto small = size_with(900'000);
  ASSERT_TRUE(small);
  const std::size_t room = k_max_blocks_bytes - small->car().size();
  const auto full = size_with(900'000 + room);
  ASSERT_TRUE(full);
  EXPECT_EQ(full->car().size(), k_max_blocks_bytes);
  EXPECT_EQ(size_with(900'000 + room + 1).error().code, Code::commit_too_large);
}

TEST(Engine, TakesTheLongestLegalPath) {
  const std::string label(63, 'b');
  const std::string nsid =
      fmt::format("{0}.{0}.{0}.{1}.{2}", label, std::string(61, 'c'), std::string(63, 'd'));
  const Write longest{Action::create, *Nsid::parse(nsid), *RecordKey::parse(std::string(512, 'x')),
                      record("x")};
  EXPECT_EQ(longest.path().size(), 317u + 1 + 512);
  EXPECT_TRUE(apply(empty_state(), std::span(&longest, 1), rev(1), signing_key()));
}

// Attack group 25: keys chosen so that they all fall into one node.
TEST(Engine, RefusesMinedKeysThatMakeANodeTooLong) {
  std::vector<std::string> rkeys;
  for (int i = 0; rkeys.size() <= mst::k_max_node_entries; ++i)
    if (auto rkey = fmt::format("{:08}", i); mst::key_layer(k_post.str() + "/" + rkey) == 0)
      rkeys.push_back(rkey);
  mst::Builder builder;
  for (std::size_t i = 0; i < mst::k_max_node_entries; ++i)
    builder.add(k_post.str() + "/" + rkeys[i], Cid::of_dag_cbor(record("x")));
  State state = empty_state();
  state.tree = builder.finish();
  EXPECT_TRUE(run(state, {update(rkeys[0], record("y"))})) << "512 entries";
  EXPECT_EQ(run(state, {create(rkeys.back(), record("x"))}).error().code, Code::tree_too_dense) << "513";
}

TEST(Engine, HoldsAnyHistoryTogether) {
  std::mt19937 random(11);
  State state = run(empty_state(), {})->state(k_did);
  std::set<std::string> rkeys;
  for (std::uint64_t n = 0; n < 60; ++n) {
    std::vector<Write> writes;
    std::set<std::string> used;
    for (std::size_t i = random() % 6 + 1; i > 0; --i) {
      const std::string rkey = fmt::format("{}", random() % 150);
      if (!used.insert(rkey).second) continue;
      if (!rkeys.contains(rkey)) {
        writes.push_back(create(rkey, record(fmt::format("{}", random()))));
        rkeys.insert(rkey);
      } else if (random() % 3 != 0) {
        writes.push_back(remove(rkey));
        rkeys.erase(rkey);
      } else {
        writes.push_back(update(rkey, record(fmt::format("{}", random()))));
      }
    }
    const auto result = run(state, writes, n);
    ASSERT_TRUE(result);
    expect_consistent(*result);
    ASSERT_GT(result->rev, *state.rev);
    ASSERT_EQ(result->prev_data, state.tree.root());
    state = result->state(k_did);
    ASSERT_EQ(state.tree.size(), rkeys.size());
  }
}

TEST(Engine, GivesTheSameBytesForTheSameInput) {
  const State state = with({create("one", record("x"))});
  const auto once = run(state, {create("two", record("y"))}, 2),
             again = run(state, {create("two", record("y"))}, 2);
  for (std::size_t i = 1; i < once->blocks.size(); ++i)
    EXPECT_EQ(once->blocks[i].bytes, again->blocks[i].bytes);
  EXPECT_EQ(once->data, again->data);
}

}  // namespace
}  // namespace latchkey::repo

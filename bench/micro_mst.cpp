// The Merkle search tree and whole commits, on repositories of 2,000 and 100,000 records.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <map>

#include "atproto/cbor/cbor.h"
#include "atproto/repo/engine.h"
#include "atproto/repo/export.h"

using namespace latchkey;

namespace {

using Leaves = std::vector<std::pair<std::string, Cid>>;

// A timeline: record keys are TIDs, a minute apart, so new ones go to the end as they do in life.
std::string rkey(std::uint64_t i) { return Tid::from(1'700'000'000'000'000 + i * 60'000'000, 5).str(); }
std::string path(std::uint64_t i) { return "app.bsky.feed.post/" + rkey(i); }

Cid value(std::uint64_t i) {
  return Cid::of_dag_cbor(as_bytes(std::string_view(reinterpret_cast<const char*>(&i), sizeof i)));
}

Leaves leaves(std::int64_t n) {
  Leaves out;
  for (std::int64_t i = 0; i < n; ++i) out.emplace_back(path(i), value(i));
  return out;
}

const mst::Tree& tree_of(std::int64_t n) {
  static std::map<std::int64_t, mst::Tree> trees;
  auto& tree = trees[n];
  if (tree.empty()) {
    tree = mst::Tree::from_sorted(leaves(n));
    (void)tree.root();
  }
  return tree;
}

void insert(benchmark::State& state) {
  const mst::Tree& tree = tree_of(state.range(0));
  const Cid cid = value(1);
  std::uint64_t i = state.range(0);
  for (auto _ : state) benchmark::DoNotOptimize(tree.put(path(i++), cid));
}
BENCHMARK(insert)->Arg(2'000)->Arg(100'000);

void insert_and_root(benchmark::State& state) {
  const mst::Tree& tree = tree_of(state.range(0));
  const Cid cid = value(1);
  std::uint64_t i = state.range(0);
  for (auto _ : state) benchmark::DoNotOptimize(tree.put(path(i++), cid).root());
}
BENCHMARK(insert_and_root)->Arg(2'000)->Arg(100'000);

void get(benchmark::State& state) {
  const mst::Tree& tree = tree_of(state.range(0));
  const std::string key = path(state.range(0) / 3);
  for (auto _ : state) benchmark::DoNotOptimize(tree.get(key));
}
BENCHMARK(get)->Arg(2'000)->Arg(100'000);

// What a cold repository costs: a sequential scan into a tree, with and without its hashes.
void bulk_build(benchmark::State& state) {
  const Leaves all = leaves(state.range(0));
  std::size_t memory = 0;
  for (auto _ : state) {
    const mst::Tree tree = mst::Tree::from_sorted(all);
    memory = tree.memory();
  }
  state.counters["bytes_per_record"] = static_cast<double>(memory) / static_cast<double>(all.size());
}
BENCHMARK(bulk_build)->Arg(2'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void bulk_build_and_root(benchmark::State& state) {
  const Leaves all = leaves(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(mst::Tree::from_sorted(all).root());
}
BENCHMARK(bulk_build_and_root)->Arg(2'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

Bytes post(std::string_view text) {
  return cbor::encode(cbor::Map{{"$type", "app.bsky.feed.post"},
                                {"text", text},
                                {"createdAt", "2025-06-15T14:26:40.123Z"},
                                {"langs", cbor::Array{"en"}}});
}

crypto::PrivateKey signing_key(crypto::Curve curve) {
  SeededRng rng(1);
  return crypto::PrivateKey::generate(curve, rng);
}

// Everything but the store: tree, hashes, blocks, signature, CAR.
void commit(benchmark::State& state) {
  const repo::State before{.did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
                           .tree = tree_of(state.range(0)),
                           .rev = Tid::from(1'700'000'000'000'000, 1),
                           .head = value(0)};
  const auto key = signing_key(crypto::Curve::k256);
  const Bytes record = post("A post of ordinary length, as people write them.");
  const Nsid collection = *Nsid::parse("app.bsky.feed.post");
  const Tid rev = Tid::from(1'750'000'000'000'000, 1);
  std::uint64_t i = state.range(0);
  std::size_t blocks = 0;
  for (auto _ : state) {
    const repo::Write write{repo::Action::create, collection, *RecordKey::parse(rkey(i++)), record};
    const auto result = repo::apply(before, std::span(&write, 1), rev, key);
    benchmark::DoNotOptimize(result->car());
    blocks = result->blocks.size();
  }
  state.counters["blocks"] = static_cast<double>(blocks);
}
BENCHMARK(commit)->Arg(2'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void commit_50_creates(benchmark::State& state) {
  const repo::State before{.did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
                           .tree = tree_of(2'000),
                           .rev = Tid::from(1'700'000'000'000'000, 1),
                           .head = value(0)};
  const auto key = signing_key(crypto::Curve::k256);
  std::vector<repo::Write> writes;
  for (int i = 0; i < 50; ++i)
    writes.push_back({repo::Action::create, *Nsid::parse("app.bsky.feed.post"),
                      *RecordKey::parse(rkey(5'000 + i)), post(fmt::format("Post number {}", i))});
  for (auto _ : state)
    benchmark::DoNotOptimize(repo::apply(before, writes, Tid::from(1'750'000'000'000'000, 1), key)->car());
}
BENCHMARK(commit_50_creates)->Unit(benchmark::kMicrosecond);

void export_car(benchmark::State& state) {
  const mst::Tree& tree = tree_of(state.range(0));
  const Bytes record = post("A post of ordinary length, as people write them.");
  const Bytes commit_block(200, 0);
  std::size_t bytes = 0;
  for (auto _ : state) {
    repo::Exporter all(value(0), commit_block, tree, [&](std::string_view, const Cid&, Bytes& out) {
      append(out, record);
      return true;
    });
    Bytes piece;
    bytes = 0;
    while (!all.done()) {
      piece.clear();
      all.read(piece);
      bytes += piece.size();
    }
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(export_car)->Arg(2'000)->Unit(benchmark::kMicrosecond);

}  // namespace

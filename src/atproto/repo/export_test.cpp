#include "atproto/repo/export.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "atproto/car/reader.h"
#include "atproto/car/writer.h"
#include "atproto/cbor/cbor.h"
#include "atproto/repo/engine.h"

namespace latchkey::repo {
namespace {

const Did k_did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");
const Nsid k_post = *Nsid::parse("app.bsky.feed.post");

// A repository with its records, as a store holds them.
struct Repository {
  explicit Repository(int records) {
    SeededRng rng(3);
    key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
    mst::Tree tree;
    for (int i = 0; i < records; ++i) {
      const Bytes block = cbor::encode(cbor::Map{{"text", fmt::format("post {}", i)}});
      const Cid cid = Cid::of_dag_cbor(block);
      const std::string path = fmt::format("app.bsky.feed.post/{:05}", i);
      store.emplace(path, block);
      tree = tree.put(path, cid);
    }
    head = apply({.did = k_did, .tree = tree}, {}, Tid::from(1'750'000'000'000'000, 1), *key);
  }
  Exporter exporter() const {
    return Exporter(head->commit, head->block, head->tree,
                    [this](std::string_view path, const Cid&, Bytes& out) {
                      const auto found = store.find(path);
                      if (found == store.end()) return false;
                      append(out, found->second);
                      return true;
                    });
  }
  Bytes car() const {
    Bytes out;
    Exporter all = exporter();
    while (!all.done()) all.read(out);
    EXPECT_FALSE(all.failed());
    return out;
  }
  std::optional<crypto::PrivateKey> key;
  Result<CommitResult, Error> head = fail(Error{});
  std::map<std::string, Bytes, std::less<>> store;
};

TEST(Export, IsWhatVerifyCarAccepts) {
  for (const int records : {0, 1, 700}) {
    const Repository repository(records);
    const auto verified = verify_car(repository.car(), k_did, repository.key->public_key());
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(verified->head, repository.head->commit);
    EXPECT_EQ(verified->tree, repository.head->tree);
    EXPECT_EQ(verified->tree.size(), static_cast<std::size_t>(records));
  }
}

TEST(Export, ComesInChunksAndTheSameWhateverTheirSize) {
  const Repository repository(300);
  const Bytes whole = repository.car();
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{1000}, std::size_t{1} << 30}) {
    Exporter exporter = repository.exporter();
    Bytes all, piece;
    while (!exporter.done()) {
      piece.clear();
      exporter.read(piece, chunk);
      EXPECT_LT(piece.size(), chunk + 4096) << "one block more than asked for at most";
      append(all, piece);
    }
    EXPECT_EQ(all, whole);
  }
}

// Pre-order: whoever reads along has seen the path to a block before the block.
TEST(Export, PutsEveryBlockAfterTheOneThatLinksToIt) {
  const Repository repository(300);
  const auto contents = *car::read_all(repository.car());
  EXPECT_EQ(contents.blocks.front().first, repository.head->commit);
  std::set<Cid> announced{repository.head->commit, repository.head->data};
  std::set<Cid> records;
  repository.head->tree.walk([&](const mst::Leaf& leaf) { return records.insert(leaf.value).second; });
  for (const auto& [cid, bytes] : contents.blocks) {
    EXPECT_TRUE(announced.contains(cid));
    if (cid == repository.head->commit || records.contains(cid)) continue;
    const auto node = *mst::decode_node(bytes);
    if (node.left) announced.insert(*node.left);
    for (const auto& entry : node.entries) {
      announced.insert(entry.value);
      if (entry.tree) announced.insert(*entry.tree);
    }
  }
}

TEST(Export, EndsInFailureWhenARecordIsGone) {
  Repository repository(20);
  repository.store.erase("app.bsky.feed.post/00007");
  Exporter exporter = repository.exporter();
  Bytes out;
  while (!exporter.done()) exporter.read(out);
  EXPECT_TRUE(exporter.failed());
}

TEST(ProofCar, ProvesOneRecordOrItsAbsence) {
  const Repository repository(300);
  const std::string path = "app.bsky.feed.post/00123";
  const Bytes& record = repository.store.at(path);
  for (const bool there : {true, false}) {
    const std::string key = there ? path : "app.bsky.feed.post/nothing";
    const auto contents =
        *car::read_all(proof_car(repository.head->commit, repository.head->block, repository.head->tree, key,
                                 there ? std::optional<BytesView>(record) : std::nullopt));
    EXPECT_EQ(contents.roots, std::vector{repository.head->commit});
    std::map<Cid, Bytes> blocks(contents.blocks.begin(), contents.blocks.end());
    const auto commit = *Commit::decode(blocks.at(contents.roots[0]));
    EXPECT_TRUE(commit.verify(repository.key->public_key()));
    const auto partial =
        mst::PartialTree::load(commit.data(), [&](const Cid& cid) -> std::optional<BytesView> {
          const auto found = blocks.find(cid);
          return found == blocks.end() ? std::nullopt : std::optional<BytesView>(found->second);
        });
    const auto cid = partial->get(key);
    ASSERT_TRUE(cid) << cid.error().detail;
    EXPECT_EQ(cid->has_value(), there);
    if (there) EXPECT_EQ(blocks.at(**cid), record);
    EXPECT_LT(blocks.size(), 15u);
  }
}

// What a stranger's getRecord may answer instead of a proof. Attack group 25, "forged proofs".
class VerifyProof : public ::testing::Test {
 protected:
  using Blocks = std::vector<std::pair<Cid, Bytes>>;
  Bytes proof(const std::string& path) const {
    const auto found = repository_.store.find(path);
    return proof_car(
        repository_.head->commit, repository_.head->block, repository_.head->tree, path,
        found == repository_.store.end() ? std::nullopt : std::optional<BytesView>(found->second));
  }
  static Bytes car_of(const std::vector<Cid>& roots, const Blocks& blocks) {
    Bytes out;
    car::Writer writer(out);
    writer.header(roots);
    for (const auto& [cid, bytes] : blocks) writer.block(cid, bytes);
    return out;
  }
  Result<Proven, VerifyError> verify(const Bytes& car, const std::string& path) const {
    return verify_proof_car(car, k_did, repository_.key->public_key(), path);
  }
  std::string error(const Bytes& car) const {
    const auto proven = verify(car, path_);
    return proven ? "" : proven.error().message;
  }

  const Repository repository_{300};
  const std::string path_ = "app.bsky.feed.post/00123";
  const car::Contents honest_ = *car::read_all(proof(path_));
};

TEST_F(VerifyProof, GivesTheRecordOrItsAbsence) {
  const auto there = verify(proof(path_), path_);
  ASSERT_TRUE(there) << there.error().message;
  ASSERT_TRUE(there->record);
  EXPECT_EQ(there->record->bytes, repository_.store.at(path_));
  EXPECT_EQ(there->record->cid, Cid::of_dag_cbor(repository_.store.at(path_)));
  EXPECT_EQ(there->commit.data(), repository_.head->data);
  const auto absent = verify(proof("app.bsky.feed.post/nothing"), "app.bsky.feed.post/nothing");
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->record);
}

TEST_F(VerifyProof, AttackAProofOfAnotherPathProvesNothingAboutThisOne) {
  EXPECT_EQ(error(proof("app.bsky.feed.post/00290")), "the path to the record is not complete");
}

TEST_F(VerifyProof, AttackEveryBlockOfThePathIsNeeded) {
  for (std::size_t i = 0; i < honest_.blocks.size(); ++i) {
    auto holed = honest_.blocks;
    holed.erase(holed.begin() + static_cast<long>(i));
    EXPECT_NE(error(car_of(honest_.roots, holed)), "") << "block " << i << " is missing";
  }
}

TEST_F(VerifyProof, AttackAnotherKeyOrAccount) {
  SeededRng rng(9);
  const auto stranger = crypto::PrivateKey::generate(crypto::Curve::p256, rng).public_key();
  const auto car = proof(path_);
  EXPECT_EQ(verify_proof_car(car, k_did, stranger, path_).error().message,
            "the commit's signature does not match");
  EXPECT_EQ(verify_proof_car(car, *Did::parse("did:web:example.com"), repository_.key->public_key(), path_)
                .error()
                .message,
            "the commit belongs to another account");
}

TEST_F(VerifyProof, AttackOneRootAndThatIsTheCommit) {
  EXPECT_EQ(error(car_of({}, honest_.blocks)), "not one root");
  EXPECT_EQ(error(car_of({honest_.roots[0], honest_.roots[0]}, honest_.blocks)), "not one root");
  EXPECT_NE(error(car_of({repository_.head->data}, honest_.blocks)), "");
}

TEST_F(VerifyProof, AttackARecordSwappedUnderItsCid) {
  auto swapped = honest_.blocks;
  for (auto& [cid, bytes] : swapped)
    if (bytes == repository_.store.at(path_)) bytes = cbor::encode(cbor::Map{{"text", "something else"}});
  EXPECT_NE(error(car_of(honest_.roots, swapped)), "");
}

TEST_F(VerifyProof, AttackCarBombsEndAtTheLimits) {
  const auto with_extra = [&](std::size_t count) {
    auto more = honest_.blocks;
    for (std::size_t i = more.size(); i < count; ++i) {
      const Bytes block = cbor::encode(cbor::Value(static_cast<std::int64_t>(i)));
      more.emplace_back(Cid::of_dag_cbor(block), block);
    }
    return car_of(honest_.roots, more);
  };
  EXPECT_EQ(error(with_extra(k_max_proof_blocks)), "");
  EXPECT_NE(error(with_extra(k_max_proof_blocks + 1)), "");

  const auto of_size = [&](std::size_t size) {
    const std::size_t before = car_of(honest_.roots, honest_.blocks).size();
    auto more = honest_.blocks;
    Bytes block(size - before - 36 - 3);  // the CID and a varint of three bytes
    more.emplace_back(Cid::of_raw(block), block);
    const Bytes car = car_of(honest_.roots, more);
    EXPECT_EQ(car.size(), size);
    return car;
  };
  EXPECT_EQ(error(of_size(k_max_proof_bytes)), "");
  EXPECT_NE(error(of_size(k_max_proof_bytes + 1)), "");
}

TEST(VerifyCar, RefusesAnythingThatIsNotTheWholeRepository) {
  const Repository repository(50);
  const auto contents = *car::read_all(repository.car());
  const auto key = repository.key->public_key();
  const auto car_of = [](const std::vector<Cid>& roots, const auto& blocks) {
    Bytes out;
    car::Writer writer(out);
    writer.header(roots);
    for (const auto& [cid, bytes] : blocks) writer.block(cid, bytes);
    return out;
  };
  ASSERT_TRUE(verify_car(car_of(contents.roots, contents.blocks), k_did, key));

  SeededRng rng(9);
  const auto stranger = crypto::PrivateKey::generate(crypto::Curve::p256, rng).public_key();
  EXPECT_FALSE(verify_car(repository.car(), k_did, stranger)) << "another key";
  EXPECT_FALSE(verify_car(repository.car(), *Did::parse("did:web:example.com"), key)) << "another account";
  EXPECT_FALSE(verify_car(car_of({}, contents.blocks), k_did, key)) << "no root";
  EXPECT_FALSE(verify_car(car_of({contents.roots[0], contents.roots[0]}, contents.blocks), k_did, key))
      << "two roots";
  EXPECT_FALSE(verify_car(car_of({repository.head->data}, contents.blocks), k_did, key))
      << "the root is no commit";
  for (std::size_t i = 0; i < contents.blocks.size(); ++i) {
    auto holed = contents.blocks;
    holed.erase(holed.begin() + static_cast<long>(i));
    EXPECT_FALSE(verify_car(car_of(contents.roots, holed), k_did, key)) << "block " << i << " is missing";
  }
  auto changed = contents.blocks;
  changed[3].second.back() ^= 1;
  EXPECT_FALSE(verify_car(car_of(contents.roots, changed), k_did, key)) << "a block is not what its CID says";
  auto reversed = contents.blocks;
  std::ranges::reverse(reversed);
  reversed.push_back({Cid::of_dag_cbor(as_bytes("\xf6")), to_bytes("\xf6")});
  reversed.push_back(reversed.front());
  EXPECT_TRUE(verify_car(car_of(contents.roots, reversed), k_did, key))
      << "order, repetition and extras are allowed";
}

}  // namespace
}  // namespace latchkey::repo

#include "atproto/repo/commit.h"

#include <gtest/gtest.h>

#include "atproto/cbor/cbor.h"

namespace latchkey::repo {
namespace {

const Did k_did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");
const Tid k_rev = *Tid::parse("3jqfcqzm3fo2j");
const Cid k_data = *Cid::parse("bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");

crypto::PrivateKey key(crypto::Curve curve, std::uint64_t seed = 1) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(curve, rng);
}

Commit signed_commit(const crypto::PrivateKey& by) {
  return Commit::sign({.did = k_did, .data = k_data, .rev = k_rev, .prev = std::nullopt}, by);
}

TEST(Commit, IsVerifiedByItsKeyOnly) {
  for (const auto curve : {crypto::Curve::p256, crypto::Curve::k256}) {
    const auto own = key(curve), other = key(curve, 2);
    const Commit commit = signed_commit(own);
    EXPECT_TRUE(commit.verify(own.public_key()));
    EXPECT_FALSE(commit.verify(other.public_key()));
  }
}

TEST(Commit, SurvivesItsEncoding) {
  const Commit commit = signed_commit(key(crypto::Curve::k256));
  const Bytes block = commit.encode();
  const auto decoded = Commit::decode(block);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), block);
  EXPECT_EQ(decoded->did(), k_did);
  EXPECT_EQ(decoded->rev(), k_rev);
  EXPECT_EQ(decoded->data(), k_data);
  EXPECT_TRUE(decoded->verify(key(crypto::Curve::k256).public_key()));
}

// "In version 3 repos, this field must exist in the CBOR object, but is virtually always null."
TEST(Commit, WritesExactlyTheFieldsOfVersion3) {
  const auto value = cbor::decode(signed_commit(key(crypto::Curve::p256)).encode());
  ASSERT_TRUE(value);
  EXPECT_EQ(*value->string_at("did"), k_did.str());
  EXPECT_EQ(*value->integer_at("version"), 3);
  EXPECT_EQ(*value->string_at("rev"), k_rev.str());
  EXPECT_EQ(*value->cid_at("data"), k_data);
  ASSERT_TRUE(value->find("prev"));
  EXPECT_TRUE(value->find("prev")->is_null());
  EXPECT_EQ(value->bytes_at("sig")->size(), 64u);
  EXPECT_EQ(value->map()->size(), 6u);
}

TEST(Commit, SignsWhatIsWithoutTheSignature) {
  const Commit commit = signed_commit(key(crypto::Curve::p256));
  auto value = *cbor::decode(commit.encode());
  value.map()->erase("sig");
  EXPECT_EQ(cbor::encode(value), commit.unsigned_part.encode());
}

TEST(Commit, KeepsThePrevOfAnOldRepository) {
  const auto by = key(crypto::Curve::p256);
  const Commit commit = Commit::sign({.did = k_did, .data = k_data, .rev = k_rev, .prev = k_data}, by);
  const auto decoded = Commit::decode(commit.encode());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->unsigned_part.prev, k_data);
  EXPECT_TRUE(decoded->verify(by.public_key()));
}

TEST(Commit, IsRefusedWhenChanged) {
  const auto by = key(crypto::Curve::p256);
  const Bytes block = signed_commit(by).encode();
  for (std::size_t bit = 0; bit < block.size() * 8; bit += 5) {
    Bytes changed = block;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto decoded = Commit::decode(changed);
    EXPECT_FALSE(decoded && decoded->verify(by.public_key())) << bit;
  }
}

TEST(Commit, OfAnotherShapeIsRefused) {
  const auto good = *cbor::decode(signed_commit(key(crypto::Curve::p256)).encode());
  const auto with = [&](const char* name, cbor::Value value) {
    cbor::Value changed = good;
    changed.map()->set(name, std::move(value));
    return cbor::encode(changed);
  };
  const auto without = [&](const char* name) {
    cbor::Value changed = good;
    changed.map()->erase(name);
    return cbor::encode(changed);
  };
  ASSERT_TRUE(Commit::decode(cbor::encode(good)));
  for (const char* name : {"did", "rev", "sig", "data", "prev", "version"})
    EXPECT_FALSE(Commit::decode(without(name))) << name;
  EXPECT_FALSE(Commit::decode(with("version", 2)));
  EXPECT_FALSE(Commit::decode(with("extra", 1)));
  EXPECT_FALSE(Commit::decode(with("prev", "text")));
  EXPECT_FALSE(Commit::decode(with("rev", "not-a-tid")));
  EXPECT_FALSE(Commit::decode(with("did", "DID:plc:x")));
  EXPECT_FALSE(Commit::decode(with("data", Cid::of_raw(as_bytes("raw")))));
  EXPECT_FALSE(Commit::decode(with("prev", Cid::of_raw(as_bytes("raw")))));
  EXPECT_FALSE(Commit::decode({}));
}

}  // namespace
}  // namespace latchkey::repo

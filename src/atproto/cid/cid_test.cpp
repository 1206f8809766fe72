#include "atproto/cid/cid.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "base/encoding.h"

namespace latchkey {
namespace {

static_assert(std::is_trivially_copyable_v<Cid> && sizeof(Cid) == Cid::k_size);

// From tests/fixtures/data-model/data-model-fixtures.json.
constexpr std::string_view k_record = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq";
constexpr std::string_view k_blob = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";

TEST(Cid, TextAndBytesAreTwoFormsOfOneValue) {
  const Cid record = Cid::parse(k_record).value();
  EXPECT_EQ(record.str(), k_record);
  EXPECT_TRUE(record.is_dag_cbor());
  EXPECT_FALSE(record.is_raw());
  const Cid blob = Cid::parse(k_blob).value();
  EXPECT_EQ(blob.str(), k_blob);
  EXPECT_TRUE(blob.is_raw());
  EXPECT_EQ("b" + base32(blob.bytes()), k_blob);
  EXPECT_EQ(Cid::from_bytes(blob.bytes()).value(), blob);
  EXPECT_NE(record, blob);
}

TEST(Cid, IsTheHashOfItsContent) {
  // SHA-256 of nothing, RFC 6234's and everyone's: e3b0c442…
  const Cid empty = Cid::of_raw({});
  EXPECT_EQ(hex(empty.bytes()), "01551220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_TRUE(empty.matches({}));
  EXPECT_FALSE(empty.matches(as_bytes("x")));
  const Cid block = Cid::of_dag_cbor(as_bytes("x"));
  EXPECT_TRUE(block.matches(as_bytes("x")));
  EXPECT_EQ(hex(block.bytes()).substr(0, 8), "01711220");
  std::array<std::uint8_t, 32> digest;
  std::copy(block.digest().begin(), block.digest().end(), digest.begin());
  EXPECT_EQ(Cid::dag_cbor_of_digest(digest), block);
  EXPECT_EQ(Cid::raw_of_digest(digest), Cid::of_raw(as_bytes("x")));
}

TEST(Cid, OtherKindsOfCidAreRefused) {
  const Bytes good = to_bytes(Cid::of_raw(as_bytes("x")).bytes());
  const auto with = [&](std::size_t at, std::uint8_t byte) {
    Bytes changed = good;
    changed[at] = byte;
    return changed;
  };
  struct Row {
    Bytes bytes;
    const char* why;
  };
  Bytes shorter(good.begin(), good.end() - 1), longer = good;
  longer.push_back(0);
  const Row rows[] = {
      {{}, "nothing"},
      {{0x01}, "a version alone"},
      {with(0, 0x00), "version 0 as a number"},
      {with(0, 0x02), "version 2"},
      {with(1, 0x70), "codec dag-pb"},
      {with(1, 0x78), "codec git-raw"},
      {with(2, 0x13), "hash sha2-512"},
      {with(2, 0x1e), "hash blake3"},
      {with(2, 0x00), "hash identity"},
      {with(3, 0x14), "a digest cut to 20 bytes"},
      {{0x01, 0x55, 0x00, 0x01, 'x'}, "identity CID: content in place of a hash"},
      {{0x01, 0x55, 0x12, 0x00}, "empty digest"},
      {shorter, "a byte short"},
      {longer, "a byte long"},
      {Bytes(good.begin() + 2, good.end()), "version 0: a bare multihash"},
  };
  for (const auto& row : rows) EXPECT_FALSE(Cid::from_bytes(row.bytes)) << row.why;
}

TEST(Cid, OtherTextsAreRefused) {
  const std::string good(k_record);
  std::string upper = good;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  // The last character carries three bits of the hash and two that must be zero.
  std::string stray = good;
  stray.back() = 'r';
  struct Row {
    std::string text;
    const char* why;
  };
  const Row rows[] = {
      {"", "nothing"},
      {"b", "a prefix alone"},
      {good.substr(1), "no multibase prefix"},
      {upper, "upper-case base32 has its own prefix and is not ours"},
      {"B" + good.substr(1), "the prefix of upper case"},
      {good + "a", "a character long"},
      {good.substr(0, good.size() - 1), "a character short"},
      {good + "=", "padded"},
      {" " + good, "white space"},
      {good + "\n", "a line end"},
      {stray, "stray bits"},
      {good.substr(0, 20) + "1" + good.substr(21), "1 is not in base32"},
      {good.substr(0, 20) + std::string(1, '\0') + good.substr(21), "NUL"},
      {"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", "version 0"},
      {"zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7", "base58"},
      {"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "codec dag-pb"},
  };
  for (const auto& row : rows) EXPECT_FALSE(Cid::parse(row.text)) << row.why;
}

TEST(Cid, IsOrderedBytewiseAndHashed) {
  const Cid a = Cid::of_raw(as_bytes("a")), b = Cid::of_dag_cbor(as_bytes("a"));
  EXPECT_LT(a, b) << "0x55 before 0x71";
  std::unordered_set<Cid> set = {a, b, a};
  EXPECT_EQ(set.size(), 2u);
}

}  // namespace
}  // namespace latchkey

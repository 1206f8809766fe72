#include "atproto/mst/node.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/encoding.h"
#include "base/json.h"

namespace latchkey::mst {
namespace {

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES) + "/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const Cid k_leaf = *Cid::parse("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454");

TEST(Key, HasTheLayerOfTheInteropVectors) {
  const auto rows = *json::parse(fixture("mst/key_heights.json"));
  ASSERT_EQ(rows.array()->size(), 9u);
  for (const auto& row : *rows.array())
    EXPECT_EQ(key_layer(*row.string_at("key")), *row.find("height")->integer()) << *row.string_at("key");
}

TEST(Key, SharesThePrefixOfTheInteropVectors) {
  const auto rows = *json::parse(fixture("mst/common_prefix.json"));
  ASSERT_EQ(rows.array()->size(), 13u);
  for (const auto& row : *rows.array())
    EXPECT_EQ(common_prefix(*row.string_at("left"), *row.string_at("right")), *row.find("len")->integer());
}

// The letter and digit at the front of an example key are its rank and its layer.
TEST(Key, HasTheLayerWrittenInTheExampleKeys) {
  std::istringstream lines(fixture("mst/example_keys.txt"));
  std::string line;
  int count = 0;
  for (; std::getline(lines, line); ++count) EXPECT_EQ(key_layer(line), line[1] - '0') << line;
  EXPECT_EQ(count, 156);
}

TEST(Key, IsACollectionAndARecordKey) {
  for (const char* key : {"coll/3jui7kd54zh2y", "coll/self", "coll/example.com", "com.example/rkey",
                          "coll/~1.2-3_", "coll/dHJ1ZQ", "coll/pre:fix", "coll/_"})
    EXPECT_TRUE(is_valid_key(key)) << key;
  for (const char* key : {"",
                          "asdf",
                          "nested/collection/asdf",
                          "coll/",
                          "/rkey",
                          "coll/jalape\xc3\xb1oA",
                          "coll/key$",
                          "coll/key%",
                          "coll/key(",
                          "coll/key+",
                          "coll/key=",
                          "coll/@handle",
                          "coll/any space",
                          "coll/#extra",
                          "coll/number[3]",
                          "coll/\"quote\"",
                          "coll/.",
                          "coll/..",
                          "./rkey",
                          "../rkey",
                          "coll//rkey",
                          "coll/a\n"})
    EXPECT_FALSE(is_valid_key(key)) << key;
  EXPECT_FALSE(is_valid_key(std::string_view("coll/a\0", 7)));
}

TEST(Key, IsAtMost1024Bytes) {
  EXPECT_TRUE(is_valid_key("coll/" + std::string(1019, 'a')));
  EXPECT_FALSE(is_valid_key("coll/" + std::string(1020, 'a')));
}

// Keys of layer 0 in ascending order.
std::vector<std::string> layer0_keys(std::size_t n) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < n; ++i)
    if (auto key = fmt::format("com.example.record/{:06}", i); key_layer(key) == 0) keys.push_back(key);
  return keys;
}

NodeData node_of(const std::vector<std::string>& keys) {
  NodeData node;
  for (const auto& key : keys) node.entries.push_back({.key = key, .value = k_leaf, .tree = std::nullopt});
  return node;
}

TEST(Node, DecodesToWhatWasEncoded) {
  // Layer 2, so sub-trees are allowed everywhere.
  NodeData node;
  node.left = Cid::of_dag_cbor(as_bytes("left"));
  node.entries.push_back({.key = "com.example.record/3jqfcqzm3fx2j", .value = k_leaf, .tree = std::nullopt});
  EXPECT_EQ(*decode_node(encode_node(node)), node);
  node.entries[0].tree = Cid::of_dag_cbor(as_bytes("right"));
  EXPECT_EQ(*decode_node(encode_node(node)), node);
  node.entries.clear();
  EXPECT_EQ(*decode_node(encode_node(node)), node) << "an intermediate node without keys";
  node.left.reset();
  EXPECT_TRUE(decode_node(encode_node(node))->empty());
}

TEST(Node, ElidesThePrefixSharedWithThePreviousKey) {
  const Bytes block =
      encode_node(node_of({"com.example.record/3jqfcqzm3fo2j", "com.example.record/3jqfcqzm3fp2j"}));
  // {e: [{k, p: 0, t: null, v}, {k: "p2j", p: 29, ...}], l: null}
  const std::string text = hex(block);
  EXPECT_TRUE(text.starts_with("a2616582a4616b5820"));
  EXPECT_NE(text.find("a4616b43" + hex(as_bytes("p2j")) + "6170181d6174f66176"), std::string::npos);
  EXPECT_TRUE(text.ends_with("616cf6"));
}

TEST(Node, IsRefusedWhenCutOrExtendedAnywhere) {
  const Bytes block = encode_node(node_of(layer0_keys(5)));
  ASSERT_TRUE(decode_node(block));
  for (std::size_t n = 0; n < block.size(); ++n) EXPECT_FALSE(decode_node(BytesView(block).first(n))) << n;
  Bytes longer = block;
  longer.push_back(0xf6);
  EXPECT_FALSE(decode_node(longer));
}

// Whatever is accepted is canonical: no two blocks mean the same node.
TEST(Node, FlippedBitsNeverGiveASecondEncoding) {
  const Bytes block = encode_node(node_of(layer0_keys(4)));
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    Bytes changed = block;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    if (const auto node = decode_node(changed)) EXPECT_EQ(encode_node(*node), changed) << bit;
  }
}

// One entry as bytes, with whatever prefix length and suffix the liar wants.
std::string entry(std::string_view suffix, unsigned prefix, std::string_view tree = "f6") {
  const std::string size = suffix.size() < 24 ? fmt::format("{:02x}", 0x40 + suffix.size())
                                              : fmt::format("58{:02x}", suffix.size());
  const std::string p = prefix < 24 ? fmt::format("{:02x}", prefix) : fmt::format("18{:02x}", prefix);
  return "a4616b" + size + hex(as_bytes(suffix)) + "6170" + p + "6174" + std::string(tree) +
         "6176d82a582500" + hex(k_leaf.bytes());
}

std::optional<ErrorKind> error_of(const std::string& text) {
  const auto bytes = from_hex(text);
  EXPECT_TRUE(bytes) << text;
  const auto node = decode_node(*bytes);
  return node ? std::nullopt : std::optional(node.error().kind);
}

TEST(Node, FromAHostilePeerIsRefused) {
  const std::string a = "com.example.record/3jqfcqzm3fo2j",
                    b = "com.example.record/3jqfcqzm3fp2j";     // layer 0
  const std::string high = "com.example.record/3jqfcqzm3fs2j";  // layer 1
  const std::string link = "d82a582500" + hex(Cid::of_dag_cbor(as_bytes("x")).bytes());
  const std::string raw_link = "d82a582500" + hex(Cid::of_raw(as_bytes("x")).bytes());
  const auto node = [](const std::string& count, const std::string& entries, const std::string& left = "f6") {
    return "a26165" + count + entries + "616c" + left;
  };
  ASSERT_EQ(error_of(node("82", entry(a, 0) + entry("p2j", 29))), std::nullopt);

  struct Row {
    const char* why;
    std::string bytes;
    ErrorKind kind;
  };
  const Row rows[] = {
      {"the prefix is longer than the key before", node("82", entry(a, 0) + entry("p2j", 33)),
       ErrorKind::bad_node},
      {"the prefix is shorter than what is shared", node("82", entry(a, 0) + entry("fp2j", 28)),
       ErrorKind::bad_node},
      {"nothing is elided", node("82", entry(a, 0) + entry(b, 0)), ErrorKind::bad_node},
      {"the first key has a prefix", node("81", entry(a, 1)), ErrorKind::bad_node},
      {"keys descend", node("82", entry(b, 0) + entry("o2j", 29)), ErrorKind::bad_node},
      {"a key comes twice", node("82", entry(a, 0) + entry("", 32)), ErrorKind::bad_node},
      {"two layers in one node", node("82", entry(a, 0) + entry("s2j", 29)), ErrorKind::wrong_layer},
      {"a child below layer 0", node("81", entry(a, 0, link)), ErrorKind::wrong_layer},
      {"a left child below layer 0", node("81", entry(a, 0), link), ErrorKind::wrong_layer},
      {"a child that is no DAG-CBOR", node("81", entry(high, 0, raw_link)), ErrorKind::bad_node},
      {"a left child that is no DAG-CBOR", node("81", entry(high, 0), raw_link), ErrorKind::bad_node},
      {"the key is no path", node("81", entry("no-slash", 0)), ErrorKind::bad_key},
      {"the key is empty", node("81", entry("", 0)), ErrorKind::bad_key},
      {"the count is not in its shortest form", node("9801", entry(a, 0)), ErrorKind::bad_node},
      {"the count needs two bytes but has four", node("9a00000001", entry(a, 0)), ErrorKind::bad_node},
      {"an indefinite array", node("9f", entry(a, 0) + "ff"), ErrorKind::bad_node},
      {"more entries announced than there are", node("82", entry(a, 0)), ErrorKind::bad_node},
      {"a count of 2^64-1", node("9bffffffffffffffff", entry(a, 0)), ErrorKind::bad_node},
      {"l before e", "a2616cf6616580", ErrorKind::bad_node},
      {"no l", "a1616580", ErrorKind::bad_node},
      {"another field", "a3616580616cf66178f6", ErrorKind::bad_node},
      {"no map", "80", ErrorKind::bad_node},
      {"nothing", "", ErrorKind::bad_node},
  };
  for (const Row& row : rows) EXPECT_EQ(error_of(row.bytes), row.kind) << row.why;
}

TEST(Node, HasAtMost512Entries) {
  const auto keys = layer0_keys(k_max_node_entries + 1);
  EXPECT_TRUE(decode_node(encode_node(node_of({keys.begin(), keys.end() - 1}))));
  const Bytes longer = encode_node(node_of(keys));
  EXPECT_EQ(entry_count(longer), k_max_node_entries + 1);
  EXPECT_EQ(decode_node(longer).error().kind, ErrorKind::bad_node);
}

}  // namespace
}  // namespace latchkey::mst

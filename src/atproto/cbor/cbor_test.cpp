#include "atproto/cbor/cbor.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/encoding.h"

namespace latchkey::cbor {

// For failure messages.
void PrintTo(const CborError& e, std::ostream* out) { *out << e.message() << " at " << e.offset; }

namespace {

using Code = CborError::Code;

Bytes from(std::string_view hex_text) { return from_hex(hex_text).value(); }

std::optional<Code> error_of(BytesView block, const Limits& limits = {}) {
  const auto decoded = decode(block, limits);
  const auto validated = validate(block, limits);
  EXPECT_EQ(decoded.has_value(), validated.has_value())
      << hex(block.first(std::min<std::size_t>(block.size(), 64)));
  if (decoded) return std::nullopt;
  if (!validated) EXPECT_EQ(decoded.error().code, validated.error().code);
  return decoded.error().code;
}

const Cid k_cid = Cid::of_dag_cbor(as_bytes("x"));

TEST(Cbor, ValuesHaveOneFormBothWays) {
  struct Row {
    Value value;
    std::string_view hex_text;
  };
  // RFC 8949 appendix A where it fits the data model.
  const Row rows[] = {
      {0, "00"},
      {1, "01"},
      {10, "0a"},
      {23, "17"},
      {24, "1818"},
      {25, "1819"},
      {100, "1864"},
      {255, "18ff"},
      {256, "190100"},
      {1000, "1903e8"},
      {65535, "19ffff"},
      {65536, "1a00010000"},
      {1000000, "1a000f4240"},
      {std::int64_t{0xffff'ffff}, "1affffffff"},
      {std::int64_t{0x1'0000'0000}, "1b0000000100000000"},
      {std::int64_t{1000000000000}, "1b000000e8d4a51000"},
      {std::numeric_limits<std::int64_t>::max(), "1b7fffffffffffffff"},
      {-1, "20"},
      {-10, "29"},
      {-24, "37"},
      {-25, "3818"},
      {-100, "3863"},
      {-256, "38ff"},
      {-257, "390100"},
      {-1000, "3903e7"},
      {std::numeric_limits<std::int64_t>::min(), "3b7fffffffffffffff"},
      {false, "f4"},
      {true, "f5"},
      {nullptr, "f6"},
      {Bytes{}, "40"},
      {Bytes{1, 2, 3, 4}, "4401020304"},
      {"", "60"},
      {"a", "6161"},
      {"IETF", "6449455446"},
      {"\"\\", "62225c"},
      {"\xc3\xbc", "62c3bc"},
      {"\xe6\xb0\xb4", "63e6b0b4"},
      {"\xf0\x90\x85\x91", "64f0908591"},
      {Array{}, "80"},
      {Array{1, 2, 3}, "83010203"},
      {Array{1, Array{2, 3}, Array{4, 5}}, "8301820203820405"},
      {Map{}, "a0"},
      {Map{{"a", 1}, {"b", Array{2, 3}}}, "a26161016162820203"},
      {Array{"a", Map{{"b", "c"}}}, "826161a161626163"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(hex(encode(row.value)), row.hex_text);
    const auto decoded = decode(from(row.hex_text));
    ASSERT_TRUE(decoded) << row.hex_text << ": " << decoded.error().message();
    EXPECT_EQ(*decoded, row.value) << row.hex_text;
  }
}

TEST(Cbor, LinksAreTag42OverAnIdentityPrefixedCid) {
  const auto block = encode(k_cid);
  EXPECT_EQ(hex(block), "d82a582500" + hex(k_cid.bytes()));
  EXPECT_EQ(decode(block).value(), Value(k_cid));
}

TEST(Cbor, MapKeysAreSortedByLengthThenBytes) {
  const Map map{{"bb", 1}, {"a", 2}, {"aaa", 3}, {"b", 4}, {"", 5}, {"\xc3\xbc", 6}, {"a", 7}};
  std::string order;
  for (const auto& [key, value] : map) order += key + ",";
  EXPECT_EQ(order, ",a,b,bb,\xc3\xbc,aaa,");
  EXPECT_EQ(*map.find("a")->integer(), 7) << "of equal keys the last one stays";
  EXPECT_EQ(decode(encode(map)).value(), Value(map));
}

TEST(Cbor, MapIsChangedInPlace) {
  Map map{{"b", 1}};
  map.set("a", 2).set("ccc", 3).set("b", 4);
  EXPECT_EQ(map, (Map{{"a", 2}, {"b", 4}, {"ccc", 3}}));
  EXPECT_TRUE(map.erase("b"));
  EXPECT_FALSE(map.erase("b"));
  EXPECT_EQ(map.find("b"), nullptr);
  EXPECT_EQ(map.size(), 2u);
  *map.find("a") = Value("x");
  EXPECT_EQ(*Value(map).string_at("a"), "x");
  EXPECT_EQ(Value(map).integer_at("a"), nullptr);
  EXPECT_EQ(Value(3).find("a"), nullptr);
}

TEST(Cbor, EverythingElseIsRefused) {
  const std::string cid = hex(k_cid.bytes());
  std::string other_hash = cid;
  other_hash[5] = '3';  // hash 0x13
  struct Row {
    std::string hex_text;
    Code code;
    const char* why;
  };
  const Row rows[] = {
      {"", Code::truncated, "nothing at all"},
      {"0000", Code::trailing_bytes, "two items"},
      {"a000", Code::trailing_bytes, "an item after a map"},
      {"8000", Code::trailing_bytes, "an item after an array"},
      {"18", Code::truncated, "argument missing"},
      {"19ff", Code::truncated, "argument cut"},
      {"1bffffffffffff", Code::truncated, "argument cut"},
      {"6261", Code::truncated, "text cut"},
      {"42ff", Code::truncated, "bytes cut"},
      {"81", Code::truncated, "element missing"},
      {"8201", Code::truncated, "second element missing"},
      {"a1", Code::truncated, "key missing"},
      {"a16161", Code::truncated, "value missing"},
      {"a1616182", Code::truncated, "inner elements missing"},

      {"1800", Code::not_minimal, "0 in two bytes"},
      {"1817", Code::not_minimal, "23 in two bytes"},
      {"1900ff", Code::not_minimal, "255 in three"},
      {"1a0000ffff", Code::not_minimal, "65535 in five"},
      {"1b00000000ffffffff", Code::not_minimal, "2^32-1 in nine"},
      {"3817", Code::not_minimal, "-24 in two"},
      {"580161", Code::not_minimal, "length of bytes"},
      {"780161", Code::not_minimal, "length of text"},
      {"980101", Code::not_minimal, "length of an array"},
      {"b801616101", Code::not_minimal, "length of a map"},
      {"d9002a58250001", Code::not_minimal, "number of a tag"},

      {"1b8000000000000000", Code::integer_range, "2^63"},
      {"1bffffffffffffffff", Code::integer_range, "2^64-1"},
      {"3b8000000000000000", Code::integer_range, "-2^63-1"},
      {"3bffffffffffffffff", Code::integer_range, "-2^64"},

      {"f90000", Code::float_, "half 0.0"},
      {"fa47c35000", Code::float_, "single"},
      {"fb3ff199999999999a", Code::float_, "double"},
      {"fb7ff8000000000000", Code::float_, "NaN"},
      {"f97c00", Code::float_, "infinity"},

      {"9fff", Code::indefinite, "array"},
      {"bfff", Code::indefinite, "map"},
      {"5fff", Code::indefinite, "bytes"},
      {"7f61616162ff", Code::indefinite, "text"},
      {"ff", Code::indefinite, "break"},
      {"81ff", Code::indefinite, "break as an element"},

      {"f7", Code::simple_value, "undefined"},
      {"e0", Code::simple_value, "simple(0)"},
      {"f3", Code::simple_value, "simple(19)"},
      {"f814", Code::simple_value, "false in two bytes"},
      {"f8ff", Code::simple_value, "simple(255)"},
      {"fc", Code::simple_value, "reserved"},
      {"1c", Code::simple_value, "reserved integer head"},
      {"7e", Code::simple_value, "reserved text head"},

      {"c074323031332d30332d32315432303a30343a30305a", Code::tag, "date"},
      {"c1514b67b0", Code::tag, "epoch"},
      {"c249010000000000000000", Code::tag, "bignum"},
      {"d8184101", Code::tag, "embedded CBOR"},
      {"d9d9f700", Code::tag, "self-described CBOR"},
      {"d82b40", Code::tag, "43"},

      {"d82a", Code::truncated, "tag without content"},
      {"d82a582500" + cid.substr(0, 70), Code::truncated, "a byte short"},
      {"d82a5825" + cid + "00", Code::bad_link, "no 0x00 in front"},
      {"d82a582501" + cid, Code::bad_link, "another multibase"},
      {"d82a582500" + other_hash, Code::bad_link, "another hash"},
      {"d82a782500" + cid, Code::bad_link, "text in place of bytes"},
      {"d82a582600" + cid + "00", Code::bad_link, "a byte more"},
      {"d82a59002500" + cid, Code::bad_link, "length not in its shortest form"},

      {"a10100", Code::key_type, "integer key"},
      {"a1416100", Code::key_type, "bytes key"},
      {"a1f600", Code::key_type, "null key"},
      {"a1d82a582500" + cid + "00", Code::key_type, "link key"},
      {"a1a000", Code::key_type, "map key"},
      {"a2616200616100", Code::key_order, "b before a"},
      {"a262616100616200", Code::key_order, "long before short"},
      {"a2616100616100", Code::key_order, "a twice"},
      {"a260006000", Code::key_order, "the empty key twice"},
      {"a26161a1616200616100", Code::key_order, "a twice, with a map between"},

      {"61ff", Code::utf8, "no UTF-8 at all"},
      {"62c328", Code::utf8, "broken continuation"},
      {"62c080", Code::utf8, "overlong NUL"},
      {"63eda080", Code::utf8, "surrogate"},
      {"64f4908080", Code::utf8, "beyond U+10FFFF"},
      {"61c3", Code::utf8, "cut within a character"},
      {"a161ff00", Code::utf8, "in a key"},

      {"5affffffff", Code::truncated, "4 GiB of bytes announced"},
      {"7bffffffffffffffff", Code::truncated, "2^64-1 bytes of text announced"},
      {"9bffffffffffffffff", Code::container_length, "2^64-1 elements announced"},
      {"bb7fffffffffffffff", Code::container_length, "2^63-1 members announced"},
      {"9a0001ffff", Code::truncated, "131071 elements announced, none there"},
      {"ba0001ffff", Code::truncated, "131071 members announced, none there"},
      {"82830100", Code::truncated, "the inner array takes what the outer is owed"},
  };
  for (const auto& row : rows) {
    const auto code = error_of(from(row.hex_text));
    ASSERT_TRUE(code) << row.why << ": " << row.hex_text;
    EXPECT_EQ(*code, row.code) << row.why << ": " << row.hex_text << ": " << CborError{*code, 0}.message();
  }
}

TEST(Cbor, NestingHasALimit) {
  const auto nested = [](std::size_t depth, bool maps) {
    Bytes block;
    for (std::size_t i = 0; i + 1 < depth; ++i) append(block, maps ? from("a16161") : from("81"));
    block.push_back(maps ? 0xa0 : 0x80);
    return block;
  };
  for (const bool maps : {false, true}) {
    EXPECT_EQ(error_of(nested(32, maps)), std::nullopt);
    EXPECT_EQ(error_of(nested(33, maps)), Code::too_deep);
    EXPECT_EQ(error_of(nested(3, maps), {.depth = 3}), std::nullopt);
    EXPECT_EQ(error_of(nested(4, maps), {.depth = 3}), Code::too_deep);
    // However large the caller's wish, the reader's own stack ends.
    EXPECT_EQ(error_of(nested(Limits::k_max_depth, maps), {.depth = 1000}), std::nullopt);
    EXPECT_EQ(error_of(nested(Limits::k_max_depth + 1, maps), {.depth = 1000}), Code::too_deep);
  }
  EXPECT_EQ(error_of(nested(100'000, false)), Code::too_deep);
  // Siblings are no nesting.
  Bytes flat = from("991000");
  for (int i = 0; i < 0x1000; ++i) append(flat, from("8180"));
  EXPECT_EQ(error_of(flat), std::nullopt);
}

TEST(Cbor, ContainersHaveALimit) {
  const auto array = [](std::size_t n) {
    Bytes block;
    Writer out(block);
    out.array(n);
    block.insert(block.end(), n, 0xf6);
    return block;
  };
  const auto map = [](std::size_t n) {
    Bytes block;
    Writer out(block);
    out.map(n);
    for (std::size_t i = 0; i < n; ++i) {
      out.text(std::to_string(1'000'000 + i));
      out.null();
    }
    return block;
  };
  const Limits roomy{.size = 8 << 20};
  EXPECT_EQ(error_of(array(131'072), roomy), std::nullopt);
  EXPECT_EQ(error_of(array(131'073), roomy), Code::container_length);
  EXPECT_EQ(error_of(map(131'072), roomy), std::nullopt);
  EXPECT_EQ(error_of(map(131'073), roomy), Code::container_length);
  EXPECT_EQ(error_of(array(5), {.container = 5}), std::nullopt);
  EXPECT_EQ(error_of(array(6), {.container = 5}), Code::container_length);
}

TEST(Cbor, KeysHaveALimit) {
  const auto with_key = [](std::size_t n) { return encode(Map{{std::string(n, 'k'), 1}}); };
  EXPECT_EQ(error_of(with_key(8192)), std::nullopt);
  EXPECT_EQ(error_of(with_key(8193)), Code::key_length);
  EXPECT_EQ(error_of(with_key(3), {.key = 3}), std::nullopt);
  EXPECT_EQ(error_of(with_key(4), {.key = 3}), Code::key_length);
  EXPECT_EQ(error_of(encode(std::string(9000, 'v'))), std::nullopt) << "values are not keys";
}

TEST(Cbor, BlocksHaveALimit) {
  const auto of_size = [](std::size_t n) { return encode(Bytes(n - 5)); };  // a head of five bytes
  ASSERT_EQ(of_size(1'048'576).size(), 1'048'576u);
  EXPECT_EQ(error_of(of_size(1'048'576)), std::nullopt);
  EXPECT_EQ(error_of(of_size(1'048'577)), Code::too_large);
  EXPECT_EQ(error_of(of_size(70'000), {.size = 70'000}), std::nullopt);
  EXPECT_EQ(error_of(of_size(70'001), {.size = 70'000}), Code::too_large);
}

TEST(Cbor, EncodingTextThatIsNotUtf8IsABug) {
  EXPECT_THROW(encode("\xff"), std::invalid_argument);
  EXPECT_THROW(encode(Map{{"\xff", 1}}), std::invalid_argument);
}

TEST(Cbor, ErrorsSayWhere) {
  const auto decoded = decode(from("a26161016162f7"));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().offset, 6u);
  EXPECT_EQ(decoded.error().message(), "unknown simple value");
}

// ---- Reader

Result<std::string, CborError> read_by_hand(BytesView block) {
  Reader in(block);
  std::string seen;
  TRY(auto members, in.map());
  for (; members > 0; --members) {
    TRY(const auto key, in.text());
    seen += std::string(key) + "=";
    if (key == "c") {
      TRY(const auto cid, in.cid());
      seen += cid.str();
    } else if (key == "i") {
      TRY(const auto i, in.integer());
      seen += std::to_string(i);
    } else if (key == "b") {
      TRY(const auto b, in.boolean());
      seen += b ? "yes" : "no";
    } else if (key == "n") {
      seen += in.take_null() ? "null" : "?";
      seen += in.take_null() ? "null" : "";
    } else if (key == "raw") {
      TRY(const auto bytes, in.bytes());
      seen += hex(bytes);
    } else {
      TRY_VOID(in.skip());
      seen += "skipped";
    }
    seen += ";";
  }
  TRY_VOID(in.finish());
  return seen;
}

TEST(CborReader, ReadsWithoutATree) {
  const Map map{{"c", k_cid},   {"i", -5},           {"b", true},
                {"n", nullptr}, {"raw", Bytes{255}}, {"other", Array{1, Map{{"x", Array{}}}, "y"}}};
  EXPECT_EQ(read_by_hand(encode(map)).value(),
            "b=yes;c=" + k_cid.str() + ";i=-5;n=null;raw=ff;other=skipped;");
}

TEST(CborReader, RefusesAnotherKindThanAskedFor) {
  for (const auto& value : {Value(Map{{"c", "text"}}), Value(Map{{"i", true}}), Value(Map{{"raw", "text"}}),
                            Value(Array{}), Value(Map{{"b", nullptr}})})
    EXPECT_EQ(read_by_hand(encode(value)).error().code, Code::unexpected_kind);
  const Bytes text = encode("text");
  Reader in(text);
  EXPECT_EQ(in.array().error().code, Code::unexpected_kind);
}

TEST(CborReader, FinishWantsTheWholeBlock) {
  const Bytes block = encode(Array{1, 2});
  Reader in(block);
  EXPECT_EQ(in.finish().error().code, Code::truncated);
  EXPECT_EQ(in.array().value(), 2u);
  EXPECT_TRUE(in.skip());
  EXPECT_EQ(in.finish().error().code, Code::truncated);
  EXPECT_EQ(in.integer().value(), 2);
  EXPECT_TRUE(in.finish());
  EXPECT_FALSE(in.next()) << "nothing is left";
  EXPECT_FALSE(in.skip());
  EXPECT_FALSE(in.take_null());
}

}  // namespace
}  // namespace latchkey::cbor

#include "atproto/cbor/json.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/encoding.h"

namespace latchkey::cbor {
namespace {

constexpr std::string_view k_link = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
constexpr std::string_view k_blob_link = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";

json::Value fixture(const std::string& name) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES "/") + name);
  EXPECT_TRUE(in) << name;
  std::stringstream text;
  text << in.rdbuf();
  auto parsed = json::parse(text.str());
  EXPECT_TRUE(parsed) << name;
  return *std::move(parsed);
}

json::Value parsed(std::string_view text) { return json::parse(text).value(); }

std::string written(BytesView block) {
  std::string out;
  EXPECT_TRUE(write_json(block, out));
  return out;
}

// ---- The interop files

TEST(DataModelFixtures, JsonCborAndCidBelongTogether) {
  const auto cases = fixture("data-model/data-model-fixtures.json");
  ASSERT_GE(cases.array()->size(), 3u);
  for (const auto& c : *cases.array()) {
    const auto& json_form = *c.find("json");
    const Bytes block = from_base64(*c.string_at("cbor_base64")).value();
    const auto value = record_from_json(json_form);
    ASSERT_TRUE(value) << value.error().str();
    EXPECT_EQ(hex(encode(*value)), hex(block));
    EXPECT_EQ(Cid::of_dag_cbor(block).str(), *c.string_at("cid"));
    const auto decoded = decode(block);
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(*decoded, Value(*value));
    EXPECT_EQ(to_json(*decoded), json_form);
    EXPECT_EQ(parsed(written(block)), json_form);
    EXPECT_EQ(written(block), to_json(*decoded).dump());
  }
}

TEST(DataModelFixtures, ValidOnesAreReadAndKept) {
  const auto cases = fixture("data-model/data-model-valid.json");
  ASSERT_GE(cases.array()->size(), 5u);
  for (const auto& c : *cases.array()) {
    const auto& note = *c.string_at("note");
    const auto value = record_from_json(*c.find("json"));
    ASSERT_TRUE(value) << note << ": " << value.error().str();
    const Bytes block = encode(*value);
    EXPECT_EQ(decode(block).value(), Value(*value)) << note;
    EXPECT_EQ(from_json(parsed(written(block))).value(), Value(*value)) << note;
  }
}

TEST(DataModelFixtures, InvalidOnesAreRefused) {
  const auto cases = fixture("data-model/data-model-invalid.json");
  ASSERT_GE(cases.array()->size(), 12u);
  for (const auto& c : *cases.array()) {
    const auto& note = *c.string_at("note");
    EXPECT_FALSE(record_from_json(*c.find("json"))) << note;
    // A text alone is a value of the data model, only no record.
    EXPECT_EQ(from_json(*c.find("json")).has_value(), note == "top-level not an object") << note;
  }
}

TEST(LexiconFixtures, RecordsPassTheDataModel) {
  // Valid records pass. The invalid ones break their schema, but only those named here break the data model.
  const auto valid = fixture("lexicon/record-data-valid.json");
  ASSERT_GE(valid.array()->size(), 3u);
  for (const auto& c : *valid.array()) {
    const auto value = record_from_json(*c.find("data"));
    ASSERT_TRUE(value) << *c.string_at("name") << ": " << value.error().str();
    EXPECT_EQ(decode(encode(*value)).value(), Value(*value)) << *c.string_at("name");
  }
  const auto invalid = fixture("lexicon/record-data-invalid.json");
  ASSERT_GE(invalid.array()->size(), 40u);
  for (const auto& c : *invalid.array()) {
    const auto value = record_from_json(*c.find("data"));
    EXPECT_TRUE(value) << *c.string_at("name") << ": " << value.error().str();
  }
}

TEST(LexiconFixtures, SchemasAreReadable) {
  for (const auto& entry : std::filesystem::directory_iterator(LATCHKEY_FIXTURES "/lexicon/catalog")) {
    const auto schema = fixture("lexicon/catalog/" + entry.path().filename().string());
    EXPECT_TRUE(record_from_json(schema)) << entry.path();
  }
  for (const auto* name : {"lexicon/lexicon-valid.json", "lexicon/lexicon-invalid.json"})
    EXPECT_TRUE(fixture(name).array()) << name;
}

// ---- Rules one by one

TEST(FromJson, LinksAndBytesBecomeValues) {
  EXPECT_EQ(from_json(parsed(R"({"$link":")" + std::string(k_link) + R"("})")).value(),
            Value(Cid::parse(k_link).value()));
  EXPECT_EQ(from_json(parsed(R"({"$bytes":"AQID"})")).value(), Value(Bytes{1, 2, 3}));
  EXPECT_EQ(from_json(parsed(R"({"$bytes":""})")).value(), Value(Bytes{}));
  EXPECT_FALSE(record_from_json(parsed(R"({"$bytes":"AQID"})"))) << "a record is an object";
}

TEST(FromJson, BytesMayBePaddedAndHaveStrayBits) {
  for (const auto* text :
       {R"({"$bytes":"AQ"})", R"({"$bytes":"AQ=="})", R"({"$bytes":"AR"})", R"({"$bytes":"AR=="})"})
    EXPECT_EQ(from_json(parsed(text)).value(), Value(Bytes{1})) << text;
  for (const auto* text :
       {R"({"$bytes":"AQI"})", R"({"$bytes":"AQI="})", R"({"$bytes":"AQJ"})", R"({"$bytes":"AQJ="})"})
    EXPECT_EQ(from_json(parsed(text)).value(), Value((Bytes{1, 2}))) << text;
  for (const auto* text :
       {R"({"$bytes":"A"})", R"({"$bytes":"AQIDA"})", R"({"$bytes":"AQ="})", R"({"$bytes":"AQ==="})",
        R"({"$bytes":"="})", R"({"$bytes":"===="})", R"({"$bytes":"A==="})", R"({"$bytes":"A Q"})",
        R"({"$bytes":"_-_-"})", R"({"$bytes":"AQ\n"})", R"({"$bytes":"A!"})", R"({"$bytes":null})"})
    EXPECT_FALSE(from_json(parsed(text))) << text;
}

TEST(FromJson, ReservedKeysMustBeWellFormed) {
  struct Row {
    std::string text;
    const char* why;
  };
  const std::string link = "\"" + std::string(k_link) + "\"";
  const Row rows[] = {
      {R"({"$link":null})", "null"},
      {R"({"$link":{}})", "object"},
      {R"({"$link":""})", "empty"},
      {R"({"$link":"zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7"})", "base58"},
      {R"({"$link":"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"})", "version 0"},
      {R"({"$link":"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"})", "codec dag-pb"},
      {R"({"$link":)" + link + R"(,"$type":"x"})", "$type beside $link"},
      {R"({"$link":)" + link + R"(,"$bytes":"AQ"})", "$bytes beside $link"},
      {R"({"$bytes":"AQ","x":1})", "x beside $bytes"},
      {R"({"$type":"","x":1})", "empty $type"},
      {R"({"$type":["a"]})", "$type no string"},
      {R"({"a":[{"b":{"$type":null}}]})", "at any depth"},
      {R"({"":1})", "empty key"},
  };
  for (const auto& row : rows) EXPECT_FALSE(from_json(parsed(row.text))) << row.why;
  EXPECT_TRUE(from_json(parsed(R"({"$unknown":1,"$type":"a.b.c"})"))) << "others with $ are left alone";
}

TEST(FromJson, IntegersAreThoseJavaScriptHolds) {
  for (const auto* text :
       {"9007199254740991", "-9007199254740991", "0", "-0", "123.0", "1e3", "-0.0", "9007199254740991.0"})
    EXPECT_TRUE(from_json(parsed(text))) << text;
  EXPECT_EQ(from_json(parsed("1e3")).value(), Value(1000));
  EXPECT_EQ(from_json(parsed("-0.0")).value(), Value(0));
  for (const auto* text : {"9007199254740992", "-9007199254740992", "9007199254740992.0",
                           "9223372036854775807", "9223372036854775808", "18446744073709551615",
                           "18446744073709551616", "1e19", "1e300", "0.5", "-123.456", "1e-3", "5e-324"}) {
    const auto number = json::parse(text);  // refuses some by itself
    EXPECT_FALSE(number && from_json(*number)) << text;
  }
  EXPECT_FALSE(from_json(json::Value(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_FALSE(from_json(json::Value(std::numeric_limits<double>::infinity())));
}

TEST(FromJson, TextThatJsonRefusesNeverGetsHere) {
  for (const auto* text : {R"({"a":1,"a":2})", R"("\ud800")", R"("\udc00\ud800")", "\"\xff\"", R"({"a":1}x)"})
    EXPECT_FALSE(json::parse(text)) << text;
  EXPECT_EQ(from_json(parsed(R"("\ud83d\ude00\u0000")")).value(),
            Value(std::string("\xf0\x9f\x98\x80\0", 5)));
  json::Object twice;
  twice.append("a", 1);
  twice.append("a", 2);
  EXPECT_FALSE(from_json(twice)) << "an object built by a program may repeat a key; the data model may not";
}

TEST(FromJson, NestingHasALimit) {
  const auto nested = [](std::size_t depth, std::string_view inner) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += i % 2 ? R"({"a":)" : "[";
    text += inner;
    for (std::size_t i = depth; i-- > 0;) text += i % 2 ? "}" : "]";
    return text;
  };
  EXPECT_TRUE(from_json(parsed(nested(32, "1"))));
  EXPECT_FALSE(from_json(parsed(nested(33, "1"))));
  EXPECT_TRUE(from_json(parsed(nested(32, R"({"$bytes":"AQ"})")))) << "bytes are a leaf";
  EXPECT_TRUE(from_json(parsed(nested(3, "1")), {.depth = 3}));
  EXPECT_FALSE(from_json(parsed(nested(4, "1")), {.depth = 3}));
  EXPECT_FALSE(json::parse(nested(100'000, "1"))) << "the JSON reader stops before";
}

TEST(FromJson, ContainersAndKeysHaveLimits) {
  EXPECT_TRUE(from_json(json::Array(131'072, json::Value(1))));
  EXPECT_FALSE(from_json(json::Array(131'073, json::Value(1))));
  const auto object = [](std::size_t n) {
    json::Object out;
    for (std::size_t i = n; i > 0; --i) out.append("k" + std::to_string(i), 1);
    return out;
  };
  EXPECT_TRUE(from_json(object(131'072))) << "in wrong order, and done in a moment";
  EXPECT_FALSE(from_json(object(131'073)));
  EXPECT_TRUE(from_json(json::Object{{std::string(8192, 'k'), 1}}));
  EXPECT_FALSE(from_json(json::Object{{std::string(8193, 'k'), 1}}));
}

TEST(FromJson, ErrorsSayWhere) {
  const auto read = from_json(parsed(R"({"a":[1,{"b":0.5}]})"));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().path, "a/1/b");
  EXPECT_EQ(read.error().str(), "a/1/b: float");
}

TEST(WriteJson, GivesWhatTheTreeGives) {
  using namespace std::string_literals;
  const Map map{{"text", "a\"\\\n\r\t\x01\x7f/\0\xf0\x9f\x98\x80 and some more plain text"s},
                {"empty", ""},
                {"i", std::numeric_limits<std::int64_t>::min()},
                {"j", std::numeric_limits<std::int64_t>::max()},
                {"t", true},
                {"f", false},
                {"n", nullptr},
                {"bytes", Bytes{1, 2, 3, 4}},
                {"link", Cid::parse(k_link).value()},
                {"list", Array{Array{}, Map{}, Array{1, "x"}}}};
  const Bytes block = encode(map);
  EXPECT_EQ(written(block), to_json(map).dump());
  EXPECT_EQ(parsed(written(block)), to_json(map));
  EXPECT_EQ(written(encode("x")), R"("x")");
}

TEST(WriteJson, EscapesWhateverTheRunLengths) {
  for (std::size_t before = 0; before < 20; ++before)
    for (std::size_t after = 0; after < 12; ++after)
      for (const char c : {'"', '\\', '\x1f', '\x7f', ' ', '\x21'}) {
        const std::string text = std::string(before, 'a') + c + std::string(after, 'b');
        EXPECT_EQ(parsed(written(encode(text))), json::Value(text));
      }
}

TEST(WriteJson, LeavesTheOutputAloneOnErrors) {
  std::string out = "before";
  Bytes block = encode(Map{{"a", Array{1, 2, "x"}}});
  EXPECT_FALSE(write_json(BytesView(block).first(block.size() - 1), out));
  EXPECT_EQ(out, "before");
  block.push_back(0);
  EXPECT_FALSE(write_json(block, out));
  EXPECT_EQ(out, "before");
  block.pop_back();
  EXPECT_FALSE(write_json(block, out, {.depth = 1}));
  EXPECT_TRUE(write_json(block, out));
  EXPECT_EQ(out, R"(before{"a":[1,2,"x"]})");
}

// ---- Blobs

std::string blob_json(std::string_view ref, std::string_view mime_type, std::string_view size) {
  return fmt::format(R"({{"$type":"blob","ref":{},"mimeType":{},"size":{}}})", ref, mime_type, size);
}

TEST(Blobs, MustBeWellFormed) {
  const std::string ref = R"({"$link":")" + std::string(k_blob_link) + R"("})";
  const auto good = from_json(parsed(blob_json(ref, R"("image/png")", "1")));
  ASSERT_TRUE(good) << good.error().str();
  const BlobRef expected{Cid::parse(k_blob_link).value(), "image/png", 1};
  EXPECT_EQ(as_blob(*good), expected);
  EXPECT_EQ(expected.to_value(), *good);

  EXPECT_FALSE(from_json(parsed(blob_json(ref, R"("image/png")", "0")))) << "size is positive";
  EXPECT_FALSE(from_json(parsed(blob_json(ref, R"("image/png")", "-1"))));
  EXPECT_FALSE(from_json(parsed(blob_json(ref, R"("image/png")", "null"))));
  EXPECT_FALSE(from_json(parsed(blob_json(ref, R"("")", "1")))) << "mimeType is not empty";
  EXPECT_FALSE(from_json(parsed(blob_json(ref, "5", "1"))));
  EXPECT_FALSE(from_json(parsed(blob_json("\"" + std::string(k_blob_link) + "\"", R"("image/png")", "1"))))
      << "ref is a link";
  EXPECT_FALSE(from_json(parsed(R"({"a":[{"$type":"blob"}]})"))) << "at any depth";
}

TEST(Blobs, OfStrangersAreFoundWhateverTheirSize) {
  const Cid cid = Cid::parse(k_blob_link).value();
  EXPECT_EQ(as_blob(BlobRef{cid, "image/png", -1}.to_value())->size, -1);
  EXPECT_FALSE(as_blob(Map{{"$type", "blob"}, {"ref", cid}}));
  EXPECT_FALSE(as_blob("blob"));
}

TEST(Blobs, LegacyFormIsRecognised) {
  const std::string cid(k_blob_link);
  EXPECT_TRUE(is_legacy_blob(Map{{"cid", cid}, {"mimeType", "image/png"}}));
  EXPECT_FALSE(is_legacy_blob(Map{{"cid", cid}, {"mimeType", "image/png"}, {"size", 1}}));
  EXPECT_FALSE(is_legacy_blob(Map{{"cid", "hello"}, {"mimeType", "image/png"}}));
  EXPECT_FALSE(is_legacy_blob(Map{{"cid", cid}, {"mimeType", ""}}));
  EXPECT_FALSE(is_legacy_blob(Map{{"cid", Cid::parse(cid).value()}, {"mimeType", "image/png"}}));
  EXPECT_FALSE(is_legacy_blob(cid));
}

TEST(Blobs, AreFoundAtAnyDepth) {
  const Cid cid = Cid::parse(k_blob_link).value();
  const BlobRef a{cid, "image/png", 1}, b{Cid::of_raw(as_bytes("b")), "image/jpeg", 2};
  const Value record = Map{{"x", Array{a.to_value(), Map{{"y", b.to_value()}}}}, {"z", a.to_value()}};
  const auto found = find_blobs(record);
  EXPECT_EQ(found.refs, (std::vector<BlobRef>{a, b, a}));
  EXPECT_FALSE(found.has_legacy);
  EXPECT_TRUE(find_blobs(Array{Map{{"q", Map{{"cid", cid.str()}, {"mimeType", "a/b"}}}}}).has_legacy);
}

}  // namespace
}  // namespace latchkey::cbor

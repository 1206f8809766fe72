#include <gtest/gtest.h>

#include "atproto/car/reader.h"
#include "atproto/car/writer.h"
#include "atproto/cbor/cbor.h"
#include "base/encoding.h"

namespace latchkey::car {
namespace {

using Code = CarError::Code;
using Blocks = std::vector<std::pair<Cid, Bytes>>;

std::pair<Cid, Bytes> block_of(const cbor::Value& value) {
  Bytes bytes = cbor::encode(value);
  const Cid cid = Cid::of_dag_cbor(bytes);
  return {cid, std::move(bytes)};
}

const Blocks k_blocks = {block_of("one"),
                         block_of(cbor::Map{{"two", 2}}),
                         block_of(Bytes(300, 7)),
                         {Cid::of_raw(as_bytes("raw")), to_bytes("raw")},
                         {Cid::of_raw({}), {}}};

Bytes car_of(std::span<const Cid> roots, const Blocks& blocks) {
  Bytes out;
  Writer writer(out);
  writer.header(roots);
  for (const auto& [cid, bytes] : blocks) writer.block(cid, bytes);
  return out;
}
Bytes car_of(const Blocks& blocks) { return car_of(std::span(&blocks[0].first, 1), blocks); }

// Feeds in pieces of `step` bytes.
Result<Contents, CarError> read_in_steps(BytesView car, std::size_t step, const Limits& limits = {}) {
  Contents contents;
  Reader reader([&](const Cid& cid, BytesView bytes) { contents.blocks.emplace_back(cid, to_bytes(bytes)); },
                limits);
  for (std::size_t at = 0; at < car.size(); at += step)
    TRY_VOID(reader.feed(car.subspan(at, std::min(step, car.size() - at))));
  TRY_VOID(reader.finish());
  EXPECT_EQ(reader.blocks(), contents.blocks.size());
  contents.roots = *reader.roots();
  return contents;
}

std::optional<Code> error_of(BytesView car, const Limits& limits = {}) {
  const auto whole = read_all(car, limits);
  const auto bytewise = read_in_steps(car, 1, limits);
  EXPECT_EQ(whole.has_value(), bytewise.has_value());
  if (whole) return std::nullopt;
  if (!bytewise) EXPECT_EQ(whole.error().code, bytewise.error().code);
  return whole.error().code;
}

// A header of these bytes, in place of a proper one.
Bytes with_header(BytesView header) {
  Bytes car = {static_cast<std::uint8_t>(header.size())};
  append(car, header);
  return car;
}

TEST(Car, HeaderIsThatOfTheSpecification) {
  // https://ipld.io/specs/transport/car/carv1/: length, then {"roots": [link], "version": 1} in DAG-CBOR
  Bytes out;
  Writer(out).header(k_blocks[0].first);
  EXPECT_EQ(hex(out),
            "3a"
            "a265726f6f747381d82a582500" +
                hex(k_blocks[0].first.bytes()) + "6776657273696f6e01");
}

TEST(Car, WhatWasWrittenIsReadInPiecesOfAnySize) {
  const Bytes car = car_of(k_blocks);
  for (const std::size_t step : {1, 2, 3, 7, 36, 37, 59, 60, 100, 400, 100'000}) {
    const auto read = read_in_steps(car, step);
    ASSERT_TRUE(read) << step << ": " << read.error().message();
    EXPECT_EQ(read->roots, std::vector{k_blocks[0].first});
    EXPECT_EQ(read->blocks, k_blocks);
  }
}

TEST(Car, SectionSizeIsWhatBlockAppends) {
  for (const std::size_t n : {0, 1, 91, 92, 16347, 16348, 100'000}) {
    const Bytes content(n, 1);
    Bytes out;
    Writer(out).block(Cid::of_raw(content), content);
    EXPECT_EQ(out.size(), Writer::section_size(n)) << n;
  }
}

TEST(Car, MayHaveNoBlocksSeveralRootsOrNone) {
  const std::vector<Cid> two = {k_blocks[0].first, k_blocks[1].first};
  EXPECT_EQ(read_all(car_of(two, {})).value().roots, two);
  EXPECT_EQ(read_all(car_of(std::span<const Cid>(), k_blocks)).value().roots.size(), 0u);
}

TEST(Car, RepeatedBlocksAreReportedAgain) {
  const Blocks twice = {k_blocks[0], k_blocks[0]};
  EXPECT_EQ(read_all(car_of(twice)).value().blocks, twice);
}

TEST(Car, EndsWithABlock) {
  const Bytes car = car_of(k_blocks);
  std::vector<std::size_t> ends = {0};
  {
    Bytes out;
    Writer writer(out);
    writer.header(k_blocks[0].first);
    ends = {out.size()};
    for (const auto& [cid, bytes] : k_blocks) {
      writer.block(cid, bytes);
      ends.push_back(out.size());
    }
  }
  for (std::size_t n = 0; n <= car.size(); ++n) {
    const bool whole = std::find(ends.begin(), ends.end(), n) != ends.end();
    const auto code = error_of(BytesView(car).first(n));
    if (whole)
      EXPECT_EQ(code, std::nullopt) << n;
    else
      EXPECT_EQ(code, Code::truncated) << n;
  }
}

TEST(Car, HeadersOfOtherKindsAreRefused) {
  const auto encoded = [](const cbor::Value& v) { return with_header(cbor::encode(v)); };
  const cbor::Value roots = cbor::Array{k_blocks[0].first};
  struct Row {
    Bytes car;
    const char* why;
  };
  const Row rows[] = {
      {{0x00}, "length zero"},
      {{0x01, 0xff}, "no CBOR"},
      {encoded(cbor::Map{{"roots", roots}, {"version", 2}}), "version 2"},
      {encoded(cbor::Map{{"roots", roots}}), "no version"},
      {encoded(cbor::Map{{"version", 1}}), "no roots"},
      {encoded(cbor::Map{{"roots", roots}, {"version", 1}, {"x", 1}}), "something more"},
      {encoded(cbor::Map{{"roots", roots}, {"version", "1"}}), "version as text"},
      {encoded(cbor::Map{{"roots", k_blocks[0].first}, {"version", 1}}), "roots no list"},
      {encoded(cbor::Map{{"roots", cbor::Array{"x"}}, {"version", 1}}), "root no link"},
      {encoded(cbor::Array{}), "no map"},
      {with_header(from_hex("a26776657273696f6e0165726f6f747380").value()), "keys unsorted"},
      {with_header(from_hex("a265726f6f7473806776657273696f6e0100").value()), "a byte after the map"},
      {to_bytes("\x0a\xa1gversion\x02"), "CAR version 2's pragma"},
  };
  for (const auto& row : rows) EXPECT_EQ(error_of(row.car), Code::header) << row.why;
}

TEST(Car, BlocksOfOtherKindsAreRefused) {
  const Bytes header = car_of({k_blocks[0]});
  const auto after_header = [&](std::string_view hex_text) {
    Bytes car = header;
    append(car, from_hex(hex_text).value());
    return car;
  };
  const std::string digest = hex(k_blocks[0].first.digest());
  const std::string content = hex(k_blocks[0].second);  // 4 bytes
  ASSERT_EQ(content.size(), 8u);
  struct Row {
    std::string hex_text;
    Code code;
    const char* why;
  };
  const Row rows[] = {
      {"28"
       "01711220" +
           digest + "646f6e66",
       Code::hash_mismatch, "one byte of the block changed"},
      {"24"
       "01711220" +
           digest,
       Code::hash_mismatch, "the block left out"},
      {"28"
       "01711320" +
           digest + content,
       Code::bad_cid, "another hash"},
      {"28"
       "01701220" +
           digest + content,
       Code::bad_cid, "codec dag-pb"},
      {"28"
       "00711220" +
           digest + content,
       Code::bad_cid, "version 0 as a number"},
      {"26"
       "1220" +
           digest + content,
       Code::bad_cid, "version 0"},
      {"28"
       "01550022" +
           digest + content + "00",
       Code::bad_cid, "identity"},
      {"05"
       "0155000161",
       Code::block_size, "identity, shorter than any CID of ours"},
      {"00", Code::block_size, "an empty section"},
      {"23"
       "01711220" +
           digest.substr(2),
       Code::block_size, "shorter than a CID"},
      {"808080808080808080", Code::varint, "nine bytes and no end"},
      {"ffffffffffffffffff01", Code::varint, "64 bits"},
      {"a800"
       "01711220" +
           digest + content,
       Code::varint, "40 in two bytes"},
      {"ffffffffffffffff7f", Code::block_size, "2^63-1 bytes announced"},
      {"ffffffff0f", Code::block_size, "4 GiB announced"},
      {"30"
       "01711220" +
           digest + content,
       Code::truncated, "more announced than there is"},
  };
  for (const auto& row : rows) EXPECT_EQ(error_of(after_header(row.hex_text)), row.code) << row.why;
}

TEST(Car, ErrorsNameTheSectionAndStay) {
  Bytes car = car_of(k_blocks);
  const std::size_t first_block = car_of({k_blocks[0]}).size();
  car[first_block + 1 + Cid::k_size] ^= 1;  // in the second block
  Blocks seen;
  Reader reader([&](const Cid& cid, BytesView bytes) { seen.emplace_back(cid, to_bytes(bytes)); });
  const auto fed = reader.feed(car);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, Code::hash_mismatch);
  EXPECT_EQ(fed.error().offset, first_block);
  EXPECT_EQ(seen, Blocks{k_blocks[0]});
  EXPECT_EQ(reader.feed(car_of(k_blocks)).error().code, Code::hash_mismatch) << "no second chance";
  EXPECT_EQ(reader.finish().error().code, Code::hash_mismatch);
  EXPECT_EQ(seen.size(), 1u);
}

TEST(Car, HeaderHasALimit) {
  const std::vector<Cid> many(99, k_blocks[0].first), more(100, k_blocks[0].first);
  const Bytes fits = car_of(many, {}), header_of_more = car_of(more, {});
  const std::size_t size = fits.size() - 2;  // two bytes of length
  EXPECT_EQ(error_of(fits), std::nullopt);
  EXPECT_EQ(error_of(header_of_more), Code::header_size) << "beyond 4096";
  EXPECT_EQ(error_of(fits, {.header = size}), std::nullopt);
  EXPECT_EQ(error_of(fits, {.header = size - 1}), Code::header_size);
}

TEST(Car, BlocksHaveALimit) {
  const Bytes content(2 << 20), larger((2 << 20) + 1);
  const Blocks fits = {{Cid::of_raw(content), content}}, exceeds = {{Cid::of_raw(larger), larger}};
  EXPECT_TRUE(read_all(car_of(fits)));
  EXPECT_EQ(read_all(car_of(exceeds)).error().code, Code::block_size);
  EXPECT_EQ(error_of(car_of({k_blocks[0]}), {.block = 4}), std::nullopt);
  EXPECT_EQ(error_of(car_of({k_blocks[0]}), {.block = 3}), Code::block_size);
}

TEST(Car, TheWholeHasLimits) {
  const Bytes car = car_of(k_blocks);
  EXPECT_EQ(error_of(car, {.total = car.size()}), std::nullopt);
  EXPECT_EQ(error_of(car, {.total = car.size() - 1}), Code::total_size);
  EXPECT_EQ(error_of(car, {.blocks = 5}), std::nullopt);
  EXPECT_EQ(error_of(car, {.blocks = 4}), Code::block_count);
}

}  // namespace
}  // namespace latchkey::car

#include "web/gunzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace latchkey::web {
namespace {

std::string gzip(std::string_view text) {
  z_stream z{};
  EXPECT_EQ(::deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(::deflateBound(&z, text.size()) + 100, 0);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

struct Pieces {
  std::string rest;
  std::size_t each;
  static Task<Result<std::optional<Bytes>, BodyError>> next(std::shared_ptr<Pieces> self) {
    if (self->rest.empty()) co_return std::optional<Bytes>();
    auto piece = to_bytes(self->rest.substr(0, self->each));
    self->rest.erase(0, self->each);
    co_return std::optional<Bytes>(std::move(piece));
  }
};

/// std::nullopt for an error.
std::optional<std::string> unpacked(std::string packed, std::size_t each = 1000, std::size_t most = 1 << 20) {
  Request request;
  auto pieces = std::make_shared<Pieces>(Pieces{std::move(packed), each});
  request.body_stream = [pieces] { return Pieces::next(pieces); };
  const auto stream = gunzip(BodyReader(request));
  std::string out;
  for (;;) {
    auto piece = run(stream());
    if (!piece) return std::nullopt;
    if (!*piece) return out;
    EXPECT_LE((*piece)->size(), 64u * 1024);
    out += as_text(**piece);
    if (out.size() > most) return out;
  }
}

TEST(Gunzip, UnpacksHoweverItComes) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i);
  for (const std::size_t each : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{1} << 20})
    EXPECT_EQ(unpacked(gzip(text), each), text) << each;
  EXPECT_EQ(unpacked(gzip("one, ") + gzip("two")), "one, two") << "RFC 1952 §2.2: several members";
  EXPECT_EQ(unpacked(gzip("")), "");
}

TEST(Gunzip, AttackPacked_WhatIsNoneOrHasNoEndIsRefused) {
  const std::string good = gzip("some words to pack");
  for (std::size_t cut = 1; cut < good.size(); ++cut)
    EXPECT_EQ(unpacked(good.substr(0, cut)), std::nullopt) << cut;
  std::string wrong_sum = good;
  wrong_sum[good.size() - 8] ^= 1;
  EXPECT_EQ(unpacked(wrong_sum), std::nullopt);
  EXPECT_EQ(unpacked("not packed"), std::nullopt);
  EXPECT_EQ(unpacked(good + "garbage"), std::nullopt);
  EXPECT_EQ(unpacked(""), std::nullopt);
}

TEST(Gunzip, AttackPacked_ABombComesPieceByPiece) {
  const std::string bomb = gzip(std::string(20 << 20, 0));
  EXPECT_LT(bomb.size(), 30'000u);
  EXPECT_LE(unpacked(bomb)->size(), (1u << 20) + 64 * 1024) << "the reader stops";
}

}  // namespace
}  // namespace latchkey::web

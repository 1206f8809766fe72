#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::crypto {
namespace {

struct FixedRng final : Rng {
  Bytes next;
  void fill(std::span<std::uint8_t> out) override { std::copy_n(next.begin(), out.size(), out.begin()); }
};

Bytes un(std::string_view h) { return from_hex(h).value(); }
Sealer sealer(std::uint8_t fill = 7) { return Sealer(Secret<Bytes>(Bytes(32, fill))); }

TEST(Sealer, MatchesTheGcmSpecification) {  // "The Galois/Counter Mode of Operation", test case 16
  FixedRng rng;
  rng.next = un("cafebabefacedbaddecaf888");
  const Sealer s(Secret<Bytes>(un("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")));
  const Bytes plain = un(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16a"
      "edf5aa0de657ba637b39");
  const Bytes context = un("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  EXPECT_EQ(
      hex(s.seal(plain, as_text(context), rng)),
      "cafebabefacedbaddecaf888"
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f6"
      "1e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b");
}

TEST(Sealer, OpensWhatItSealed) {
  SeededRng rng;
  for (const std::size_t n : {0u, 1u, 16u, 100'000u}) {
    const Bytes plain = rng.bytes(n);
    const Bytes sealed = sealer().seal(plain, "row 1", rng);
    EXPECT_EQ(sealed.size(), n + Sealer::k_overhead);
    EXPECT_EQ(sealer().open(sealed, "row 1"), plain);
  }
}

TEST(Sealer, NeverRepeatsANonce) {
  SeededRng rng;
  EXPECT_NE(sealer().seal(as_bytes("x"), "", rng), sealer().seal(as_bytes("x"), "", rng));
}

TEST(Sealer, RefusesAnyChangedBit) {
  SeededRng rng;
  const Bytes sealed = sealer().seal(as_bytes("a refresh token"), "row 1", rng);
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    Bytes changed = sealed;
    changed[i / 8] ^= static_cast<std::uint8_t>(1 << i % 8);
    EXPECT_EQ(sealer().open(changed, "row 1"), std::nullopt) << "bit " << i;
  }
}

TEST(Sealer, RefusesOtherRowsKeysAndLengths) {
  SeededRng rng;
  const Bytes sealed = sealer().seal(as_bytes("a refresh token"), "row 1", rng);
  EXPECT_EQ(sealer().open(sealed, "row 2"), std::nullopt);
  EXPECT_EQ(sealer().open(sealed, ""), std::nullopt);
  EXPECT_EQ(sealer(8).open(sealed, "row 1"), std::nullopt);
  for (std::size_t n = 0; n < sealed.size(); ++n)
    EXPECT_EQ(sealer().open(BytesView(sealed).first(n), "row 1"), std::nullopt);
}

TEST(Sealer, WantsAKeyOf32Bytes) {
  EXPECT_THROW(Sealer(Secret<Bytes>(Bytes(31))), std::invalid_argument);
  EXPECT_THROW(Sealer(Secret<Bytes>(Bytes(33))), std::invalid_argument);
}

// Made by better-auth 1.7.25 (tests/fixtures/better-auth/vectors.json, "symmetric").
TEST(XChaCha20Poly1305, OpensWhatAnotherImplementationSealed) {
  const auto key = sha256(as_bytes("transcript-secret-0123456789abcdef0123456789"));
  const Bytes all =
      *from_hex("87035ae4459e1ac9316c98fb776912f2d4a7532f9721ec74cb2b06c70714d5d998986ea3f5bbc50504fbdce919");
  const BytesView nonce = BytesView(all).first(24), sealed = BytesView(all).subspan(24);
  EXPECT_EQ(xchacha20_poly1305_open(key, nonce, sealed), to_bytes("hello"));
  EXPECT_EQ(xchacha20_poly1305_seal(key, nonce, as_bytes("hello")), to_bytes(sealed));
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    Bytes changed = to_bytes(sealed);
    changed[i / 8] ^= static_cast<std::uint8_t>(1 << i % 8);
    EXPECT_EQ(xchacha20_poly1305_open(key, nonce, changed), std::nullopt) << "bit " << i;
  }
  for (std::size_t n = 0; n < sealed.size(); ++n)
    EXPECT_EQ(xchacha20_poly1305_open(key, nonce, sealed.first(n)), std::nullopt);
  EXPECT_THROW(xchacha20_poly1305_open(key, nonce.first(23), sealed), std::invalid_argument);
  EXPECT_THROW(xchacha20_poly1305_seal(nonce, nonce, sealed), std::invalid_argument);
}

}  // namespace
}  // namespace latchkey::crypto

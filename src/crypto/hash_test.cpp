#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/encoding.h"

namespace latchkey::crypto {
namespace {

std::string hex_of(const Digest& d) { return hex(BytesView(d)); }
Bytes un(std::string_view h) { return from_hex(h).value(); }
Bytes counting(int from, int to) {
  Bytes out;
  for (int i = from; i <= to; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

TEST(Sha256, HashesThePublishedExamples) {  // FIPS 180-4 examples
  EXPECT_EQ(hex_of(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_of(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, InPiecesEqualsInOneAndIsReusable) {
  Sha256 hash;
  for (int round = 0; round < 2; ++round) {
    hash.update(as_bytes("a"));
    hash.update({});
    hash.update(as_bytes("bc"));
    EXPECT_EQ(hash.finish(), sha256(as_bytes("abc")));
  }
}

TEST(Sha256, WorksOnSeveralThreads) {
  std::vector<std::thread> threads;
  std::array<Digest, 4> out;
  for (auto& d : out)
    threads.emplace_back([&d] {
      for (int i = 0; i < 100; ++i) d = sha256(as_bytes("abc"));
    });
  for (auto& t : threads) t.join();
  for (const auto& d : out) EXPECT_EQ(d, sha256(as_bytes("abc")));
}

TEST(HmacSha256, MatchesRfc4231) {
  EXPECT_EQ(hex_of(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_of(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_of(hmac_sha256(Bytes(131, 0xaa),
                               as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, TakesAnEmptyKeyAfterAnotherKey) {
  const Digest other = hmac_sha256(as_bytes("key"), as_bytes("m"));
  EXPECT_NE(hmac_sha256({}, as_bytes("m")), other);
  EXPECT_EQ(hmac_sha256({}, as_bytes("m")),
            hmac_sha256(Bytes(64, 0), as_bytes("m")));  // RFC 2104: zero padded
}

TEST(Hkdf, MatchesRfc5869) {
  EXPECT_EQ(hex(hkdf_sha256(Bytes(22, 0x0b), counting(0, 0x0c), as_text(counting(0xf0, 0xf9)), 42)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(
      hex(hkdf_sha256(counting(0, 0x4f), counting(0x60, 0xaf), as_text(counting(0xb0, 0xff)), 82)),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da"
      "3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(hex(hkdf_sha256(Bytes(22, 0x0b), {}, "", 42)),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hkdf, GivesAtMost255Blocks) {
  const Bytes most = hkdf_sha256(un("0b"), {}, "", 255 * 32);
  EXPECT_EQ(most.size(), 255u * 32);
  EXPECT_THROW(hkdf_sha256(un("0b"), {}, "", 255 * 32 + 1), std::runtime_error);
}

TEST(Equal, ComparesLengthAndEveryByte) {
  EXPECT_TRUE(equal("", ""));
  EXPECT_TRUE(equal("secret", "secret"));
  EXPECT_FALSE(equal("secret", "secreT"));
  EXPECT_FALSE(equal("secret", "secret1"));
  EXPECT_FALSE(equal("", "s"));
}

}  // namespace
}  // namespace latchkey::crypto

#include "crypto/ed25519.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace latchkey::crypto {
namespace {

Bytes un(std::string_view h) { return from_hex(h).value(); }

struct Vector {
  std::string_view seed, key, message, signature;
};
// RFC 8032 §7.1, TEST 1 to 3.
constexpr Vector k_vectors[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                                 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                                 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a"
                                 "33bacc61e39701cf9b46bd25bf5f0"
                                 "595bbe24655141438e7a100b"},
                                {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                                 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                                 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e1"
                                 "5996e458f3613d0f11d8c387b2eae"
                                 "b4302aeeb00d291612bb0c00"},
                                {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                                 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                                 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d1"
                                 "6f290ae67f760984dc6594a7c15e9"
                                 "716ed28dc027beceea1ec40a"}};

TEST(Ed25519, SignsAndVerifiesRfc8032) {
  for (const auto& v : k_vectors) {
    const auto key = Ed25519PrivateKey::from_bytes(un(v.seed));
    ASSERT_TRUE(key);
    EXPECT_EQ(hex(key->public_key().bytes()), v.key);
    EXPECT_EQ(hex(key->sign(un(v.message))), v.signature);
    const auto pub = Ed25519PublicKey::from_bytes(un(v.key));
    ASSERT_TRUE(pub);
    EXPECT_TRUE(pub->verify(un(v.message), un(v.signature)));
    EXPECT_FALSE(pub->verify(un("00"), un(v.signature)));
  }
}

TEST(Ed25519, VerifiesRfc8037) {  // A.4
  const auto key =
      Ed25519PublicKey::from_bytes(from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").value());
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->verify(
      as_bytes("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
      from_base64url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
          .value()));
}

TEST(Ed25519Attack, OtherLengthsAndChangedSignaturesAreRefused) {
  EXPECT_FALSE(Ed25519PublicKey::from_bytes(Bytes(31, 1)));
  EXPECT_FALSE(Ed25519PublicKey::from_bytes(Bytes(33, 1)));
  EXPECT_FALSE(Ed25519PrivateKey::from_bytes(Bytes(31, 1)));
  const auto pub = Ed25519PublicKey::from_bytes(un(k_vectors[0].key)).value();
  const Bytes good = un(k_vectors[0].signature);
  for (const std::size_t i : {0u, 31u, 32u, 63u}) {
    Bytes changed = good;
    changed[i] ^= 1;
    EXPECT_FALSE(pub.verify({}, changed)) << i;
  }
  EXPECT_FALSE(pub.verify({}, BytesView(good).first(63)));
  EXPECT_FALSE(pub.verify({}, {}));
}

TEST(Ed25519Attack, SGreaterThanTheGroupOrderIsRefused) {  // RFC 8032 §8.4: s and s + L would both do
  const Bytes order = un("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");  // L
  Bytes twin = un(k_vectors[0].signature);
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned sum = twin[32 + i] + order[i] + carry;
    twin[32 + i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  EXPECT_FALSE(Ed25519PublicKey::from_bytes(un(k_vectors[0].key))->verify({}, twin));
}

TEST(Ed25519, KeysMadeFromTheSameRandomnessAreTheSame) {
  SeededRng a(1), b(1);
  EXPECT_EQ(Ed25519PrivateKey::generate(a).public_key().bytes(),
            Ed25519PrivateKey::generate(b).public_key().bytes());
}

}  // namespace
}  // namespace latchkey::crypto

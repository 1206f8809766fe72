#include "crypto/password.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace latchkey::crypto {
namespace {

TEST(Password, MatchesRfc7914) {  // §12, the vector with N = 16384
  const std::string hash = base64_unpadded(
      from_hex(
          "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9"
          "e61e85dc0d651e40dfcf017b45575887")
          .value());
  const std::string stored =
      "$scrypt$ln=14,r=8,p=1$" + base64_unpadded(as_bytes("SodiumChloride")) + "$" + hash;
  EXPECT_TRUE(verify_password("pleaseletmein", stored));
  EXPECT_FALSE(verify_password("pleaseletmeIn", stored));
}

TEST(Password, VerifiesOnlyItself) {
  SeededRng rng;
  const std::string stored = hash_password("correct horse", rng);
  EXPECT_TRUE(stored.starts_with("$scrypt$ln=14,r=8,p=1$"));
  EXPECT_TRUE(verify_password("correct horse", stored));
  EXPECT_FALSE(verify_password("correct horse ", stored));
  EXPECT_FALSE(verify_password("", stored));
}

TEST(Password, IsSalted) {
  SeededRng rng;
  EXPECT_NE(hash_password("same", rng), hash_password("same", rng));
}

TEST(Password, LengthIsBoundedOnBothSides) {  // an endless password must not become endless work
  SeededRng rng;
  const std::string longest(k_max_password_bytes, 'x'), longer(k_max_password_bytes + 1, 'x');
  const std::string stored = hash_password(longest, rng);
  EXPECT_TRUE(verify_password(longest, stored));
  EXPECT_FALSE(verify_password(longer, stored));
  EXPECT_THROW(hash_password(longer, rng), std::length_error);
}

TEST(Password, RefusesStoredTextItCannotAffordOrRead) {
  const std::string tail = "$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046w";
  const std::string huge = "$scrypt$ln=20,r=32,p=4" + tail;  // 4 GiB
  for (const std::string& stored :
       {std::string(), std::string("$scrypt$"), std::string("$2b$10$abc"), huge,
        "$scrypt$ln=17,r=8,p=1" + tail,  // 128 MiB, one step over the limit
        "$scrypt$ln=014,r=8,p=1" + tail, "$scrypt$ln=14,r=0,p=1" + tail, "$scrypt$ln=14,r=8,p=9" + tail,
        "$scrypt$ln=9,r=8,p=1" + tail, "$scrypt$ln=14,r=8" + tail, "$scrypt$ln=-4,r=8,p=1" + tail,
        std::string("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$"),  // an empty hash would match everything
        std::string("$scrypt$ln=14,r=8,p=1$$cCO9yzr9c0hGHAbNgf046w"),
        std::string("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$not base64!"),
        "$scrypt$ln=14,r=8,p=1" + tail + std::string(300, 'A')})
    EXPECT_FALSE(verify_password("", stored)) << stored;
}

}  // namespace
}  // namespace latchkey::crypto

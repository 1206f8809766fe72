#include "auth/plugins/passkey/cbor.h"

#include <gtest/gtest.h>

#include "auth/plugins/passkey/authenticator_data.h"
#include "auth/plugins/passkey/testing.h"
#include "base/encoding.h"

namespace latchkey::auth::webauthn {
namespace {

bool accepted(std::string_view hexadecimal) { return CborMap::parse(*from_hex(hexadecimal)).has_value(); }

TEST(AuthenticatorCbor, ReadsMapsWithTextAndIntegerKeys) {
  const Bytes bytes = *from_hex("a5010203262001613041ff6178f5");
  const auto map = CborMap::parse(bytes);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->size(), 5u);
  EXPECT_EQ(map->find(1)->integer(), 2);
  EXPECT_EQ(map->find(3)->integer(), -7);
  EXPECT_EQ(map->find(-1)->integer(), 1);
  EXPECT_EQ(map->find("0")->bytes()->front(), 0xff);
  EXPECT_EQ(map->find("x")->boolean(), true);
  EXPECT_EQ(map->find("y"), nullptr);
  EXPECT_EQ(map->find("x")->integer(), std::nullopt);
}

struct Row {
  std::string_view bytes;
  bool accepted;
  std::string_view why;
};
TEST(AuthenticatorCbor, AttackMalformed_IsRefused) {
  const Row k_rows[] = {
      {"a0", true, "the empty map"},
      {"", false, "nothing"},
      {"80", false, "no map"},
      {"a000", false, "a byte behind it"},
      {"a1", false, "a member short"},
      {"a10100", true, "{1: 0}"},
      {"a101", false, "a value short"},
      {"a2010001", false, "the second value short"},
      {"a201000100", false, "a key twice"},
      {"a2616100616100", false, "a text key twice"},
      {"a1f500", false, "a boolean as key"},
      {"a1410000", false, "bytes as key"},
      {"a18000", false, "an array as key"},
      {"a1181700", false, "23 in two bytes"},
      {"a1181800", true, "24 in two bytes"},
      {"a11900ff00", false, "255 in three bytes"},
      {"a119010000", true, "256 in three bytes"},
      {"a11a0000ffff00", false, "65535 in five bytes"},
      {"a11a0001000000", true, "65536 in five bytes"},
      {"a11b00000000ffffffff00", false, "2^32 - 1 in nine bytes"},
      {"a11b000000010000000000", true, "2^32 in nine bytes"},
      {"a11bffffffffffffffff00", false, "a key beyond int64"},
      {"a11c00", false, "a reserved head"},
      {"bf0100ff", false, "an indefinite map"},
      {"a1015f41004100ff", false, "indefinite bytes"},
      {"a101c000", false, "a tag"},
      {"a101f90000", false, "a float"},
      {"a101f7", false, "undefined"},
      {"a101f6", true, "null"},
      {"a1015affffffff", false, "bytes that reach beyond the end"},
      {"a1017bffffffffffffffff", false, "text that reaches beyond the end"},
      {"a101818180", true, "four containers"},
      {"a10181818180", false, "five containers"},
      {"bb000000ffffffffff", false, "more members than could be"},
  };
  for (const auto& row : k_rows) {
    EXPECT_EQ(accepted(row.bytes), row.accepted) << row.why;
  }
}

TEST(AuthenticatorCbor, ContainersHaveAtMost64Members) {
  const auto array_of = [](std::size_t n) {
    Bytes out = testing::cbor_head(5, 1);
    append(out, testing::cbor_int(1));
    append(out, testing::cbor_head(4, n));
    out.resize(out.size() + n);
    return CborMap::parse(out).has_value();
  };
  EXPECT_TRUE(array_of(k_cbor_members));
  EXPECT_FALSE(array_of(k_cbor_members + 1));
}

TEST(AuthenticatorData, NoPrefixIsWhole) {
  testing::SoftAuthenticator a;
  a.extensions = testing::cbor_map({{testing::cbor_text("credProtect"), testing::cbor_int(2)}});
  const Bytes whole = a.authenticator_data(true);
  EXPECT_TRUE(AuthenticatorData::parse(whole));
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(AuthenticatorData::parse(BytesView(whole).first(n))) << n;
}

}  // namespace
}  // namespace latchkey::auth::webauthn

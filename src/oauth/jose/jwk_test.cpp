#include "oauth/jose/jwk.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace latchkey::oauth {
namespace {

using crypto::Curve;

json::Value parsed(std::string_view text) { return json::parse(text).value(); }

// RFC 9449 §4.1 (key) and §6.1 (its thumbprint).
constexpr std::string_view k_rfc9449_key =
    R"({"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"})";
constexpr std::string_view k_rfc9449_jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

// RFC 7515 A.3.1, a private key.
constexpr std::string_view k_rfc7515_private =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"})";

json::Object key_object() { return *parsed(k_rfc9449_key).object(); }
json::Value with(std::string name, json::Value value) {
  json::Object o = key_object();
  o.set(std::move(name), std::move(value));
  return json::Value(std::move(o));
}
json::Value without(std::string_view name) {
  json::Object o = key_object();
  o.erase(name);
  return json::Value(std::move(o));
}

TEST(Thumbprint, MatchesRfc9449) {
  EXPECT_EQ(Jwk::parse(parsed(k_rfc9449_key)).value().thumbprint(), k_rfc9449_jkt);
}

TEST(Thumbprint, IgnoresOptionalMembersAndTheirOrder) {  // RFC 7638 §3.2
  const auto jwk = Jwk::parse(parsed(
      R"({"use":"sig","alg":"ES256","kid":"k1","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","key_ops":["verify"],"ext":true,"crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","kty":"EC"})"));
  ASSERT_TRUE(jwk);
  EXPECT_EQ(jwk->thumbprint(), k_rfc9449_jkt);
  EXPECT_EQ(jwk->kid, "k1");
  EXPECT_EQ(jwk->alg, "ES256");
  EXPECT_EQ(jwk->use, "sig");
}

TEST(Jwk, RoundTripsOnBothCurves) {
  SeededRng rng;
  for (const Curve curve : {Curve::p256, Curve::k256}) {
    const auto key = crypto::PrivateKey::generate(curve, rng);
    const Jwk jwk{.key = key.public_key(), .kid = "1", .alg = std::string(alg_of(curve)), .use = "sig"};
    const auto again = Jwk::parse(json::Value(jwk.to_json()));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->key, jwk.key);
    EXPECT_EQ(again->to_json(), jwk.to_json());
    EXPECT_EQ(jwk.to_json().find("d"), nullptr);
  }
}

TEST(Jwk, PrivateMembersInAPublicKeyAreRefused) {  // RFC 9449 §4.3, 7
  for (const std::string name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    EXPECT_FALSE(Jwk::parse(with(name, "AAAA"))) << name;
    EXPECT_FALSE(Jwk::parse(with(name, nullptr))) << name;  // present is present, whatever the value
  }
}

TEST(Jwk, OtherKeyTypesAndCurvesAreRefused) {
  for (const std::string kty : {"RSA", "oct", "OKP", "ec", ""})
    EXPECT_FALSE(Jwk::parse(with("kty", kty))) << kty;
  for (const std::string crv : {"P-384", "P-521", "Ed25519", "p-256", "secp256k1", ""})
    EXPECT_FALSE(Jwk::parse(with("crv", crv))) << crv;  // secp256k1: the point is not on it
  for (const auto name : {"kty", "crv", "x", "y"}) EXPECT_FALSE(Jwk::parse(without(name))) << name;
  for (const auto name : {"kty", "crv", "x", "y", "kid", "alg", "use"})
    EXPECT_FALSE(Jwk::parse(with(name, 1))) << name;
  EXPECT_FALSE(Jwk::parse(parsed("[]")));
  EXPECT_FALSE(Jwk::parse(parsed("\"key\"")));
}

TEST(Jwk, AlgConfusionIsRefused) {
  for (const std::string alg : {"ES256K", "ES384", "RS256", "HS256", "none", "ECDH-ES"})
    EXPECT_FALSE(Jwk::parse(with("alg", alg))) << alg;
  EXPECT_TRUE(Jwk::parse(with("alg", "ES256")));
}

TEST(Jwk, CoordinatesAreExactly32BytesOfStrictBase64url) {
  for (const std::string& x :
       {std::string("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs="),  // padded
        std::string("l8tFrhx+34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),   // the other alphabet
        std::string("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFt"),   // unused bits set
        std::string("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBA"),    // 31 bytes
        std::string("AJfLRa4cft-LVd4USAkQ2PcwpA5aQYReNlEFH1lQFgRb"),  // 33 bytes, a leading zero
        std::string(43, 'A'),                                         // not on the curve
        std::string(), std::string(1 << 20, 'A')})
    EXPECT_FALSE(Jwk::parse(with("x", x))) << x.substr(0, 60);
}

TEST(Jwk, MemberLengthsAreBounded) {
  EXPECT_TRUE(Jwk::parse(with("kid", std::string(512, 'k'))));
  EXPECT_FALSE(Jwk::parse(with("kid", std::string(513, 'k'))));
}

TEST(PrivateJwk, ReadsRfc7515AndRoundTrips) {
  const auto key = parse_private_jwk(parsed(k_rfc7515_private));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->kid, "");
  EXPECT_EQ(json::Value(private_jwk(key->key)), parsed(k_rfc7515_private));
  const auto named = parse_private_jwk(json::Value(private_jwk(key->key, "key-1")));
  ASSERT_TRUE(named);
  EXPECT_EQ(named->kid, "key-1");
  EXPECT_FALSE(Jwk::parse(parsed(k_rfc7515_private)));
}

TEST(PrivateJwk, RefusesADThatIsNotOfThePoint) {
  json::Object o = *parsed(k_rfc7515_private).object();
  o.set("d", base64url(Bytes(32, 1)));
  EXPECT_FALSE(parse_private_jwk(json::Value(o)));
  o.set("d", base64url(Bytes(32, 0)));
  EXPECT_FALSE(parse_private_jwk(json::Value(o)));
  o.erase("d");
  EXPECT_FALSE(parse_private_jwk(json::Value(o)));
}

// ---- sets

Jwk named(Rng& rng, std::string kid, Curve curve = Curve::p256) {
  return {.key = crypto::PrivateKey::generate(curve, rng).public_key(),
          .kid = std::move(kid),
          .alg = {},
          .use = {}};
}

TEST(Jwks, FindsByKidAndAlg) {
  SeededRng rng;
  const Jwks set{{named(rng, "a"), named(rng, "b"), named(rng, "b", Curve::k256)}};
  const auto again = Jwks::parse(json::Value(set.to_json()));
  ASSERT_TRUE(again);
  ASSERT_EQ(again->keys.size(), 3u);
  EXPECT_EQ(again->find("a", "ES256")->key, set.keys[0].key);
  EXPECT_EQ(again->find("b", "ES256")->key, set.keys[1].key);
  EXPECT_EQ(again->find("b", "ES256K")->key, set.keys[2].key);
  EXPECT_EQ(again->find("a", "ES256K"), nullptr);
  EXPECT_EQ(again->find("c", "ES256"), nullptr);
  EXPECT_EQ(again->find("", "ES256"), nullptr);
}

TEST(Jwks, AmbiguousKidFindsNothing) {
  SeededRng rng;
  const Jwks set{{named(rng, "a"), named(rng, "a")}};
  EXPECT_EQ(set.find("a", "ES256"), nullptr);
}

TEST(Jwks, EncryptionKeysDoNotSign) {
  SeededRng rng;
  Jwks set{{named(rng, "a")}};
  set.keys[0].use = "enc";
  EXPECT_EQ(set.find("a", "ES256"), nullptr);
  set.keys[0].use = "sig";
  EXPECT_NE(set.find("a", "ES256"), nullptr);
}

TEST(Jwks, LeavesOutForeignKeysButRefusesPrivateOnes) {  // RFC 7517 §5
  const std::string ec(k_rfc9449_key);
  const auto mixed = Jwks::parse(parsed(R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},)" + ec + "]}"));
  ASSERT_TRUE(mixed);
  EXPECT_EQ(mixed->keys.size(), 1u);
  EXPECT_FALSE(Jwks::parse(parsed(R"({"keys":[)" + ec + "," + std::string(k_rfc7515_private) + "]}")));
  EXPECT_FALSE(Jwks::parse(parsed(R"({"keys":[{"kty":"oct","k":"AAAA"}]})")));
  EXPECT_FALSE(Jwks::parse(parsed(R"({"keys":["x"]})")));
  EXPECT_FALSE(Jwks::parse(parsed(R"({"keys":{}})")));
  EXPECT_FALSE(Jwks::parse(parsed(R"([])")));
  EXPECT_TRUE(Jwks::parse(parsed(R"({"keys":[]})")));
}

TEST(Jwks, NumberOfKeysIsBounded) {
  json::Array keys(100, json::Value(json::Object{{"kty", "RSA"}}));
  EXPECT_TRUE(Jwks::parse(json::Value(json::Object{{"keys", keys}})));
  keys.push_back(keys.front());
  EXPECT_FALSE(Jwks::parse(json::Value(json::Object{{"keys", keys}})));
}

}  // namespace
}  // namespace latchkey::oauth

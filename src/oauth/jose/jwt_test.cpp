#include "oauth/jose/jwt.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::oauth {
namespace {

using crypto::Curve;

std::string b64(std::string_view s) { return base64url(as_bytes(s)); }
std::string token(std::string_view header, std::string_view payload, std::string_view signature = "c2ln") {
  return b64(header) + "." + b64(payload) + "." + std::string(signature);
}
crypto::PrivateKey key(Curve curve = Curve::p256, std::uint64_t seed = 1) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(curve, rng);
}
Bytes secret() { return Bytes(32, 7); }

// RFC 7515 A.3: an ES256 signature as published.
TEST(Jwt, VerifiesRfc7515Es256) {
  const auto jwk = Jwk::parse(
      json::parse(
          R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})")
          .value());
  const auto jwt = parse_compact(
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  ASSERT_TRUE(jwt);
  EXPECT_TRUE(verify(*jwt, jwk.value().key));
  EXPECT_EQ(*jwt->string_claim("iss"), "joe");
  EXPECT_EQ(jwt->time_claim("exp"), from_unix_seconds(1300819380));
}

// RFC 7515 A.1: HS256.
TEST(Jwt, VerifiesRfc7515Hs256) {
  const Bytes shared =
      from_base64url("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
          .value();
  const auto jwt = parse_compact(
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  ASSERT_TRUE(jwt);
  EXPECT_TRUE(verify_hs256(*jwt, shared));
  EXPECT_FALSE(verify_hs256(*jwt, secret()));
}

TEST(Jwt, WhatWeSignVerifies) {
  for (const Curve curve : {Curve::p256, Curve::k256}) {
    const auto text = sign_jwt({{"typ", "JWT"}}, {{"sub", "did:plc:abc"}}, key(curve));
    const auto jwt = parse_compact(text);
    ASSERT_TRUE(jwt);
    EXPECT_EQ(jwt->alg(), alg_of(curve));
    EXPECT_EQ(jwt->typ(), "JWT");
    EXPECT_TRUE(verify(*jwt, key(curve).public_key()));
    EXPECT_FALSE(verify(*jwt, key(curve, 2).public_key()));
  }
  const auto mac = parse_compact(sign_hs256({}, {{"sub", "x"}}, secret()));
  EXPECT_TRUE(verify_hs256(mac.value(), secret()));
}

TEST(Jwt, AnyChangedCharacterBreaksTheSignature) {
  const auto text = sign_jwt({{"typ", "JWT"}}, {{"sub", "alice"}}, key());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto jwt = parse_compact(changed);
    EXPECT_FALSE(jwt && verify(*jwt, key().public_key())) << i;
  }
}

// ---- attacks: algorithms

TEST(JwtAttack, AlgNoneIsRefusedInAnyCase) {
  for (const std::string none : {"none", "None", "NONE", "nOnE"}) {
    EXPECT_FALSE(parse_compact(token(R"({"alg":")" + none + R"("})", "{}", ""))) << none;
    EXPECT_FALSE(parse_compact(token(R"({"alg":")" + none + R"("})", "{}"))) << none;
  }
}

TEST(JwtAttack, EmptySignatureIsRefused) {
  EXPECT_FALSE(parse_compact(token(R"({"alg":"ES256"})", "{}", "")));
}

TEST(JwtAttack, Hs256WithThePublicKeyAsSecretIsNoSignatureOfThatKey) {
  const auto pub = key().public_key();
  const std::string forged = sign_hs256({}, {{"sub", "admin"}}, pub.compressed());
  const auto jwt = parse_compact(forged);
  ASSERT_TRUE(jwt);
  EXPECT_FALSE(verify(*jwt, pub));
}

TEST(JwtAttack, HeaderAlgMustBeTheKeysOwn) {
  // A good ES256 signature under a header that says something else.
  for (const std::string alg : {"RS256", "ES256K", "ES384", "HS256", "es256", "ES256 "}) {
    const std::string input = b64(R"({"alg":")" + alg + R"("})") + "." + b64("{}");
    const auto jwt = parse_compact(input + "." + base64url(key().sign(as_bytes(input))));
    ASSERT_TRUE(jwt) << alg;
    EXPECT_FALSE(verify(*jwt, key().public_key())) << alg;
    EXPECT_FALSE(verify_hs256(*jwt, secret())) << alg;
  }
  // An HMAC under ES256.
  const std::string input = b64(R"({"alg":"ES256"})") + "." + b64("{}");
  const auto jwt = parse_compact(input + "." + base64url(crypto::hmac_sha256(secret(), as_bytes(input))));
  EXPECT_FALSE(verify_hs256(jwt.value(), secret()));
}

TEST(JwtAttack, TheCallersHeaderCannotChooseTheAlgorithm) {
  const auto jwt = parse_compact(sign_jwt({{"alg", "none"}}, {}, key()));
  ASSERT_TRUE(jwt);
  EXPECT_EQ(jwt->alg(), "ES256");
}

TEST(JwtAttack, WeakHs256SecretIsABug) {
  EXPECT_THROW(sign_hs256({}, {}, Bytes(31, 1)), std::invalid_argument);
  const auto jwt = parse_compact(sign_hs256({}, {}, secret()));
  EXPECT_THROW(verify_hs256(jwt.value(), {}), std::invalid_argument);
}

TEST(Jwt, HighSIsAcceptedAsJoseSignersEmitIt) {
  const std::string input = b64(R"({"alg":"ES256K"})") + "." + b64("{}");
  auto s = key(Curve::k256).sign(as_bytes(input));
  const Bytes n = from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
  int borrow = 0;
  for (std::size_t i = 32; i-- > 0;) {
    const int d = n[i] - s[32 + i] - borrow;
    borrow = d < 0;
    s[32 + i] = static_cast<std::uint8_t>(d);
  }
  ASSERT_FALSE(key(Curve::k256).public_key().verify(as_bytes(input), s, crypto::HighS::refuse));
  EXPECT_TRUE(verify(parse_compact(input + "." + base64url(s)).value(), key(Curve::k256).public_key()));
}

TEST(JwtAttack, DerSignatureIsRefused) {
  const std::string input = b64(R"({"alg":"ES256"})") + "." + b64("{}");
  const auto s = key().sign(as_bytes(input));
  Bytes der{0x30, 0x44, 0x02, 0x20};
  append(der, BytesView(s).first(32));
  append(der, Bytes{0x02, 0x20});
  append(der, BytesView(s).subspan(32));
  EXPECT_FALSE(verify(parse_compact(input + "." + base64url(der)).value(), key().public_key()));
}

// ---- attacks: form

TEST(JwtAttack, CriticalExtensionsAreRefused) {  // RFC 7515 §4.1.11
  for (const std::string crit : {R"(["exp"])", R"([])", R"(["b64"])", "null"})
    EXPECT_FALSE(parse_compact(token(R"({"alg":"ES256","crit":)" + crit + "}", "{}"))) << crit;
}

TEST(JwtAttack, MalformedTokensAreRefused) {
  const std::string h = R"({"alg":"ES256"})";
  ASSERT_TRUE(parse_compact(token(h, "{}")));
  for (const std::string& bad : {
           std::string(),
           std::string("."),
           std::string(".."),
           b64(h),
           b64(h) + "." + b64("{}"),
           token(h, "{}") + ".x",  // four parts
           token(h, "{}") + ",x",
           " " + token(h, "{}"),
           token(h, "{}") + "\n",
           token(h, "{}", "c2ln="),  // padding
           token(h, "{}", "c2lnX"),  // unused bits
           b64(h) + "=." + b64("{}") + ".c2ln",
           token("[]", "{}"),
           token(h, "[]"),
           token(h, "\"x\""),
           token(h, ""),
           token("", "{}"),
           token(h, "{} {}"),
           token(h, "{\"a\":1,}"),
           token("{}", "{}"),  // no alg
           token(R"({"alg":1})", "{}"),
           token(R"({"alg":""})", "{}"),
           token(R"({"alg":"ES256","alg":"none"})", "{}"),  // duplicate member
           token(h, R"({"sub":"a","sub":"b"})"),
           token(h, R"({"sub":"a","\u0073ub":"b"})"),
           token(h, "{\"sub\":\"\xff\"}"),   // not UTF-8
           token(h, R"({"sub":"\ud800"})"),  // lone surrogate
       })
    EXPECT_FALSE(parse_compact(bad)) << bad;
}

TEST(JwtAttack, SizeIsBoundedAt16KiB) {
  const std::string h = R"({"alg":"ES256"})";
  const auto sized = [&](std::size_t n) {
    // header "." payload "." signature; the signature fills up to n
    std::string text = token(h, "{}", "");
    text.append(n - text.size(), 'A');
    return text;
  };
  EXPECT_TRUE(parse_compact(sized(k_max_jwt_bytes)));
  EXPECT_FALSE(parse_compact(sized(k_max_jwt_bytes + 1)));
  EXPECT_FALSE(parse_compact(std::string(50'000'000, 'A')));
}

TEST(JwtAttack, DepthIsBounded) {
  const auto nested = [](std::size_t n) {  // n levels, the payload object being one
    return "{\"a\":" + std::string(n - 1, '[') + std::string(n - 1, ']') + "}";
  };
  EXPECT_TRUE(parse_compact(token(R"({"alg":"ES256"})", nested(16))));
  EXPECT_FALSE(parse_compact(token(R"({"alg":"ES256"})", nested(17))));
}

// ---- claims

Jwt claims(std::string_view payload) { return parse_compact(token(R"({"alg":"ES256"})", payload)).value(); }

TEST(JwtClaims, NumericDatesMayBeFractionsButNotNonsense) {  // RFC 7519 §2
  EXPECT_EQ(claims(R"({"exp":1300819380})").time_claim("exp"), from_unix_seconds(1300819380));
  EXPECT_EQ(claims(R"({"exp":1300819380.5})").time_claim("exp"), from_unix_micros(1300819380500000));
  EXPECT_EQ(claims(R"({"exp":0})").time_claim("exp"), from_unix_seconds(0));  // long past, not "never"
  EXPECT_EQ(claims(R"({"exp":253402300799})").time_claim("exp"), from_unix_seconds(253402300799));
  for (const std::string& bad : {"-1", "253402300800", "1e300", "-1e300", "\"1300819380\"", "null", "true",
                                 "[1]", "18446744073709551615"})
    EXPECT_EQ(claims(R"({"exp":)" + bad + "}").time_claim("exp"), std::nullopt) << bad;
  EXPECT_EQ(claims("{}").time_claim("exp"), std::nullopt);
}

TEST(JwtClaims, AudienceIsAStringOrAListOfStrings) {
  EXPECT_TRUE(claims(R"({"aud":"a"})").has_audience("a"));
  EXPECT_TRUE(claims(R"({"aud":["b","a"]})").has_audience("a"));
  for (const std::string& other :
       {R"("b")", R"(["b"])", "[]", "1", "null", R"([["a"]])", R"({"a":1})", R"("a ")"})
    EXPECT_FALSE(claims(R"({"aud":)" + other + "}").has_audience("a")) << other;
  EXPECT_FALSE(claims("{}").has_audience(""));
}

}  // namespace
}  // namespace latchkey::oauth

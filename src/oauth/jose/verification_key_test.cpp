#include "oauth/jose/verification_key.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace latchkey::oauth {
namespace {

// RFC 7515 A.2, the public part.
constexpr std::string_view k_n =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-"
    "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
constexpr std::string_view k_rs256_token =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9u"
    "JdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_e"
    "SN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A"
    "XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

json::Object rsa() { return {{"kty", "RSA"}, {"n", k_n}, {"e", "AQAB"}}; }
crypto::PrivateKey p256(std::uint64_t seed = 1) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(crypto::Curve::p256, rng);
}
json::Object ec(std::uint64_t seed = 1) { return Jwk{p256(seed).public_key(), "", "", ""}.to_json(); }
crypto::Ed25519PrivateKey ed25519() {
  SeededRng rng;
  return crypto::Ed25519PrivateKey::generate(rng);
}
json::Object okp() {
  return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base64url(ed25519().public_key().bytes())}};
}
json::Object with(json::Object o, std::string name, json::Value value) {
  o.set(std::move(name), std::move(value));
  return o;
}
auto parse(json::Object o) { return VerificationKey::parse(json::Value(std::move(o))); }
VerificationKeys set(json::Array keys) {
  return VerificationKeys::parse(json::Value(json::Object{{"keys", std::move(keys)}})).value();
}
std::string eddsa_token(std::string_view alg = "EdDSA") {
  const std::string input =
      base64url(as_bytes(json::Value(json::Object{{"alg", alg}}).dump())) + "." + base64url(as_bytes("{}"));
  return input + "." + base64url(ed25519().sign(as_bytes(input)));
}

TEST(VerificationKey, ChecksRs256Es256AndEdDsa) {
  EXPECT_TRUE(verify(parse_compact(k_rs256_token).value(), parse(rsa()).value()));
  EXPECT_TRUE(verify(parse_compact(sign_jwt({}, {}, p256())).value(), parse(ec()).value()));
  EXPECT_TRUE(verify(parse_compact(eddsa_token()).value(), parse(okp()).value()));

  EXPECT_FALSE(verify(parse_compact(sign_jwt({}, {}, p256(2))).value(), parse(ec()).value()));
}

TEST(VerificationKeyAttack, AlgorithmAndKeyMustBelongTogether) {
  const json::Object keys[] = {rsa(), ec(), okp()};
  const std::string tokens[] = {std::string(k_rs256_token), sign_jwt({}, {}, p256()), eddsa_token()};
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t t = 0; t < 3; ++t)
      EXPECT_EQ(verify(parse_compact(tokens[t]).value(), parse(keys[k]).value()), k == t) << k << t;
  // A good signature under a header that says something else.
  for (const std::string alg : {"ES256", "RS256", "HS256", "eddsa", "Ed25519"})
    EXPECT_FALSE(verify(parse_compact(eddsa_token(alg)).value(), parse(okp()).value())) << alg;
  EXPECT_FALSE(verify(parse_compact(k_rs256_token).value(), parse(with(rsa(), "alg", "PS256")).value()))
      << "the provider says what its key is for";
}

TEST(VerificationKeyAttack, HmacWithThePublicKeyAsSecretIsNoSignature) {
  for (const auto& key : {rsa(), ec(), okp()}) {
    const std::string published = json::Value(key).dump();
    const auto forged = parse_compact(sign_hs256({}, {{"sub", "admin"}}, as_bytes(published)));
    EXPECT_FALSE(verify(forged.value(), parse(key).value()));
  }
  for (const std::string alg : {"none", "HS256", "HS384", "HS512", "RS1", "ES256K", "RS384", "rs256", ""})
    EXPECT_FALSE(is_verifiable_alg(alg)) << alg;
}

TEST(VerificationKeyAttack, KeysThatAreNotForSignaturesAreLeftOut) {
  EXPECT_TRUE(parse(with(rsa(), "use", "sig")));
  EXPECT_FALSE(parse(with(rsa(), "use", "enc")));
  EXPECT_TRUE(parse(with(rsa(), "key_ops", json::Array{"verify"})));
  EXPECT_FALSE(parse(with(rsa(), "key_ops", json::Array{"encrypt"})));
  EXPECT_FALSE(parse(with(rsa(), "key_ops", "verify")));
  EXPECT_FALSE(parse(with(rsa(), "alg", "RSA-OAEP")));
  EXPECT_FALSE(parse(with(ec(), "alg", "RS256")));
}

TEST(VerificationKeyAttack, WeakBrokenAndPrivateKeysAreRefused) {
  EXPECT_FALSE(parse(with(rsa(), "n", base64url(Bytes(128, 0xff))))) << "1024 bits";
  EXPECT_FALSE(parse(with(rsa(), "e", "AQ"))) << "an exponent of one";
  EXPECT_FALSE(parse(with(rsa(), "n", std::string(1401, 'A'))));
  EXPECT_FALSE(parse(with(rsa(), "n", 1)));
  EXPECT_FALSE(parse(with(ec(), "y", base64url(Bytes(32, 1))))) << "not on the curve";
  EXPECT_FALSE(parse(with(ec(), "crv", "P-384")));
  EXPECT_FALSE(parse(with(okp(), "crv", "X25519")));
  EXPECT_FALSE(parse(with(okp(), "x", base64url(Bytes(31, 1)))));
  EXPECT_FALSE(parse({{"kty", "oct"}, {"k", base64url(Bytes(32, 1))}}));
  EXPECT_FALSE(parse(with(ec(), "d", base64url(Bytes(32, 1)))));
  EXPECT_FALSE(parse(with(rsa(), "kid", std::string(513, 'k'))));
  EXPECT_TRUE(parse(with(rsa(), "kid", std::string(512, 'k'))));
}

TEST(VerificationKeys, AreChosenByNameAndAlg) {
  const auto keys = set({with(ec(1), "kid", "a"), with(ec(2), "kid", "b"), with(rsa(), "kid", "b")});
  ASSERT_TRUE(keys.find("a", "ES256"));
  EXPECT_EQ(std::get<crypto::PublicKey>(keys.find("b", "ES256")->key), p256(2).public_key());
  EXPECT_TRUE(keys.find("b", "RS256"));
  EXPECT_FALSE(keys.find("a", "RS256"));
  EXPECT_FALSE(keys.find("c", "ES256"));
}

TEST(VerificationKeysAttack, NeverTheFirstKeyForWantOfABetterOne) {
  EXPECT_FALSE(set({with(ec(1), "kid", "a"), with(ec(2), "kid", "b")}).find("", "ES256"))
      << "a token without kid, several keys";
  EXPECT_TRUE(set({with(ec(1), "kid", "a")}).find("", "ES256")) << "OpenID Connect Core §10.1";
  EXPECT_FALSE(set({with(ec(1), "kid", "a"), json::Object{{"kty", "new"}}}).find("", "ES256"))
      << "a key we cannot read counts as well";
  EXPECT_FALSE(set({ec(1)}).find("a", "ES256"));
  EXPECT_FALSE(set({with(ec(1), "kid", "a"), with(ec(2), "kid", "a")}).find("a", "ES256"))
      << "two keys of one name";
}

TEST(VerificationKeysAttack, ASetWithAPrivateKeyOrTooManyKeysIsRefused) {
  const auto makes = [](json::Array keys) {
    return VerificationKeys::parse(json::Value(json::Object{{"keys", std::move(keys)}})).has_value();
  };
  EXPECT_TRUE(makes(json::Array(100, json::Object{{"kty", "x"}})));
  EXPECT_FALSE(makes(json::Array(101, json::Object{{"kty", "x"}})));
  EXPECT_FALSE(makes({ec(), with(rsa(), "d", "AQ")}));
  EXPECT_FALSE(makes({json::Object{{"kty", "oct"}, {"k", "AQ"}}}));
  EXPECT_FALSE(makes({"key"}));
  EXPECT_FALSE(VerificationKeys::parse(json::Value(json::Object{})));
  EXPECT_TRUE(makes({})) << "and proves nothing";
}

}  // namespace
}  // namespace latchkey::oauth

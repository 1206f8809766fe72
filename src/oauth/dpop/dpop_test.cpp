#include "oauth/dpop/dpop.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth {
namespace {

using namespace std::chrono_literals;
using crypto::Curve;

const Time k_now = from_unix_seconds(1'750'000'000);
constexpr std::string_view k_uri = "https://pds.example/oauth/token";

crypto::PrivateKey key(Curve curve = Curve::p256, std::uint64_t seed = 1) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(curve, rng);
}
json::Object public_jwk(const crypto::PrivateKey& k = key()) {
  return Jwk{.key = k.public_key(), .kid = {}, .alg = {}, .use = {}}.to_json();
}
json::Object header() { return {{"typ", "dpop+jwt"}, {"jwk", public_jwk()}}; }
json::Object payload() {
  return {{"jti", "j-1"}, {"htm", "POST"}, {"htu", k_uri}, {"iat", unix_seconds(k_now)}};
}
json::Object with(json::Object o, std::string name, json::Value value) {
  o.set(std::move(name), std::move(value));
  return o;
}
json::Object without(json::Object o, std::string_view name) {
  o.erase(name);
  return o;
}
DpopInput input(std::string proof, std::optional<std::string> access_token = {}) {
  return {.proof = std::move(proof),
          .method = "POST",
          .uri = std::string(k_uri),
          .access_token = std::move(access_token)};
}
bool accepted(json::Object h, json::Object p, std::optional<std::string> access_token = {}) {
  return check_dpop_proof(input(sign_jwt(std::move(h), std::move(p), key()), std::move(access_token)), {},
                          k_now)
      .has_value();
}
std::string ath(std::string_view token) { return base64url(crypto::sha256(as_bytes(token))); }

// ---- the good

TEST(DpopProof, OfRfc9449IsAccepted) {  // §4.1, figure 2; the thumbprint is in §6.1
  const DpopInput in{
      .proof =
          "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUk"
          "RZOXpD"
          "a0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsIm"
          "NydiI6"
          "IlAtMjU2In19."
          "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3"
          "Rva2Vu"
          "IiwiaWF0IjoxNTYyMjYyNjE2fQ."
          "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
      .method = "POST",
      .uri = "https://server.example.com/token",
      .access_token = {}};
  const auto proof = check_dpop_proof(in, {}, from_unix_seconds(1562262618));
  ASSERT_TRUE(proof) << proof.error().detail;
  EXPECT_EQ(proof->jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
  EXPECT_EQ(proof->jti, "-BwC3ESc6acc2lTc");
  EXPECT_EQ(proof->nonce, std::nullopt);
  EXPECT_EQ(proof->iat, from_unix_seconds(1562262616));
}

TEST(DpopProof, WeMakeIsAccepted) {
  SeededRng rng;
  const auto text =
      make_dpop_proof(key(), "GET", "https://pds.example/xrpc/a.b.c?x=1#f", "n-1", "token", rng, k_now);
  const DpopInput in{
      .proof = text, .method = "GET", .uri = "https://pds.example/xrpc/a.b.c?x=2", .access_token = "token"};
  const auto proof = check_dpop_proof(in, {}, k_now);
  ASSERT_TRUE(proof) << proof.error().detail;
  EXPECT_EQ(proof->jkt, thumbprint(key().public_key()));
  EXPECT_EQ(proof->nonce, "n-1");
  EXPECT_EQ(*parse_compact(text)->string_claim("htu"), "https://pds.example/xrpc/a.b.c");
  EXPECT_NE(
      proof->jti,
      parse_compact(make_dpop_proof(key(), "GET", k_uri, {}, {}, rng, k_now))->string_claim("jti")->c_str());
}

TEST(DpopProof, IsAcceptedWithACacheOfKeys) {
  KeyCache keys;
  const DpopPolicy policy{.keys = &keys};
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(check_dpop_proof(input(sign_jwt(header(), payload(), key())), policy, k_now));
  EXPECT_EQ(keys.size(), 1u);
}

TEST(DpopProof, HighSSignatureIsNoAttack) {
  const Bytes n = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  auto jwt = parse_compact(sign_jwt(header(), payload(), key())).value();
  int borrow = 0;
  for (std::size_t i = 32; i-- > 0;) {
    const int d = n[i] - jwt.signature[32 + i] - borrow;
    borrow = d < 0;
    jwt.signature[32 + i] = static_cast<std::uint8_t>(d);
  }
  EXPECT_TRUE(check_dpop_proof(input(jwt.signing_input + "." + base64url(jwt.signature)), {}, k_now));
}

// ---- attacks, in the order of RFC 9449 §4.3

TEST(DpopAttack, TwoProofsInOneHeaderAreRefused) {  // 1: fields of one name are joined by a comma
  const auto proof = sign_jwt(header(), payload(), key());
  EXPECT_FALSE(check_dpop_proof(input(proof + ", " + proof), {}, k_now));
  EXPECT_FALSE(check_dpop_proof(input(proof + "," + proof), {}, k_now));
}

TEST(DpopAttack, GarbageIsRefused) {  // 2
  EXPECT_FALSE(check_dpop_proof(input(""), {}, k_now));
  EXPECT_FALSE(check_dpop_proof(input("a.b.c"), {}, k_now));
}

TEST(DpopAttack, MissingOrWronglyTypedClaimsAreRefused) {  // 3
  for (const auto name : {"jti", "htm", "htu", "iat"}) {
    EXPECT_FALSE(accepted(header(), without(payload(), name))) << name;
    EXPECT_FALSE(accepted(header(), with(payload(), name, nullptr))) << name;
    EXPECT_FALSE(accepted(header(), with(payload(), name, json::Array{}))) << name;
  }
  for (const auto name : {"jti", "htm", "htu", "nonce"})
    EXPECT_FALSE(accepted(header(), with(payload(), name, 1)));
}

TEST(DpopAttack, TokensOfOtherTypesAreNoProofs) {  // 4
  for (const std::string typ : {"JWT", "at+jwt", "refresh+jwt", "DPOP+JWT", "application/dpop+jwt", ""})
    EXPECT_FALSE(accepted(with(header(), "typ", typ), payload())) << typ;
  EXPECT_FALSE(accepted(without(header(), "typ"), payload()));
}

TEST(DpopAttack, AlgNoneIsRefused) {  // 5
  for (const std::string alg : {"none", "NONE"}) {
    const std::string h = json::Value(with(header(), "alg", alg)).dump(), p = json::Value(payload()).dump();
    const std::string text = base64url(as_bytes(h)) + "." + base64url(as_bytes(p)) + ".";
    EXPECT_FALSE(check_dpop_proof(input(text), {}, k_now));
    EXPECT_FALSE(check_dpop_proof(input(text + "AAAA"), {}, k_now));
  }
}

TEST(DpopAttack, Hs256AndRs256ConfusionIsRefused) {  // 5: the "secret" would be in the proof
  EXPECT_FALSE(
      check_dpop_proof(input(sign_hs256(header(), payload(), key().public_key().compressed())), {}, k_now));
  json::Object oct = with(header(), "jwk", json::Object{{"kty", "oct"}, {"k", base64url(Bytes(32, 7))}});
  EXPECT_FALSE(check_dpop_proof(input(sign_hs256(oct, payload(), Bytes(32, 7))), {}, k_now));
  for (const std::string alg : {"RS256", "ES256K", "ES384", "EdDSA"}) {
    const std::string text = base64url(as_bytes(json::Value(with(header(), "alg", alg)).dump())) + "." +
                             base64url(as_bytes(json::Value(payload()).dump()));
    EXPECT_FALSE(check_dpop_proof(input(text + "." + base64url(key().sign(as_bytes(text)))), {}, k_now))
        << alg;
  }
}

TEST(DpopAttack, AKeyOnAnotherCurveIsRefused) {  // 5: our metadata announces ES256 alone
  const auto k = key(Curve::k256);
  EXPECT_FALSE(
      check_dpop_proof(input(sign_jwt(with(header(), "jwk", public_jwk(k)), payload(), k)), {}, k_now));
}

TEST(DpopAttack, SignatureOfAnotherKeyIsRefused) {  // 6
  EXPECT_FALSE(check_dpop_proof(input(sign_jwt(header(), payload(), key(Curve::p256, 2))), {}, k_now));
  auto text = sign_jwt(header(), payload(), key());
  text[text.size() - 10] = text[text.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(check_dpop_proof(input(text), {}, k_now));
}

TEST(DpopAttack, PrivateKeyInJwkIsRefused) {  // 7
  EXPECT_FALSE(accepted(with(header(), "jwk", private_jwk(key())), payload()));
}

TEST(DpopAttack, JwkMissingOrElsewhereIsRefused) {
  EXPECT_FALSE(accepted(without(header(), "jwk"), payload()));
  EXPECT_FALSE(accepted(with(without(header(), "jwk"), "jku", "https://evil.example/jwks"), payload()));
  EXPECT_FALSE(accepted(with(header(), "jwk", json::Value(public_jwk()).dump()), payload()));
}

TEST(DpopAttack, WrongMethodIsRefused) {  // 8
  for (const std::string htm : {"GET", "post", "Post", "POST ", ""})
    EXPECT_FALSE(accepted(header(), with(payload(), "htm", htm))) << htm;
}

TEST(DpopAttack, WrongUriIsRefused) {  // 9
  for (const std::string htu :
       {"http://pds.example/oauth/token", "https://evil.example/oauth/token",
        "https://pds.example/oauth/Token", "https://pds.example/oauth/token/",
        "https://pds.example/oauth/par", "https://pds.example:8443/oauth/token",
        "https://pds.example@evil.example/oauth/token", "https://user@pds.example/oauth/token",
        "https://pds.example./oauth/token", "/oauth/token", "pds.example/oauth/token", "",
        "https://pds.example", "https://pds.example/oauth%2ftoken", "https://pds.example/x/oauth/token"})
    EXPECT_FALSE(accepted(header(), with(payload(), "htu", htu))) << htu;
}

TEST(DpopProof, UriIsComparedAfterNormalisation) {  // 9; RFC 3986 §6.2.2, §6.2.3
  for (const std::string htu : {"HTTPS://PDS.Example/oauth/token", "https://pds.example:443/oauth/token",
                                "https://pds.example/oauth/tok%65n", "https://pds.example/oauth/./token",
                                "https://pds.example/oauth/x/../token", "https://pds.example/../oauth/token",
                                "https://pds.example/oauth/token?code=1", "https://pds.example/oauth/token#f",
                                "https://pds.example/oauth/token?"})
    EXPECT_TRUE(accepted(header(), with(payload(), "htu", htu))) << htu;
}

TEST(SameHtu, KnowsWhatIsEqual) {
  EXPECT_TRUE(same_htu("https://a.example", "https://a.example/"));
  EXPECT_TRUE(same_htu("http://127.0.0.1:80/x", "http://127.0.0.1/x"));
  EXPECT_TRUE(same_htu("http://localhost:3000/x?y", "http://localhost:3000/x"));
  EXPECT_TRUE(same_htu("https://a.example/%c3%a9", "https://a.example/%C3%A9"));
  EXPECT_TRUE(same_htu("https://a.example/a/b/..", "https://a.example/a/"));
  EXPECT_TRUE(same_htu("https://a.example/a/.", "https://a.example/a/"));
  EXPECT_TRUE(same_htu("https://a.example/%2e%2E/x", "https://a.example/x"));
  EXPECT_TRUE(same_htu("https://a.example/..", "https://a.example/"));
  EXPECT_FALSE(same_htu("https://a.example/%2f", "https://a.example//"));
  EXPECT_FALSE(same_htu("https://a.example/a/..", "https://a.example/a"));
  EXPECT_FALSE(same_htu("https://a.example//x", "https://a.example/x"));
  EXPECT_FALSE(same_htu("http://a.example:443/", "https://a.example/"));
  EXPECT_FALSE(same_htu("https://a.example/%", "https://a.example/%"));
  EXPECT_FALSE(same_htu("https://a.example/%4", "https://a.example/%4"));
  EXPECT_FALSE(same_htu("https://a.example/...", "https://a.example/"));
  EXPECT_FALSE(same_htu("", ""));
  EXPECT_FALSE(same_htu("ftp://a.example/", "ftp://a.example/"));
}

TEST(DpopAttack, OverlongNonceIsRefused) {  // 10 itself is the caller's, through Nonces
  EXPECT_TRUE(accepted(header(), with(payload(), "nonce", std::string(256, 'n'))));
  EXPECT_FALSE(accepted(header(), with(payload(), "nonce", std::string(257, 'n'))));
}

TEST(DpopAttack, OldOrFutureProofIsRefused) {  // 11
  const auto at = [](std::chrono::seconds s) { return with(payload(), "iat", unix_seconds(k_now + s)); };
  EXPECT_TRUE(accepted(header(), at(-300s)));
  EXPECT_FALSE(accepted(header(), at(-301s)));
  EXPECT_TRUE(accepted(header(), at(180s)));
  EXPECT_FALSE(accepted(header(), at(181s)));
  EXPECT_FALSE(accepted(header(), with(payload(), "iat", 0)));
  EXPECT_FALSE(accepted(header(), with(payload(), "iat", -1)));
  EXPECT_FALSE(accepted(header(), with(payload(), "iat", 1e300)));
  EXPECT_FALSE(accepted(header(), with(payload(), "iat", std::to_string(unix_seconds(k_now)))));
}

TEST(DpopAttack, ExpAndNbfCountWhenPresent) {
  const auto at = [](std::string name, std::chrono::seconds s) {
    return with(payload(), std::move(name), unix_seconds(k_now + s));
  };
  EXPECT_TRUE(accepted(header(), at("exp", -179s)));
  EXPECT_FALSE(accepted(header(), at("exp", -180s)));
  EXPECT_TRUE(accepted(header(), at("nbf", 180s)));
  EXPECT_FALSE(accepted(header(), at("nbf", 181s)));
  EXPECT_FALSE(accepted(header(), with(payload(), "exp", "never")));
}

TEST(DpopAttack, MissingOrForeignAthIsRefused) {  // 12
  EXPECT_TRUE(accepted(header(), with(payload(), "ath", ath("token")), "token"));
  EXPECT_FALSE(accepted(header(), payload(), "token"));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", ath("other")), "token"));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", ath("token") + "="), "token"));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", ""), "token"));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", 1), "token"));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", "token"), "token"));
}

TEST(DpopAttack,
     AthWithoutAccessTokenIsRefused) {  // a proof made for a resource, taken to the token endpoint
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", ath("token"))));
  EXPECT_FALSE(accepted(header(), with(payload(), "ath", ath(""))));
}

TEST(DpopAttack, JtiOfAMegabyteIsRefused) {
  EXPECT_TRUE(accepted(header(), with(payload(), "jti", std::string(256, 'j'))));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", std::string(257, 'j'))));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", std::string(1 << 20, 'j'))));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", "")));
}

TEST(DpopAttack, CriticalExtensionIsRefused) {
  EXPECT_FALSE(accepted(with(header(), "crit", json::Array{"nonce"}), payload()));
}

TEST(DpopAttack, ProofIsTooOldOnceItMayBeForgotten) {
  const auto text = sign_jwt(header(), payload(), key());
  const auto proof = check_dpop_proof(input(text), {}, k_now).value();
  EXPECT_TRUE(check_dpop_proof(input(text), {}, proof.remember_until - Time::duration(1)));
  EXPECT_FALSE(check_dpop_proof(input(text), {}, proof.remember_until));
}

}  // namespace
}  // namespace latchkey::oauth

#include "oauth/jose/client_assertion.h"

#include <gtest/gtest.h>

#include "oauth/jose/jwt.h"

namespace latchkey::oauth {
namespace {

using namespace std::chrono_literals;
using crypto::Curve;

constexpr std::string_view k_client = "https://app.example/client-metadata.json";
constexpr std::string_view k_issuer = "https://pds.example";
const Time k_now = from_unix_seconds(1'750'000'000);

crypto::PrivateKey key(std::uint64_t seed = 1, Curve curve = Curve::p256) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(curve, rng);
}
Jwk jwk(const crypto::PrivateKey& k, std::string kid) {
  return {.key = k.public_key(), .kid = std::move(kid), .alg = {}, .use = {}};
}
Jwks jwks() { return {{jwk(key(2), "other"), jwk(key(1), "k1")}}; }

json::Object header() { return {{"typ", "JWT"}, {"kid", "k1"}}; }
json::Object payload() {
  return {{"iss", k_client},
          {"sub", k_client},
          {"aud", k_issuer},
          {"jti", "j-1"},
          {"iat", unix_seconds(k_now)},
          {"exp", unix_seconds(k_now) + 60}};
}
json::Object with(json::Object o, std::string name, json::Value value) {
  o.set(std::move(name), std::move(value));
  return o;
}
json::Object without(json::Object o, std::string_view name) {
  o.erase(name);
  return o;
}
Result<ClientAssertion, JoseError> check(std::string_view text, const Jwks& set = jwks(), Time now = k_now) {
  return check_client_assertion(text, k_client, k_issuer, set, {}, now);
}
bool accepted(json::Object h, json::Object p, const crypto::PrivateKey& k = key()) {
  return check(sign_jwt(std::move(h), std::move(p), k)).has_value();
}

TEST(ClientAssertion, OfTheClientIsAccepted) {
  SeededRng rng;
  const auto text = make_client_assertion(key(), "k1", k_client, k_issuer, rng, k_now);
  const auto a = check(text);
  ASSERT_TRUE(a) << a.error().detail;
  EXPECT_EQ(a->kid, "k1");
  EXPECT_EQ(a->alg, "ES256");
  EXPECT_EQ(a->jkt, thumbprint(key().public_key()));  // what the server compares with the DPoP key
  EXPECT_EQ(a->iat, k_now);
  EXPECT_FALSE(a->jti.empty());
}

TEST(ClientAssertion, MayComeWithoutExpAndWithOneAudienceInAList) {
  EXPECT_TRUE(accepted(header(), without(payload(), "exp")));
  EXPECT_TRUE(accepted(header(), with(payload(), "aud", json::Array{k_issuer})));
  EXPECT_TRUE(accepted(without(header(), "typ"), payload()));
}

TEST(ClientAssertionAttack, AudienceOfTheTokenEndpointIsRefused) {
  for (const std::string aud :
       {"https://pds.example/oauth/token", "https://pds.example/", "https://evil.example", ""})
    EXPECT_FALSE(accepted(header(), with(payload(), "aud", aud))) << aud;
  EXPECT_FALSE(accepted(header(), with(payload(), "aud", json::Array{k_issuer, "https://other.example"})));
  EXPECT_FALSE(accepted(header(), with(payload(), "aud", json::Array{})));
  EXPECT_FALSE(accepted(header(), without(payload(), "aud")));
}

TEST(ClientAssertionAttack, OfAnotherClientIsRefused) {
  EXPECT_FALSE(accepted(header(), with(payload(), "iss", "https://evil.example/c.json")));
  EXPECT_FALSE(accepted(header(), with(payload(), "sub", "https://evil.example/c.json")));
  EXPECT_FALSE(accepted(header(), without(payload(), "iss")));
  EXPECT_FALSE(accepted(header(), without(payload(), "sub")));
}

TEST(ClientAssertionAttack, ExpFarAheadIsRefused) {
  const auto at = [](std::chrono::seconds s) { return with(payload(), "exp", unix_seconds(k_now + s)); };
  EXPECT_TRUE(accepted(header(), at(600s)));
  EXPECT_FALSE(accepted(header(), at(601s)));
  EXPECT_FALSE(accepted(header(), with(payload(), "exp", std::int64_t{253'402'300'799})));
}

TEST(ClientAssertionAttack, ExpiredIsRefused) {
  const auto at = [](std::chrono::seconds s) { return with(payload(), "exp", unix_seconds(k_now + s)); };
  EXPECT_TRUE(accepted(header(), at(-29s)));
  EXPECT_FALSE(accepted(header(), at(-30s)));
  EXPECT_FALSE(accepted(header(), with(payload(), "exp", 0)));
  EXPECT_FALSE(accepted(header(), with(payload(), "exp", "soon")));
}

TEST(ClientAssertionAttack, OldOrFutureIatIsRefused) {
  const auto at = [](std::chrono::seconds s) {
    return without(with(payload(), "iat", unix_seconds(k_now + s)), "exp");
  };
  EXPECT_TRUE(accepted(header(), at(-300s)));
  EXPECT_FALSE(accepted(header(), at(-301s)));
  EXPECT_TRUE(accepted(header(), at(30s)));
  EXPECT_FALSE(accepted(header(), at(31s)));
  EXPECT_FALSE(accepted(header(), without(payload(), "iat")));
  EXPECT_FALSE(accepted(header(), with(payload(), "nbf", unix_seconds(k_now) + 31)));
  EXPECT_TRUE(accepted(header(), with(payload(), "nbf", unix_seconds(k_now) + 30)));
}

TEST(ClientAssertionAttack, MissingOrUnknownKidIsRefused) {
  EXPECT_FALSE(accepted(without(header(), "kid"), payload()));
  EXPECT_FALSE(accepted(with(header(), "kid", ""), payload()));
  EXPECT_FALSE(accepted(with(header(), "kid", 1), payload()));
  EXPECT_FALSE(accepted(with(header(), "kid", "k2"), payload()));
  EXPECT_FALSE(accepted(with(header(), "kid", "other"), payload()));  // a key of the set, not the signing one
}

TEST(ClientAssertionAttack, KeyRemovedFromTheSetIsRefused) {
  const auto text = sign_jwt(header(), payload(), key());
  EXPECT_TRUE(check(text));
  EXPECT_FALSE(check(text, Jwks{{jwk(key(2), "other")}}));
  EXPECT_FALSE(check(text, Jwks{}));
  EXPECT_FALSE(check(text, Jwks{{jwk(key(2), "k1")}}));  // replaced under the same name
}

TEST(ClientAssertionAttack, KeyFromTheHeaderIsNotTrusted) {
  EXPECT_FALSE(accepted(with(header(), "jwk", jwk(key(3), "k1").to_json()), payload(), key(3)));
}

TEST(ClientAssertionAttack, AlgMismatchIsRefused) {
  EXPECT_FALSE(accepted(header(), payload(), key(1, Curve::k256)));
  const std::string hs = sign_hs256(header(), payload(), key().public_key().compressed());
  EXPECT_FALSE(check(hs));
}

TEST(ClientAssertionAttack, OtherTypedTokensAreRefused) {
  for (const std::string typ : {"dpop+jwt", "at+jwt", "refresh+jwt"})
    EXPECT_FALSE(accepted(with(header(), "typ", typ), payload())) << typ;
}

TEST(ClientAssertionAttack, JtiIsThereAndBounded) {
  EXPECT_FALSE(accepted(header(), without(payload(), "jti")));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", "")));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", 7)));
  EXPECT_TRUE(accepted(header(), with(payload(), "jti", std::string(256, 'j'))));
  EXPECT_FALSE(accepted(header(), with(payload(), "jti", std::string(257, 'j'))));
}

TEST(ClientAssertionAttack, CanBeReplayedOnlyWhileItIsRemembered) {
  const auto text = sign_jwt(header(), payload(), key());
  const auto a = check(text).value();
  EXPECT_FALSE(check(text, jwks(), a.remember_until)) << "forgotten while it still works";
  const auto no_exp = sign_jwt(header(), without(payload(), "exp"), key());
  const auto b = check(no_exp).value();
  EXPECT_TRUE(check(no_exp, jwks(), b.remember_until - Time::duration(1)));
  EXPECT_FALSE(check(no_exp, jwks(), b.remember_until));
}

}  // namespace
}  // namespace latchkey::oauth

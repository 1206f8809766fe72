#include "oauth/pkce/pkce.h"

#include <gtest/gtest.h>

namespace latchkey::oauth {
namespace {

// RFC 7636 appendix B.
constexpr std::string_view k_verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
constexpr std::string_view k_challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

TEST(Pkce, MatchesRfc7636) {
  EXPECT_EQ(pkce_challenge(k_verifier), k_challenge);
  EXPECT_TRUE(pkce_matches(k_verifier, k_challenge));
}

TEST(Pkce, WhatWeMakeMatches) {
  SeededRng rng;
  const auto verifier = make_pkce_verifier(rng);
  EXPECT_TRUE(is_valid_verifier(verifier));
  EXPECT_TRUE(pkce_matches(verifier, pkce_challenge(verifier)));
  EXPECT_NE(verifier, make_pkce_verifier(rng));
}

TEST(PkceAttack, PlainIsRefused) {
  EXPECT_FALSE(pkce_matches(k_verifier, k_verifier));
  EXPECT_TRUE(is_supported_challenge_method("S256"));
  for (const auto method : {"plain", "s256", "S512", "", "S256 "})
    EXPECT_FALSE(is_supported_challenge_method(method));
}

TEST(PkceAttack, WrongVerifierIsRefused) {
  std::string other(k_verifier);
  other[0] = 'e';
  EXPECT_FALSE(pkce_matches(other, k_challenge));
  EXPECT_FALSE(pkce_matches("", k_challenge));
  EXPECT_FALSE(pkce_matches(k_verifier, ""));
}

TEST(PkceAttack, ShortOrLongVerifierIsRefused) {
  for (const std::size_t n : {0u, 1u, 42u, 129u, 1'000'000u}) {
    const std::string verifier(n, 'a');
    EXPECT_FALSE(is_valid_verifier(verifier)) << n;
    EXPECT_FALSE(pkce_matches(verifier, pkce_challenge(verifier))) << n;
  }
  for (const std::size_t n : {43u, 128u}) {
    const std::string verifier(n, 'a');
    EXPECT_TRUE(is_valid_verifier(verifier)) << n;
    EXPECT_TRUE(pkce_matches(verifier, pkce_challenge(verifier))) << n;
  }
}

TEST(PkceAttack, VerifierWithOtherCharactersIsRefused) {
  for (const char c : {' ', '+', '/', '=', '%', '\n', '\0', '\x80', '"'})
    EXPECT_FALSE(is_valid_verifier(std::string(42, 'a') + c)) << static_cast<int>(c);
  EXPECT_TRUE(is_valid_verifier(std::string(39, 'a') + "-._~"));
}

TEST(PkceAttack, MalformedChallengeIsRefused) {
  EXPECT_TRUE(is_valid_challenge(k_challenge));
  const std::string good(k_challenge);
  for (const std::string& bad : {good + "=", good.substr(1), good + "A", "+" + good.substr(1),
                                 std::string(43, '~'), good.substr(0, 42) + "N"})  // unused bits set
    EXPECT_FALSE(is_valid_challenge(bad)) << bad;
}

}  // namespace
}  // namespace latchkey::oauth

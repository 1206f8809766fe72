#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class Tokens : public ServerTest {};

TEST_P(Tokens, SignsInAndReachesTheResource) {
  const auto tokens = signed_in();
  EXPECT_EQ(text(tokens, "token_type"), "DPoP");
  EXPECT_EQ(text(tokens, "sub"), k_did);
  EXPECT_EQ(text(tokens, "scope"), "atproto transition:generic");
  EXPECT_EQ(*tokens.find("expires_in")->integer(), 900);
  const auto grant = resource(text(tokens, "access_token"), key_);
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->did, k_did);
  EXPECT_EQ(grant->scope, "atproto transition:generic");
}

TEST_P(Tokens, AttackCodeInjection_WrongVerifierKeyClientOrRedirectUri) {
  const std::string code = code_for(pushed(par_form()));
  const auto refused = [&](FormFields form, const crypto::PrivateKey& key, const char* why) {
    const auto response = post("/oauth/token", form, proof("/oauth/token", key));
    EXPECT_EQ(response.status, 400) << why;
    EXPECT_EQ(error(response), "invalid_grant") << why;
  };
  refused(with(code_form(code), "code_verifier", make_pkce_verifier(rng_)), key_, "wrong verifier");
  refused(with(code_form(code), "code_verifier", std::string(42, 'a')), key_, "short verifier");
  refused(with(code_form(code), "code_verifier", std::string(129, 'a')), key_, "long verifier");
  refused(code_form(code), other_key_, "another DPoP key");
  refused(with(code_form(code), "client_id", "http://localhost"), key_, "another client");
  refused(with(code_form(code), "redirect_uri", "http://127.0.0.1:4321/other"), key_, "another redirect_uri");
  refused(code_form(rng_.token()), key_, "a guessed code");
  EXPECT_EQ(post("/oauth/token", without(code_form(code), "code_verifier")).status, 400);
  EXPECT_EQ(error(post("/oauth/token", with(code_form(code), "grant_type", "password"))),
            "unsupported_grant_type");
  EXPECT_EQ(post("/oauth/token", code_form(code)).status, 200) << "none of that spent it";
}

TEST_P(Tokens, AttackCodeReuse_RevokesWhatTheCodeIssued) {
  const std::string code = code_for(pushed(par_form()));
  const auto tokens = body(post("/oauth/token", code_form(code)));
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(error(post("/oauth/token", code_form(code))), "invalid_grant");
  EXPECT_FALSE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
}

TEST_P(Tokens, ACodeLivesAMinute) {
  const std::string early = code_for(pushed(par_form()));
  clock_.advance(k_code_lifetime - 1s);
  EXPECT_EQ(post("/oauth/token", code_form(early)).status, 200);
  const std::string late = code_for(pushed(par_form()));
  clock_.advance(k_code_lifetime);
  EXPECT_EQ(error(post("/oauth/token", code_form(late))), "invalid_grant");
}

TEST_P(Tokens, RevocationEndsTheSessionByEitherToken) {  // RFC 7009 §2.1
  for (const char* which : {"refresh_token", "access_token"}) {
    const auto tokens = signed_in();
    const auto response =
        post("/oauth/revoke", {{"token", text(tokens, which)}, {"client_id", k_loopback}}, "");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "{}");
    EXPECT_FALSE(resource(text(tokens, "access_token"), key_).has_value());
    EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
  }
}

TEST_P(Tokens, AttackRevocation_AnotherClientsTokenStaysAlive) {
  const auto tokens = signed_in();
  EXPECT_EQ(
      post("/oauth/revoke", {{"token", text(tokens, "refresh_token")}, {"client_id", "http://localhost"}}, "")
          .status,
      200);
  EXPECT_EQ(post("/oauth/revoke", {{"token", "nonsense"}, {"client_id", k_loopback}}, "").status, 200);
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
}

TEST_P(Tokens, AttackCodeReuse_OnlyASecondValidUseEndsTheSession) {
  // A thief who has the code and not the rest must not be able to sign its owner out.
  const std::string code = code_for(pushed(par_form()));
  const auto tokens = body(post("/oauth/token", code_form(code)));
  const auto refused = [&](FormFields form, const crypto::PrivateKey& key) {
    EXPECT_EQ(error(post("/oauth/token", form, proof("/oauth/token", key))), "invalid_grant");
    EXPECT_TRUE(lives(tokens));
  };
  refused(with(code_form(code), "code_verifier", make_pkce_verifier(rng_)), key_);
  refused(code_form(code), other_key_);
  refused(with(code_form(code), "client_id", "http://localhost"), key_);
  refused(with(code_form(code), "redirect_uri", "http://127.0.0.1:4321/other"), key_);
  clock_.advance(10min);
  EXPECT_EQ(error(post("/oauth/token", code_form(code))), "invalid_grant");
  EXPECT_FALSE(lives(tokens)) << "valid but for being late and used: that ends it";
}

TEST_P(Tokens, AttackCodeReuse_OfManyAtOnceNoTokenSurvives) {
  const std::string code = code_for(pushed(par_form()));
  std::vector<web::Response> answers(8);
  std::vector<std::thread> threads;
  for (auto& out : answers)
    threads.emplace_back(
        [&, p = proof("/oauth/token", key_)] { out = post("/oauth/token", code_form(code), p); });
  for (auto& t : threads) t.join();
  int ok = 0;
  for (const auto& r : answers)
    if (r.status == 200) {
      ++ok;
      EXPECT_FALSE(lives(body(r)));
    }
  EXPECT_EQ(ok, 1);
}

TEST_P(Tokens, AttackStanding_NoTokenForAnAccountThatIsNotActive) {
  for (const Standing standing : {Standing::deactivated, Standing::takendown, Standing::missing}) {
    const std::string code = code_for(pushed(par_form()));
    becomes(standing);
    EXPECT_EQ(error(post("/oauth/token", code_form(code))), "invalid_grant");
    becomes(Standing::active);
    EXPECT_EQ(post("/oauth/token", code_form(code)).status, 200) << "refusing spent nothing";
  }
}

TEST_P(Tokens, AttackGrant_MissingOrUnknown) {
  EXPECT_EQ(error(post("/oauth/token", {{"client_id", k_loopback}})), "invalid_request");
  EXPECT_EQ(error(post("/oauth/token", {{"client_id", k_loopback}, {"grant_type", "client_credentials"}})),
            "unsupported_grant_type");
  EXPECT_EQ(error(post("/oauth/token", {{"client_id", k_loopback}, {"grant_type", "refresh_token"}})),
            "invalid_request");
  EXPECT_EQ(error(post("/oauth/token", {{"grant_type", "refresh_token"}, {"refresh_token", "x"}})),
            "invalid_request");
}

TEST_P(Tokens, WithoutTheGrantTypeThereIsNoRefreshToken) {
  auto doc = document_of(k_public);
  doc.set("grant_types", json::Array{"authorization_code"});
  serve(k_public, doc);
  const auto tokens =
      body(post("/oauth/token", code_form(code_for(pushed(par_form(k_public)), k_public), k_public)));
  EXPECT_NE(text(tokens, "access_token"), "");
  EXPECT_EQ(tokens.find("refresh_token"), nullptr);
}

TEST_P(Tokens, AnIncludeIsToldAsGrantedAndMeansWhatTheSetSays) {
  lexicons_.known["app.test.basic"] = set_lexicon("app.test.basic", "app.test.post");
  serve(k_public, document_of(k_public, "atproto include:app.test.basic"));
  const auto code =
      code_for(pushed(with(par_form(k_public), "scope", "atproto include:app.test.basic")), k_public);
  const auto tokens = body(post("/oauth/token", code_form(code, k_public)));
  EXPECT_EQ(text(tokens, "scope"), "atproto include:app.test.basic");
  EXPECT_EQ(resource(text(tokens, "access_token"), key_)->scope, "atproto repo:app.test.post");
  // The set changes: the next refresh knows.
  lexicons_.known["app.test.basic"] = set_lexicon("app.test.basic", "app.test.like");
  clock_.advance(k_set_stale_after + 1s);
  const auto later = body(post("/oauth/token", refresh_form(tokens, k_public)));
  EXPECT_EQ(text(later, "scope"), "atproto include:app.test.basic");
  EXPECT_EQ(resource(text(later, "access_token"), key_)->scope, "atproto repo:app.test.like");
}

INSTANTIATE_TEST_SUITE_P(Store, Tokens, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth

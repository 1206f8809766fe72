#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class ClientKeys : public ServerTest {};

TEST_P(ClientKeys, ConfidentialClientProvesItsKey) {
  const auto client_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  serve_confidential_client(client_key);
  EXPECT_EQ(error(post("/oauth/par", par_form(k_confidential))), "invalid_client") << "no assertion";
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), other_key_))), "invalid_client");
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), client_key, "k9"))),
            "invalid_client");
  EXPECT_EQ(error(post("/oauth/par",
                       asserted(par_form(k_confidential), client_key, "k1", "https://pds.test/oauth/token"))),
            "invalid_client")
      << "the audience is the issuer";
  const std::string uri = pushed(asserted(par_form(k_confidential), client_key));
  const std::string code = code_for(uri, k_confidential);
  EXPECT_EQ(error(post("/oauth/token", code_form(code, k_confidential))), "invalid_client")
      << "no assertion at token";
  const auto response = post("/oauth/token", asserted(code_form(code, k_confidential), client_key));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto tokens = body(response);
  const auto refresh = with(refresh_form(tokens), "client_id", k_confidential);
  EXPECT_EQ(error(post("/oauth/token", refresh)), "invalid_client");
  EXPECT_EQ(post("/oauth/token", asserted(refresh, client_key)).status, 200);
  EXPECT_EQ(fetch_.count <= 2, true) << "the document is cached: " << fetch_.count;
}

TEST_P(ClientKeys, AttackAssertion_ReplayedOrWithTheDpopKey) {
  const auto client_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  serve_confidential_client(client_key);
  const auto form = asserted(par_form(k_confidential), client_key);
  EXPECT_EQ(post("/oauth/par", form).status, 201);
  const auto again = with(form, "code_challenge", pkce_challenge(make_pkce_verifier(rng_)));
  EXPECT_EQ(error(post("/oauth/par", again)), "invalid_client") << "jti used before";
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), client_key),
                       proof("/oauth/par", client_key))),
            "invalid_dpop_proof")
      << "one key for both";
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(), client_key))), "invalid_client")
      << "public client with assertion";
}

TEST_P(ClientKeys, AnotherKeyOfTheSameClientCannotTakeOverItsSession) {
  const auto client_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  serve_confidential_client(client_key);
  const std::string code = code_for(pushed(asserted(par_form(k_confidential), client_key)), k_confidential);
  const auto tokens = body(post("/oauth/token", asserted(code_form(code, k_confidential), client_key)));
  serve_confidential_client(other_key_, "k2");
  clock_.advance(11min);
  const auto refresh = with(refresh_form(tokens), "client_id", k_confidential);
  EXPECT_EQ(error(post("/oauth/token", asserted(refresh, other_key_, "k2"))), "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", asserted(refresh, client_key))), "invalid_client")
      << "no longer published";
}

TEST_P(ClientKeys, AttackClientKey_AnotherKeyOfTheClientIsNotTheSessions) {
  // Both keys are published and good: still each session belongs to the one it began with.
  serve(k_confidential, confidential_document({jwk(client_key_, "k1"), jwk(other_key_, "k2")}));
  const std::string code = code_for(pushed(asserted(par_form(k_confidential), client_key_)), k_confidential);
  EXPECT_EQ(error(post("/oauth/token", asserted(code_form(code, k_confidential), other_key_, "k2"))),
            "invalid_grant");
  const auto response = post("/oauth/token", asserted(code_form(code, k_confidential), client_key_));
  ASSERT_EQ(response.status, 200) << "refusing spent nothing";
  const auto tokens = body(response);
  EXPECT_EQ(error(refreshed_with(tokens, other_key_, "k2")), "invalid_grant");
  EXPECT_EQ(refreshed_with(tokens, client_key_).status, 200) << "and ended nothing";
}

TEST_P(ClientKeys, AttackClientKey_TheSameKidWithAnotherKeyIsAnotherKey) {
  serve_confidential_client(client_key_, "k1");
  const auto tokens = signed_in_with(client_key_);
  serve_confidential_client(other_key_, "k1");
  clock_.advance(10min);
  EXPECT_EQ(error(refreshed_with(tokens, other_key_, "k1")), "invalid_grant");
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty()) << "the key it began with is gone";
}

TEST_P(ClientKeys, AttackLostKey_ASessionEndsWithItsKeyWhenTheNewOneComes) {
  serve_confidential_client(client_key_);
  const auto tokens = signed_in_with(client_key_);
  serve_confidential_client(other_key_, "k2");
  EXPECT_EQ(run(server_->sessions_of(k_did)).size(), 1u);
  EXPECT_EQ(error(refreshed_with(tokens, other_key_, "k2")), "invalid_client") << "fetched a moment ago";
  clock_.advance(10s);
  EXPECT_EQ(error(refreshed_with(tokens, other_key_, "k2")), "invalid_grant");
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty());
  serve_confidential_client(client_key_);
  clock_.advance(10min);
  EXPECT_EQ(error(refreshed_with(tokens, client_key_)), "invalid_grant") << "also when the key comes back";
}

TEST_P(ClientKeys, AttackLostKey_ItsThiefEndsTheSessionByUsingIt) {
  serve_confidential_client(client_key_);
  const auto tokens = signed_in_with(client_key_);
  serve_confidential_client(other_key_, "k2");
  clock_.advance(10min);
  EXPECT_EQ(error(refreshed_with(tokens, client_key_)), "invalid_client") << "no longer published";
  EXPECT_FALSE(lives(tokens));
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty());
}

TEST_P(ClientKeys, ADocumentThatCannotBeFetchedEndsNothing) {
  serve_confidential_client(client_key_);
  const auto tokens = signed_in_with(client_key_);
  fetch_.trouble = FetchError{FetchError::Kind::timeout, "slow"};
  clock_.advance(10min);
  EXPECT_EQ(error(refreshed_with(tokens, client_key_)), "invalid_client_metadata");
  EXPECT_EQ(run(server_->sessions_of(k_did)).size(), 1u);
  fetch_.trouble.reset();
  clock_.advance(1min);
  EXPECT_EQ(refreshed_with(tokens, client_key_).status, 200);
}

TEST_P(ClientKeys, AttackDowngrade_AClientThatTurnsPublicLosesItsSessions) {
  serve_confidential_client(client_key_);
  const auto tokens = signed_in_with(client_key_);
  serve(k_confidential, document_of(k_confidential));
  clock_.advance(10min);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens, k_confidential))), "invalid_grant");
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty());
}

TEST_P(ClientKeys, AttackDowngrade_ACodeOfAConfidentialClientIsNotForAPublicOne) {
  serve_confidential_client(client_key_);
  const std::string code = code_for(pushed(asserted(par_form(k_confidential), client_key_)), k_confidential);
  serve(k_confidential, document_of(k_confidential));
  clock_.advance(30s);
  // An assertion with an unknown key makes the server look again.
  post("/oauth/token", asserted(code_form(code, k_confidential), other_key_, "k9"));
  EXPECT_EQ(error(post("/oauth/token", code_form(code, k_confidential))), "invalid_grant");
}

TEST_P(ClientKeys, APublicClientThatTurnsConfidentialBeginsAnew) {
  serve(k_confidential, document_of(k_confidential));
  const auto tokens = body(post(
      "/oauth/token", code_form(code_for(pushed(par_form(k_confidential)), k_confidential), k_confidential)));
  serve_confidential_client(client_key_);
  clock_.advance(10min);
  EXPECT_EQ(error(refreshed_with(tokens, client_key_)), "invalid_grant");
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty());
}

TEST_P(ClientKeys, ANewKeyIsFoundWithoutWaitingForTheCache) {
  serve_confidential_client(client_key_);
  pushed(asserted(par_form(k_confidential), client_key_));
  serve(k_confidential, confidential_document({jwk(client_key_, "k1"), jwk(other_key_, "k2")}));
  clock_.advance(10s);
  pushed(asserted(par_form(k_confidential), other_key_, "k2"));
}

INSTANTIATE_TEST_SUITE_P(Store, ClientKeys, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth

#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class AuthorizationServer : public ServerTest {};

TEST_P(AuthorizationServer, PublishesBothMetadataDocuments) {
  const auto as =
      send(web::Request::make("GET", std::string(k_issuer) + "/.well-known/oauth-authorization-server"));
  EXPECT_EQ(as.status, 200);
  EXPECT_EQ(as.headers.get("access-control-allow-origin"), "*");
  const auto doc = body(as);
  EXPECT_EQ(text(doc, "issuer"), k_issuer);
  EXPECT_EQ(text(doc, "authorization_endpoint"), "https://auth.pds.test/oauth/authorize");
  EXPECT_EQ(text(doc, "pushed_authorization_request_endpoint"), "https://pds.test/oauth/par");
  EXPECT_EQ(text(doc, "introspection_endpoint"), "https://pds.test/oauth/introspect");
  const auto rs =
      body(send(web::Request::make("GET", std::string(k_issuer) + "/.well-known/oauth-protected-resource")));
  EXPECT_EQ(text(rs, "resource"), k_issuer);
  EXPECT_EQ(*rs.find("authorization_servers")->array(), json::Array{k_issuer});
  EXPECT_EQ(send(web::Request::make("GET", std::string(k_issuer) + "/oauth/jwks")).status, 200);
}

TEST_P(AuthorizationServer, DemandsANonceAndGivesOne) {  // RFC 9449 §8
  const auto bare =
      make_dpop_proof(key_, "POST", std::string(k_issuer) + "/oauth/par", {}, {}, rng_, clock_.now());
  const auto first = post("/oauth/par", par_form(), bare);
  EXPECT_EQ(first.status, 400);
  EXPECT_EQ(error(first), "use_dpop_nonce");
  const std::string nonce(first.headers.get("dpop-nonce"));
  ASSERT_FALSE(nonce.empty());
  const auto again =
      make_dpop_proof(key_, "POST", std::string(k_issuer) + "/oauth/par", nonce, {}, rng_, clock_.now());
  const auto second = post("/oauth/par", par_form(), again);
  EXPECT_EQ(second.status, 201) << second.body;
  EXPECT_FALSE(second.headers.get("dpop-nonce").empty());
  EXPECT_EQ(second.headers.get("cache-control"), "no-store");
  EXPECT_EQ(*body(second).find("expires_in")->integer(), 300);
}

TEST_P(AuthorizationServer, AttackDpop_StaleNonceReplayedProofAndNoProof) {
  const std::string old = proof("/oauth/par", key_);
  EXPECT_EQ(post("/oauth/par", par_form(), old).status, 201);
  const auto replay = post("/oauth/par", par_form(), old);
  EXPECT_EQ(error(replay), "invalid_dpop_proof");
  const std::string unused = proof("/oauth/par", key_);
  clock_.advance(10min);
  EXPECT_EQ(error(post("/oauth/par", par_form(), unused)), "invalid_dpop_proof") << "iat too old";
  const auto none = post("/oauth/par", par_form(), "");
  EXPECT_EQ(none.status, 400);
  EXPECT_EQ(error(none), "invalid_dpop_proof");
  const std::string stale_nonce = server_->current_nonce();
  clock_.advance(6min);
  const auto stale = make_dpop_proof(key_, "POST", std::string(k_issuer) + "/oauth/par", stale_nonce, {},
                                     rng_, clock_.now());
  EXPECT_EQ(error(post("/oauth/par", par_form(), stale)), "use_dpop_nonce");
}

TEST_P(AuthorizationServer, AttackDpop_ProofForAnotherEndpointOrMethod) {
  EXPECT_EQ(error(post("/oauth/par", par_form(), proof("/oauth/token", key_))), "invalid_dpop_proof");
  web::Headers two{{"content-type", "application/x-www-form-urlencoded"}};
  two.add("DPoP", proof("/oauth/par", key_));
  two.add("DPoP", proof("/oauth/par", key_));
  EXPECT_EQ(error(send(web::Request::make("POST", std::string(k_issuer) + "/oauth/par",
                                          encode_form(par_form()), two))),
            "invalid_dpop_proof");
}

TEST_P(AuthorizationServer, SurvivesARestart) {
  const std::string code = code_for(pushed(par_form()));
  restart();
  const auto tokens = body(post("/oauth/token", code_form(code)));
  restart();
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
}

TEST_P(AuthorizationServer, AccessTokensEndAfterFifteenMinutes) {
  const auto tokens = signed_in();
  clock_.advance(k_access_lifetime - 1s);
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
  clock_.advance(1s);
  const auto late = resource(text(tokens, "access_token"), key_);
  EXPECT_EQ(late.error().code, Error::invalid_token);
}

TEST_P(AuthorizationServer, AttackStolenToken_NeedsTheKeyItIsBoundTo) {
  const auto tokens = signed_in();
  const std::string access = text(tokens, "access_token");
  EXPECT_EQ(resource(access, other_key_).error().code, Error::invalid_token);
  // A proof without ath, or for another token, is none for this one.
  const auto bare = run(server_->check_resource(
      {"GET", std::string(k_issuer) + "/xrpc/x.y.z", access, {proof("/xrpc/x.y.z", key_)}}));
  EXPECT_EQ(bare.error().code, Error::invalid_dpop_proof);
  const auto foreign = run(server_->check_resource(
      {"GET", std::string(k_issuer) + "/xrpc/x.y.z", access, {proof("/xrpc/x.y.z", key_, "other")}}));
  EXPECT_EQ(foreign.error().code, Error::invalid_dpop_proof);
  EXPECT_FALSE(resource(text(tokens, "refresh_token"), key_).has_value())
      << "a refresh token is no access token";
}

TEST_P(AuthorizationServer, AttackDpop_TheTokenEndpointTakesNoProofMadeForAResource) {
  const auto tokens = signed_in();
  const auto with_ath = proof("/oauth/token", key_, text(tokens, "access_token"));
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens), with_ath)), "invalid_dpop_proof");
}

TEST_P(AuthorizationServer, AttackDpop_OneProofUsedBySeveralAtOnce) {
  const std::string one = proof("/oauth/par", key_);
  std::vector<int> statuses(8);
  std::vector<FormFields> forms;
  for (std::size_t i = 0; i < statuses.size(); ++i) forms.push_back(par_form());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < statuses.size(); ++i)
    threads.emplace_back([&, i] { statuses[i] = post("/oauth/par", forms[i], one).status; });
  for (auto& t : threads) t.join();
  EXPECT_EQ(std::ranges::count(statuses, 201), 1);
  EXPECT_EQ(std::ranges::count(statuses, 400), 7);
}

TEST_P(AuthorizationServer, ASessionOfTheFirstSchemaGoesOn) {
  store::TestDatabase db(GetParam(), migrations().first(1));
  const RefreshTokens tokens(Secret<Bytes>(Bytes(32, 1)));
  const std::int64_t now = unix_micros(clock_.now());
  constexpr store::Sql k_session{
      "INSERT INTO oauth_session (id, did, client_id, scope, dpop_jkt, created_at, last_used_at, expires_at, "
      "generation, rotated_at) VALUES ('s', 'did:plc:x', 'c', 'atproto', 'j', ?1, ?1, ?2, 3, ?1)"};
  constexpr store::Sql k_request{
      "INSERT INTO oauth_request (id, client_id, redirect_uri, scope, state, code_challenge, response_mode, "
      "dpop_jkt, "
      "created_at, expires_at) VALUES ('r', 'c', 'u', 'atproto', 's', 'challenge', 'query', 'j', ?1, ?2)"};
  run(db->write([&](store::Tx& tx) {
    tx.exec(k_session, now, now + 1'000'000);
    tx.exec(k_request, now, now + 1'000'000);
  }));
  store::migrate(*db, migrations());
  const auto rotated = run(db->write([&](store::Tx& tx) {
    return sessions::rotate(
        tx, {"s", 3}, {"c", "j", {}, "192.0.2.1"},
        [](store::Tx&, const std::string&) { return Standing::active; }, clock_.now());
  }));
  ASSERT_TRUE(std::holds_alternative<sessions::Rotated>(rotated));
  EXPECT_EQ(std::get<sessions::Rotated>(rotated).session.generation, 4);
  run(db->write([&](store::Tx& tx) {
    EXPECT_EQ(requests::find_open(tx, "r", clock_.now())->state, "s") << "a sign-in under way goes on too";
    AuthorizationRequest again{.id = "r2", .code_challenge = "challenge", .created_at = clock_.now()};
    EXPECT_FALSE(requests::insert(tx, again)) << "its challenge is known";
  }));
}

INSTANTIATE_TEST_SUITE_P(Store, AuthorizationServer, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth

#include "oauth/server/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "oauth/jose/client_assertion.h"
#include "oauth/jose/jwt.h"
#include "oauth/pkce/pkce.h"
#include "oauth/server/schema.h"
#include "store/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_issuer = "https://pds.test";
constexpr const char* k_loopback =
    "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback&scope=atproto%20transition%3Ageneric";
constexpr const char* k_confidential = "https://app.example/client-metadata.json";
constexpr const char* k_did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

// Serves documents by URL and counts.
class FakeFetch final : public Fetch {
 public:
  std::map<std::string, FetchResponse> documents;
  int count = 0;
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    ++count;
    const auto at = documents.find(request.url);
    if (at == documents.end()) co_return fail(FetchError{FetchError::Kind::unreachable, "no such host"});
    co_return at->second;
  }
};

class AuthorizationServer : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
    restart();
  }
  void restart() {
    server_ = std::make_unique<Server>(
        ServerOptions{k_issuer, "https://auth.pds.test/oauth/authorize", Secret<Bytes>(Bytes(32, 9)),
                      [](store::Tx&, const std::string&) { return Standing::active; }},
        **db_, fetch_, clock_, rng_);
    router_ = std::make_unique<web::Router>();
    server_->add_routes(*router_);
  }

  web::Response send(web::Request request) { return run(router_->handle(std::move(request))); }
  web::Response post(std::string path, FormFields form, std::string proof) {
    web::Headers headers{{"content-type", "application/x-www-form-urlencoded"}};
    if (!proof.empty()) headers.add("DPoP", std::move(proof));
    return send(web::Request::make("POST", k_issuer + path, encode_form(form), std::move(headers)));
  }
  std::string proof(std::string path, const crypto::PrivateKey& key, std::optional<std::string> token = {}) {
    return make_dpop_proof(key, path.starts_with("/xrpc/") ? "GET" : "POST", k_issuer + path,
                           server_->current_nonce(), token, rng_, clock_.now());
  }
  web::Response post(std::string path, FormFields form) {
    const std::string p = proof(path, key_);
    return post(std::move(path), std::move(form), p);
  }
  static json::Value body(const web::Response& r) { return *json::parse(r.body); }
  static std::string error(const web::Response& r) {
    const auto b = json::parse(r.body);
    const std::string* e = b ? b->string_at("error") : nullptr;
    return e ? *e : "";
  }
  static std::string text(const json::Value& v, std::string_view member) {
    const std::string* s = v.string_at(member);
    return s ? *s : "";
  }

  // A new verifier each time: a challenge is accepted once.
  FormFields par_form(std::string client_id = k_loopback) {
    verifier_ = make_pkce_verifier(rng_);
    return {{"client_id", client_id},
            {"response_type", "code"},
            {"redirect_uri",
             client_id == k_loopback ? "http://127.0.0.1:4321/callback" : "https://app.example/callback"},
            {"scope", "atproto transition:generic"},
            {"state", "the state"},
            {"code_challenge", pkce_challenge(verifier_)},
            {"code_challenge_method", "S256"}};
  }
  static FormFields with(FormFields form, std::string name, std::string value) {
    std::erase_if(form, [&](const auto& f) { return f.first == name; });
    form.emplace_back(std::move(name), std::move(value));
    return form;
  }
  static FormFields without(FormFields form, std::string name) {
    std::erase_if(form, [&](const auto& f) { return f.first == name; });
    return form;
  }

  std::string pushed(FormFields form) {
    const auto response = post("/oauth/par", std::move(form));
    EXPECT_EQ(response.status, 201) << response.body;
    return text(body(response), "request_uri");
  }
  // The code from a request that a signed-in user approved.
  std::string code_for(std::string request_uri, std::string client_id = k_loopback,
                       std::string browser = "browser-a") {
    auto open = run(server_->open(std::move(request_uri), std::move(client_id), std::move(browser)));
    EXPECT_TRUE(open.has_value());
    auto response = run(server_->approve(*open, all_of(*open)));
    EXPECT_TRUE(response.has_value());
    return parameter(redirect_response(*response), "code");
  }
  static Approval all_of(const OpenRequest& open) {
    return {.did = k_did, .scope = *ScopeSet::parse(open.request.scope), .ip = "192.0.2.7"};
  }
  static std::string parameter(const web::Response& response, std::string_view name) {
    const std::string location(response.headers.get("location"));
    const auto fields = parse_form(std::string_view(location).substr(location.find_first_of("?#") + 1));
    return single(*fields, name).value_or("");
  }
  FormFields code_form(std::string code, std::string client_id = k_loopback) {
    return {{"grant_type", "authorization_code"},
            {"code", std::move(code)},
            {"redirect_uri",
             client_id == k_loopback ? "http://127.0.0.1:4321/callback" : "https://app.example/callback"},
            {"client_id", client_id},
            {"code_verifier", verifier_}};
  }
  json::Value signed_in() {
    const auto response = post("/oauth/token", code_form(code_for(pushed(par_form()))));
    EXPECT_EQ(response.status, 200) << response.body;
    return body(response);
  }
  FormFields refresh_form(const json::Value& tokens) {
    return {{"grant_type", "refresh_token"},
            {"refresh_token", text(tokens, "refresh_token")},
            {"client_id", k_loopback}};
  }
  Result<Server::Grant, Fault> resource(const std::string& token, const crypto::PrivateKey& key) {
    return run(server_->check_resource(
        {"GET", std::string(k_issuer) + "/xrpc/x.y.z", token, {proof("/xrpc/x.y.z", key, token)}}));
  }

  // The confidential client, with its document where the server will look.
  void serve_confidential_client(const crypto::PrivateKey& key, std::string kid = "k1") {
    const json::Object doc{
        {"client_id", k_confidential},
        {"grant_types", json::Array{"authorization_code", "refresh_token"}},
        {"response_types", json::Array{"code"}},
        {"scope", "atproto transition:generic"},
        {"redirect_uris", json::Array{"https://app.example/callback"}},
        {"dpop_bound_access_tokens", true},
        {"token_endpoint_auth_method", "private_key_jwt"},
        {"token_endpoint_auth_signing_alg", "ES256"},
        {"jwks", json::Object{{"keys", json::Array{Jwk{key.public_key(), kid, "ES256", "sig"}.to_json()}}}}};
    fetch_.documents[k_confidential] = {200, {{"content-type", "application/json"}}, json::Value(doc).dump()};
  }
  FormFields asserted(FormFields form, const crypto::PrivateKey& key, std::string kid = "k1",
                      std::string aud = k_issuer) {
    form = with(std::move(form), "client_assertion_type", std::string(k_client_assertion_type));
    return with(std::move(form), "client_assertion",
                make_client_assertion(key, kid, k_confidential, aud, rng_, clock_.now()));
  }

  FakeClock clock_;
  SeededRng rng_;
  FakeFetch fetch_;
  crypto::PrivateKey key_ = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  crypto::PrivateKey other_key_ = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<web::Router> router_;
  std::string verifier_;
};

TEST_P(AuthorizationServer, PublishesBothMetadataDocuments) {
  const auto as =
      send(web::Request::make("GET", std::string(k_issuer) + "/.well-known/oauth-authorization-server"));
  EXPECT_EQ(as.status, 200);
  EXPECT_EQ(as.headers.get("access-control-allow-origin"), "*");
  const auto doc = body(as);
  EXPECT_EQ(text(doc, "issuer"), k_issuer);
  EXPECT_EQ(text(doc, "authorization_endpoint"), "https://auth.pds.test/oauth/authorize");
  EXPECT_EQ(text(doc, "pushed_authorization_request_endpoint"), "https://pds.test/oauth/par");
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

TEST_P(AuthorizationServer, ParRefusesWhatItMust) {
  const struct {
    FormFields form;
    const char* error;
    const char* why;
  } rows[] = {
      {without(par_form(), "client_id"), "invalid_request", "no client_id"},
      {without(par_form(), "state"), "invalid_request", "no state"},
      {without(par_form(), "code_challenge"), "invalid_request", "no PKCE"},
      {with(par_form(), "code_challenge", std::string(42, 'a')), "invalid_request", "challenge too short"},
      {with(par_form(), "code_challenge_method", "plain"), "invalid_request", "plain PKCE"},
      {without(par_form(), "code_challenge_method"), "invalid_request", "a missing method means plain"},
      {with(par_form(), "response_type", "token"), "unsupported_response_type", "implicit"},
      {without(par_form(), "response_type"), "invalid_request", "no response_type"},
      {without(par_form(), "redirect_uri"), "invalid_request", "no redirect_uri"},
      {with(par_form(), "redirect_uri", "https://evil.example/callback"), "invalid_request",
       "unregistered redirect_uri"},
      {with(par_form(), "redirect_uri", "http://127.0.0.1:4321/other"), "invalid_request", "another path"},
      {with(par_form(), "scope", "transition:generic"), "invalid_scope", "no atproto"},
      {with(par_form(), "scope", "atproto openid"), "invalid_scope", "openid"},
      {with(par_form(), "scope", "atproto transition:email"), "invalid_scope", "not declared"},
      {with(par_form(), "login_hint", "alice@example.com"), "invalid_request",
       "an e-mail does not belong here"},
      {with(par_form(), "request_uri", "urn:x"), "invalid_request", "a pushed request points nowhere"},
      {with(par_form(), "request", "eyJ"), "invalid_request", "request objects"},
      {with(par_form(), "prompt", "sometimes"), "invalid_request", "unknown prompt"},
      {with(par_form(), "response_mode", "web_message"), "invalid_request", "not supported"},
      {with(par_form(), "client_secret", "x"), "invalid_client", "shared secrets"},
      {with(par_form(), "client_id", "https://nobody.example/x"), "invalid_client_metadata",
       "unreachable document"},
      {with(par_form(), "state", std::string(2049, 's')), "invalid_request", "state too long"},
  };
  for (const auto& row : rows) EXPECT_EQ(error(post("/oauth/par", row.form)), row.error) << row.why;
  auto doubled = par_form();
  doubled.emplace_back("redirect_uri", "https://evil.example/");
  EXPECT_EQ(error(post("/oauth/par", doubled)), "invalid_request") << "a parameter twice";
  EXPECT_EQ(post("/oauth/par", with(par_form(), "state", std::string(2048, 's'))).status, 201);
  EXPECT_EQ(post("/oauth/par", with(par_form(), "login_hint", "alice.test")).status, 201);
  EXPECT_EQ(post("/oauth/par", with(par_form(), "login_hint", k_did)).status, 201);
  const auto hint = post("/oauth/par", with(par_form(), "login_hint", "alice@example.com"));
  EXPECT_EQ(text(body(hint), "error_description"), "Invalid login_hint");
}

TEST_P(AuthorizationServer, ParIsPostOnly) {
  EXPECT_EQ(send(web::Request::make("GET", std::string(k_issuer) + "/oauth/par")).status, 405);
}

TEST_P(AuthorizationServer, ParTakesJsonToo) {
  json::Object in;
  for (const auto& [name, value] : par_form()) in.append(name, value);
  auto request =
      web::Request::make("POST", std::string(k_issuer) + "/oauth/par", json::Value(in).dump(),
                         {{"content-type", "application/json"}, {"DPoP", proof("/oauth/par", key_)}});
  EXPECT_EQ(send(std::move(request)).status, 201);
}

TEST_P(AuthorizationServer, AttackPkce_AChallengeIsAcceptedOnceADay) {
  const auto form = par_form();
  EXPECT_EQ(post("/oauth/par", form).status, 201);
  EXPECT_EQ(error(post("/oauth/par", form)), "invalid_request");
  clock_.advance(25h);
  run(server_->clean());
  EXPECT_EQ(post("/oauth/par", form).status, 201);
}

TEST_P(AuthorizationServer, SignsInAndReachesTheResource) {
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

TEST_P(AuthorizationServer, RedirectsWithIssStateAndCode) {
  auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  const auto response = redirect_response(*run(server_->approve(*open, all_of(*open))));
  EXPECT_EQ(response.status, 303);
  EXPECT_TRUE(response.headers.get("location").starts_with("http://127.0.0.1:4321/callback?"));
  EXPECT_EQ(parameter(response, "iss"), k_issuer);
  EXPECT_EQ(parameter(response, "state"), "the state");
  EXPECT_EQ(parameter(response, "code").size(), 43u);
  EXPECT_EQ(response.headers.get("cache-control"), "no-store");
  open = run(server_->open(pushed(with(par_form(), "response_mode", "fragment")), k_loopback, "a"));
  const auto denied = redirect_response(*run(server_->refuse(*open, Error::access_denied, "no")));
  EXPECT_TRUE(denied.headers.get("location").starts_with("http://127.0.0.1:4321/callback#"));
  EXPECT_EQ(parameter(denied, "error"), "access_denied");
  EXPECT_EQ(parameter(denied, "iss"), k_issuer);
}

TEST_P(AuthorizationServer, AttackRequestUri_UnknownForeignExpiredOrUsed) {
  EXPECT_FALSE(run(server_->open(std::string(k_request_uri_prefix) + "guess", k_loopback, "a")).has_value());
  EXPECT_FALSE(run(server_->open("https://evil.example/", k_loopback, "a")).has_value());
  const std::string uri = pushed(par_form());
  EXPECT_FALSE(run(server_->open(uri, "http://localhost", "a")).has_value()) << "another client's request";
  clock_.advance(k_request_lifetime - 1s);
  EXPECT_TRUE(run(server_->open(uri, k_loopback, "a")).has_value());
  clock_.advance(4min);
  EXPECT_TRUE(run(server_->open(uri, k_loopback, "a")).has_value()) << "in use, so it lives 10 minutes";
  clock_.advance(1min + 1s);
  EXPECT_FALSE(run(server_->open(uri, k_loopback, "a")).has_value());
  const std::string unopened = pushed(par_form());
  clock_.advance(k_request_lifetime);
  EXPECT_FALSE(run(server_->open(unopened, k_loopback, "a")).has_value());
  const std::string used = pushed(par_form());
  code_for(used);
  EXPECT_FALSE(run(server_->open(used, k_loopback, "browser-a")).has_value()) << "after approval";
}

TEST_P(AuthorizationServer, AttackLoginFixation_ASecondBrowserIsRefused) {
  const std::string uri = pushed(par_form());
  const auto mine = run(server_->open(uri, k_loopback, "browser-a"));
  ASSERT_TRUE(mine.has_value());
  EXPECT_FALSE(run(server_->open(uri, k_loopback, "browser-b")).has_value());
  EXPECT_FALSE(run(server_->reopen(mine->request.id, "browser-b")).has_value());
  EXPECT_TRUE(run(server_->reopen(mine->request.id, "browser-a")).has_value());
}

TEST_P(AuthorizationServer, ARequestIsApprovedOnce) {
  const auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  EXPECT_TRUE(run(server_->approve(*open, all_of(*open))).has_value());
  EXPECT_FALSE(run(server_->approve(*open, all_of(*open))).has_value());
  EXPECT_FALSE(run(server_->refuse(*open, Error::access_denied, "")).has_value());
}

TEST_P(AuthorizationServer, AttackCodeInjection_WrongVerifierKeyClientOrRedirectUri) {
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

TEST_P(AuthorizationServer, AttackCodeReuse_RevokesWhatTheCodeIssued) {
  const std::string code = code_for(pushed(par_form()));
  const auto tokens = body(post("/oauth/token", code_form(code)));
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(error(post("/oauth/token", code_form(code))), "invalid_grant");
  EXPECT_FALSE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
}

TEST_P(AuthorizationServer, ACodeLivesAMinute) {
  const std::string early = code_for(pushed(par_form()));
  clock_.advance(k_code_lifetime - 1s);
  EXPECT_EQ(post("/oauth/token", code_form(early)).status, 200);
  const std::string late = code_for(pushed(par_form()));
  clock_.advance(k_code_lifetime);
  EXPECT_EQ(error(post("/oauth/token", code_form(late))), "invalid_grant");
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

TEST_P(AuthorizationServer, RefreshRotates) {
  const auto first = signed_in();
  const auto response = post("/oauth/token", refresh_form(first));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto second = body(response);
  EXPECT_NE(text(first, "refresh_token"), text(second, "refresh_token"));
  EXPECT_TRUE(resource(text(second, "access_token"), key_).has_value());
  EXPECT_EQ(text(second, "sub"), k_did);
}

TEST_P(AuthorizationServer, AnAnswerLostOnTheWireIsGivenAgainWithinTheGrace) {
  const auto first = signed_in();
  const auto a = body(post("/oauth/token", refresh_form(first)));
  clock_.advance(k_refresh_grace);
  const auto b = body(post("/oauth/token", refresh_form(first)));
  EXPECT_EQ(text(a, "refresh_token"), text(b, "refresh_token"));
  EXPECT_EQ(post("/oauth/token", refresh_form(b)).status, 200);
}

TEST_P(AuthorizationServer, AttackRefreshReplay_EndsTheSession) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  clock_.advance(k_refresh_grace + 1s);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first))), "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", refresh_form(second))), "invalid_grant")
      << "the living token died with it";
  EXPECT_FALSE(resource(text(second, "access_token"), key_).has_value());
}

TEST_P(AuthorizationServer, AttackRefreshReplay_TwoGenerationsBackEndsTheSessionEvenAtOnce) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  const auto third = body(post("/oauth/token", refresh_form(second)));
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first))), "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", refresh_form(third))), "invalid_grant");
}

TEST_P(AuthorizationServer, AttackRefresh_ForeignKeyOrClientChangesNothing) {
  const auto tokens = signed_in();
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens), proof("/oauth/token", other_key_))),
            "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "client_id", "http://localhost"))),
            "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "refresh_token", "a.0.b"))),
            "invalid_grant");
  auto forged = text(tokens, "refresh_token");
  forged[forged.find('.') + 1] = '7';
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "refresh_token", forged))),
            "invalid_grant");
  EXPECT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
}

TEST_P(AuthorizationServer, FiftyRefreshesAtOnceLeaveOneSession) {
  const auto tokens = signed_in();
  std::vector<std::string> successors(50);
  std::vector<std::thread> threads;
  for (auto& out : successors)
    threads.emplace_back([&, p = proof("/oauth/token", key_)] {
      const auto r = post("/oauth/token", refresh_form(tokens), p);
      out = r.status == 200 ? text(body(r), "refresh_token") : r.body;
    });
  for (auto& t : threads) t.join();
  for (const auto& s : successors) EXPECT_EQ(s, successors[0]);
  EXPECT_EQ(post("/oauth/token", with(refresh_form(tokens), "refresh_token", successors[0])).status, 200);
}

TEST_P(AuthorizationServer, APublicSessionEndsAfterTwoWeeks) {
  auto tokens = signed_in();
  for (int day = 1; day < 14; ++day) {
    clock_.advance(24h);
    const auto r = post("/oauth/token", refresh_form(tokens));
    ASSERT_EQ(r.status, 200) << day;
    tokens = body(r);
  }
  clock_.advance(24h - 60s);
  const auto last = body(post("/oauth/token", refresh_form(tokens)));
  EXPECT_EQ(*last.find("expires_in")->integer(), 60) << "an access token never outlives its session";
  clock_.advance(60s);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(last))), "invalid_grant");
}

TEST_P(AuthorizationServer, RefreshMayNarrowTheScopeButNotWiden) {
  const auto tokens = signed_in();
  const auto narrow = body(post("/oauth/token", with(refresh_form(tokens), "scope", "atproto")));
  EXPECT_EQ(text(narrow, "scope"), "atproto");
  EXPECT_EQ(resource(text(narrow, "access_token"), key_)->scope, "atproto");
  const auto wide =
      body(post("/oauth/token", with(refresh_form(narrow), "scope", "atproto transition:email")));
  EXPECT_EQ(text(wide, "scope"), "atproto");
}

TEST_P(AuthorizationServer, RevocationEndsTheSessionByEitherToken) {  // RFC 7009 §2.1
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

TEST_P(AuthorizationServer, AttackRevocation_AnotherClientsTokenStaysAlive) {
  const auto tokens = signed_in();
  EXPECT_EQ(
      post("/oauth/revoke", {{"token", text(tokens, "refresh_token")}, {"client_id", "http://localhost"}}, "")
          .status,
      200);
  EXPECT_EQ(post("/oauth/revoke", {{"token", "nonsense"}, {"client_id", k_loopback}}, "").status, 200);
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
}

TEST_P(AuthorizationServer, SurvivesARestart) {
  const std::string code = code_for(pushed(par_form()));
  restart();
  const auto tokens = body(post("/oauth/token", code_form(code)));
  restart();
  EXPECT_TRUE(resource(text(tokens, "access_token"), key_).has_value());
  EXPECT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
}

TEST_P(AuthorizationServer, ConfidentialClientProvesItsKey) {
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

TEST_P(AuthorizationServer, AttackAssertion_ReplayedOrWithTheDpopKey) {
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

TEST_P(AuthorizationServer, AnotherKeyOfTheSameClientCannotTakeOverItsSession) {
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

TEST_P(AuthorizationServer, AttackMetadata_WrongAnswersOfTheDocumentServer) {
  const FormFields form = with(par_form(), "client_id", k_confidential);
  const std::string good = [&] {
    serve_confidential_client(key_);
    return fetch_.documents[k_confidential].body;
  }();
  const struct {
    FetchResponse answer;
    const char* why;
  } rows[] = {
      {{301, {{"location", "https://evil.example/"}}, ""}, "a redirect"},
      {{206, {{"content-type", "application/json"}}, good}, "partial content"},
      {{200, {{"content-type", "text/html"}}, good}, "another type"},
      {{200, {{"content-type", "application/json"}}, "{\"client_id\":1,\"client_id\":2}"}, "duplicate keys"},
      {{200, {{"content-type", "application/json"}}, std::string(100, '[')}, "nesting"}};
  for (const auto& row : rows) {
    fetch_.documents[k_confidential] = row.answer;
    clock_.advance(2min);  // past the negative cache
    EXPECT_EQ(error(post("/oauth/par", form)), "invalid_client_metadata") << row.why;
  }
  const int before = fetch_.count;
  post("/oauth/par", form);
  EXPECT_EQ(fetch_.count, before) << "failures are remembered for a minute";
}

TEST_P(AuthorizationServer, OnlyConfidentialClientsSkipConsent) {
  const auto client_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  serve_confidential_client(client_key);
  signed_in();
  auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  EXPECT_FALSE(run(server_->is_approved(*open, k_did)));
  const auto less = with(asserted(par_form(k_confidential), client_key), "scope", "atproto");
  code_for(pushed(less), k_confidential);
  open = run(server_->open(pushed(with(asserted(par_form(k_confidential), client_key), "scope", "atproto")),
                           k_confidential, "a"));
  EXPECT_TRUE(run(server_->is_approved(*open, k_did)));
  open = run(server_->open(pushed(asserted(par_form(k_confidential), client_key)), k_confidential, "a"));
  EXPECT_FALSE(run(server_->is_approved(*open, k_did))) << "asks for more than was approved";
}

INSTANTIATE_TEST_SUITE_P(Store, AuthorizationServer, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth

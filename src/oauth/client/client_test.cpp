// Whole sign-ins against a small network of our own making: PLC directory, PDS and authorization server, each
// answer scripted, time and randomness in the test's hand.
#include "oauth/client/client.h"

#include "oauth/client/client_world.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth::client {
namespace {

using namespace testing;
using std::chrono::minutes;
using std::chrono::seconds;

// --- the happy path ---

TEST(OauthClient, SignsInWithAHandle) {
  World w;
  const auto started = w.start("@Alice.test");

  // Handle → DID → document → PDS → authorization server → PAR, first without and then with the nonce.
  std::vector<std::string> urls;
  for (const auto& r : w.net.requests) urls.push_back(r.method + " " + r.url);
  EXPECT_EQ(urls,
            (std::vector<std::string>{"GET https://alice.test/.well-known/atproto-did",
                                      std::string("GET https://plc.test/") + k_alice,
                                      "GET https://pds.test/.well-known/oauth-protected-resource",
                                      "GET https://as.test/.well-known/oauth-authorization-server",
                                      "POST https://as.test/oauth/par", "POST https://as.test/oauth/par"}));
  EXPECT_EQ(w.net.requests[4].body, w.net.requests[5].body);
  EXPECT_EQ(w.net.requests[5].body,
            "client_id=http%3A%2F%2Flocalhost%3Fredirect_uri%3Dhttp%253A%252F%252F127.0.0.1%253A8080%"
            "252Fcallback%26"
            "scope%3Datproto%2520transition%253Ageneric"
            "&response_type=code"
            "&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcallback"
            "&scope=atproto%20transition%3Ageneric"
            "&state=" +
                started.state + "&code_challenge=" + w.server.challenge +
                "&code_challenge_method=S256"
                "&login_hint=alice.test");
  EXPECT_EQ(header_of(w.net.requests[5], "Content-Type"), "application/x-www-form-urlencoded");
  const auto proof = parse_compact(header_of(w.net.requests[5], "DPoP"));
  EXPECT_EQ(*proof->string_claim("nonce"), "nonce-1");
  EXPECT_EQ(*proof->string_claim("htu"), "https://as.test/oauth/par");
  EXPECT_EQ(
      started.url,
      "https://as.test/oauth/authorize?client_id=http%3A%2F%2Flocalhost%3Fredirect_uri%3Dhttp%253A%252F%252F"
      "127.0.0.1%253A8080%252Fcallback%26scope%3Datproto%2520transition%253Ageneric"
      "&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Areq-1");

  w.net.requests.clear();
  const auto signed_in = run(w.client.callback(w.answer(started), ""));
  ASSERT_TRUE(signed_in) << signed_in.error().detail;
  const auto tokens = w.net.to("https://as.test/oauth/token");
  ASSERT_EQ(tokens.size(), 1U) << "the nonce was known by now";
  const auto form = *parse_form(tokens[0]->body);
  EXPECT_EQ(form[0], (std::pair<std::string, std::string>{"grant_type", "authorization_code"}));
  EXPECT_EQ(form[1], (std::pair<std::string, std::string>{"code", "code-1"}));
  EXPECT_EQ(form[2], (std::pair<std::string, std::string>{"redirect_uri", k_redirect}));
  EXPECT_EQ(form[3].first, "code_verifier");
  EXPECT_EQ(form[4].first, "client_id");
  EXPECT_EQ(form.size(), 5U);

  EXPECT_EQ(signed_in->session.did().str(), k_alice);
  EXPECT_EQ(signed_in->handle->str(), "alice.test");
  EXPECT_EQ(signed_in->session.pds(), "https://pds.test");
  EXPECT_EQ(signed_in->session.issuer(), "https://as.test");
  EXPECT_EQ(signed_in->session.scope(), "atproto transition:generic");
  EXPECT_EQ(signed_in->session.expires_at(), w.clock.now() + seconds(900));
  EXPECT_EQ(w.stored_sessions(), 1U);
}

TEST(OauthClient, RepeatsASignInByteForByteFromTheSameSeed) {
  const auto transcript = [] {
    World w;
    auto session = w.session();
    (void)run(session.call("GET", "com.example.echo", {.params = {{"a", "1"}}}));
    std::string text;
    for (const auto& r : w.net.requests) {
      text += r.method + " " + r.url + "\n";
      for (const auto& [name, value] : r.headers)
        // An ECDSA signature is random; what it signs is not.
        text += name + ": " + (name == "DPoP" ? value.substr(0, value.rfind('.')) : value) + "\n";
      text += r.body + "\n";
    }
    return text + session.id();
  };
  EXPECT_EQ(transcript(), transcript());
}

TEST(OauthClient, SignsInWithADid) {
  World w;
  EXPECT_EQ(w.sign_in(k_alice)->session.did().str(), k_alice);
  const auto par = w.net.to("https://as.test/oauth/par");
  EXPECT_EQ(single(*parse_form(par[0]->body), "login_hint"), k_alice) << "as the user wrote it";
}

TEST(OauthClient, SignsInAtAPdsOrAnAuthorizationServer) {
  for (const auto* input : {"https://pds.test", "https://pds.test/", " https://as.test"}) {
    World w;
    const auto signed_in = w.sign_in(input);
    ASSERT_TRUE(signed_in) << input << signed_in.error().detail;
    EXPECT_EQ(signed_in->session.did().str(), k_alice);
    EXPECT_EQ(signed_in->handle->str(), "alice.test");
    const auto par = w.net.to("https://as.test/oauth/par");
    EXPECT_EQ(single(*parse_form(par[0]->body), "login_hint"), std::nullopt);
  }
}

TEST(OauthClient, PutsAnEmailOnTheAuthorizeUrlOnly) {
  World w;
  const auto started = w.start("https://pds.test", {.login_hint = "alice+x@example.com"});
  EXPECT_TRUE(started.url.ends_with("&login_hint=alice%2Bx%40example.com"));
  for (const auto& r : w.net.requests) {
    EXPECT_EQ(r.url.find("example.com"), std::string::npos) << r.url;
    EXPECT_EQ(r.body.find("example.com"), std::string::npos) << r.body;
  }
  w.net.requests.clear();
  EXPECT_EQ(run(w.client.authorize("alice@example.com", {})).error().code, Error::invalid_input);
  EXPECT_TRUE(w.net.requests.empty()) << "nobody was asked about it";
}

TEST(OauthClient, KeepsTheAppsStateToItself) {
  World w;
  const auto signed_in = w.sign_in("alice.test", {.app_state = "/inbox?x=1"});
  EXPECT_EQ(signed_in->app_state, "/inbox?x=1");
  for (const auto& r : w.net.requests) EXPECT_EQ(r.body.find("inbox"), std::string::npos);
}

TEST(OauthClient, PassesPromptAndScopeOn) {
  World w;
  w.start("alice.test", {.scope = "atproto", .prompt = "login"});
  const auto form = *parse_form(w.net.to("https://as.test/oauth/par")[1]->body);
  EXPECT_EQ(single(form, "prompt"), "login");
  EXPECT_EQ(single(form, "scope"), "atproto");
}

TEST(OauthClient, AuthenticatesAsConfidentialClient) {
  SeededRng rng(5);
  const auto key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  World w(*ClientMetadata::web("https://app.test/client.json", {"https://app.test/cb"}, "atproto",
                               {{"k1", key}}));
  w.server.client_keys.emplace("k1", key.public_key());
  w.server.nonce = "other";
  auto signed_in = w.sign_in();
  ASSERT_TRUE(signed_in) << signed_in.error().detail;
  ASSERT_TRUE(run(signed_in->session.refresh()));
  EXPECT_EQ(w.server.assertion_ids.size(), 4U)
      << "PAR twice (nonce), code, refresh: a new assertion for each";
}

// --- refusals before the redirect ---

TEST(OauthClient, RefusesWhatIsNoAccountAndNoServer) {
  World w;
  const auto code = [&](std::string input) {
    return run(w.client.authorize(std::move(input), {})).error().code;
  };
  EXPECT_EQ(code("nobody.test"), Error::unknown_account);
  EXPECT_EQ(code("hello"), Error::unknown_account);
  EXPECT_EQ(code(""), Error::unknown_account);
  EXPECT_EQ(code("https://pds.test/path"), Error::invalid_input);
  EXPECT_EQ(code("https://u@pds.test"), Error::invalid_input);
  EXPECT_EQ(code("http://pds.test"), Error::invalid_input) << "plain http";
  EXPECT_EQ(code("https://nothing.test"), Error::invalid_server);
  EXPECT_EQ(run(w.client.authorize("alice.test", {.redirect_uri = "https://evil.test/"})).error().code,
            Error::invalid_input);
  EXPECT_EQ(run(w.client.authorize("alice.test", {.login_hint = std::string(513, 'a')})).error().code,
            Error::invalid_input);
  EXPECT_TRUE(run(w.client.authorize("alice.test", {.login_hint = std::string(512, 'a')})));
  for (const auto* scope : {"transition:generic", "atproto  x", "openid"})
    EXPECT_EQ(run(w.client.authorize("alice.test", {.scope = scope})).error().code, Error::invalid_input)
        << scope;
}

TEST(OauthClient, AttackMixUp_MetadataOfAForeignIssuer) {
  World w;
  w.net.pages["https://as.test/.well-known/oauth-authorization-server"] = [&](const FetchRequest&) {
    auto m = w.server.metadata();
    m.set("issuer", "https://honest.test");
    return json_answer(200, m);
  };
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server);
  EXPECT_TRUE(w.net.to("https://as.test/oauth/par").empty());
}

TEST(OauthClient, RefusesMetadataThatIsRedirectedOrNotJson) {
  for (const int status : {301, 302, 204, 206, 404}) {
    World w;
    w.net.pages["https://as.test/.well-known/oauth-authorization-server"] = [&](const FetchRequest&) {
      return json_answer(status, w.server.metadata());
    };
    EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server) << status;
  }
  World w;
  w.net.pages["https://as.test/.well-known/oauth-authorization-server"] = [&](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "text/html"}}, json::Value(w.server.metadata()).dump()};
  };
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server);
}

TEST(OauthClient, AttackMixUp_AServerThatDoesNotListThePds) {  // RFC 9728 §4
  World w;
  std::string listed = "https://other.test";
  w.net.pages["https://as.test/.well-known/oauth-authorization-server"] = [&](const FetchRequest&) {
    auto m = w.server.metadata();
    m.set("protected_resources", json::Array{listed});
    return json_answer(200, m);
  };
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server);
  World good;
  listed = "https://pds.test";
  good.net.pages = w.net.pages;
  EXPECT_TRUE(run(good.client.authorize("alice.test", {})));
}

TEST(OauthClient, ReportsWhyThePushedRequestWasRefused) {
  World w;
  w.server.par_answer = json_answer(400, {{"error", "invalid_scope"}, {"error_description", "no"}},
                                    {{"dpop-nonce", "nonce-1"}});
  auto fault = run(w.client.authorize("alice.test", {})).error();
  EXPECT_EQ(fault.code, Error::request_refused);
  EXPECT_EQ(fault.oauth_error, "invalid_scope");
  w.server.par_answer = json_answer(503, {});
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::unreachable);
  w.server.par_answer = json_answer(201, {{"expires_in", 300}}, {{"dpop-nonce", "nonce-1"}});
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::unreachable);
  w.server.par_answer = json_answer(201, {{"request_uri", "urn:x"}});
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server)
      << "clients must reject responses without DPoP-Nonce";
}

TEST(OauthClient, DoesNotAskForeverForANonce) {
  World w;
  int asked = 0;
  w.net.pages["https://as.test/oauth/par"] = [&](const FetchRequest&) {
    return json_answer(400, {{"error", "use_dpop_nonce"}}, {{"dpop-nonce", "n" + std::to_string(++asked)}});
  };
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().oauth_error, "use_dpop_nonce");
  EXPECT_EQ(asked, 2);
}

// --- refusals at the callback ---

TEST(Callback, RefusesAStateItNeverGave) {
  World w;
  w.start();
  EXPECT_EQ(run(w.client.callback({{"iss", "https://as.test"}, {"state", "guess"}, {"code", "code-1"}}, ""))
                .error()
                .code,
            Error::unknown_state);
  EXPECT_TRUE(w.net.to("https://as.test/oauth/token").empty());
}

TEST(Callback, IsSpentByItsFirstUse) {
  World w;
  const auto started = w.start();
  const auto params = w.answer(started);
  EXPECT_TRUE(run(w.client.callback(params, "")));
  EXPECT_EQ(run(w.client.callback(params, "")).error().code, Error::unknown_state);
  EXPECT_EQ(w.net.to("https://as.test/oauth/token").size(), 1U);
}

TEST(Callback, ComesWithinTenMinutes) {
  World w;
  auto started = w.start();
  w.clock.advance(minutes(10) - seconds(1));
  EXPECT_TRUE(run(w.client.callback(w.answer(started), "")));
  World late;
  started = late.start();
  late.clock.advance(minutes(10));
  EXPECT_EQ(run(late.client.callback(late.answer(started), "")).error().code, Error::unknown_state);
}

TEST(Callback, AttackMixUp_WrongOrMissingIss) {  // RFC 9207 §2.4
  for (const auto* iss : {"https://evil.test", "https://as.test/", "HTTPS://as.test", ""}) {
    World w;
    const auto started = w.start();
    EXPECT_EQ(
        run(w.client.callback({{"iss", iss}, {"state", started.state}, {"code", "code-1"}}, "")).error().code,
        Error::issuer_mismatch)
        << iss;
    EXPECT_TRUE(w.net.to("https://as.test/oauth/token").empty()) << "the code went nowhere";
  }
  World w;
  const auto started = w.start();
  EXPECT_EQ(run(w.client.callback({{"state", started.state}, {"code", "code-1"}}, "")).error().code,
            Error::issuer_mismatch);
}

TEST(Callback, RefusesParametersGivenTwice) {
  World w;
  const auto started = w.start();
  auto params = w.answer(started);
  params.emplace_back("code", "code-2");
  EXPECT_EQ(run(w.client.callback(params, "")).error().code, Error::invalid_callback);
  EXPECT_EQ(run(w.client.callback({{"iss", "https://as.test"}, {"code", "code-1"}}, "")).error().code,
            Error::invalid_callback);
  EXPECT_EQ(run(w.client.callback({{"iss", "https://as.test"}, {"state", started.state}}, "")).error().code,
            Error::invalid_callback);
}

TEST(Callback, AttackPlantedCallback_BelongsToTheBrowserThatStarted) {
  for (const auto* browser : {"", "cookie-of-the-victim"}) {
    World w;
    const auto started = w.start("alice.test", {.browser = "cookie-of-the-attacker"});
    EXPECT_EQ(run(w.client.callback(w.answer(started), browser)).error().code, Error::unknown_state);
    EXPECT_TRUE(w.net.to("https://as.test/oauth/token").empty());
  }
  World w;
  const auto started = w.start("alice.test", {.browser = "cookie"});
  EXPECT_TRUE(run(w.client.callback(w.answer(started), "cookie")));
  const auto unbound = w.start();
  EXPECT_EQ(run(w.client.callback(w.answer(unbound), "cookie")).error().code, Error::unknown_state);
}

TEST(Callback, PassesTheServersNoOn) {
  World w;
  const auto started = w.start("alice.test", {.app_state = "/back"});
  const auto fault =
      run(w.client.callback(
              {{"iss", "https://as.test"}, {"state", started.state}, {"error", "access_denied"}}, ""))
          .error();
  EXPECT_EQ(fault.code, Error::access_denied);
  EXPECT_EQ(fault.oauth_error, "access_denied");
  EXPECT_EQ(fault.app_state, "/back");
}

TEST(Callback, AttackMixUp_SubOfAnotherAccountThanTheOneAskedFor) {
  World w;
  w.account(k_bob, "bob.test", "https://pds.test");
  const auto started = w.start("alice.test");
  w.server.sub = k_bob;
  EXPECT_EQ(run(w.client.callback(w.answer(started), "")).error().code, Error::subject_mismatch);
  EXPECT_EQ(w.stored_sessions(k_bob), 0U);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-1"}) << "what we do not use is given back";
}

TEST(Callback, AttackMixUp_DidPointingAtAnotherPds) {
  World w;
  Server other(w.net, w.clock, "https://other-as.test", "https://other-pds.test");
  w.account(k_bob, "bob.test", "https://other-pds.test");
  const auto started = w.start("https://pds.test");
  w.server.sub = k_bob;  // the server claims an account that lives elsewhere
  EXPECT_EQ(run(w.client.callback(w.answer(started), "")).error().code, Error::subject_mismatch);
  EXPECT_EQ(w.stored_sessions(k_bob), 0U);
}

TEST(Callback, LooksAtTheAccountAfreshWhenItStartedWithoutOne) {
  World w;
  Server other(w.net, w.clock, "https://other-as.test", "https://other-pds.test");
  ASSERT_TRUE(run(w.resolver.identify_text(k_alice)));  // remembered at the old place
  const auto started = w.start("https://pds.test");
  w.account(k_alice, "alice.test", "https://other-pds.test");
  EXPECT_EQ(run(w.client.callback(w.answer(started), "")).error().code, Error::subject_mismatch);
}

TEST(Callback, RefusesAnUnknownSubject) {
  World w;
  const auto started = w.start("https://pds.test");
  w.server.sub = k_bob;  // no such DID
  EXPECT_EQ(run(w.client.callback(w.answer(started), "")).error().code, Error::unknown_account);
}

TEST(Callback, RefusesUnusableTokenAnswers) {
  struct Row {
    json::Object extra;
    std::vector<std::string> without;
    const char* why;
  };
  const Row rows[] = {
      {{{"token_type", "Bearer"}}, {}, "tokens that are not bound"},
      {{}, {"token_type"}, "no type"},
      {{}, {"access_token"}, "no token"},
      {{{"access_token", ""}}, {}, "an empty token"},
      {{{"access_token", 7}}, {}, "a number"},
      {{}, {"sub"}, "no subject"},
      {{{"sub", "alice"}}, {}, "a subject that is no DID"},
      {{}, {"scope"}, "no scope"},
      {{{"scope", "transition:generic"}}, {}, "a scope without atproto"},
      {{{"scope", "atprotox"}}, {}, "a scope that only looks like it"},
      {{{"expires_in", "900"}}, {}, "a text for a number"},
      {{{"expires_in", -1}}, {}, "a time in the past"},
      {{{"refresh_token", 7}}, {}, "a number for a token"},
  };
  for (const auto& row : rows) {
    World w;
    w.server.token_extra = row.extra;
    w.server.without = row.without;
    EXPECT_EQ(w.sign_in().error().code, Error::invalid_token_answer) << row.why;
    EXPECT_EQ(w.stored_sessions(), 0U) << row.why;
  }
  World w;
  w.server.token_extra = {{"token_type", "dpop"}};  // RFC 6749 §5.1: case does not matter
  w.server.without = {"refresh_token", "expires_in"};
  EXPECT_TRUE(w.sign_in());
}

struct FullStore final : SessionStore {
  Task<void> insert(SessionData) override { throw std::runtime_error("disk full"); }
  Task<std::optional<StoredSession>> load(std::string) override { co_return std::nullopt; }
  Task<bool> replace(SessionData, std::int64_t) override { co_return false; }
  Task<bool> erase(std::string) override { co_return false; }
  Task<std::vector<std::string>> ids_of(Did) override { co_return std::vector<std::string>{}; }
  Task<bool> lease(std::string, std::string, Time, Time) override { co_return false; }
  Task<void> release(std::string, std::string) override { co_return; }
};

TEST(Callback, GivesTokensBackThatCannotBeKept) {
  World w;
  FullStore full;
  OauthClient client({.metadata = w.client.metadata()}, {w.net, w.resolver, w.clock, w.rng, w.states, full});
  const auto started = run(client.authorize("alice.test", {}));
  EXPECT_THROW((void)run(client.callback(w.answer(*started), "")), std::runtime_error);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-1"});
}

TEST(Callback, ReportsARefusedCode) {
  World w;
  const auto started = w.start();
  const auto fault =
      run(w.client.callback({{"iss", "https://as.test"}, {"state", started.state}, {"code", "stolen"}}, ""))
          .error();
  EXPECT_EQ(fault.code, Error::grant_refused);
  EXPECT_EQ(fault.oauth_error, "invalid_grant");
}

// --- sessions ---

TEST(Session, SignsItsRequests) {
  World w;
  auto session = w.session();
  const auto answer = run(session.call("GET", "com.example.echo", {.params = {{"q", "a b"}, {"q", "c"}}}));
  EXPECT_EQ(body_at(answer, "url"), "https://pds.test/xrpc/com.example.echo?q=a%20b&q=c");
  const auto post = run(session.call("POST", "com.example.echo", {.json = json::Object{{"x", 1}}}));
  EXPECT_EQ(body_at(post, "body"), R"({"x":1})");
  EXPECT_EQ(body_at(post, "type"), "application/json");
  const auto blob =
      run(session.call("POST", "com.example.echo", {.body = "bytes", .content_type = "image/png"}));
  EXPECT_EQ(body_at(blob, "body"), "bytes");
  EXPECT_EQ(body_at(blob, "type"), "image/png");
}

TEST(Session, CallsOnlyXrpcMethods) {
  World w;
  auto session = w.session();
  w.net.requests.clear();
  for (const auto* nsid : {"../admin", "com.example", "com.example.echo/../x", "com.example.echo?x=1", ""})
    EXPECT_EQ(run(session.call("GET", nsid, {})).error().code, Error::invalid_input) << nsid;
  EXPECT_EQ(run(session.call("DELETE", "com.example.echo", {})).error().code, Error::invalid_input);
  EXPECT_TRUE(w.net.requests.empty());
}

TEST(Session, AnswersNonceDemandsOfTheResourceServer) {
  World w;
  auto session = w.session();
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200) << "401 first: another origin";
  EXPECT_EQ(w.net.to("https://pds.test/xrpc/com.example.echo").size(), 2U);
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200) << "now it is known";
  EXPECT_EQ(w.net.to("https://pds.test/xrpc/com.example.echo").size(), 3U);
  w.server.nonce = "nonce-2";
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200) << "it changed";
  EXPECT_EQ(w.net.to("https://pds.test/xrpc/com.example.echo").size(), 5U);
}

TEST(Session, GivesOtherAnswersAsTheyAre) {
  World w;
  auto session = w.session();
  const auto answer = run(session.call("GET", "com.example.nothing", {}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
}

TEST(Session, RefreshesBeforeItsTokenEnds) {
  World w;
  auto session = w.session();
  w.clock.advance(seconds(900 - 31));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(w.server.issued, 1);
  w.clock.advance(seconds(1));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(w.server.issued, 2);
}

TEST(Session, RefreshesWhenItsTokenIsRefused) {
  World w;
  auto session = w.session();
  w.server.live_access = {"nobody has this"};
  const auto answer = run(session.call("POST", "com.example.echo", {.json = json::Object{{"x", 1}}}));
  EXPECT_EQ(body_at(answer, "body"), R"({"x":1})");
  EXPECT_EQ(w.server.issued, 2);
}

TEST(Session, SurvivesARestart) {
  World w;
  const auto id = w.session().id();
  OauthClient next({.metadata = w.client.metadata()}, w.parts());
  auto session = run(next.restore(id));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->did().str(), k_alice);
  EXPECT_EQ(run(session->call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(run(next.sessions_of(*Did::parse(k_alice))), std::vector<std::string>{id});
  EXPECT_EQ(run(next.restore("unknown")).error().code, Error::session_ended);
}

TEST(Session, IsOneOfSeveralAccounts) {
  World w;
  Server other(w.net, w.clock, "https://other-as.test", "https://other-pds.test");
  other.sub = k_bob;
  w.account(k_bob, "bob.test", "https://other-pds.test");
  auto alice = w.session();
  const auto started = w.start("bob.test");
  auto bob =
      run(w.client.callback({{"iss", other.issuer}, {"state", started.state}, {"code", other.code}}, ""))
          ->session;
  auto alice_again = w.session();  // the same account in another browser
  EXPECT_NE(alice.id(), alice_again.id());
  EXPECT_EQ(run(w.client.sessions_of(*Did::parse(k_alice))).size(), 2U);
  EXPECT_EQ(run(w.client.sessions_of(*Did::parse(k_bob))), std::vector<std::string>{bob.id()});

  EXPECT_EQ(body_at(run(bob.call("GET", "com.example.echo", {})), "url"),
            "https://other-pds.test/xrpc/com.example.echo");
  EXPECT_EQ(body_at(run(alice_again.call("GET", "com.example.echo", {})), "url"),
            "https://pds.test/xrpc/com.example.echo");
  run(alice_again.sign_out());
  EXPECT_EQ(w.stored_sessions(), 1U) << "one of alice's";
  EXPECT_EQ(w.stored_sessions(k_bob), 1U);
  EXPECT_EQ(run(bob.call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(run(w.client.restore(alice.id()))->id(), alice.id());
}

TEST(Session, WithoutARefreshTokenEndsWithItsAccessToken) {
  World w;
  w.server.without = {"refresh_token"};
  auto session = w.session();
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
  w.server.live_access = {"none"};
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {})).error().code, Error::session_ended);
  EXPECT_EQ(w.stored_sessions(), 0U);
}

TEST(Session, FollowsItsAccountToAnotherHostOfTheSameServer) {
  World w;
  auto session = w.session();
  Server second_host(w.net, w.clock, "https://as.test", "https://pds2.test");
  w.net.pages["https://as.test/oauth/token"] = [&](const FetchRequest& r) { return w.server.token(r); };
  w.net.pages["https://pds2.test/xrpc/com.example.echo"] = [&](const FetchRequest& r) {
    return w.server.echo(r);
  };
  w.account(k_alice, "alice.test", "https://pds2.test");
  w.clock.advance(minutes(6));
  w.server.live_access = {"none"};
  EXPECT_EQ(body_at(run(session.call("GET", "com.example.echo", {.params = {{"a", "b"}}})), "url"),
            "https://pds2.test/xrpc/com.example.echo?a=b");
  EXPECT_EQ(session.pds(), "https://pds2.test");
}

Task<void> refresh_into(Session session, std::vector<Result<void, Fault>>* out) {
  out->push_back(co_await session.refresh());
}
Task<void> call_into(Session session, std::vector<Result<FetchResponse, Fault>>* out) {
  out->push_back(co_await session.call("GET", "com.example.echo", {}));
}

TEST(Session, RefreshesOnceForManyAtOnce) {  // attack 12: parallel refreshes
  World w;
  auto session = w.session();
  Completion<bool> gate;
  w.net.held.emplace("https://as.test/oauth/token", gate);
  std::vector<Result<void, Fault>> results;
  InlineExecutor executor;
  for (int i = 0; i < 50; ++i) executor.post([&] { spawn(refresh_into(session, &results)); });
  executor.post_after(std::chrono::milliseconds(1), [&] {
    w.net.held.clear();
    gate.deliver(true);
  });
  executor.run_until([&] { return results.size() == 50; });
  for (const auto& r : results) EXPECT_TRUE(r) << r.error().detail;
  EXPECT_EQ(w.server.issued, 2) << "sign-in and one refresh";
}

TEST(Session, RefreshesOnceForTwoProcesses) {
  World w;
  const auto id = w.session().id();
  OauthClient other({.metadata = w.client.metadata()}, w.parts());  // its own locks, the same store
  const auto a = *run(w.client.restore(id));
  const auto b = *run(other.restore(id));
  w.server.live_access = {"none"};
  Completion<bool> gate;
  w.net.held.emplace("https://as.test/oauth/token", gate);
  std::vector<Result<FetchResponse, Fault>> results;
  InlineExecutor executor;
  executor.post([&] {
    spawn(call_into(a, &results));
    spawn(call_into(b, &results));
  });
  executor.post_after(std::chrono::seconds(1), [&] {
    w.net.held.clear();
    gate.deliver(true);
  });
  executor.run_until([&] { return results.size() == 2; });
  for (const auto& r : results) {
    ASSERT_TRUE(r) << r.error().detail;
    EXPECT_EQ(r->status, 200);
  }
  EXPECT_EQ(w.server.issued, 2);
  EXPECT_EQ(run(w.sessions.load(id))->version, 2);
}

TEST(Session, TakesOverFromAProcessThatDied) {
  World w;
  auto session = w.session();
  ASSERT_TRUE(run(w.sessions.lease(session.id(), "dead", w.clock.now(), w.clock.now() + seconds(30))));
  EXPECT_EQ(run(session.refresh()).error().code, Error::unreachable) << "time stands still: the lease holds";
  w.clock.advance(seconds(30));
  EXPECT_TRUE(run(session.refresh()));
}

TEST(Session, TakesWhatAnotherProcessGotDespiteInvalidGrant) {
  World w;
  auto session = w.session();
  const auto before = *run(w.sessions.load(session.id()));
  // Another process refreshed without our lease between our request and its answer.
  w.server.live_refresh = "refresh-of-the-other";
  w.net.pages["https://as.test/oauth/token"] = [&](const FetchRequest& r) {
    auto data = before.data;
    data.access_token = Secret<std::string>("access-of-the-other");
    w.server.live_access = {"access-of-the-other"};
    EXPECT_TRUE(run(w.sessions.replace(data, before.version)));
    return w.server.token(r);
  };
  EXPECT_TRUE(run(session.refresh()));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
}

TEST(Session, EndsWhenItsRefreshTokenIsRefused) {
  World w;
  auto session = w.session();
  w.server.live_refresh = "revoked";
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
}

TEST(Session, OutlivesTroubleAtTheServer) {
  World w;
  auto session = w.session();
  w.server.token_answer = json_answer(503, {});
  EXPECT_EQ(run(session.refresh()).error().code, Error::unreachable);
  EXPECT_EQ(w.stored_sessions(), 1U);
  w.clock.advance(seconds(880));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200) << "20 seconds are left";
  w.clock.advance(seconds(20));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {})).error().code, Error::unreachable);
  w.server.token_answer.reset();
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
}

TEST(Session, EndsWhenTheAccountMoved) {
  World w;
  Server other(w.net, w.clock, "https://other-as.test", "https://other-pds.test");
  auto session = w.session();
  w.account(k_alice, "alice.test", "https://other-pds.test");
  w.clock.advance(minutes(6));  // past the resolver's memory
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-1"}) << "given back where it came from";
}

TEST(Session, AttackMixUp_EndsWhenTheSubjectChangesAtRefresh) {
  World w;
  auto session = w.session();
  w.server.sub = k_bob;
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-2"});
}

TEST(Session, SignsOutAtTheServerToo) {
  World w;
  auto session = w.session();
  run(session.sign_out());
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
  run(session.sign_out());
  EXPECT_EQ(w.server.revoked.size(), 1U);
}

TEST(Session, IsForgottenEvenWhenTheServerCannotBeReached) {
  World w;
  auto session = w.session();
  w.net.lost["https://as.test/oauth/revoke"] = 1;
  run(session.sign_out());
  EXPECT_EQ(w.stored_sessions(), 0U);
}

TEST(Session, DoesNotComeBackFromARefreshUnderWay) {
  World w;
  auto session = w.session();
  w.net.pages["https://as.test/oauth/token"] = [&](const FetchRequest& r) {
    EXPECT_TRUE(run(w.sessions.erase(session.id())));  // another process signs out just now
    return w.server.token(r);
  };
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-2"});
  EXPECT_EQ(w.stored_sessions(), 0U);
}

}  // namespace
}  // namespace latchkey::oauth::client

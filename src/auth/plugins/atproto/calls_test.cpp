#include "auth/plugins/atproto/testing.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using json::Object;
using oauth::client::testing::header_of;
using oauth::client::testing::json_answer;

// --- calls on behalf of the user

class AtprotoCalls : public AtprotoTest {
 protected:
  static constexpr const char* k_view = "did:web:api.bsky.app#bsky_appview";
  void SetUp() override {
    AtprotoTest::SetUp();
    if (IsSkipped()) return;
    restart([](AtprotoOptions& o, Options& options) {
      o.allowed_calls = {{"com.example.echo"}, {"com.example.pages.*"}, {"com.example.echo", k_view}};
      o.max_call_body = 100;
      options.trusted_origins = {"https://front.test"};
    });
    b_.emplace(*app_);
    sign_in(*b_);
    net_.requests.clear();
  }
  web::Response get(const std::string& path, web::Headers headers = {}) {
    return b_->get("/bsky/xrpc/" + path, std::move(headers));
  }
  web::Response post(const std::string& path, std::string body,
                     web::Headers headers = {{"content-type", "application/json"}}) {
    return b_->send("POST", "/bsky/xrpc/" + path, std::move(body), std::move(headers));
  }
  std::optional<Browser> b_;
};

TEST_P(AtprotoCalls, AreSignedWithTheUsersSession) {
  const auto r = get("com.example.echo?a=1&a=2&b=x%20%26y");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(text_of(body_of(r), "url"), "https://pds.test/xrpc/com.example.echo?a=1&a=2&b=x%20%26y");
  EXPECT_EQ(r.headers.get("content-type"), "application/json");
  const auto sent = post("com.example.echo", R"({"text":"hi"})");
  EXPECT_EQ(sent.status, 200);
  EXPECT_EQ(text_of(body_of(sent), "body"), R"({"text":"hi"})");
  EXPECT_EQ(text_of(body_of(sent), "type"), "application/json");
  const auto blob = post("com.example.echo", "\x89PNG", {{"content-type", "image/png"}});
  EXPECT_EQ(text_of(body_of(blob), "type"), "image/png");
  EXPECT_EQ(post("com.example.echo", "", {}).status, 200) << "a procedure without input";
}

TEST_P(AtprotoCalls, AreThoseTheOperatorAllowed) {
  page("com.example.pages.a", [](const FetchRequest&) { return json_answer(200, {}); });
  page("com.example.pagesX", [](const FetchRequest&) { return json_answer(200, {}); });
  EXPECT_EQ(get("com.example.pages.a").status, 200);
  for (const char* nsid :
       {"com.example.pagesX", "com.example.pages", "com.example.Echo", "com.example.echo2",
        "com.atproto.repo.createRecord", "com.example.pages.", "com.example.pages.a%2F..%2Fx",
        "com.example.pages.a%3Fx=1", "com.example.pages.a%00"}) {
    const auto r = get(nsid);
    EXPECT_TRUE(code_of(r) == "CALL_NOT_ALLOWED" || r.status == 404) << nsid << r.status << r.body;
  }
  EXPECT_EQ(code_of(get("com.example.pagesX")), "CALL_NOT_ALLOWED");
  EXPECT_EQ(code_of(get("com.example.pages.a%2F..%2Fx")), "CALL_NOT_ALLOWED");
  for (const auto& request : net_.requests)
    EXPECT_TRUE(request.url.ends_with("/com.example.pages.a") ||
                request.url.find("/xrpc/") == std::string::npos)
        << request.url;
  // Nothing by default.
  restart();
  EXPECT_EQ(code_of(get("com.example.echo")), "CALL_NOT_ALLOWED");
}

TEST_P(AtprotoCalls, AttackAudience_GoToTheServicesTheOperatorAllowed) {
  EXPECT_EQ(get("com.example.echo", {{"atproto-proxy", k_view}}).status, 200);
  EXPECT_EQ(header_of(net_.requests.back(), "atproto-proxy"), k_view);
  for (const char* audience :
       {"did:web:evil.test#bsky_appview", "did:web:api.bsky.app#other", "did:web:api.bsky.app"})
    EXPECT_EQ(code_of(get("com.example.echo", {{"atproto-proxy", audience}})), "CALL_NOT_ALLOWED")
        << audience;
  EXPECT_EQ(code_of(get("com.example.pages.a", {{"atproto-proxy", k_view}})), "CALL_NOT_ALLOWED");
  EXPECT_EQ(
      code_of(get("com.example.echo", {{"atproto-proxy", k_view}, {"atproto-proxy", "did:web:evil.test#x"}})),
      "CALL_NOT_ALLOWED");
}

TEST_P(AtprotoCalls, AttackCsrf_ComeFromTheAppsOwnPages) {
  const std::string json = R"({"a":1})";
  EXPECT_EQ(code_of(post("com.example.echo", json,
                         {{"content-type", "application/json"}, {"origin", "https://evil.test"}})),
            "INVALID_ORIGIN");
  EXPECT_EQ(
      code_of(post("com.example.echo", json, {{"content-type", "application/json"}, {"origin", "null"}})),
      "MISSING_OR_NULL_ORIGIN");
  EXPECT_EQ(
      post("com.example.echo", json, {{"content-type", "application/json"}, {"origin", "https://front.test"}})
          .status,
      200);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=x", "TEXT/PLAIN;charset=utf-8", ""}) {
    web::Headers headers;
    if (*type) headers.set("content-type", type);
    EXPECT_EQ(post("com.example.echo", json, headers).status, 415) << type;
  }
  EXPECT_EQ(code_of(get("com.example.echo", {{"sec-fetch-site", "cross-site"}})), "CROSS_SITE_CALL_BLOCKED");
  EXPECT_EQ(
      code_of(get("com.example.echo", {{"sec-fetch-site", "cross-site"}, {"origin", "https://evil.test"}})),
      "CROSS_SITE_CALL_BLOCKED");
  EXPECT_EQ(
      get("com.example.echo", {{"sec-fetch-site", "cross-site"}, {"origin", "https://front.test"}}).status,
      200);
  EXPECT_EQ(get("com.example.echo", {{"sec-fetch-site", "same-origin"}}).status, 200);
}

TEST_P(AtprotoCalls, AttackSsrf_APdsAtAnAddressOfOursIsNotReachedAndNotTold) {
  net_.broken[k_pds + std::string("/xrpc/com.example.echo")] = FetchError::Kind::refused_by_guard;
  const auto r = get("com.example.echo");
  EXPECT_EQ(r.status, 502);
  EXPECT_EQ(code_of(r), "PDS_UNREACHABLE");
  EXPECT_EQ(r.body.find("pds.test"), std::string::npos) << r.body;
}

TEST_P(AtprotoCalls, AreBoundedInBothDirections) {
  EXPECT_EQ(
      post("com.example.echo", std::string(100, ' '), {{"content-type", "application/octet-stream"}}).status,
      200);
  const auto long_body =
      post("com.example.echo", std::string(101, ' '), {{"content-type", "application/octet-stream"}});
  EXPECT_EQ(long_body.status, 413);
  EXPECT_EQ(code_of(long_body), "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(net_.requests.back().max_body, 5u << 20);
}

TEST_P(AtprotoCalls, AttackHeaders_PassAsListedAndNothingElse) {
  page("com.example.pages.a", [](const FetchRequest&) {
    return FetchResponse{200,
                         {{"content-type", "text/html"},
                          {"set-cookie", "a=b"},
                          {"connection", "x-hop"},
                          {"x-hop", "1"},
                          {"transfer-encoding", "chunked"},
                          {"location", "https://evil.test"},
                          {"access-control-allow-origin", "*"},
                          {"content-security-policy", "default-src *"},
                          {"clear-site-data", "*"},
                          {"www-authenticate", "Basic"},
                          {"atproto-repo-rev", "3k"},
                          {"ratelimit-remaining", "7"},
                          {"retry-after", "a\rb"}},
                         "<script>alert(1)</script>"};
  });
  const auto r = get("com.example.pages.a", {{"authorization-x", "1"},
                                             {"x-forwarded-for", "10.0.0.1"},
                                             {"connection", "keep-alive"},
                                             {"accept-language", "de"},
                                             {"atproto-accept-labelers", "did:plc:x"}});
  EXPECT_EQ(r.status, 200);
  std::map<std::string, std::string> got;
  for (const auto& [name, value] : r.headers) got[name] = value;
  EXPECT_EQ(got,
            (std::map<std::string, std::string>{{"content-type", "application/octet-stream"},
                                                {"content-disposition", "attachment"},
                                                {"atproto-repo-rev", "3k"},
                                                {"ratelimit-remaining", "7"},
                                                {"content-security-policy", "default-src 'none'; sandbox"},
                                                {"x-frame-options", "DENY"},
                                                {"x-content-type-options", "nosniff"},
                                                {"referrer-policy", "no-referrer"},
                                                {"cross-origin-resource-policy", "same-origin"},
                                                {"strict-transport-security", "max-age=31536000"},
                                                {"cache-control", "no-store"}}));
  std::vector<std::string> names;
  for (const auto& [name, value] : net_.requests.back().headers) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"accept-language", "atproto-accept-labelers", "Authorization",
                                             "DPoP"}));
}

TEST_P(AtprotoCalls, MayBeMadeByScriptsOfAnAppOnAnotherOrigin) {  // Fetch, "CORS protocol"
  restart([](AtprotoOptions& o, Options& options) {
    o.allowed_calls = {{"com.example.echo", k_view}};
    options.trusted_origins = {"https://front.test"};
    options.cors = Cors::trusted_origins;
  });
  const auto preflight =
      b_->send("OPTIONS", "/bsky/xrpc/com.example.echo", {},
               {{"origin", "https://front.test"}, {"access-control-request-method", "GET"}});
  EXPECT_EQ(preflight.headers.get("access-control-allow-headers"),
            "content-type, authorization, accept-language, atproto-accept-labelers, atproto-proxy");
  const auto r =
      get("com.example.echo",
          {{"origin", "https://front.test"}, {"sec-fetch-site", "cross-site"}, {"atproto-proxy", k_view}});
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.get("access-control-allow-origin"), "https://front.test");
  EXPECT_NE(r.headers.get("access-control-expose-headers").find("atproto-repo-rev"), std::string_view::npos);
}

TEST_P(AtprotoCalls, AnswersPassAsTheyAre) {
  page("com.example.pages.a", [](const FetchRequest&) {
    return json_answer(400, {{"error", "InvalidRequest"}, {"message", "no"}});
  });
  const auto refused = get("com.example.pages.a");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"error":"InvalidRequest","message":"no"})");
  page("com.example.pages.a", [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "image/PNG; x=y"}}, "\x89PNG"};
  });
  EXPECT_EQ(get("com.example.pages.a").headers.get("content-type"), "image/png");
  for (const int status : {302, 101, 700}) {
    page("com.example.pages.a", [status](const FetchRequest&) { return FetchResponse{status, {}, ""}; });
    EXPECT_EQ(get("com.example.pages.a").status, 502) << status;
  }
  net_.lost["https://pds.test/xrpc/com.example.pages.a"] = 1;
  EXPECT_EQ(code_of(get("com.example.pages.a")), "PDS_UNREACHABLE");
}

TEST_P(AtprotoCalls, ASessionThatEndedIsSaidSo) {
  server_->live_access = {"none"};
  EXPECT_EQ(get("com.example.echo").status, 200) << "refreshed";
  server_->live_access = {"none"};
  server_->live_refresh = "none";
  for (int i = 0; i < 2; ++i) {
    const auto r = get("com.example.echo");
    EXPECT_EQ(r.status, 401);
    EXPECT_EQ(code_of(r), "BSKY_SESSION_ENDED");
  }
  EXPECT_FALSE(b_->session().is_null());
}

TEST_P(AtprotoCalls, FindTheSessionOfASignInMeanwhile) {
  // Between the call's start and its answer somebody signs in on another device.
  bool once = true;
  page("com.example.pages.a", [](const FetchRequest&) { return json_answer(200, {}); });
  const auto inner = net_.pages["https://pds.test/xrpc/com.example.pages.a"];
  net_.pages["https://pds.test/xrpc/com.example.pages.a"] = [&, inner](const FetchRequest& r) {
    if (std::exchange(once, false)) {
      Browser phone(*app_);
      sign_in(phone);
    }
    server_->jkt.clear();  // both sessions' proofs are good, the tokens decide
    return inner(r);
  };
  EXPECT_EQ(get("com.example.pages.a").status, 200);
}

TEST_P(AtprotoCalls, AttackPatterns_AreMethodsGroupsAndServices) {
  const auto with = [&](AllowedCall call) {
    Atproto({.fetch = net_,
             .resolver = *resolver_,
             .private_keys = {pem(k_key)},
             .allowed_calls = {std::move(call)}});
  };
  for (const char* good : {"app.bsky.feed.getTimeline", "app.bsky.feed.*", "app.bsky.*"})
    EXPECT_NO_THROW(with({good})) << good;
  for (const char* bad :
       {"*", "app.*", "app.bsky*", ".*", "", "app.bsky.feed.get*", "app.bsky.*.x", "app..bsky.*"})
    EXPECT_THROW(with({bad}), std::invalid_argument) << bad;
  for (const char* bad : {"did:web:api.bsky.app", "api.bsky.app#x", "#x", "did:web:a.test#",
                          "did:web:a.test#a b", "did:web:a.test#a#b"})
    EXPECT_THROW(with({"app.bsky.feed.getTimeline", bad}), std::invalid_argument) << bad;
}

TEST_P(AtprotoCalls, ProgramsHaveTheSession) {
  auto session = run(plugin_->session_of(user_id(*b_)));
  ASSERT_TRUE(session);
  EXPECT_EQ(run(session->call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(run(plugin_->session_of("nobody")).error().code, oauth::client::Error::session_ended);
  EXPECT_EQ(run(plugin_->session_of(user_id(*b_), *Did::parse(k_bob))).error().code,
            oauth::client::Error::session_ended);
  EXPECT_EQ(run(plugin_->accounts_of(user_id(*b_))), std::vector<Did>{*Did::parse(k_alice)});
}

INSTANTIATE_TEST_SUITE_P(Store, AtprotoCalls, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky

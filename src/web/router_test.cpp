#include "web/router.h"

#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

Handler says(std::string what) {
  return [what](Request r) {
    auto text = what;
    for (const auto& [k, v] : r.params) text += " " + k + "=" + v;
    return ready(Response::text(std::move(text)));
  };
}

Response ask(const Router& router, std::string method, std::string_view url, Headers headers = {}) {
  return run(router.handle(Request::make(std::move(method), url, "", std::move(headers))));
}

TEST(Router, FindsByPathAndMethod) {
  Router r;
  r.get("/", says("root"));
  r.get("/a", says("get a"));
  r.post("/a", says("post a"));
  EXPECT_EQ(ask(r, "GET", "/").body, "root");
  EXPECT_EQ(ask(r, "GET", "/a?x=1").body, "get a");
  EXPECT_EQ(ask(r, "HEAD", "/a").body, "get a");
  EXPECT_EQ(ask(r, "POST", "/a").body, "post a");
  EXPECT_EQ(ask(r, "GET", "/a/").status, 404);
  EXPECT_EQ(ask(r, "GET", "/A").status, 404);
  EXPECT_EQ(ask(r, "GET", "//a").status, 404);
  const auto wrong = ask(r, "DELETE", "/a");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.get("allow"), "GET, HEAD, POST");
}

TEST(Router, CapturesSegmentsDecoded) {
  Router r;
  r.get("/x/{id}", says("one"));
  r.get("/x/{id}/y/{sub}", says("two"));
  r.get("/files/{path*}", says("rest"));
  r.get("/x/fixed", says("fixed"));
  EXPECT_EQ(ask(r, "GET", "/x/a%20b").body, "one id=a b");
  EXPECT_EQ(ask(r, "GET", "/x/1/y/2").body, "two id=1 sub=2");
  EXPECT_EQ(ask(r, "GET", "/files/a/b/c.txt").body, "rest path=a/b/c.txt");
  EXPECT_EQ(ask(r, "GET", "/x/fixed").body, "fixed") << "a literal path wins";
  EXPECT_EQ(ask(r, "GET", "/x/").status, 404) << "a capture is not empty";
  EXPECT_EQ(ask(r, "GET", "/files/").status, 404);
}

TEST(Router, HostileSegmentsDoNotMatch) {  // attacks.md 22
  Router r;
  r.get("/x/{id}", says("one"));
  for (const auto* target : {"/x/%00", "/x/a%00b", "/x/%ff", "/x/%zz", "/x/%2", "/x/a/b"})
    EXPECT_EQ(ask(r, "GET", target).status, 404) << target;
  EXPECT_EQ(ask(r, "GET", "/x/..%2f..").body, "one id=../..") << "decoded once, for the handler to judge";
}

TEST(Router, ADuplicateRouteIsAMistake) {
  Router r;
  r.get("/a", says("1"));
  EXPECT_THROW(r.get("/a", says("2")), std::logic_error);
  r.get("/{x}", says("1"));
  EXPECT_THROW(r.get("/{x}", says("2")), std::logic_error);
  EXPECT_THROW(r.get("a", says("1")), std::logic_error);
  EXPECT_THROW(r.get("/a{x}", says("1")), std::logic_error);
  EXPECT_THROW(r.get("/{x*}/a", says("1")), std::logic_error);
}

TEST(Router, HostsComeFirstAndFallThrough) {
  Router r, auth, wild;
  auth.get("/", says("auth"));
  wild.get("/.well-known/atproto-did", says("handle"));
  r.get("/", says("main"));
  r.get("/health", says("health"));
  r.host("auth.example.com", std::move(auth));
  r.host("*.pds.example", std::move(wild));
  EXPECT_EQ(ask(r, "GET", "https://auth.example.com/").body, "auth");
  EXPECT_EQ(ask(r, "GET", "https://auth.example.com:8443/").body, "auth");
  EXPECT_EQ(ask(r, "GET", "https://AUTH.example.com/").body, "auth");
  EXPECT_EQ(ask(r, "GET", "https://auth.example.com/health").body, "health");
  EXPECT_EQ(ask(r, "GET", "https://example.com/").body, "main");
  EXPECT_EQ(ask(r, "GET", "https://xauth.example.com/").body, "main");
  EXPECT_EQ(ask(r, "GET", "https://alice.pds.example/.well-known/atproto-did").body, "handle");
  EXPECT_EQ(ask(r, "GET", "https://pds.example/.well-known/atproto-did").status, 404);
  EXPECT_EQ(ask(r, "GET", "https://a.b.pds.example/.well-known/atproto-did").status, 404);
}

TEST(Router, AHostWithPortMatchesThatPort) {
  Router r, other;
  other.get("/", says("8081"));
  r.get("/", says("main"));
  r.host("localhost:8081", std::move(other));
  EXPECT_EQ(ask(r, "GET", "http://localhost:8081/").body, "8081");
  EXPECT_EQ(ask(r, "GET", "http://localhost:8080/").body, "main");
}

TEST(Router, Mounts) {
  Router r, sub;
  sub.get("/", says("sub root"));
  sub.get("/x/{id}", says("sub"));
  r.mount("/api", std::move(sub));
  r.mount("/all", says("all"));
  EXPECT_EQ(ask(r, "GET", "/api").body, "sub root");
  EXPECT_EQ(ask(r, "GET", "/api/x/1").body, "sub id=1");
  EXPECT_EQ(ask(r, "PUT", "/all").body, "all");
  EXPECT_EQ(ask(r, "POST", "/all/a/b").body, "all rest=a/b");
  EXPECT_EQ(ask(r, "GET", "/allx").status, 404);
}

TEST(Router, Fallback) {
  Router r;
  r.fallback(says("page"));
  EXPECT_EQ(ask(r, "GET", "/nowhere").body, "page");
}

TEST(Router, BodyLimitOfTheRoute) {
  Router r;
  r.post("/upload", says(""), 5'000'000);
  r.post("/other", says(""));
  EXPECT_EQ(r.max_body(Request::make("POST", "/upload")), 5'000'000u);
  EXPECT_EQ(r.max_body(Request::make("POST", "/other")), 0u);
  EXPECT_EQ(r.max_body(Request::make("POST", "/nowhere")), 0u);
}

TEST(Cors, AnyOriginMayReadAndNeverWithCredentials) {  // pds-surface.md 1
  Router r;
  r.add_cors("GET", "/xrpc/x", says("x"));
  r.add_cors("POST", "/xrpc/x", says("y"));
  const auto a = ask(r, "GET", "/xrpc/x", {{"Origin", "https://app.example"}});
  EXPECT_EQ(a.headers.get("access-control-allow-origin"), "*");
  EXPECT_NE(a.headers.get("access-control-expose-headers").find("DPoP-Nonce"), std::string_view::npos);
  EXPECT_FALSE(a.headers.has("access-control-allow-credentials"));
  const auto preflight =
      ask(r, "OPTIONS", "/xrpc/x", {{"Access-Control-Request-Headers", "authorization,dpop"}});
  EXPECT_EQ(preflight.status, 200);
  EXPECT_EQ(preflight.headers.get("access-control-allow-headers"), "authorization,dpop");
  EXPECT_EQ(preflight.headers.get("access-control-max-age"), "86400");
  EXPECT_EQ(preflight.headers.get("access-control-allow-origin"), "*");
}

TEST(Router, ListsAndWrapsEveryRoute) {
  Router r, auth;
  r.post("/b", says("b"));
  r.get("/b", says("b"));
  r.get("/x/{id}", says("x"));
  auth.get("/page", says("page"));
  r.host("auth.test", std::move(auth));
  std::string names;
  for (const auto& route : r.list()) names += route.host + " " + route.method + " " + route.pattern + "\n";
  EXPECT_EQ(names, " GET /b\n POST /b\n GET /x/{id}\nauth.test GET /page\n");
  r.wrap([](const Router::RouteName& name, Handler) { return says(name.host + name.method + name.pattern); });
  EXPECT_EQ(ask(r, "POST", "/b").body, "POST/b");
  EXPECT_EQ(ask(r, "GET", "/x/1").body, "GET/x/{id} id=1");
  EXPECT_EQ(ask(r, "GET", "https://auth.test/page").body, "auth.testGET/page");
}

TEST(Router, TheLastWordIsSaidAboutEveryAnswer) {
  Router r, auth;
  r.get("/", says("root"));
  auth.get("/page", says("page"));
  auth.fallback(says("elsewhere"));
  r.host("auth.test", std::move(auth));
  r.finish([](Response& response) { response.header("x-last", "word"); });
  EXPECT_EQ(ask(r, "GET", "/").headers.get("x-last"), "word");
  EXPECT_EQ(ask(r, "POST", "/").headers.get("x-last"), "word") << "405";
  EXPECT_EQ(ask(r, "GET", "/nowhere").headers.get("x-last"), "word") << "404";
  EXPECT_EQ(ask(r, "GET", "https://auth.test/page").headers.get("x-last"), "word");
  EXPECT_EQ(ask(r, "GET", "https://auth.test/nowhere").headers.get("x-last"), "word");
}

}  // namespace
}  // namespace latchkey::web

#include "auth/service/forward_auth.h"

#include <gmock/gmock.h>

#include "auth/service/testing.h"

namespace latchkey::service {
namespace {
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// What a proxy asks for a browser that goes to https://app.test/notes?tag=a%20b.
web::Request asked(const std::string& cookie = {}, const std::string& target = "/forward-auth") {
  auto r = web::Request::make("GET", "http://127.0.0.1:3005" + target, {},
                              {{"accept", "text/html,application/xhtml+xml"},
                               {"sec-fetch-mode", "navigate"},
                               {"sec-fetch-dest", "document"},
                               {"x-forwarded-host", "app.test"},
                               {"x-forwarded-uri", "/notes?tag=a%20b"},
                               {"x-forwarded-method", "GET"}});
  r.scheme = "https";  // X-Forwarded-Proto, as web::Server reads it
  if (!cookie.empty()) r.headers.set("cookie", cookie);
  return r;
}

constexpr const char* k_back =
    "https://app.test/sign-in?callbackURL=https%3A%2F%2Fapp.test%2Fnotes%3Ftag%3Da%2520b";

TEST(ForwardAuth, SaysWhoSomebodyIs) {
  TestService s;
  const auto cookie =
      s.sign_up("alice@example.com", {{"bskyDid", "did:plc:alice"}, {"bskyHandle", "alice.test"}}, true);
  for (const char* path : {"/forward-auth", "/api/auth/forward-auth"}) {
    const auto r = s.send(asked(cookie, path));
    EXPECT_EQ(r.status, 200) << path;
    EXPECT_EQ(r.headers.get("x-auth-user").size(), 32u);
    EXPECT_EQ(r.headers.get("x-auth-did"), "did:plc:alice");
    EXPECT_EQ(r.headers.get("x-auth-handle"), "alice.test");
    EXPECT_EQ(r.headers.get("x-auth-email"), "alice@example.com");
    EXPECT_EQ(r.headers.get("cache-control"), "no-store");
    EXPECT_THAT(r.body, IsEmpty());
  }
}

// Caddy 2.6 copies a header that is absent as the text of its placeholder, and leaves a client's in its place
// in other versions.
TEST(ForwardAuth, SaysNothingInEveryHeaderThatHasNothing) {
  TestService s;
  const auto r = s.send(asked(s.sign_up("alice@example.com")));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.get("x-auth-user").size(), 32u);
  for (const char* name : {"x-auth-did", "x-auth-handle", "x-auth-email"}) {
    EXPECT_EQ(r.headers.count(name), 1u) << name;
    EXPECT_EQ(r.headers.get(name), "") << name;
  }
}

TEST(ForwardAuth, APlaceholderIsNoAddress) {
  TestService s;
  const auto cookie = s.sign_up("did_plc_x@bsky.placeholder.invalid", {}, true);
  EXPECT_EQ(s.send(asked(cookie)).headers.get("x-auth-email"), "");
}

TEST(ForwardAuth, KnowsBearerTokensWhenTheyAreOn) {
  TestService s([](ServiceOptions& o) { o.bearer = true; });
  const auto cookie = s.sign_up("alice@example.com");
  auto r = asked();
  r.headers.set("authorization", "Bearer " + *percent_decode(cookie.substr(cookie.find('=') + 1)));
  EXPECT_EQ(s.send(r).status, 200);
}

TEST(ForwardAuth, SendsABrowserThatGoesSomewhereToSignIn) {
  TestService s;
  const auto r = s.send(asked());
  EXPECT_EQ(r.status, 302);
  EXPECT_EQ(r.headers.get("location"), k_back);
}

TEST(ForwardAuth, SaysTheSameInAHeaderForNginx) {
  TestService s;
  const auto r = s.send(asked({}, "/forward-auth?redirect=header"));
  EXPECT_EQ(r.status, 401);
  EXPECT_EQ(r.headers.get("x-auth-sign-in"), k_back);
  EXPECT_FALSE(r.headers.has("location"));
}

TEST(ForwardAuth, AnswersEverythingElseWith401) {
  struct Row {
    const char *header, *value, *why;
  };
  TestService s;
  for (const auto& row :
       {Row{"sec-fetch-mode", "cors", "fetch()"}, Row{"sec-fetch-mode", "no-cors", "an image"},
        Row{"sec-fetch-dest", "iframe", "a frame"}, Row{"x-forwarded-method", "POST", "a form"},
        Row{"x-requested-with", "XMLHttpRequest", "an old library"}}) {
    auto r = asked();
    r.headers.set(row.header, row.value);
    const auto answer = s.send(r);
    EXPECT_EQ(answer.status, 401) << row.why;
    EXPECT_FALSE(answer.headers.has("location")) << row.why;
    EXPECT_THAT(answer.body, HasSubstr("UNAUTHORIZED"));
  }
  // Browsers that know no Fetch Metadata, and programs.
  for (const auto& [accept, status] :
       {std::pair{"text/html", 302}, {"application/json", 401}, {"*/*", 401}}) {
    auto r = asked();
    r.headers.erase("sec-fetch-mode");
    r.headers.erase("sec-fetch-dest");
    r.headers.set("accept", accept);
    EXPECT_EQ(s.send(r).status, status) << accept;
  }
}

TEST(ForwardAuth, SendsNobodyToAPageThatIsOff) {
  TestService s([](ServiceOptions& o) { o.sign_in_page = Switch::off; });
  EXPECT_EQ(s.send(asked()).status, 401);
}

TEST(ForwardAuth, IsNotThereWhenItIsOff) {
  TestService s([](ServiceOptions& o) { o.forward_auth = Switch::off; });
  EXPECT_EQ(s.send(asked()).status, 404);
  EXPECT_EQ(s.send(asked({}, "/api/auth/forward-auth")).status, 404);
}

TEST(ForwardAuth, ADeadSessionIsNone) {
  TestService s;
  const auto cookie = s.sign_up("alice@example.com");
  s.clock.advance(std::chrono::hours(24 * 7));
  EXPECT_EQ(s.send(asked(cookie)).status, 302);
}

// --- Attacks

TEST(ForwardAuth, AttackForwardAuth_ReturnAddressOfAnotherOrigin) {
  struct Row {
    const char *host, *uri, *why;
  };
  TestService s;
  for (const auto& row : {Row{"evil.test", "/", "another host"}, Row{"app.test:444", "/", "another port"},
                          Row{"app.test@evil.test", "/", "user information"},
                          Row{"app.test", "@evil.test/", "a URI without its slash"},
                          Row{"app.test", ".evil.test/", "a longer host"}, Row{"app.test", "", "no URI"},
                          Row{"", "/", "no host"}, Row{"app.test/\\evil.test", "/", "a backslash"},
                          Row{"app.test, evil.test", "/", "two hosts"},
                          Row{"app.test", "/\\evil.test", "a backslash in the path"}}) {
    auto r = asked();
    r.headers.set("x-forwarded-host", row.host);
    r.headers.set("x-forwarded-uri", row.uri);
    const auto answer = s.send(r);
    EXPECT_EQ(answer.status, 401) << row.why;
    EXPECT_FALSE(answer.headers.has("location")) << row.why;
  }
  auto twice = asked();
  twice.headers.add("x-forwarded-host", "evil.test");
  EXPECT_EQ(s.send(twice).status, 401) << "the proxy added its own behind the client's";
  auto plain = asked();
  plain.scheme = "http";
  EXPECT_EQ(s.send(plain).status, 401) << "http://app.test is another origin";
  auto other = asked();
  other.headers.set("x-forwarded-host", "other.test");
  EXPECT_EQ(s.send(other).status, 302) << "trusted";
}

TEST(ForwardAuth, AttackForwardAuth_HeadersInsideOfNames) {
  EXPECT_EQ(header_value("alice.test"), "alice.test");
  EXPECT_EQ(header_value("x\r\nX-Auth-Did: did:plc:evil"), "x%0D%0AX-Auth-Did:%20did:plc:evil");
  EXPECT_EQ(header_value(std::string_view("a\0b", 3)), "a%00b");
  EXPECT_EQ(header_value("100%0D"), "100%250D") << "what looks encoded is encoded again";
  EXPECT_EQ(header_value("jürgen"), "j%C3%BCrgen");
  EXPECT_EQ(header_value("\x7f\x80"), "%7F%80");

  TestService s;
  const auto cookie = s.sign_up("alice@example.com", {{"bskyHandle", "x\r\nX-Auth-Did: did:plc:evil"}});
  const auto r = s.send(asked(cookie));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.get("x-auth-did"), "");
  EXPECT_EQ(r.headers.get("x-auth-handle"), "x%0D%0AX-Auth-Did:%20did:plc:evil");
}

TEST(ForwardAuth, AttackForwardAuth_HeadersThatAClientBrings) {
  TestService s;
  auto r = asked();
  for (const char* name : {"x-auth-user", "x-auth-did", "x-auth-handle", "x-auth-email", "x-auth-sign-in"})
    r.headers.set(name, "evil");
  const auto stranger = s.send(r);
  EXPECT_EQ(stranger.status, 302);
  r.headers.set("cookie", s.sign_up("alice@example.com"));
  for (const auto& [name, value] : s.send(r).headers) EXPECT_NE(value, "evil") << name;
}

TEST(ForwardAuth, AttackForwardAuth_ForgedSessions) {
  TestService s;
  const auto cookie = s.sign_up("alice@example.com");
  EXPECT_EQ(s.send(asked(cookie)).status, 200);
  EXPECT_EQ(s.send(asked(cookie.substr(0, cookie.find('.', 30)) + "." + std::string(43, 'A') + "%3D")).status,
            302);
  EXPECT_EQ(s.send(asked(cookie + "; " + cookie + "x")).status, 302) << "two of one name";
}

}  // namespace
}  // namespace latchkey::service

// What every page promises: headers, cookies, escaping, and that nothing tells who has an account. Groups 6,
// 15, 17, 18 and 21 of docs/threat-model.md.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";

void expect_page_headers(const Page& page, bool https = true) {
  const std::string where = fmt::format("{} {}", page.status, page.url);
  const std::string csp = page.header("content-security-policy");
  for (const char* directive : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                                "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"})
    EXPECT_NE(csp.find(directive), std::string::npos) << where << ": " << directive;
  EXPECT_EQ(csp.find("unsafe"), std::string::npos) << where;
  EXPECT_EQ(page.header("x-frame-options"), "DENY") << where;
  EXPECT_EQ(page.header("x-content-type-options"), "nosniff") << where;
  EXPECT_TRUE(page.header("referrer-policy") == "same-origin" ||
              page.header("referrer-policy") == "no-referrer")
      << where;
  EXPECT_EQ(page.header("cache-control"), "no-store") << where;
  EXPECT_EQ(page.headers.has("strict-transport-security"), https) << where;
  EXPECT_EQ(page.body.find("<style"), std::string::npos) << where;
  EXPECT_EQ(page.body.find(" style="), std::string::npos) << where;
  EXPECT_EQ(page.body.find(" onclick="), std::string::npos) << where;
  if (page.status != 303) EXPECT_TRUE(page.header("content-type").starts_with("text/html")) << where;
}

// Every kind of answer the sign-in gives.
std::vector<Page> tour(World& w) {
  App app(w), hinted(w, App::Kind::web);
  Browser b(w), other(w);
  std::vector<Page> all;
  const auto keep = [&](Page page) {
    all.push_back(page);
    return page;
  };
  const auto login = app.start();
  Page page = keep(b.get(app.authorize_url(login)));
  keep(other.get(app.authorize_url(login)));                               // 400, another browser
  keep(b.submit(page, "/auth/email", {{"email", "nonsense"}}));            // 400, with the form again
  keep(b.post(w.options.auth + page.form("/auth/email").action, {}));      // 403
  keep(b.get(w.options.auth + "/auth/step?flow_id=unknown"));              // 400
  keep(b.get(w.options.auth + "/auth/verify"));                            // 405
  keep(b.get(w.options.auth + "/oauth/authorize"));                        // 400
  keep(b.get(hinted.authorize_url(hinted.start(), "carol@example.com")));  // the button
  keep(b.get(app.authorize_url(app.start({{"prompt", "none"}}))));         // 303 to the app
  page = keep(b.follow(keep(b.submit(page, "/auth/email", {{"email", k_alice}}))));
  keep(b.submit(page, "/auth/verify", {{"code", "1"}}));                     // 400
  page = keep(b.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));  // 303
  keep(b.follow(page));                                                      // 303
  page = keep(b.follow_all(page));
  keep(b.submit(page, "/auth/consent", {{"action", "approve"}}));                 // 303 to the app
  if (w.options.auth != w.options.pds) keep(b.get(w.options.auth + "/nowhere"));  // 404
  return all;
}

TEST(SignInPages, AttackFraming_EveryAnswerCarriesTheSecurityHeaders) {
  for (const WorldOptions& options : {WorldOptions{}, one_origin()}) {
    World w(options);
    for (const Page& page : tour(w)) expect_page_headers(page);
  }
}

TEST(SignInPages, OnPlainHttpThereIsNoHstsAndNoHostPrefix) {
  World w({.pds = "http://localhost:2583", .auth = "http://localhost:2583"});
  for (const Page& page : tour(w)) {
    expect_page_headers(page, false);
    for (const auto& cookie : page.headers.all("set-cookie")) {
      EXPECT_FALSE(cookie.starts_with("__Host-")) << cookie;
      EXPECT_EQ(cookie.find("Secure"), std::string::npos) << cookie;
      EXPECT_NE(cookie.find("HttpOnly"), std::string::npos) << cookie;
    }
  }
}

TEST(SignInPages, Cookies_HostPrefixSecureHttpOnlyLaxTenMinutes) {
  World w;
  std::size_t cookies = 0;
  for (const Page& page : tour(w))
    for (const auto& cookie : page.headers.all("set-cookie")) {
      ++cookies;
      EXPECT_TRUE(cookie.starts_with("__Host-")) << cookie;
      for (const char* part : {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age="})
        EXPECT_NE(cookie.find(part), std::string::npos) << cookie << part;
      EXPECT_EQ(cookie.find("Domain"), std::string::npos) << cookie;
    }
  EXPECT_GE(cookies, 3u);
}

TEST(SignInPages, Cookies_TheSessionIsGoneAfterTheLastPage) {
  World w;
  App app(w);
  Browser b(w);
  const Page back = walk(app, app.start(), b, k_alice);
  const auto set = back.headers.all("set-cookie");
  ASSERT_EQ(set.size(), 1u);
  EXPECT_NE(set[0].find("session"), std::string::npos);
  EXPECT_NE(set[0].find("Max-Age=0"), std::string::npos);
}

TEST(SignInPages, AttackCookies_OddOnesAreReplaced) {
  World w;
  App app(w);
  for (const std::string& odd :
       {std::string("x"), "\"" + std::string(41, 'a') + "\"", std::string(43, '~'), std::string(4000, 'a')}) {
    Browser b(w);
    b.jar["auth.pds.test"]["__Host-magic_auth_flow"] = {odd, "", {}};
    EXPECT_EQ(b.get(app.authorize_url(app.start())).status, 200) << odd;
    EXPECT_EQ(b.jar["auth.pds.test"]["__Host-magic_auth_flow"].value.size(), 43u);
    EXPECT_NE(b.jar["auth.pds.test"]["__Host-magic_auth_flow"].value, odd);
  }
}

// --- Enumeration (group 15)

// A page without what differs between any two sign-ins.
std::string neutral(Page page) {
  std::string text = fmt::format("{}\n", page.status);
  for (const auto& [name, value] : page.headers) text += fmt::format("{}: {}\n", name, value);
  text += page.body;
  const auto blank = [&](std::string_view before, std::string_view after) {
    for (auto at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
      const auto from = at + before.size();
      text.replace(from, text.find_first_of(after, from) - from, "*");
    }
  };
  blank("flow_id=", "\"\n&");
  blank("name=\"csrf\" value=\"", "\"");
  blank("set-cookie: ", ";");
  blank("<span class=\"mono\">request-", "<");
  return text;
}

TEST(SignInPages, AttackEnumeration_KnownAndUnknownAddressesAreAnsweredAlike) {
  World w;
  App app(w);
  Browser b(w);
  sign_in(app, b, k_alice);
  w.clock.advance(2h);
  // Both are shown as al***@example.com.
  const auto walk = [&](const std::string& email) {
    Browser b(w, email == k_alice ? "192.0.2.7" : "192.0.2.8");
    std::vector<std::string> pages;
    const auto keep = [&](Page page) {
      pages.push_back(neutral(page));
      return page;
    };
    keep(b.get(app.authorize_url(app.start(), email)));
    Page page = keep(b.get(app.authorize_url(app.start())));
    keep(b.submit(page, "/auth/email", {{"email", email}}));
    page = keep(b.get(w.options.auth + "/auth/step" + page.form("/auth/email").action.substr(11)));
    keep(b.submit(page, "/auth/verify", {{"code", "1234567"}}));
    for (int i = 0; i < 4; ++i) keep(b.submit(page, "/auth/resend"));  // the last ones are limited
    for (int i = 0; i < 6; ++i) keep(b.submit(page, "/auth/verify", {{"code", "123456789"}}));
    keep(b.follow(b.submit(page, "/auth/different")));
    return pages;
  };
  const auto known = walk(k_alice), unknown = walk("alfred@example.com");
  ASSERT_EQ(known.size(), unknown.size());
  for (std::size_t i = 0; i < known.size(); ++i) EXPECT_EQ(known[i], unknown[i]) << i;
  EXPECT_EQ(w.mails("alfred@example.com").size(), 3u);
  EXPECT_EQ(w.mails(k_alice).size(), 1u + 3u) << "one from signing up";
}

TEST(SignInPages, AttackEnumeration_TheFourthMailInAQuarterHourIsSilent) {
  World w;
  App app(w);
  Browser b(w);
  Page page = b.get(app.authorize_url(app.start()));
  page = b.follow(b.submit(page, "/auth/email", {{"email", k_alice}}));
  std::string answer;
  for (int i = 0; i < 3; ++i) {
    const std::string got = neutral(b.follow(b.submit(page, "/auth/resend")));
    if (i == 0) answer = got;
    EXPECT_EQ(got, answer);
  }
  EXPECT_EQ(w.mails(k_alice).size(), 3u);
  // The last code that was sent still works.
  EXPECT_EQ(b.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}).status, 303);
}

TEST(SignInPages, AttackEnumeration_AHandleOnTheUrlDoesNotShowItsAddress) {
  World w;
  App app(w);
  Browser b(w), curious(w);
  const Tokens alice = sign_in(app, b, k_alice);
  for (const std::string& hint : {alice.did, w.account(k_alice)->handle_text()}) {
    const Page page = curious.get(app.authorize_url(app.start(), hint));
    EXPECT_EQ(page.status, 200);
    EXPECT_FALSE(page.shows("example.com")) << hint;
  }
  // A name nobody has here helps nobody and hinders nobody.
  EXPECT_EQ(curious.get(app.authorize_url(app.start(), "nobody.example.net")).heading(), "Sign in");
}

// --- Injection (group 18)

TEST(SignInPages, AttackInjection_HintsThatAreNoAddress) {
  World w;
  App app(w);
  Browser b(w);
  for (const std::string& hint :
       {std::string("<script>alert(1)</script>@example.com"), std::string("a\"onfocus=\"x@example.com"),
        std::string("victim@example.com\r\nBcc: all@example.com"),
        std::string("victim@example.com,other@example.com"), std::string("a@b"),
        std::string(300, 'a') + "@example.com", std::string("\"quoted\"@example.com"),
        std::string("ü@example.com"), std::string("alice@[127.0.0.1]")}) {
    const Page page = b.get(app.authorize_url(app.start(), hint));
    EXPECT_EQ(page.heading(), "Sign in") << hint;
    EXPECT_FALSE(page.shows("alert(1)"));
    EXPECT_FALSE(page.shows("onfocus"));
    const Page refused = b.submit(page, "/auth/email", {{"email", hint}});
    EXPECT_EQ(refused.status, 400) << hint;
    EXPECT_FALSE(refused.shows("<script>alert"));
    EXPECT_FALSE(refused.shows("a\"onfocus"));
  }
  EXPECT_TRUE(w.mails().empty());
}

TEST(SignInPages, AttackInjection_AnAddressWithMarkupCharactersIsEscaped) {
  World w;
  App app(w);
  Browser b(w);
  const Page page = walk_to_consent(app, app.start(), b, "a'b&c@example.com");
  EXPECT_TRUE(page.shows("a&#39;b&amp;c@example.com")) << page.body;
  EXPECT_FALSE(page.shows("a'b&c@"));
}

TEST(SignInPages, AttackInjection_ClientNamesStayText) {
  const struct {
    std::string name;
    const char* why;
  } rows[] = {
      {"<img src=x onerror=alert(1)>{{csrf}}", "HTML and template"},
      {"Nice App\r\nBcc: all@example.com\r\n\r\nYour account is locked. Visit evil.example",
       "lines of their own in the mail"},
      {"Evil \xe2\x80\xae"
       "elif\xe2\x80\xac \xe2\x80\x8b\xc2\x85 App",
       "turned around, invisible"},
      {std::string(200, 'x') + "\xc3\xa9", "long"},
      {std::string(79, 'x') + "\xc3\xa9"
                              "and more",
       "cut inside a character"},
      {"   ", "blank"},
      {"\xe2\x80\x8b\xe2\x80\xae", "blank to the eye"},
  };
  for (const auto& row : rows) {
    World w;
    App app(w, App::Kind::web, row.name);
    Browser b(w);
    const Page asked = walk_to_consent(app, app.start(), b, k_alice);
    ASSERT_EQ(asked.heading(), "Create Account & Authorize") << row.why;
    ASSERT_EQ(w.mails().size(), 1u);
    const auto mail = w.mails()[0];
    for (const std::string& shown : {asked.body, mail.html, mail.text}) {
      EXPECT_TRUE(is_valid_utf8(shown)) << row.why;
      EXPECT_EQ(shown.find("\xe2\x80\xae"), std::string::npos) << row.why;
      EXPECT_EQ(shown.find("\xe2\x80\x8b"), std::string::npos) << row.why;
      EXPECT_EQ(shown.find("\nYour account"), std::string::npos) << row.why;
      EXPECT_EQ(shown.find("\nBcc:"), std::string::npos) << row.why;
      EXPECT_EQ(shown.find(std::string(81, 'x')), std::string::npos) << row.why;
    }
    EXPECT_EQ(asked.body.find("<img src=x"), std::string::npos) << row.why;
    EXPECT_EQ(mail.html.find("<img src=x"), std::string::npos) << row.why;
    EXPECT_TRUE(asked.shows("web.example")) << row.why << ": the host is always beside the name";
    EXPECT_EQ(mail.subject.find("Evil"), std::string::npos);
  }
}

TEST(SignInPages, AttackInjection_AnAppWithoutNameIsItsHost) {
  for (const char* name : {"", "  ", "\xe2\x80\x8b"}) {
    World w;
    App app(w, App::Kind::web, name);
    Browser b(w);
    EXPECT_TRUE(b.get(app.authorize_url(app.start())).shows("to use <strong>web.example</strong>"));
  }
}

TEST(SignInPages, ARefusedAddressStaysInTheField) {
  World w;
  App app(w);
  Browser b(w);
  const Page page =
      b.submit(b.get(app.authorize_url(app.start())), "/auth/email", {{"email", "alice@example,\"com"}});
  EXPECT_TRUE(page.shows("value=\"alice@example,&quot;com\"")) << page.body;
  EXPECT_TRUE(page.shows("role=\"alert\""));
}

TEST(SignInPages, TheConsentPageShowsWhatIsAsked) {
  World w;
  App app(w, App::Kind::web);
  Browser b(w);
  Page page = walk_to_consent(app, app.start({{"scope", "atproto transition:email"}}), b, k_alice);
  EXPECT_TRUE(page.shows("See your e-mail address"));
  EXPECT_FALSE(page.shows("Act on your behalf"));
  EXPECT_TRUE(page.shows(app.client_id()));
  EXPECT_TRUE(page.shows("web.example"));
  page = walk_to_consent(app, app.start(), b, k_alice);
  EXPECT_TRUE(page.shows("Act on your behalf"));
}

// --- Hosts (group 17)

TEST(SignInHosts, AttackPoisoning_NothingIsBuiltFromTheHostHeader) {
  World w(one_origin());
  App app(w);
  Browser b(w);
  const auto evil = [&](web::Request request) {
    request.host = "evil.example";
    request.headers.set("host", "evil.example");
    request.headers.add("x-forwarded-host", "evil.example");
    request.headers.add("forwarded", "host=evil.example");
    request.headers.add("x-forwarded-proto", "http");
    return w.send(std::move(request));
  };
  const auto shows_evil = [](const Page& page) {
    if (page.shows("evil.example")) return true;
    return std::ranges::any_of(
        page.headers, [](const auto& h) { return h.second.find("evil.example") != std::string::npos; });
  };
  for (const char* path : {"/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource",
                           "/oauth/authorize", "/auth/step", "/", "/health",
                           "/xrpc/com.atproto.server.describeServer", "/nowhere"}) {
    const Page page = evil(b.request("GET", w.options.pds + path));
    EXPECT_FALSE(shows_evil(page)) << path << page.body;
  }
  EXPECT_FALSE(shows_evil(evil(b.request("GET", app.authorize_url(app.start())))));
}

TEST(SignInHosts, SplitNames_EachAnswersForItsOwnRoutes) {
  World w;
  Browser b(w);
  for (const char* path :
       {"/xrpc/_health", "/xrpc/com.atproto.server.describeServer", "/oauth/token", "/oauth/par",
        "/.well-known/oauth-authorization-server", "/.well-known/atproto-did"})
    EXPECT_EQ(b.get("https://auth.pds.test" + std::string(path)).status, 404) << path;
  EXPECT_EQ(b.post("https://auth.pds.test/oauth/par", {}).status, 404);
  for (const char* path :
       {"/oauth/authorize", "/auth/step", "/auth/complete", "/auth/consent", "/static/latchkey.css"})
    EXPECT_EQ(b.get("https://pds.test" + std::string(path)).status, 404) << path;
  EXPECT_EQ(b.post("https://pds.test/auth/email", {}).status, 404);
  EXPECT_EQ(b.get("https://auth.pds.test/health").text("service"), "auth");
  EXPECT_EQ(b.get("https://pds.test/health").text("service"), "epds");
  EXPECT_EQ(b.get("https://auth.pds.test/static/latchkey.css").status, 200);
  EXPECT_EQ(b.get("https://pds.test/xrpc/com.atproto.server.describeServer").status, 200);
  // A handle's host is the PDS and nothing of the sign-in: its cookies could not reach the pages anyway.
  EXPECT_EQ(b.get("https://alice.pds.test/oauth/authorize").status, 404);
  const Page metadata = b.get("https://pds.test/.well-known/oauth-authorization-server");
  EXPECT_EQ(metadata.text("issuer"), "https://pds.test");
  EXPECT_EQ(metadata.text("authorization_endpoint"), "https://auth.pds.test/oauth/authorize");
  EXPECT_EQ(metadata.text("pushed_authorization_request_endpoint"), "https://pds.test/oauth/par");
}

TEST(SignInHosts, AHandlesHostDoesNotSignAnybodyIn) {
  World w(one_origin());
  App app(w);
  Browser b(w);
  const std::string url = app.authorize_url(app.start());
  const Page page = b.get("https://alice.pds.test" + url.substr(w.options.pds.size()));
  EXPECT_NE(page.status, 200) << "pages belong to one origin";
  EXPECT_TRUE(page.forms().empty());
}

}  // namespace
}  // namespace latchkey::dev::world

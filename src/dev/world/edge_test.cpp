// What stands in front of every route: headers, limits per address, host names, Fetch Metadata. Groups 5, 6,
// 17 and 21 of docs/threat-model.md.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/log.h"
#include "dev/world/world.h"
#include "web/raw_client.h"
#include "web/server.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
const std::string k_pds = "https://pds.test", k_auth = "https://auth.pds.test";

WorldOptions counting(WorldOptions options = {}) {
  options.rate_limits = web::RateLimitOptions{};
  return options;
}

bool is_page_pattern(const std::string& pattern) {
  return pattern == "/oauth/authorize" || pattern.starts_with("/auth/") || pattern.starts_with("/account");
}

// --- Headers of every answer (group 6)

void expect_not_framed(const Page& page, const std::string& where) {
  const std::string csp = page.header("content-security-policy");
  EXPECT_NE(csp.find("default-src 'none'"), std::string::npos) << where << csp;
  EXPECT_NE(csp.find("frame-ancestors 'none'"), std::string::npos) << where << csp;
  EXPECT_EQ(csp.find("unsafe"), std::string::npos) << where << csp;
  EXPECT_EQ(page.header("x-frame-options"), "DENY") << where;
  EXPECT_EQ(page.header("x-content-type-options"), "nosniff") << where;
  EXPECT_TRUE(page.headers.has("cross-origin-resource-policy")) << where;
  EXPECT_TRUE(page.headers.has("strict-transport-security")) << where;
  const std::set<std::string> referrers{"no-referrer", "same-origin"};
  EXPECT_TRUE(referrers.contains(page.header("referrer-policy"))) << where;
}

void expect_guarded(const Page& page, const std::string& where) {
  expect_not_framed(page, where);
  if (!page.header("cache-control").starts_with("public"))
    EXPECT_EQ(page.header("cache-control"), "no-store") << where;
  EXPECT_EQ(page.header("cross-origin-resource-policy"), "same-origin") << where;
  EXPECT_EQ(page.headers.has("access-control-allow-origin"), false) << where;
  if (!page.header("content-type").starts_with("text/html")) return;
  const std::string csp = page.header("content-security-policy");
  for (const char* directive :
       {"script-src 'self'", "style-src 'self'", "base-uri 'none'", "form-action 'self'"})
    EXPECT_NE(csp.find(directive), std::string::npos) << where << csp;
  EXPECT_EQ(page.header("cross-origin-opener-policy"), "same-origin") << where;
  for (const char* inline_code : {"<style", " style=", " onclick=", " onload=", "javascript:"})
    EXPECT_EQ(page.body.find(inline_code), std::string::npos) << where;
}

// Addresses of every route, with one for what a capture stands for.
std::vector<std::string> paths_of(const web::Router& router,
                                  const std::function<bool(const web::Router::RouteName&)>& which) {
  std::set<std::string> out;
  for (const auto& route : router.list())
    if (which(route))
      out.insert(route.pattern.substr(0, route.pattern.find('{')) + (route.pattern.contains('{') ? "x" : ""));
  return {out.begin(), out.end()};
}

constexpr const char* k_methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

TEST(EveryRoute, AttackFraming_OfTheAuthorizationHostIsProtected) {
  World w(counting());
  auto paths = paths_of(*w.routes, [](const auto& route) { return route.host == "auth.pds.test"; });
  ASSERT_GE(paths.size(), 11u);
  paths.insert(paths.end(), {"/", "/nowhere", "/static/latchkey.css", "/static/favicon.svg", "/xrpc/_health",
                             "/robots.txt"});
  Browser b(w);
  for (const auto& path : paths)
    for (const char* method : k_methods) {
      auto request = b.request(method, k_auth + path);
      request.remote_ip = fmt::format("192.0.2.{}", (&method - k_methods));
      expect_guarded(w.send(std::move(request)), fmt::format("{} {}", method, path));
    }
  // Too fast, from elsewhere, at another name, and when something breaks.
  for (const auto& path : paths) {
    if (!is_page_pattern(path)) continue;
    std::set<int> seen;
    for (int i = 0; i <= 60; ++i) {
      const Page page = b.get(k_auth + path);
      seen.insert(page.status);
      if (page.status == 429) expect_guarded(page, "429 " + path);
    }
    EXPECT_TRUE(seen.contains(429)) << path;
    w.clock.advance(5min);
    auto request = b.request("GET", k_auth + path);
    request.headers.set("sec-fetch-dest", "iframe");
    request.remote_ip = "192.0.2.100";
    const Page framed = w.send(std::move(request));
    EXPECT_TRUE(framed.status == 403 || framed.status == 405) << path << framed.status;
    expect_guarded(framed, "framed " + path);
  }
  App app(w);
  const std::string url = app.authorize_url(app.start());
  w.db().close();
  const Page page = b.get(url);
  EXPECT_EQ(page.status, 500);
  expect_guarded(page, "500");
}

TEST(EveryRoute, AttackFraming_OfTheServerIsProtected) {
  for (const WorldOptions& options : {WorldOptions{}, one_origin()}) {
    World w(options);
    auto paths = paths_of(*w.routes, [](const auto& route) { return route.host.empty(); });
    ASSERT_GE(paths.size(), 25u);
    paths.push_back("/nowhere");
    Browser b(w);
    for (const auto& path : paths)
      for (const char* method : k_methods) {
        const std::string where = fmt::format("{} {}", method, path);
        const Page page = w.send(web::Request::make(method, k_pds + path));
        if (is_page_pattern(path))
          expect_guarded(page, where);
        else
          expect_not_framed(page, where);
      }
  }
}

// --- Fetch Metadata (groups 5 and 6)

TEST(FetchMetadata, AttackFraming_FramesImagesScriptsAndPrefetchesOpenNothing) {
  World w;
  App app(w);
  Browser framed(w), person(w);
  const auto login = app.start(), silent = app.start({{"prompt", "none"}});
  for (const web::Headers& headers : std::initializer_list<web::Headers>{
           {{"sec-fetch-dest", "iframe"}, {"sec-fetch-mode", "navigate"}, {"sec-fetch-site", "cross-site"}},
           {{"sec-fetch-dest", "image"}, {"sec-fetch-mode", "no-cors"}, {"sec-fetch-site", "cross-site"}},
           {{"sec-fetch-dest", "empty"}, {"sec-fetch-mode", "cors"}, {"sec-fetch-site", "cross-site"}},
           {{"sec-fetch-dest", "document"}, {"sec-purpose", "prefetch"}}}) {
    for (const auto& one : {login, silent})
      for (const char* method : {"GET", "HEAD"}) {
        auto request = framed.request(method, app.authorize_url(one));
        for (const auto& [name, value] : headers) request.headers.add(name, value);
        const Page page = framed.send(std::move(request));
        EXPECT_EQ(page.status, 403);
        EXPECT_TRUE(page.location().empty());
      }
  }
  EXPECT_TRUE(framed.jar.empty());
  // Nothing of that bound the request to that browser or ended it.
  EXPECT_EQ(person.get(app.authorize_url(login)).status, 200);
  EXPECT_EQ(person.get(app.authorize_url(silent)).parameter("error"), "login_required");
}

TEST(FetchMetadata, NavigationsOldBrowsersAndProgramsMayGoOn) {
  for (const web::Headers& headers : std::initializer_list<web::Headers>{
           {},
           {{"sec-fetch-mode", "cors"}},
           {{"sec-fetch-dest", "document"},
            {"sec-fetch-mode", "navigate"},
            {"sec-fetch-site", "cross-site"},
            {"sec-fetch-user", "?1"}},
           {{"sec-fetch-dest", "document"}, {"sec-fetch-mode", "navigate"}, {"sec-fetch-site", "none"}}}) {
    World w;
    App app(w);
    Browser b(w);
    auto request = b.request("GET", app.authorize_url(app.start()));
    for (const auto& [name, value] : headers) request.headers.add(name, value);
    EXPECT_EQ(b.send(std::move(request)).status, 200);
  }
}

// --- Limits per address (pds-surface, section 7)

struct Flood {
  const char* method;
  std::string url;
  int limit;
  std::chrono::seconds window;
};

Page ask(World& w, const Flood& flood, const std::string& ip, std::string body = {}) {
  auto request =
      web::Request::make(flood.method, flood.url, std::move(body), {{"content-type", "application/json"}});
  request.remote_ip = ip;
  return w.send(std::move(request));
}

TEST(Limits, AttackFlood_BothSidesOfEveryLimit) {
  for (const auto& flood : {
           Flood{"POST", k_pds + "/oauth/par", 60, 60s},
           Flood{"POST", k_pds + "/oauth/token", 120, 60s},
           Flood{"POST", k_pds + "/oauth/revoke", 120, 60s},
           Flood{"GET", k_auth + "/oauth/authorize", 60, 60s},
           Flood{"GET", k_auth + "/auth/step", 60, 60s},
           Flood{"POST", k_auth + "/auth/verify", 60, 60s},
           Flood{"POST", k_pds + "/xrpc/com.atproto.server.createSession", 30, 300s},
           Flood{"POST", k_pds + "/xrpc/com.atproto.server.createAccount", 100, 300s},
           Flood{"POST", k_pds + "/xrpc/com.atproto.server.deleteAccount", 50, 300s},
           Flood{"POST", k_pds + "/xrpc/com.atproto.identity.updateHandle", 10, 300s},
           Flood{"GET", k_pds + "/xrpc/com.atproto.server.describeServer", 3000, 300s},
           Flood{"GET", k_pds + "/xrpc/com.example.unknown", 3000, 300s},
           Flood{"GET", k_pds + "/xrpc/com.atproto.sync.getRepo", 6000, 300s},
       }) {
    World w(counting());
    for (int i = 0; i < flood.limit; ++i) {
      const Page page = ask(w, flood, "192.0.2.1");
      ASSERT_NE(page.status, 429) << flood.url << i;
      ASSERT_EQ(page.header("ratelimit-remaining"), std::to_string(flood.limit - 1 - i)) << flood.url;
    }
    const Page page = ask(w, flood, "192.0.2.1");
    EXPECT_EQ(page.status, 429) << flood.url;
    EXPECT_EQ(page.header("ratelimit-limit"), std::to_string(flood.limit));
    EXPECT_EQ(page.header("ratelimit-policy"), fmt::format("{};w={}", flood.limit, flood.window.count()));
    EXPECT_EQ(page.header("ratelimit-remaining"), "0");
    EXPECT_TRUE(page.headers.has("ratelimit-reset"));
    const auto wait = std::stoll(page.header("retry-after"));
    EXPECT_GT(wait, 0);
    EXPECT_LE(wait, 2 * flood.window.count());
    EXPECT_NE(ask(w, flood, "192.0.2.2").status, 429) << "somebody else";
    w.clock.advance(std::chrono::seconds(wait));
    EXPECT_NE(ask(w, flood, "192.0.2.1").status, 429) << "after the time it said";
  }
}

TEST(Limits, EachSurfaceRefusesInItsOwnWords) {
  World w(counting());
  const auto refused = [&](const char* method, const std::string& url) {
    Page page;
    for (int i = 0; page.status != 429 && i < 4000; ++i) page = ask(w, {method, url, 0, 0s}, "192.0.2.1");
    EXPECT_EQ(page.status, 429) << url;
    return page;
  };
  for (const char* path : {"/oauth/par", "/oauth/token"}) {
    const Page page = refused("POST", k_pds + path);
    EXPECT_EQ(page.error(), "temporarily_unavailable");
    EXPECT_FALSE(page.text("error_description").empty());
    EXPECT_FALSE(page.header("dpop-nonce").empty()) << "every answer brings the next one";
    EXPECT_EQ(page.header("cache-control"), "no-store");
    EXPECT_EQ(page.header("access-control-allow-origin"), "*");
  }
  Page page = refused("POST", k_pds + "/xrpc/com.atproto.server.createAccount");
  EXPECT_EQ(page.error(), "RateLimitExceeded");
  EXPECT_EQ(page.header("access-control-allow-origin"), "*");
  EXPECT_NE(page.header("access-control-expose-headers").find("ratelimit-reset"), std::string::npos);
  page = refused("GET", k_auth + "/auth/step");
  EXPECT_EQ(page.heading(), "That was too fast");
}

TEST(Limits, EveryRouteHasOneButHealthAndStaticFiles) {
  for (const WorldOptions& options : {WorldOptions{}, one_origin()}) {
    World w(counting(options));
    for (const auto& route : w.routes->list()) {
      if (route.method == "OPTIONS") continue;
      const std::string path =
          route.pattern.substr(0, route.pattern.find('{')) + (route.pattern.contains('{') ? "x" : "");
      const bool free = path == "/health" || path == "/xrpc/_health" || path.starts_with("/static/");
      const Page page =
          w.send(web::Request::make(route.method == "*" ? "PUT" : route.method,
                                    (route.host.empty() ? k_pds : "https://" + route.host) + path));
      EXPECT_EQ(page.headers.has("ratelimit-limit"), !free) << route.method << " " << path;
      w.clock.advance(1min);
    }
  }
}

TEST(Limits, PreflightsAndHealthChecksAreNotCounted) {
  World w(counting());
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(w.send(web::Request::make("OPTIONS", k_pds + "/oauth/par")).status, 200);
    ASSERT_EQ(w.send(web::Request::make("OPTIONS", k_pds + "/xrpc/com.atproto.server.createSession")).status,
              200);
    ASSERT_EQ(w.send(web::Request::make("GET", k_pds + "/xrpc/_health")).status, 200);
  }
  const Page page = w.send(web::Request::make("POST", k_pds + "/oauth/par"));
  EXPECT_EQ(page.header("ratelimit-remaining"), "59");
}

TEST(Limits, OffUnlessAskedFor) {
  World w;
  for (int i = 0; i < 200; ++i) {
    const Page page = w.send(web::Request::make("POST", k_pds + "/oauth/par"));
    ASSERT_EQ(page.status, 400);
    ASSERT_FALSE(page.headers.has("ratelimit-limit"));
  }
}

TEST(Limits, AttackGuessing_PasswordsOfOneAccountFromOneAddress) {
  World w(counting());
  const Flood session{"POST", k_pds + "/xrpc/com.atproto.server.createSession", 30, 300s};
  const auto log_in = [&](const std::string& identifier, const std::string& ip = "192.0.2.1") {
    return ask(w, session, ip, json::Value(json::Object{{"identifier", identifier}}).dump()).status;
  };
  for (int i = 0; i < 30; ++i) EXPECT_EQ(log_in("alice.pds.test"), 400);
  EXPECT_EQ(log_in("alice.pds.test"), 429);
  EXPECT_EQ(log_in("ALICE.pds.test"), 429) << "names are compared without case";
  EXPECT_EQ(log_in("bob.pds.test"), 400) << "another account";
  EXPECT_EQ(log_in("alice.pds.test", "192.0.2.2"), 400) << "the owner, elsewhere";
  // 300 a day.
  int taken = 30;
  for (int i = 0; i < 20; ++i) {
    w.clock.advance(20min);
    for (int j = 0; j < 30; ++j) taken += log_in("alice.pds.test") == 400;
  }
  EXPECT_EQ(taken, 300);
}

TEST(Limits, AttackMemory_EndlessAccountNamesAreOneClient) {
  World w(counting());
  const Flood session{"POST", k_pds + "/xrpc/com.atproto.server.createSession", 30, 300s};
  for (int i = 0; i <= 30; ++i) {
    const auto body =
        json::Value(json::Object{{"identifier", std::string(2049, 'a') + std::to_string(i)}}).dump();
    EXPECT_EQ(ask(w, session, "192.0.2.1", body).status, i < 30 ? 400 : 429);
  }
}

TEST(Limits, OperatorsPass) {
  World w([] {
    auto options = counting();
    options.rate_limits->bypass_key = Secret<std::string>("operator");
    options.rate_limits->bypass_addresses = {"192.0.2.9"};
    return options;
  }());
  const Flood par{"POST", k_pds + "/oauth/par", 60, 60s};
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(ask(w, par, "192.0.2.9").status, 400);
    auto request = web::Request::make("POST", par.url, "", {{"x-ratelimit-bypass", "operator"}});
    ASSERT_EQ(w.send(std::move(request)).status, 400);
  }
}

TEST(Limits, ASignInFitsIntoThem) {
  World w(counting());
  App app(w);
  for (int i = 0; i < 5; ++i) {
    Browser b(w);
    sign_in(app, b, fmt::format("person{}@example.com", i));
  }
}

// --- Through the real server: hosts and forwarded headers (group 17)

// The world behind sockets. Requests come one after the other.
struct Served {
  explicit Served(WorldOptions options, std::vector<std::string> proxies = {})
      : world(std::move(options)),
        server({.threads = 1, .trusted_proxies = std::move(proxies)},
               web::Handler([this](web::Request r) { return world.routes->handle(std::move(r)); })) {
    log::set_level(log::Level::off);
    port = server.listen("127.0.0.1", 0);
    server.start();
  }
  web::RawClient::Answer raw(std::string_view head, std::string_view body = {}) {
    web::RawClient client(port);
    client.send(head);
    client.send(fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body));
    return client.read_answer();
  }
  web::RawClient::Answer get(std::string_view path, std::string_view host, std::string_view more = {}) {
    return raw(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n{}", path, host, more));
  }
  World world;
  web::Server server;
  std::uint16_t port;
};

std::string whole(const web::RawClient::Answer& answer) {
  std::string out = answer.body;
  for (const auto& [name, value] : answer.headers) out += name + ": " + value + "\n";
  return out;
}

constexpr std::string_view k_liars =
    "X-Forwarded-Host: evil.example\r\nX-Forwarded-Server: evil.example\r\nX-Host: evil.example\r\n"
    "X-Original-Host: evil.example\r\nForwarded: for=1.2.3.4;host=evil.example;proto=http\r\n"
    "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 81\r\nX-Original-Url: /evil.example\r\n"
    "X-Rewrite-Url: /evil.example\r\nOrigin: https://evil.example\r\nReferer: https://evil.example/\r\n";

TEST(Hosts, AttackPoisoning_NoAnswerIsBuiltFromWhatTheRequestCallsUs) {
  for (const auto& options : {WorldOptions{}, one_origin()})
    for (const auto& proxies : {std::vector<std::string>{}, std::vector<std::string>{"127.0.0.1"}}) {
      Served s(options, proxies);
      for (const char* path :
           {"/", "/robots.txt", "/health", "/nowhere", "/oauth/authorize", "/auth/step", "/xrpc/_health",
            "/xrpc/com.atproto.server.describeServer", "/xrpc/com.example.x",
            "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource",
            "/.well-known/atproto-did", "/oauth/jwks", "/static/latchkey.css"})
        for (const char* host :
             {"evil.example", "pds.test", "pds.test:81", "pds.test.", "auth.pds.test", "auth.pds.test:81",
              "auth.pds.test.", "evil.pds.test", "pds.test.evil.example", "127.0.0.1", "[::1]"}) {
          const std::string text = whole(s.get(path, host, k_liars));
          EXPECT_EQ(text.find("evil"), std::string::npos) << host << path << text;
          EXPECT_EQ(text.find(":81"), std::string::npos) << host << path << text;
          EXPECT_EQ(text.find("pds.test."), std::string::npos) << host << path << text;
        }
    }
}

TEST(Hosts, AttackPoisoning_IssuerAndEndpointsAreOursWhateverTheHost) {
  Served s({});
  for (const char* host : {"pds.test", "PDS.test", "evil.example", "pds.test:443", "127.0.0.1"}) {
    const auto metadata = json::parse(s.get("/.well-known/oauth-authorization-server", host, k_liars).body);
    ASSERT_TRUE(metadata) << host;
    EXPECT_EQ(*metadata->string_at("issuer"), k_pds);
    EXPECT_EQ(*metadata->string_at("authorization_endpoint"), k_auth + "/oauth/authorize");
    EXPECT_EQ(*metadata->string_at("token_endpoint"), k_pds + "/oauth/token");
    const auto resource = json::parse(s.get("/.well-known/oauth-protected-resource", host, k_liars).body);
    EXPECT_EQ(*resource->string_at("resource"), k_pds);
  }
  // Absolute form: the target's host counts (RFC 9112 §3.2.2), and changes as little.
  const auto answer =
      s.raw("GET http://evil.example/.well-known/oauth-authorization-server HTTP/1.1\r\nHost: pds.test\r\n");
  EXPECT_EQ(*json::parse(answer.body)->string_at("issuer"), k_pds);
}

TEST(Hosts, AttackPoisoning_TwoHostsOrNoneAreRefused) {
  Served s({});
  for (const char* head :
       {"GET / HTTP/1.1\r\nHost: pds.test\r\nHost: evil.example\r\n",
        "GET / HTTP/1.1\r\nHost: pds.test\r\nHost: pds.test\r\n", "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: pds.test, evil.example\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example/pds.test\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example@pds.test\r\n", "GET / HTTP/1.1\r\nHost: pds.test:evil\r\n",
        "GET / HTTP/1.1\r\nHost: pds.test:\r\n", "GET / HTTP/1.1\r\nHost: pds.test#evil\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n", "GET http://pds.test@evil.example/ HTTP/1.1\r\nHost: pds.test\r\n"})
    EXPECT_EQ(s.raw(head).status, 400) << head;
}

TEST(Hosts, PagesAreAtOneNameOnly) {
  for (const bool one : {true, false}) {
    Served s(one ? one_origin() : WorldOptions{});
    const std::string home = one ? "pds.test" : "auth.pds.test";
    const auto shows_page = [&](std::string_view host) {
      const auto answer = s.get("/auth/step", host);
      return answer.body.find("Authentication session expired") != std::string::npos;
    };
    for (const std::string& ours : {home, home + ":443", home + ":8443"})
      EXPECT_TRUE(shows_page(ours)) << ours;
    EXPECT_TRUE(shows_page(one ? "PDS.TEST" : "AUTH.Pds.Test"));
    for (const std::string& other :
         {home + ".", std::string("evil.example"), "x." + home, home + ".evil.example",
          std::string("127.0.0.1"), std::string("[::1]:80"),
          std::string(one ? "auth.pds.test" : "pds.test")}) {
      const auto answer = s.get("/auth/step", other);
      EXPECT_EQ(answer.status, one ? 421 : 404) << other;
      EXPECT_FALSE(shows_page(other)) << other;
    }
    EXPECT_EQ(s.get("/health", "127.0.0.1").status, 200) << "health checks know no name";
    EXPECT_EQ(s.get("/xrpc/_health", "10.0.0.7:3000").status, 200);
    EXPECT_EQ(s.get("/xrpc/com.atproto.server.describeServer", "pds:3000").status, 200)
        << "nothing in it depends on the name, and containers use names of their own";
  }
}

TEST(Hosts, AttackPoisoning_AForeignHostGetsNoMailSent) {
  World w(one_origin());
  App app(w);
  Browser b(w);
  const auto login = app.start();
  const Page page = b.get(app.authorize_url(login));
  for (const char* host : {"evil.example", "alice.pds.test", "pds.test.", "127.0.0.1"}) {
    auto request = b.submission(page, "/auth/email", {{"email", k_alice}});
    request.host = host;
    request.headers.set("host", host);
    EXPECT_EQ(w.send(std::move(request)).status, 421) << host;
  }
  EXPECT_TRUE(w.mails().empty());
}

TEST(Hosts, AtprotoDidIsTheAccountOfThatVeryName) {
  Served s({});
  const json::Object input{{"handle", "alice.pds.test"}, {"email", k_alice}, {"password", "correct horse"}};
  const Page made =
      s.world.send(web::Request::make("POST", k_pds + "/xrpc/com.atproto.server.createAccount",
                                      json::Value(input).dump(), {{"content-type", "application/json"}}));
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string path = "/.well-known/atproto-did";
  for (const char* host : {"alice.pds.test", "ALICE.pds.TEST", "alice.pds.test:8443"}) {
    const auto answer = s.get(path, host, k_liars);
    EXPECT_EQ(answer.status, 200) << host;
    EXPECT_EQ(answer.body, made.text("did")) << host;
  }
  EXPECT_EQ(s.raw("GET http://alice.pds.test/.well-known/atproto-did HTTP/1.1\r\nHost: pds.test\r\n").body,
            made.text("did"));
  for (const char* host : {"pds.test", "auth.pds.test", "bob.pds.test", "alice.pds.test.", "x.alice.pds.test",
                           "alice.pds.test.evil.example", "evil.example", "127.0.0.1", "alice"})
    EXPECT_EQ(s.get(path, host).status, 404) << host;
  EXPECT_EQ(s.get(path, "evil.example", "X-Forwarded-Host: alice.pds.test\r\n").status, 404);
  EXPECT_EQ(
      s.raw("GET http://evil.example/.well-known/atproto-did HTTP/1.1\r\nHost: alice.pds.test\r\n").status,
      404);
}

// Sixty-one requests that each say they come from somewhere else.
std::vector<int> flood(Served& s, const std::function<std::string(int)>& headers) {
  std::vector<int> statuses;
  for (int i = 0; i <= 60; ++i)
    statuses.push_back(s.raw("POST /oauth/par HTTP/1.1\r\nHost: pds.test\r\n" + headers(i)).status);
  return statuses;
}

TEST(Forwarded, AttackSpoofing_LimitsAreNotDodgedByNamingOtherAddresses) {
  const struct {
    const char* why;
    bool behind_proxy;
    std::function<std::string(int)> headers;
  } rows[] = {
      {"nobody in front of us", false, [](int i) { return fmt::format("X-Forwarded-For: 9.9.9.{}\r\n", i); }},
      {"other names of the header", false,
       [](int i) {
         return fmt::format(
             "X-Real-IP: 9.9.9.{0}\r\nForwarded: for=9.9.9.{0}\r\nClient-IP: 9.9.9.{0}\r\n"
             "CF-Connecting-IP: 9.9.9.{0}\r\nTrue-Client-IP: 9.9.9.{0}\r\n",
             i);
       }},
      {"what the client wrote stands left of the proxy's word", true,
       [](int i) { return fmt::format("X-Forwarded-For: 8.8.8.{}, 9.9.9.9\r\n", i); }},
      {"in a field of its own", true,
       [](int i) { return fmt::format("X-Forwarded-For: 8.8.8.{}\r\nX-Forwarded-For: 9.9.9.9\r\n", i); }},
      {"garbage", true, [](int i) { return fmt::format("X-Forwarded-For: 8.8.8.8, junk-{}\r\n", i); }},
      {"an endless chain", true,
       [](int i) {
         std::string out = fmt::format("X-Forwarded-For: 8.8.8.{}", i);
         for (int j = 0; j < 200; ++j) out += fmt::format(", 7.7.{}.{}", i, j);
         return out + ", 9.9.9.9\r\n";
       }},
      {"addresses of one IPv6 network", true,
       [](int i) { return fmt::format("X-Forwarded-For: 2001:4860:0:1::{:x}\r\n", i + 1); }},
      {"spellings of one address", true,
       [](int i) { return fmt::format("X-Forwarded-For: {}9.9.9.9\r\n", i % 2 ? "::ffff:" : ""); }},
  };
  for (const auto& row : rows) {
    Served s(counting(),
             row.behind_proxy ? std::vector<std::string>{"127.0.0.1"} : std::vector<std::string>{});
    const auto statuses = flood(s, row.headers);
    EXPECT_EQ(std::ranges::count(statuses, 429), 1) << row.why;
    EXPECT_EQ(statuses.back(), 429) << row.why;
  }
}

TEST(Forwarded, ClientsBehindATrustedProxyAreCountedEach) {
  Served s(counting(), {"127.0.0.1"});
  EXPECT_EQ(std::ranges::count(
                flood(s, [](int i) { return fmt::format("X-Forwarded-For: 9.9.9.{}\r\n", i); }), 429),
            0);
  Served six(counting(), {"127.0.0.1"});
  EXPECT_EQ(
      std::ranges::count(
          flood(six, [](int i) { return fmt::format("X-Forwarded-For: 2001:4860:0:{:x}::1\r\n", i); }), 429),
      0);
}

TEST(Forwarded, AttackSpoofing_AStrangerDoesNotSayThatThereIsTls) {
  // With or without it the pages' cookies are for https only: what the origin is was configured.
  for (const char* proto : {"http", "https", "http, https", "junk"}) {
    Served s({}, {"127.0.0.1"});
    App app(s.world);
    const std::string url = app.authorize_url(app.start());
    const auto answer =
        s.get(url.substr(k_auth.size()), "auth.pds.test", fmt::format("X-Forwarded-Proto: {}\r\n", proto));
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.headers.get("set-cookie").starts_with("__Host-")) << proto;
    EXPECT_NE(answer.headers.get("set-cookie").find("; Secure"), std::string_view::npos) << proto;
    EXPECT_TRUE(answer.headers.has("strict-transport-security")) << proto;
  }
}

// --- Cookies (group 21)

TEST(Cookies, AttackTossing_APlantedValueBesideOursIsNotBelieved) {
  World w;
  App app(w);
  Browser victim(w), attacker(w);
  const auto login = app.start();
  const Page page = victim.get(app.authorize_url(login));
  const Page theirs = attacker.get(app.authorize_url(app.start()));
  const std::string mine = victim.jar["auth.pds.test"]["__Host-magic_auth_flow"].value;
  const std::string planted = attacker.jar["auth.pds.test"]["__Host-magic_auth_flow"].value;
  ASSERT_NE(mine, planted);
  const std::string name = "__Host-magic_auth_flow=";
  const auto step = [&](const Page& of, const std::vector<std::string>& cookies) {
    auto request =
        web::Request::make("GET", k_auth + "/auth/step" + of.form("/auth/email").action.substr(11));
    for (const auto& cookie : cookies) request.headers.add("cookie", cookie);
    return w.send(std::move(request)).status;
  };
  EXPECT_EQ(step(page, {name + mine}), 200);
  EXPECT_EQ(step(theirs, {name + planted}), 200);
  for (const auto& both : {std::vector<std::string>{name + mine + "; " + name + planted},
                           std::vector<std::string>{name + planted + "; " + name + mine},
                           std::vector<std::string>{name + mine, name + planted}}) {
    EXPECT_EQ(step(theirs, both), 400) << "the attacker's sign-in does not go on here";
    EXPECT_EQ(step(page, both), 400);
  }
}

TEST(Cookies, AttackTossing_OtherPrefixesAndSpellingsAreOtherCookies) {
  World w;
  App app(w);
  Browser attacker(w);
  const Page page = attacker.get(app.authorize_url(app.start()));
  const std::string value = attacker.jar["auth.pds.test"]["__Host-magic_auth_flow"].value;
  const std::string step = k_auth + "/auth/step" + page.form("/auth/email").action.substr(11);
  // A handle's host can set all of these for the parent domain; the __Host- one it cannot (RFC 6265bis
  // §4.1.3.2).
  for (const char* name :
       {"magic_auth_flow", "__Secure-magic_auth_flow", "__host-magic_auth_flow", "__HOST-magic_auth_flow",
        "__Host-magic_auth_flow ", "\"__Host-magic_auth_flow\"", "__Host-__Host-magic_auth_flow",
        "=__Host-magic_auth_flow", "__Host-magic_auth_flow[]", "$__Host-magic_auth_flow"}) {
    auto request = web::Request::make("GET", step);
    request.headers.add("cookie", fmt::format("{}={}", name, value));
    EXPECT_EQ(w.send(std::move(request)).status, 400) << name;
  }
  auto request = web::Request::make("GET", step);
  request.headers.add("cookie", "__Host-magic_auth_flow=" + value);
  EXPECT_EQ(w.send(std::move(request)).status, 200);
}

TEST(Cookies, EveryCookieIsForOneHostTlsAndNoScript) {
  for (const WorldOptions& options : {WorldOptions{}, one_origin()}) {
    World w(options);
    App app(w), web_app(w, App::Kind::web);
    Browser b(w);
    sign_in(app, b, k_alice);
    sign_in(web_app, b, k_alice, Hint::on_authorize_url);
    std::size_t seen = 0;
    std::string_view rest = w.transcript;
    for (auto at = rest.find("\nset-cookie: "); at != std::string_view::npos;
         at = rest.find("\nset-cookie: ", at + 1)) {
      const auto from = at + std::string_view("\nset-cookie: ").size();
      const std::string cookie(rest.substr(from, rest.find('\n', from) - from));
      ++seen;
      EXPECT_TRUE(cookie.starts_with("__Host-")) << cookie;
      for (const char* attribute : {"; Path=/;", "; Secure", "; HttpOnly"})
        EXPECT_NE(cookie.find(attribute), std::string::npos) << cookie;
      EXPECT_TRUE(cookie.contains("; SameSite=Lax") || cookie.contains("; SameSite=Strict")) << cookie;
      EXPECT_FALSE(cookie.contains("Domain")) << cookie;
    }
    EXPECT_GE(seen, 6u);
  }
}

}  // namespace
}  // namespace latchkey::dev::world

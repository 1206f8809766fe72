// The demo app as a browser meets it, in front of a network in memory.
#include "dev/demo_app/demo_app.h"

#include <gtest/gtest.h>

#include "oauth/client/testing.h"
#include "ui/embedded.h"
#include "web/messages.h"

namespace latchkey::dev {
namespace {

using namespace oauth::client::testing;

constexpr const char* k_alice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* k_origin = "http://127.0.0.1:8080";

struct World {
  FakeClock clock;
  SeededRng rng;
  Network net;
  Server server{net, clock, "https://as.test", "https://pds.test"};
  identity::Resolver resolver{{.plc_url = "https://plc.test", .development = true}, net, nullptr, clock};
  oauth::client::MemoryStateStore states;
  oauth::client::MemorySessionStore sessions;
  oauth::client::OauthClient client{{.metadata = demo_client_metadata(k_origin)},
                                    {net, resolver, clock, rng, states, sessions}};
  web::StaticFiles assets{ui::static_files()};
  web::Messages messages{ui::messages()};
  web::Templates templates{ui::templates(), &assets, &messages};
  DemoApp app;
  web::Router router;

  explicit World(std::size_t max_sessions = 1000)
      : app({.origin = k_origin,
             .pds_url = "https://pds.test",
             .mailbox_url = "http://localhost:9",
             .max_sessions = max_sessions},
            client, templates, rng, clock) {
    app.add_routes(router);
    net.account(k_alice, "alice.test", "https://pds.test");
    net.pages["https://pds.test/xrpc/com.atproto.repo.createRecord"] = [this](const FetchRequest& r) {
      if (auto bad = authorized(r)) return *bad;
      written = *json::parse(r.body);
      return json_answer(200, {{"uri", std::string("at://") + k_alice + "/com.example.latchkey.note/3k"},
                               {"cid", "bafyreiexample"}});
    };
    net.pages["https://pds.test/xrpc/com.atproto.repo.getRecord"] = [this](const FetchRequest& r) {
      if (auto bad = authorized(r)) return *bad;
      return json_answer(200, {{"uri", std::string("at://") + k_alice + "/com.example.latchkey.note/3k"},
                               {"cid", "bafyreiexample"},
                               {"value", *written.find("record")}});
    };
  }
  json::Value written;
  std::optional<FetchResponse> authorized(const FetchRequest& r) {
    auto echo = server.echo(r);
    return echo.status == 200 ? std::nullopt : std::optional(echo);
  }
};

/// One browser: its cookie, and the token of the last form it saw.
struct Browser {
  World& w;
  std::string cookie = {}, csrf = {};
  std::string origin = k_origin;  // what it says in Origin

  web::Response get(const std::string& url_or_path) {
    const std::string url = url_or_path.starts_with('/') ? k_origin + url_or_path : url_or_path;
    web::Headers headers;
    if (!cookie.empty()) headers.add("cookie", cookie);
    return done(run(w.router.handle(web::Request::make("GET", url, {}, headers))));
  }
  web::Response post(const std::string& path, FormFields fields, std::optional<std::string> token = {}) {
    fields.emplace_back("csrf", token.value_or(csrf));
    web::Headers headers{{"content-type", "application/x-www-form-urlencoded"}, {"origin", origin}};
    if (!cookie.empty()) headers.add("cookie", cookie);
    return done(
        run(w.router.handle(web::Request::make("POST", k_origin + path, encode_form(fields), headers))));
  }
  web::Response done(web::Response r) {
    const std::string set(r.headers.get("set-cookie"));
    if (!set.empty()) cookie = set.substr(0, set.find(';'));
    if (const auto at = r.body.find("name=\"csrf\" value=\""); at != std::string::npos) {
      const auto from = at + 19;
      csrf = r.body.substr(from, r.body.find('"', from) - from);
    }
    return r;
  }
  /// Follows the redirect to the authorization server and says yes there.
  std::string callback_path(const web::Response& login) {
    const auto par = *parse_form(w.net.to("https://as.test/oauth/par").back()->body);
    EXPECT_EQ(login.status, 303) << login.body;
    return "/callback?" +
           encode_form(
               {{"iss", "https://as.test"}, {"state", *single(par, "state")}, {"code", w.server.code}});
  }
  void sign_in() {
    get("/");
    const auto back = get(callback_path(post("/login", {})));
    ASSERT_EQ(back.status, 303) << back.body;
    ASSERT_EQ(get("/account").status, 200);
  }
};

std::string location(const web::Response& r) { return std::string(r.headers.get("location")); }
bool shows(const web::Response& r, std::string_view text) { return r.body.find(text) != std::string::npos; }

TEST(DemoApp, IsALoopbackClient) {
  EXPECT_EQ(
      demo_client_metadata("http://127.0.0.1:4321").client_id(),
      "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A4321%2Fcallback&scope=atproto%20transition%3A"
      "generic");
  EXPECT_THROW(demo_client_metadata("http://localhost:4321"), std::invalid_argument);
}

TEST(DemoApp, OffersThreeWaysIn) {
  World w;
  Browser b{w};
  const auto home = b.get("/");
  EXPECT_EQ(home.status, 200);
  for (const auto* text : {"name=\"email\"", "name=\"handle\"", "action=\"/login\"", "https://pds.test"})
    EXPECT_TRUE(shows(home, text)) << text;
  EXPECT_FALSE(b.csrf.empty());
  const std::string cookie(home.headers.get("set-cookie"));
  EXPECT_NE(cookie.find("HttpOnly"), std::string::npos) << cookie;
  EXPECT_NE(cookie.find("SameSite=Lax"), std::string::npos) << cookie;
  EXPECT_TRUE(b.get("/").headers.get("set-cookie").empty()) << "the browser has one already";
}

TEST(DemoApp, SignsInByEmail) {  // Flow 1
  World w;
  Browser b{w};
  b.get("/");
  const auto login = b.post("/login", {{"email", "alice@example.com"}});
  EXPECT_TRUE(
      location(login).starts_with("https://as.test/oauth/authorize?client_id=http%3A%2F%2Flocalhost%3F"));
  EXPECT_TRUE(location(login).ends_with("&login_hint=alice%40example.com")) << location(login);
  for (const auto* par : w.net.to("https://as.test/oauth/par"))
    EXPECT_EQ(par->body.find("alice"), std::string::npos) << "no address in the pushed request";

  const std::string before = b.cookie;
  const auto back = b.get(b.callback_path(login));
  EXPECT_EQ(back.status, 303) << back.body;
  EXPECT_EQ(location(back), "/account");
  EXPECT_NE(b.cookie, before) << "new rights, new cookie";
  const auto account = b.get("/account");
  for (const auto* text : {"alice.test", k_alice, "https://pds.test", "transition:generic"})
    EXPECT_TRUE(shows(account, text)) << text;
  EXPECT_EQ(location(b.get("/")), "/account") << "already in";
}

TEST(DemoApp, SignsInByButtonAndByHandle) {  // Flow 2, and any other server
  World w;
  Browser b{w};
  b.get("/");
  const auto button = b.post("/login", {});
  EXPECT_EQ(location(button).find("login_hint"), std::string::npos);
  const auto handle = b.post("/login", {{"handle", "alice.test"}});
  EXPECT_EQ(location(handle).find("login_hint"), std::string::npos) << "it went with the pushed request";
  EXPECT_EQ(single(*parse_form(w.net.to("https://as.test/oauth/par").back()->body), "login_hint"),
            "alice.test");
  EXPECT_EQ(b.get(b.callback_path(handle)).status, 303);
}

TEST(DemoApp, ExplainsWhatItCannotUse) {
  World w;
  Browser b{w};
  b.get("/");
  struct Row {
    const char* field;
    const char* value;
    const char* shown;
  };
  for (const Row row : {Row{"handle", "nobody.test", "could not be found"},
                        Row{"handle", "alice@example.com", "e-mail address, not a handle"},
                        Row{"handle", "\"><script>alert(1)</script>", "could not be found"},
                        Row{"email", "nonsense", "not an e-mail address"}}) {
    const auto r = b.post("/login", {{row.field, row.value}});
    EXPECT_EQ(r.status, 400) << row.value;
    EXPECT_TRUE(shows(r, row.shown)) << row.value << r.body;
    EXPECT_FALSE(shows(r, "<script>alert")) << "escaped";
  }
  EXPECT_EQ(b.post("/login", {{"email", std::string(250, 'a') + "@b.c"}}).status, 303) << "254 bytes";
  EXPECT_EQ(b.post("/login", {{"email", std::string(251, 'a') + "@b.c"}}).status, 400) << "255 bytes";
}

TEST(DemoApp, WritesARecordAndReadsItBack) {
  World w;
  Browser b{w};
  b.sign_in();
  const auto written = b.post("/record", {{"text", "Hello <b>"}});
  EXPECT_EQ(location(written), "/account");
  EXPECT_EQ(*w.written.string_at("collection"), "com.example.latchkey.note");
  EXPECT_EQ(*w.written.string_at("repo"), k_alice);
  EXPECT_EQ(*w.written.find("record")->string_at("text"), "Hello <b>");
  const auto account = b.get("/account");
  EXPECT_TRUE(shows(account, "bafyreiexample"));
  EXPECT_TRUE(shows(account, "Hello &lt;b&gt;")) << account.body;
  EXPECT_TRUE(shows(account, "read back from your repository."));
  EXPECT_FALSE(shows(b.get("/account"), "Written, and")) << "said once";
}

TEST(DemoApp, BoundsTheText) {
  World w;
  Browser b{w};
  b.sign_in();
  b.post("/record", {{"text", std::string(3000, 'x')}});
  EXPECT_TRUE(shows(b.get("/account"), "Written"));
  w.written = {};
  for (const auto& text : {std::string(), std::string(3001, 'x')}) {
    b.post("/record", {{"text", text}});
    EXPECT_TRUE(shows(b.get("/account"), "not more than 300 characters"));
  }
  EXPECT_TRUE(w.written.is_null());
}

TEST(DemoApp, ShowsTheServersNo) {
  World w;
  Browser b{w};
  b.sign_in();
  w.net.pages["https://pds.test/xrpc/com.atproto.repo.createRecord"] = [](const FetchRequest&) {
    return json_answer(400, {{"error", "InvalidRequest"}, {"message", "no <i>"}});
  };
  EXPECT_EQ(b.post("/record", {{"text", "x"}}).status, 303);
  EXPECT_TRUE(shows(b.get("/account"), "no &lt;i&gt;"));
}

TEST(DemoApp, RefreshesAndSignsOut) {
  World w;
  Browser b{w};
  b.sign_in();
  EXPECT_EQ(location(b.post("/refresh", {})), "/account");
  EXPECT_EQ(w.server.issued, 2);
  EXPECT_TRUE(shows(b.get("/account"), "new access token"));
  const auto out = b.post("/logout", {});
  EXPECT_EQ(location(out), "/");
  EXPECT_NE(std::string(out.headers.get("set-cookie")).find("Max-Age=0"), std::string::npos);
  EXPECT_EQ(w.server.revoked, std::vector<std::string>{"refresh-2"});
  EXPECT_EQ(location(b.get("/account")), "/");
}

TEST(DemoApp, EndsWithItsSession) {
  World w;
  Browser b{w};
  b.sign_in();
  w.server.live_refresh = "revoked elsewhere";
  EXPECT_EQ(b.post("/refresh", {}).status, 401);
  EXPECT_EQ(location(b.get("/account")), "/");
}

TEST(DemoApp, RevokesTheOldSessionWhenSomebodySignsInOver) {
  World w;
  Browser b{w};
  b.get("/");
  const auto first = b.post("/login", {});
  const auto path = b.callback_path(first);
  EXPECT_EQ(b.get(path).status, 303);
  b.get("/account");
  const auto second = b.callback_path(b.post("/login", {}));
  EXPECT_EQ(b.get(second).status, 303);
  EXPECT_EQ(w.server.revoked.size(), 1U);
}

TEST(DemoApp, AttackForgedForm_IsRefused) {
  World w;
  Browser b{w};
  b.sign_in();
  Browser other{w};
  other.get("/");
  for (const auto* path : {"/record", "/refresh", "/logout", "/login"}) {
    EXPECT_EQ(b.post(path, {{"text", "x"}}, "").status, 403) << path << ": no token";
    EXPECT_EQ(b.post(path, {{"text", "x"}}, other.csrf).status, 403) << path << ": another browser's token";
    Browser cross{w, b.cookie, b.csrf, "https://evil.test"};
    EXPECT_EQ(cross.post(path, {{"text", "x"}}).status, 403) << path << ": another origin";
    Browser null{w, b.cookie, b.csrf, "null"};
    EXPECT_EQ(null.post(path, {{"text", "x"}}).status, 403) << path << ": a sandboxed frame";
    Browser bare{w, "", b.csrf};
    EXPECT_EQ(bare.post(path, {{"text", "x"}}).status, 403) << path << ": no cookie";
  }
  EXPECT_TRUE(w.written.is_null());
  EXPECT_EQ(w.server.issued, 1);
  EXPECT_TRUE(w.server.revoked.empty());
}

TEST(DemoApp, AttackPlantedCallback_IsRefused) {
  World w;
  Browser attacker{w};
  attacker.get("/");
  const auto planted = attacker.callback_path(attacker.post("/login", {}));
  Browser victim{w};
  EXPECT_EQ(victim.get(planted).status, 400) << "no cookie at all";
  Browser visitor{w};
  visitor.get("/");
  const auto r = visitor.get(planted);
  EXPECT_EQ(r.status, 400);
  EXPECT_EQ(location(visitor.get("/account")), "/");
}

TEST(DemoApp, AttackReplayedCallback_IsRefused) {
  World w;
  Browser b{w};
  b.get("/");
  const auto path = b.callback_path(b.post("/login", {}));
  const std::string old = b.cookie;
  EXPECT_EQ(b.get(path).status, 303);
  Browser again{w, old};
  EXPECT_EQ(again.get(path).status, 400);
  EXPECT_EQ(location(again.get("/account")), "/") << "the cookie from before signs nobody in";
}

TEST(DemoApp, ShowsWhenTheUserSaidNo) {
  World w;
  Browser b{w};
  b.get("/");
  b.post("/login", {});
  const auto par = *parse_form(w.net.to("https://as.test/oauth/par").back()->body);
  const auto r = b.get("/callback?" + encode_form({{"iss", "https://as.test"},
                                                   {"state", *single(par, "state")},
                                                   {"error", "access_denied"}}));
  EXPECT_EQ(r.status, 400);
  EXPECT_TRUE(shows(r, "cancelled"));
}

TEST(DemoApp, LivesAtOneAddress) {
  World w;
  Browser b{w};
  const auto r = b.get("http://localhost:8080/?x=1");
  EXPECT_EQ(r.status, 302);
  EXPECT_EQ(location(r), "http://127.0.0.1:8080/?x=1");
  EXPECT_EQ(location(b.get("http://evil.test/account")), "http://127.0.0.1:8080/account");
  const auto post = run(w.router.handle(web::Request::make("POST", "http://localhost:8080/login", "csrf=x")));
  EXPECT_EQ(post.status, 421);
}

TEST(DemoApp, FramesNothingAndRunsNoStrangersScript) {
  World w;
  Browser b{w};
  for (const auto* path : {"/", "/callback"}) {
    const auto r = b.get(path);
    const std::string csp(r.headers.get("content-security-policy"));
    EXPECT_NE(csp.find("frame-ancestors 'none'"), std::string::npos) << path;
    EXPECT_EQ(csp.find("unsafe-inline"), std::string::npos) << path;
    EXPECT_EQ(r.headers.get("x-frame-options"), "DENY") << path;
  }
}

TEST(DemoApp, KeepsABoundedNumberOfVisitors) {
  World w(2);
  Browser a{w}, b{w}, c{w};
  a.sign_in();
  b.sign_in();
  EXPECT_EQ(a.get("/account").status, 200) << "two fit";
  c.sign_in();
  EXPECT_EQ(location(b.get("/account")), "/") << "the longest idle one";
  EXPECT_EQ(a.get("/account").status, 200);
}

}  // namespace
}  // namespace latchkey::dev

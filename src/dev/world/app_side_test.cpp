// An app whose back end is the auth framework with its atproto plugin, and accounts of our own PDS: the whole
// way, with the app's metadata and keys fetched from the app.
#include <gtest/gtest.h>

#include "auth/core/auth.h"
#include "auth/plugins/atproto/atproto.h"
#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {

using namespace std::chrono_literals;
using json::Object;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_app = "https://app.test";
// openssl ecparam -name prime256v1 -genkey -noout
constexpr const char* k_key =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIH+oz6+5VXBe2VENcWbKHAN1W9cSNfpA6w9gEELtK9A6oAoGCCqGSM49\n"
    "AwEHoUQDQgAEyUcNBkY53V9nrP/dI91bX+F6FHHlCT1mpXdO5w7/oZ2qFZK8Yyzp\n"
    "VlumcH7UpjkFshg61l3kRAwX7TRr8/x2iw==\n"
    "-----END EC PRIVATE KEY-----\n";

class AppSide : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    world_.emplace(WorldOptions{.engine = GetParam()});
    database_.emplace(GetParam());
    resolver_.emplace(
        identity::ResolverOptions{
            .plc_url = "https://plc.test", .dev_handle_host = world_->options.pds, .development = true},
        world_->network, nullptr, world_->clock);
    browser_.emplace(*world_);
    restart();
  }
  void restart() {
    auth_.reset();
    plugin_.emplace(auth::AtprotoOptions{.fetch = world_->network,
                                         .resolver = *resolver_,
                                         .private_keys = {Secret<std::string>(k_key)},
                                         .client = {.client_name = "The App"},
                                         .allowed_calls = {{"com.atproto.repo.*"}}});
    auth_ = std::make_unique<auth::Auth>(
        auth::Options{.base_url = k_app,
                      .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                      .database = **database_,
                      .clock = world_->clock,
                      .rng = world_->rng,
                      .rate_limit = {.enabled = false},
                      .plugins = {plugin_->plugin()}});
    auth_->migrate();
    world_->network.site(k_app, auth_->handler());
  }
  /// What the app answers to this browser.
  Page app(std::string method, const std::string& path, std::string body = {},
           std::string type = "application/json") {
    const std::string url = path.starts_with("https:") ? path : std::string(k_app) + "/api/auth" + path;
    auto request = browser_->request("GET", url);  // with its cookies
    request.method = method;
    request.body = std::move(body);
    if (method == "POST") request.headers.set("content-type", std::move(type)).set("origin", k_app);
    auto response = world_->run(auth_->handle(std::move(request)));
    return browser_->took({url, response.status, std::move(response.headers), std::move(response.body)});
  }
  Page start(const std::string& handle) {
    const Page started = app("POST", "/bsky/sign-in",
                             json::Value(Object{{"handle", handle}, {"callbackURL", "/dash"}}).dump());
    EXPECT_EQ(started.status, 200) << started.body;
    return browser_->get(started.text("url"));
  }
  /// Signs in at the PDS by a code, and comes back.
  Page sign_in(const std::string& handle) {
    Page page = start(handle);
    page = page.shows("/auth/email") ? browser_->submit(page, "/auth/email", {{"email", k_alice}})
                                     : browser_->submit(page, "/auth/send");
    page = browser_->follow_all(std::move(page));
    page = browser_->follow_all(browser_->submit(page, "/auth/verify", {{"code", world_->code(k_alice)}}));
    if (page.status == 200) {  // consent is remembered
      EXPECT_TRUE(page.shows("The App")) << page.body;
      page = browser_->submit(page, "/auth/consent", {{"action", "approve"}});
    }
    EXPECT_TRUE(page.location().starts_with("https://app.test/api/auth/bsky/callback?")) << page.location();
    return app("GET", page.location());
  }
  json::Value user() {
    const auto session = app("GET", "/get-session").json();
    const auto* user = session.find("user");
    return user ? *user : json::Value();
  }
  std::string user_text(std::string_view name) {
    const auto who = user();
    const auto* text = who.string_at(name);
    return text ? *text : "";
  }
  std::size_t asked(std::string_view what) const {
    return static_cast<std::size_t>(std::ranges::count(world_->network.log, what));
  }

  std::optional<World> world_;
  std::optional<store::TestDatabase> database_;
  std::optional<identity::Resolver> resolver_;
  std::optional<auth::Atproto> plugin_;
  std::unique_ptr<auth::Auth> auth_;
  std::optional<Browser> browser_;
};

TEST_P(AppSide, SignsInCallsRefreshesAndSignsOut) {
  // An account that is made on the way.
  EXPECT_EQ(sign_in("https://pds.test").location(), "/dash");
  const std::string did = user_text("bskyDid"), handle = user_text("bskyHandle");
  EXPECT_EQ(world_->account(k_alice)->did.str(), did);
  EXPECT_EQ(handle, world_->account(k_alice)->handle_text());
  EXPECT_EQ(user_text("name"), "@" + handle) << "there is no profile yet";
  EXPECT_EQ(asked("GET https://app.test/api/auth/bsky/client-metadata.json"), 1u);
  EXPECT_GE(asked("GET https://app.test/api/auth/bsky/jwks.json"), 1u);

  // The user writes a profile through the app.
  const Object profile{
      {"$type", "app.bsky.actor.profile"}, {"displayName", "Alice"}, {"description", "writes"}};
  const Page put = app(
      "POST", "/bsky/xrpc/com.atproto.repo.putRecord",
      json::Value(
          Object{
              {"repo", did}, {"collection", "app.bsky.actor.profile"}, {"rkey", "self"}, {"record", profile}})
          .dump());
  ASSERT_EQ(put.status, 200) << put.body;
  const Page session = app("GET", "/bsky/session");
  EXPECT_EQ(session.text("displayName"), "Alice") << session.body;
  EXPECT_EQ(session.text("description"), "writes");

  // Another process, after the access token has ended.
  restart();
  world_->clock.advance(1h);
  const auto tokens = asked("POST https://pds.test/oauth/token");
  const Page read = app(
      "GET", "/bsky/xrpc/com.atproto.repo.getRecord?collection=app.bsky.actor.profile&rkey=self&repo=" + did);
  ASSERT_EQ(read.status, 200) << read.body;
  const auto refreshed = asked("POST https://pds.test/oauth/token");
  EXPECT_GT(refreshed, tokens);
  EXPECT_EQ(app("POST", "/bsky/restore").text("did"), did);
  EXPECT_EQ(asked("POST https://pds.test/oauth/token"), refreshed);

  // The next sign-in brings the profile.
  EXPECT_EQ(sign_in(handle).location(), "/dash");
  EXPECT_EQ(user_text("bskyDid"), did);
  EXPECT_EQ(user_text("name"), "Alice");
  EXPECT_EQ(user_text("bskyBio"), "writes");
  EXPECT_EQ(asked("POST https://pds.test/oauth/revoke"), 1u) << "the session before";

  // Gone, here and there.
  auto last = *world_->run(plugin_->session_of(user_text("id")));
  EXPECT_EQ(app("POST", "/bsky/sign-out").body, R"({"success":true})");
  EXPECT_EQ(asked("POST https://pds.test/oauth/revoke"), 2u);
  const auto late = world_->run(last.call("GET", "com.atproto.server.getSession", {}));
  ASSERT_FALSE(late) << late->status;
  EXPECT_EQ(late.error().code, oauth::client::Error::session_ended);
  const Page closed = app("GET", "/bsky/xrpc/com.atproto.repo.getRecord");
  EXPECT_EQ(closed.status, 401);
  EXPECT_EQ(closed.text("code"), "BSKY_SESSION_ENDED");
}

TEST_P(AppSide, AttackForcedLinking_AnothersCallbackSignsNobodyIn) {
  Page page = start("https://pds.test");
  page = browser_->submit(page, "/auth/email", {{"email", k_alice}});
  page = browser_->follow_all(std::move(page));
  page = browser_->follow_all(browser_->submit(page, "/auth/verify", {{"code", world_->code(k_alice)}}));
  page = browser_->submit(page, "/auth/consent", {{"action", "approve"}});
  browser_->jar.clear();  // the victim follows the link
  EXPECT_EQ(app("GET", page.location()).location(), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_TRUE(user().is_null());
}

TEST_P(AppSide, APersonWhoSaysNoIsNotSignedIn) {
  Page page = start("https://pds.test");
  page = browser_->submit(page, "/auth/email", {{"email", k_alice}});
  page = browser_->follow_all(std::move(page));
  page = browser_->follow_all(browser_->submit(page, "/auth/verify", {{"code", world_->code(k_alice)}}));
  page = browser_->submit(page, "/auth/consent", {{"action", "deny"}});
  const Page back = app("GET", page.location());
  EXPECT_TRUE(back.location().starts_with("https://app.test/api/auth/error?error=access_denied"))
      << back.location();
  EXPECT_TRUE(user().is_null());
}

INSTANTIATE_TEST_SUITE_P(Store, AppSide, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::dev::world

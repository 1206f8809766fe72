// The two ways in, and what comes after: epds-flows section 2.
#include <gtest/gtest.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {

constexpr const char* k_alice = "alice@example.com";

json::Object note(const Tokens& tokens) {
  return {{"repo", tokens.did},
          {"collection", "com.example.note"},
          {"record", json::Object{{"$type", "com.example.note"}, {"text", "hello"}}}};
}

// Writes a record with the tokens and reads it back without any.
void expect_repository_works(World& w, App& app, const Tokens& tokens) {
  const Page made = app.call("POST", "/xrpc/com.atproto.repo.createRecord", tokens, note(tokens));
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string uri = made.text("uri");
  ASSERT_TRUE(uri.starts_with("at://" + tokens.did + "/com.example.note/")) << uri;
  Browser anybody(w);
  const Page read = anybody.get(w.options.pds + "/xrpc/com.atproto.repo.getRecord?" +
                                encode_form({{"repo", tokens.did},
                                             {"collection", "com.example.note"},
                                             {"rkey", uri.substr(uri.rfind('/') + 1)}}));
  ASSERT_EQ(read.status, 200) << read.body;
  EXPECT_EQ(*read.json().find("value")->string_at("text"), "hello");
}

class SignInFlows : public store::EngineTest {
 protected:
  WorldOptions on_engine(WorldOptions o = {}) {
    o.engine = GetParam();
    return o;
  }
};

TEST_P(SignInFlows, Flow2_EmailFormCodeConsentAndBack) {
  World w(on_engine());
  App app(w);
  Browser browser(w);
  const auto login = app.start();

  Page page = browser.get(app.authorize_url(login));
  EXPECT_EQ(page.heading(), "Sign in");
  EXPECT_TRUE(w.mails().empty());
  page = browser.submit(page, "/auth/email", {{"email", "Alice@Example.com "}});
  EXPECT_EQ(page.status, 303);
  page = browser.follow(page);
  EXPECT_EQ(page.heading(), "Check your e-mail");
  EXPECT_TRUE(page.shows("al***@example.com"));
  EXPECT_FALSE(page.shows(k_alice));
  ASSERT_EQ(w.mails().size(), 1u);
  EXPECT_EQ(w.mails()[0].to, k_alice);
  EXPECT_EQ(w.mails()[0].deadline, w.clock.now() + std::chrono::minutes(10))
      << "worth nothing without its code";

  page = browser.follow_all(browser.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
  EXPECT_EQ(page.heading(), "Create Account & Authorize") << page.body;
  EXPECT_FALSE(w.account(k_alice).has_value()) << "nothing is made before the button is pressed";

  page = browser.submit(page, "/auth/consent", {{"action", "approve"}});
  EXPECT_EQ(page.status, 303);
  EXPECT_EQ(page.header("cache-control"), "no-store");
  EXPECT_EQ(page.parameter("iss"), w.options.pds);
  const Tokens tokens = app.redeem(login, page);
  EXPECT_EQ(tokens.scope, "atproto transition:generic");
  EXPECT_TRUE(tokens.did.starts_with("did:plc:"));
  const auto account = w.account(k_alice);
  ASSERT_TRUE(account.has_value());
  EXPECT_EQ(account->did.str(), tokens.did);
  EXPECT_TRUE(account->email_confirmed_at.has_value());
  EXPECT_TRUE(account->handle_text().ends_with(".pds.test"));
  EXPECT_EQ(account->handle_text().find("alice"), std::string::npos) << "never derived from the address";
  // The client resolves the handle from the directory (section 2).
  const Page document = browser.get("https://plc.test/" + tokens.did);
  EXPECT_EQ(*(*document.json().find("alsoKnownAs")->array())[0].string(), "at://" + account->handle_text());
  expect_repository_works(w, app, tokens);
}

TEST_P(SignInFlows, Flow1_TheHintSkipsTheEmailForm) {
  World w(on_engine());
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  Page page = browser.get(app.authorize_url(login, k_alice));
  EXPECT_EQ(page.heading(), "We will send you a code");
  EXPECT_TRUE(page.shows("al***@example.com"));
  EXPECT_TRUE(w.mails().empty()) << "a GET sends nothing";
  page = browser.follow(browser.submit(page, "/auth/send"));
  EXPECT_EQ(page.heading(), "Check your e-mail");
  EXPECT_EQ(w.mails(k_alice).size(), 1u);
  page = browser.follow_all(browser.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
  const Tokens tokens = app.redeem(login, browser.submit(page, "/auth/consent", {{"action", "approve"}}));
  expect_repository_works(w, app, tokens);
}

TEST_P(SignInFlows, OneOriginServesBothSides) {
  World w(on_engine(one_origin()));
  App app(w);
  Browser browser(w);
  expect_repository_works(w, app, sign_in(app, browser, k_alice, Hint::on_authorize_url));
}

TEST_P(SignInFlows, TheSecondSignInFindsTheAccount) {
  World w(on_engine());
  App app(w);
  Browser browser(w), other(w, "192.0.2.2");
  const Tokens first = sign_in(app, browser, k_alice);
  const Tokens again = sign_in(app, browser, k_alice);
  w.restart();
  const Tokens elsewhere = sign_in(app, other, "ALICE@example.com", Hint::on_authorize_url);
  EXPECT_EQ(first.did, again.did);
  EXPECT_EQ(first.did, elsewhere.did);
  EXPECT_EQ(std::ranges::count_if(w.network.log,
                                  [](const auto& l) { return l.starts_with("POST https://plc.test"); }),
            1);
  Browser third(w);
  w.clock.advance(std::chrono::hours(1));
  const Page page = walk_to_consent(app, app.start(), third, k_alice);
  EXPECT_EQ(page.heading(), "Authorize Application");
  EXPECT_TRUE(page.shows(w.account(k_alice)->handle_text()));
}

TEST_P(SignInFlows, AHandleInTheRequestLocksTheAccount) {
  World w(on_engine());
  App app(w);
  Browser browser(w);
  const Tokens alice = sign_in(app, browser, k_alice);
  const std::string handle = w.account(k_alice)->handle_text();
  for (const std::string& hint : {handle, alice.did}) {
    w.clock.advance(std::chrono::hours(1));
    const auto login = app.start({{"login_hint", hint}});
    // The URL's hint does not override it.
    Page page = browser.get(app.authorize_url(login, "mallory@example.com"));
    EXPECT_EQ(page.heading(), "We will send you a code");
    EXPECT_FALSE(page.shows("example.com")) << "the address behind a handle is not public";
    EXPECT_THROW(page.form("/auth/different"), std::runtime_error);
    page = browser.follow(browser.submit(page, "/auth/send"));
    EXPECT_FALSE(page.shows("example.com"));
    page = browser.follow_all(browser.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
    EXPECT_EQ(app.redeem(login, browser.submit(page, "/auth/consent", {{"action", "approve"}})).did,
              alice.did);
  }
  EXPECT_TRUE(w.mails("mallory@example.com").empty());
}

TEST_P(SignInFlows, FragmentModePutsTheCodeBehindTheHash) {
  World w(on_engine());
  App app(w);
  Browser browser(w);
  const auto login = app.start({{"response_mode", "fragment"}});
  const Page back = walk(app, login, browser, k_alice);
  EXPECT_TRUE(back.location().starts_with(app.redirect_uri() + "#")) << back.location();
  expect_repository_works(w, app, app.redeem(login, back));
}

TEST_P(SignInFlows, AConfidentialClientIsAskedOnce) {
  World w(on_engine());
  App app(w, App::Kind::confidential);
  Browser browser(w);
  const Tokens first = sign_in(app, browser, k_alice);
  // The same scopes again: straight back after the code.
  auto login = app.start();
  Page page = walk_to_consent(app, login, browser, k_alice);
  EXPECT_EQ(page.status, 303);
  EXPECT_EQ(app.redeem(login, page).did, first.did);
  // Fewer: still silent, and what was approved before stays approved.
  w.clock.advance(std::chrono::hours(1));
  login = app.start({{"scope", "atproto"}});
  page = walk_to_consent(app, login, browser, k_alice);
  EXPECT_EQ(app.redeem(login, page).scope, "atproto");
  page = walk_to_consent(app, app.start(), browser, k_alice);
  EXPECT_EQ(page.status, 303) << "the smaller request forgot the larger approval";
  // More: asked. And when the app wants the page.
  w.clock.advance(std::chrono::hours(1));
  page = walk_to_consent(app, app.start({{"scope", "atproto transition:generic transition:email"}}), browser,
                         k_alice);
  EXPECT_EQ(page.heading(), "Authorize Application");
  EXPECT_TRUE(page.shows("transition:email"));
  page = walk_to_consent(app, app.start({{"prompt", "consent"}}), browser, k_alice);
  EXPECT_EQ(page.heading(), "Authorize Application");
}

TEST_P(SignInFlows, APublicClientIsAskedEveryTime) {
  World w(on_engine());
  App app(w, App::Kind::web);
  Browser browser(w);
  sign_in(app, browser, k_alice);
  EXPECT_EQ(walk_to_consent(app, app.start(), browser, k_alice).heading(), "Authorize Application");
}

TEST_P(SignInFlows, TwoTabsOfOneBrowserDoNotDisturbEachOther) {
  World w(on_engine());
  App app(w), second_app(w, App::Kind::web);
  Browser browser(w);
  const auto login = app.start(), second = second_app.start();
  const Page one = walk_to_consent(app, login, browser, k_alice);
  const Page two = walk_to_consent(second_app, second, browser, "bob@example.com");
  const Tokens alice = app.redeem(login, browser.submit(one, "/auth/consent", {{"action", "approve"}}));
  const Tokens bob = second_app.redeem(second, browser.submit(two, "/auth/consent", {{"action", "approve"}}));
  EXPECT_EQ(alice.did, w.account(k_alice)->did.str());
  EXPECT_EQ(bob.did, w.account("bob@example.com")->did.str());
}

TEST_P(SignInFlows, TokensAreRefreshedAndRevoked) {
  World w(on_engine());
  App app(w);
  Browser browser(w);
  Tokens tokens = sign_in(app, browser, k_alice);
  const Page fresh = app.post(
      "/oauth/token",
      {{"grant_type", "refresh_token"}, {"refresh_token", tokens.refresh}, {"client_id", app.client_id()}});
  ASSERT_EQ(fresh.status, 200) << fresh.body;
  tokens.access = fresh.text("access_token");
  expect_repository_works(w, app, tokens);
  EXPECT_EQ(
      app.post("/oauth/revoke", {{"token", fresh.text("refresh_token")}, {"client_id", app.client_id()}})
          .status,
      200);
  EXPECT_EQ(app.call("POST", "/xrpc/com.atproto.repo.createRecord", tokens, note(tokens)).status, 401);
}

INSTANTIATE_TEST_SUITE_P(Store, SignInFlows, store::engines(), store::engine_name);

std::string transcript_of_a_login(std::uint64_t seed) {
  World w({.seed = seed});
  App app(w);
  Browser browser(w);
  expect_repository_works(w, app, sign_in(app, browser, k_alice));
  return w.transcript;
}

TEST(World, ReplaysByteForByteWithTheSameSeed) {
  const std::string once = transcript_of_a_login(1), again = transcript_of_a_login(1);
  EXPECT_EQ(once, again);
  EXPECT_NE(once.find("did:plc:"), std::string::npos);
  EXPECT_NE(once, transcript_of_a_login(2));
}

}  // namespace
}  // namespace latchkey::dev::world

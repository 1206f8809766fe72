// Accounts that stay signed in on a device: who is offered, who is asked what, and what prompt changes
// (OpenID Connect Core §3.1.2.1). And what a person allows, piece by piece.

#include <gtest/gtest.h>

#include "dev/world/world.h"
#include "pds/accounts.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";

// The page after the address was proven by its code, with "stay signed in" ticked.
Page prove(App& app, const App::Login& login, Browser& browser, const std::string& email) {
  Page page = browser.get(app.authorize_url(login));
  if (page.shows("Use another account")) {
    const std::string action = page.form("/auth/choose").action;
    page =
        browser.get("https://auth.pds.test/auth/step" + action.substr(action.find('?')) + "&account=other");
  }
  page = browser.follow(browser.submit(page, "/auth/email", {{"email", email}}));
  return browser.follow_all(
      browser.submit(page, "/auth/verify", {{"code", browser.world().code(email)}, {"stay", "yes"}}));
}
Page approve(Browser& browser, const Page& consent) {
  return browser.submit(consent, "/auth/consent", {{"action", "approve"}});
}
// Signs in and stays.
std::string stay(World& w, App& app, Browser& browser, const std::string& email) {
  const auto login = app.start();
  const Page back = approve(browser, prove(app, login, browser, email));
  app.redeem(login, back);
  return w.account(email)->did.str();
}
Page opened(App& app, Browser& browser, FormFields extra = {}) {
  return browser.get(app.authorize_url(app.start(std::move(extra))));
}

// The chooser's form of another flow, sent to the flow of `page` with the token of its form `action`.
web::Request choice_instead(App& app, Browser& browser, const Page& page, const char* action,
                            const std::string& did) {
  auto request = browser.submission(opened(app, browser), "/auth/choose", {{"account", did}});
  const auto form = page.form(action);
  request.path = "/auth/choose";
  request.query = form.action.substr(form.action.find('?') + 1);
  request.target = request.path + "?" + request.query;
  request.body = encode_form({{"account", did}, {"csrf", *single(form.fields, "csrf")}});
  return request;
}

TEST(AccountChooser, OffersWhoStayedSignedInAndNobodyElse) {
  World w;
  App app(w);
  Browser browser(w), other(w);
  stay(w, app, browser, k_alice);
  const Page page = opened(app, browser);
  EXPECT_EQ(page.heading(), "Choose an account");
  EXPECT_TRUE(page.shows("@" + w.account(k_alice)->handle_text()));
  EXPECT_FALSE(page.shows(k_alice)) << "the whole address is nobody's business here";
  EXPECT_EQ(opened(app, other).heading(), "Sign in");
}

TEST(AccountChooser, WhoDidNotTickTheBoxIsAskedForACode) {
  World w;
  App app(w);
  Browser browser(w);
  sign_in(app, browser, k_alice);
  EXPECT_EQ(opened(app, browser).heading(), "Sign in");
}

TEST(AccountChooser, AChoiceNeedsNoCodeButConsent) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  const auto mails = w.mails().size();
  const auto login = app.start();
  Page page = browser.get(app.authorize_url(login));
  page = browser.follow_all(browser.submit(page, "/auth/choose", {{"account", did}}));
  EXPECT_EQ(page.heading(), "Authorize Application");
  EXPECT_EQ(app.redeem(login, approve(browser, page)).did, did);
  EXPECT_EQ(w.mails().size(), mails);
}

TEST(AccountChooser, AConfidentialClientThatWasApprovedGoesThrough) {
  World w;
  App app(w, App::Kind::confidential);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  const auto login = app.start();
  Page page = browser.get(app.authorize_url(login));
  page = browser.follow_all(browser.submit(page, "/auth/choose", {{"account", did}}));
  EXPECT_EQ(app.redeem(login, page).did, did);
}

TEST(AccountChooser, ManyAccountsInOneBrowser) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string alice = stay(w, app, browser, k_alice), bob = stay(w, app, browser, k_bob);
  const auto login = app.start();
  Page page = browser.get(app.authorize_url(login));
  EXPECT_TRUE(page.shows(alice));
  EXPECT_TRUE(page.shows(bob));
  page = browser.follow_all(browser.submit(page, "/auth/choose", {{"account", alice}}));
  page = browser.follow(browser.submit(page, "/auth/switch"));
  EXPECT_EQ(page.heading(), "Choose an account");
  page = browser.follow_all(browser.submit(page, "/auth/choose", {{"account", bob}}));
  EXPECT_EQ(app.redeem(login, approve(browser, page)).did, bob);
}

TEST(AccountChooser, TheSignInEndsAWeekAfterItsLastUse) {
  World w;
  App app(w);
  Browser browser(w);
  stay(w, app, browser, k_alice);
  w.clock.advance(7 * 24h - 1s);
  EXPECT_EQ(opened(app, browser).heading(), "Choose an account");
  w.clock.advance(1s);
  EXPECT_EQ(opened(app, browser).heading(), "Sign in");
}

TEST(AccountChooser, AnAccountThatMayNotSignInIsNotOffered) {
  World w;
  App app(w);
  Browser browser(w);
  stay(w, app, browser, k_alice);
  w.write([&](store::Tx& tx) {
    pds::accounts::set_deactivated(tx, pds::accounts::by_email(tx, k_alice)->id, w.clock.now());
  });
  EXPECT_EQ(opened(app, browser).heading(), "Sign in");
}

// --- Attacks

TEST(AccountChooserAttacks, AFormCannotNameAnAccountThatIsNotSignedInHere) {
  World w;
  App app(w);
  Browser alice(w), mallory(w);
  const std::string victim = stay(w, app, alice, k_alice);
  stay(w, app, mallory, k_bob);
  const Page page = opened(app, mallory);
  const Page after = mallory.submit(page, "/auth/choose", {{"account", victim}});
  EXPECT_NE(after.location().find("/auth/step"), std::string::npos);
  EXPECT_EQ(mallory.follow(after).heading(), "Choose an account");
}

TEST(AccountChooserAttacks, AChoiceWithoutTheDeviceCookieIsNone) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  const Page page = opened(app, browser);
  auto request = browser.submission(page, "/auth/choose", {{"account", did}});
  const std::string cookies(request.headers.get("cookie"));
  const auto at = cookies.find("__Host-latchkey_device=");
  ASSERT_NE(at, std::string::npos);
  const auto end = cookies.find(';', at);
  request.headers.set("cookie",
                      cookies.substr(0, at) + (end == std::string::npos ? "" : cookies.substr(end + 2)));
  EXPECT_NE(w.send(std::move(request)).location().find("/auth/step"), std::string::npos);
}

TEST(AccountChooserAttacks, Csrf_AChoiceNeedsTheToken) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  const Page page = opened(app, browser);
  auto request = browser.submission(page, "/auth/choose", {{"account", did}});
  request.body = encode_form({{"account", did}, {"csrf", "guess"}});
  EXPECT_EQ(w.send(std::move(request)).status, 403);
}

TEST(AccountChooserAttacks, WhoKnowsTheFlowCookieButNotTheChoiceIsNobody) {
  World w;
  App app(w);
  Browser browser(w), thief(w);
  const std::string did = stay(w, app, browser, k_alice);
  Page page = opened(app, browser);
  page = browser.follow_all(browser.submit(page, "/auth/choose", {{"account", did}}));
  ASSERT_EQ(page.heading(), "Authorize Application");
  auto& jar = browser.jar["auth.pds.test"];
  thief.jar["auth.pds.test"]["__Host-magic_auth_flow"] = jar.at("__Host-magic_auth_flow");
  const Page refused = thief.submit(page, "/auth/consent", {{"action", "approve"}});
  EXPECT_NE(refused.location().find("/auth/step"), std::string::npos) << refused.body;
}

TEST(AccountChooserAttacks, LoginHintOfAnotherAccount_IsNotMetByWhoIsHere) {
  World w;
  App app(w);
  Browser alice(w), bob(w);
  const std::string wanted = stay(w, app, alice, k_alice), here = stay(w, app, bob, k_bob);
  const Page page = opened(app, bob, {{"login_hint", wanted}});
  EXPECT_EQ(page.heading(), "We will send you a code");
  EXPECT_NE(w.send(choice_instead(app, bob, page, "/auth/send", here)).location().find("/auth/step"),
            std::string::npos);
}

// --- prompt and login_hint

TEST(Prompt, AHintForWhoIsHereNeedsNoChooser) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string alice = stay(w, app, browser, k_alice);
  stay(w, app, browser, k_bob);
  const Page page = browser.follow_all(opened(app, browser, {{"login_hint", alice}}));
  EXPECT_EQ(page.heading(), "Authorize Application");
  EXPECT_TRUE(page.shows(w.account(k_alice)->handle_text()));
  EXPECT_FALSE(page.shows("/auth/switch")) << "the request names the account";
}

TEST(Prompt, AnAddressOnTheUrlFindsWhoIsHere) {
  World w;
  App app(w);
  Browser browser(w);
  stay(w, app, browser, k_alice);
  const Page page = browser.follow_all(browser.get(app.authorize_url(app.start(), k_alice)));
  EXPECT_EQ(page.heading(), "Authorize Application");
}

TEST(Prompt, LoginAndCreateWantAProofFromNow) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  for (const char* prompt : {"login", "create"}) {
    const Page page = opened(app, browser, {{"prompt", prompt}});
    EXPECT_EQ(page.heading(), "Sign in") << prompt;
    EXPECT_EQ(
        browser.follow_all(browser.send(choice_instead(app, browser, page, "/auth/email", did))).heading(),
        "Sign in")
        << prompt;
  }
}

TEST(Prompt, SelectAccountShowsTheChooserAlsoForAHint) {
  World w;
  App app(w);
  Browser browser(w);
  const std::string alice = stay(w, app, browser, k_alice), bob = stay(w, app, browser, k_bob);
  const Page page = opened(app, browser, {{"prompt", "select_account"}, {"login_hint", alice}});
  EXPECT_EQ(page.heading(), "Choose an account");
  EXPECT_TRUE(page.shows(alice));
  EXPECT_FALSE(page.shows(bob));
}

TEST(Prompt, ConsentAsksAgainWhereNothingIsNew) {
  World w;
  App app(w, App::Kind::confidential);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  Page page = browser.follow_all(opened(app, browser, {{"login_hint", did}, {"prompt", "consent"}}));
  EXPECT_EQ(page.heading(), "Authorize Application");
  page = browser.follow_all(opened(app, browser, {{"login_hint", did}}));
  EXPECT_FALSE(page.parameter("code").empty()) << page.body;
}

TEST(PromptNone, IsAnsweredWithACodeForAConfidentialClientThatWasApproved) {
  World w;
  App app(w, App::Kind::confidential);
  Browser browser(w);
  const std::string did = stay(w, app, browser, k_alice);
  const auto login = app.start({{"prompt", "none"}});
  EXPECT_EQ(app.redeem(login, browser.get(app.authorize_url(login))).did, did);
}

TEST(PromptNone, SaysWhatIsMissing) {
  World w;
  App known(w, App::Kind::confidential), stranger(w, App::Kind::confidential, "Other", "", "other.example");
  Browser browser(w);
  EXPECT_EQ(opened(known, browser, {{"prompt", "none"}}).parameter("error"), "login_required");
  const std::string alice = stay(w, known, browser, k_alice);
  EXPECT_EQ(opened(stranger, browser, {{"prompt", "none"}}).parameter("error"), "consent_required");
  stay(w, known, browser, k_bob);
  EXPECT_EQ(opened(known, browser, {{"prompt", "none"}}).parameter("error"), "account_selection_required");
  EXPECT_FALSE(opened(known, browser, {{"prompt", "none"}, {"login_hint", alice}}).parameter("code").empty());
}

TEST(PromptNone, Attack_ByAPublicClientNeverIssuesACode) {
  World w;
  App app(w);
  Browser browser(w);
  stay(w, app, browser, k_alice);
  EXPECT_EQ(opened(app, browser, {{"prompt", "none"}}).parameter("error"), "consent_required");
}

// --- What is allowed

constexpr const char* k_two_kinds = "atproto repo:com.example.post repo:com.example.like?action=create";

TEST(Consent, WhatIsUntickedIsNotGranted) {
  World w;
  App app(w, App::Kind::loopback, "Example App", k_two_kinds);
  Browser browser(w);
  const auto login = app.start({{"scope", k_two_kinds}});
  const Page consent = walk_to_consent(app, login, browser, k_alice);
  EXPECT_TRUE(consent.shows("com.example.like"));
  EXPECT_TRUE(consent.shows("<strong>An app on this computer</strong> wants"));
  const Page back =
      browser.submit(consent, "/auth/consent",
                     {{"action", "approve"}, {"scope", "atproto"}, {"scope", "repo:com.example.post"}});
  EXPECT_EQ(app.redeem(login, back).scope, "atproto repo:com.example.post");
}

TEST(Consent, AProgramWithoutBoxesAgreesToThePageAsItIs) {
  World w;
  App app(w, App::Kind::loopback, "Example App", k_two_kinds);
  Browser browser(w);
  const auto login = app.start({{"scope", k_two_kinds}});
  EXPECT_EQ(app.redeem(login, approve(browser, walk_to_consent(app, login, browser, k_alice))).scope,
            k_two_kinds);
}

TEST(Consent, Attack_TheFormCannotAddAScopeThatWasNotAskedFor) {
  World w;
  App app(w, App::Kind::loopback, "Example App", k_two_kinds);
  Browser browser(w);
  const auto login = app.start({{"scope", "atproto repo:com.example.post"}});
  const Page back = browser.submit(walk_to_consent(app, login, browser, k_alice), "/auth/consent",
                                   {{"action", "approve"},
                                    {"scope", "atproto"},
                                    {"scope", "repo:com.example.post"},
                                    {"scope", "transition:generic"},
                                    {"scope", "repo:*"}});
  EXPECT_EQ(app.redeem(login, back).scope, "atproto repo:com.example.post");
}

TEST(Consent, EverythingUntickedLeavesTheIdentity) {
  World w;
  App app(w, App::Kind::loopback, "Example App", k_two_kinds);
  Browser browser(w);
  const auto login = app.start({{"scope", k_two_kinds}});
  const Page back = browser.submit(walk_to_consent(app, login, browser, k_alice), "/auth/consent",
                                   {{"action", "approve"}, {"scope", "atproto"}});
  EXPECT_EQ(app.redeem(login, back).scope, "atproto");
}

TEST(Consent, MarksWhatIsAskedForTheFirstTime) {
  World w;
  App app(w, App::Kind::loopback, "Example App", k_two_kinds);
  Browser browser(w);
  auto login = app.start({{"scope", "atproto repo:com.example.post"}});
  const Page first = walk_to_consent(app, login, browser, k_alice);
  EXPECT_FALSE(first.shows(">new<")) << "where everything is new, nothing is marked";
  approve(browser, first);
  login = app.start({{"scope", k_two_kinds}});
  const Page second = walk_to_consent(app, login, browser, k_alice);
  const auto tag = second.body.find(">new<");
  ASSERT_NE(tag, std::string::npos);
  EXPECT_EQ(second.body.find(">new<", tag + 1), std::string::npos);
  EXPECT_LT(second.body.find("value=\"repo:com.example.like?action=create\""), tag);
}

TEST(Consent, ShowsAStrangersWholeClientId) {
  World w;
  App app(w, App::Kind::web, "Your Bank");
  Browser browser(w);
  const auto login = app.start();
  EXPECT_TRUE(walk_to_consent(app, login, browser, k_alice).shows(app.client_id() + "</p>"));
}

// --- The way back

TEST(FormPost, TheBrowserCarriesTheAnswerInAForm) {
  World w;
  App app(w, App::Kind::web);
  Browser browser(w);
  const auto login = app.start({{"response_mode", "form_post"}});
  const Page page = walk(app, login, browser, k_alice);
  EXPECT_EQ(page.status, 200);
  const auto form = page.form(app.redirect_uri());
  EXPECT_EQ(single(form.fields, "iss"), "https://pds.test");
  EXPECT_EQ(single(form.fields, "state"), login.state);
  ASSERT_TRUE(single(form.fields, "code").has_value());
  EXPECT_NE(page.header("content-security-policy").find("form-action"), std::string::npos);
  EXPECT_EQ(page.header("cache-control"), "no-store");
}

TEST(FormPost, ADenialToo) {
  World w;
  App app(w, App::Kind::web);
  Browser browser(w);
  const auto login = app.start({{"response_mode", "form_post"}});
  const Page page =
      browser.submit(walk_to_consent(app, login, browser, k_alice), "/auth/consent", {{"action", "deny"}});
  EXPECT_EQ(single(page.form(app.redirect_uri()).fields, "error"), "access_denied");
}

}  // namespace
}  // namespace latchkey::dev::world

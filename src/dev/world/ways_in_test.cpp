// Other ways in than the code of these pages: passkeys, providers and the JSON routes, for an app and for the
// account pages (epds-flows, section 4). Groups 16, 18 and 19 of docs/threat-model.md.
#include "dev/world/account_world.h"

namespace latchkey::dev::world {
namespace {

class WaysIn : public AccountWorld {
 protected:
  Page approve(Browser& b, const Page& consent) {
    return b.submit(consent, "/auth/consent", {{"action", "approve"}});
  }
  std::string complete(const Page& step) {
    const auto at = step.body.find("data-next=\"/auth/complete");
    if (at == std::string::npos) return {};
    return step.body.substr(at + 11, step.body.find('"', at + 11) - at - 11);
  }
  /// An account with a passkey.
  Tokens with_passkey(const std::string& email, SoftAuthenticator& a) {
    const Tokens tokens = account(email);
    Browser b(w, "198.51.100.7");
    enter(b, email);
    add_passkey(b, a, "Key");
    return tokens;
  }
};

// --- Passkeys

TEST_F(WaysIn, APasskeySignsInToAnApp) {
  SoftAuthenticator a = authenticator();
  const Tokens alice = with_passkey(k_alice, a);
  Browser b(w);
  const auto login = app.start();
  const Page first = b.get(app.authorize_url(login));
  const std::string next = complete(first);
  ASSERT_FALSE(next.empty()) << first.body;
  const auto mails = w.mails(k_alice).size();
  EXPECT_EQ(use_passkey(b, a).status, 200);
  Page page = land(b, b.get(url(next)));
  if (page.status == 200) page = approve(b, page);
  EXPECT_EQ(app.redeem(login, page).did, alice.did);
  EXPECT_THAT(events(alice.did), ::testing::Contains("new_device passkey"));
  EXPECT_EQ(w.mails(k_alice).size(), mails + 1);
  expect_notice(k_alice, "Signed in on a new device");
  EXPECT_FALSE(has_json_session(b)) << "the proof is spent";
}

TEST_F(WaysIn, APasskeyOpensTheAccountPages) {
  SoftAuthenticator a = authenticator();
  const Tokens alice = with_passkey(k_alice, a);
  Browser b(w);
  EXPECT_TRUE(b.get(url("/account/login")).shows("data-next=\"/account/complete\""));
  EXPECT_EQ(use_passkey(b, a).status, 200);
  const Page page = land(b, b.get(url("/account/complete")));
  EXPECT_EQ(page.url, url("/account"));
  EXPECT_TRUE(page.shows(alice.did));
  EXPECT_TRUE(page.shows("action=\"/account/delete\"")) << "a proof from now";
}

TEST_F(WaysIn, AttackSubstitution_APasskeyOfSomebodyElseDoesNotServeALockedRequest) {
  SoftAuthenticator a = authenticator();
  with_passkey(k_mallory, a);
  const Tokens alice = account(k_alice);
  Browser b(w);
  const auto login = app.start({{"login_hint", alice.did}});
  b.get(app.authorize_url(login));
  EXPECT_EQ(use_passkey(b, a).status, 200);
  EXPECT_EQ(land(b, b.get(url("/auth/complete"))).parameter("error"), "access_denied");
}

// --- The JSON routes

TEST_F(WaysIn, AJsonSignInByCodeServesTheFlowOfItsBrowser) {
  const Tokens alice = account(k_alice);
  w.clock.advance(16min);
  Browser b(w);
  const auto login = app.start();
  b.get(app.authorize_url(login));
  const Page in = json_sign_in(b, k_alice);
  ASSERT_EQ(in.status, 200) << in.body;
  for (const auto& set : in.headers.all("set-cookie")) {
    EXPECT_TRUE(set.starts_with("__Host-")) << set;
    for (const char* part : {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"})
      EXPECT_THAT(set, HasSubstr(part));
    EXPECT_THAT(set, Not(HasSubstr("Domain")));
  }
  Page page = land(b, b.get(url("/auth/complete")));  // without flow_id: the one begun last
  if (page.status == 200) page = approve(b, page);
  EXPECT_EQ(app.redeem(login, page).did, alice.did);
  EXPECT_FALSE(has_json_session(b));
}

TEST_F(WaysIn, AJsonSignInOfANewAddressPassesConsentFirst) {
  Browser b(w);
  const auto login = app.start();
  b.get(app.authorize_url(login));
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  EXPECT_EQ(accounts(), 0);
  const Page consent = land(b, b.get(url("/auth/complete")));
  EXPECT_TRUE(consent.shows("action=\"/auth/consent")) << consent.url;
  EXPECT_EQ(accounts(), 0) << "only after consent";
  const Tokens alice = app.redeem(login, approve(b, consent));
  EXPECT_EQ(w.account(k_alice)->did.str(), alice.did);
}

TEST_F(WaysIn, AttackFixation_ASessionOlderThanTheFlowIsNotTakenOver) {
  account(k_alice);
  w.clock.advance(16min);
  Browser b(w);
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  w.clock.advance(1s);
  b.get(app.authorize_url(app.start()));
  const Page page = land(b, b.get(url("/auth/complete")));
  EXPECT_TRUE(page.shows("action=\"/auth/email")) << page.url;
  EXPECT_TRUE(has_json_session(b)) << "left as it was";
}

TEST_F(WaysIn, AttackSubstitution_AFlowOfAnotherBrowserIsNotFinished) {
  account(k_alice);
  w.clock.advance(16min);
  Browser victim(w), mallory(w);
  const Page first = victim.get(app.authorize_url(app.start()));
  const std::string next = complete(first);
  ASSERT_EQ(json_sign_in(mallory, k_alice).status, 200);
  EXPECT_EQ(mallory.get(url(next)).status, 400) << "has no flow";
  mallory.get(app.authorize_url(app.start()));
  EXPECT_EQ(mallory.get(url(next)).status, 400) << "has another one";
  EXPECT_TRUE(land(victim, victim.get(url(next))).shows("action=\"/auth/email")) << "nobody was proven there";
}

TEST_F(WaysIn, CompleteWithoutAFlowIsAnErrorPage) {
  account(k_alice);
  w.clock.advance(16min);
  Browser b(w);
  EXPECT_EQ(b.get(url("/auth/complete")).status, 400);
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  EXPECT_EQ(b.get(url("/auth/complete")).status, 400);
  EXPECT_EQ(b.get(url("/auth/complete?flow_id=")).status, 400);
  EXPECT_EQ(b.get(url("/account/complete")).location(), "/account");
  b.jar.clear();
  EXPECT_EQ(b.get(url("/account/complete")).location(), "/account/login");
}

TEST_F(WaysIn, AProofForThePagesIsGoodForFiveMinutes) {
  account(k_alice);
  w.clock.advance(16min);
  Browser b(w), late(w);
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  ASSERT_EQ(json_sign_in(late, k_alice).status, 200);
  w.clock.advance(5min);
  EXPECT_EQ(b.get(url("/account/complete")).location(), "/account");
  w.clock.advance(1us);
  EXPECT_EQ(late.get(url("/account/complete")).location(), "/account/login");
}

TEST_F(WaysIn, AttackSquatting_AnUnconfirmedAddressOpensNoAccount) {
  const Tokens alice = account(k_alice);
  static constexpr store::Sql k_forget{"UPDATE account SET email_confirmed_at = NULL"};
  w.write([&](store::Tx& tx) { tx.exec(k_forget); });
  w.clock.advance(16min);
  Browser b(w);
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  EXPECT_EQ(b.get(url("/account/complete")).location(), "/account/login?error=no_account");
  b.get(app.authorize_url(app.start()));
  ASSERT_EQ(json_sign_in(b, k_alice).status, 200);
  EXPECT_EQ(land(b, b.get(url("/auth/complete"))).parameter("error"), "access_denied");
}

TEST_F(WaysIn, AttackMassAssignment_TheJsonRoutesTakeNoDid) {
  const Tokens alice = account(k_alice);
  Browser mallory(w);
  json_post(mallory, "/email-otp/send-verification-otp", {{"email", k_mallory}, {"type", "sign-in"}});
  json_post(mallory, "/sign-in/email-otp",
            {{"email", k_mallory}, {"otp", w.code(k_mallory)}, {"did", alice.did}, {"emailVerified", true}});
  json_post(mallory, "/update-user", {{"did", alice.did}});
  json_post(mallory, "/update-user", {{"name", "Mallory"}, {"email", k_alice}});
  EXPECT_NE(json_post(mallory, "/change-email", {{"newEmail", k_alice}}).status, 200);
  EXPECT_NE(json_post(mallory, "/delete-user", {}).status, 200);
  land(mallory, mallory.get(url("/account/complete")));
  EXPECT_FALSE(signed_in(mallory));
  if (!has_json_session(mallory)) json_sign_in(mallory, k_mallory);
  EXPECT_FALSE(mallory.get(url("/api/auth/get-session")).shows(alice.did));
}

// --- Providers

TEST_F(WaysIn, AProviderWithAVerifiedAddressMakesAnAccountAfterConsent) {
  Browser b(w);
  person_at_provider("alice-1", k_alice);
  const auto login = app.start();
  const Page first = b.get(app.authorize_url(login));
  EXPECT_TRUE(first.shows("Example ID"));
  const Page consent = land(b, by_provider(b, first));
  EXPECT_EQ(consent.heading(), "Create Account & Authorize");
  EXPECT_EQ(accounts(), 0) << "only after consent";
  const Tokens alice = app.redeem(login, approve(b, consent));
  EXPECT_EQ(w.account(k_alice)->did.str(), alice.did);
  EXPECT_TRUE(w.mails(k_alice).empty() || w.code(k_alice).empty()) << "no code was needed";

  // Later by the identity, whatever its address is by then.
  person_at_provider("alice-1", "moved@example.net", false);
  Browser other(w);
  const auto again = app.start();
  Page page = land(other, by_provider(other, other.get(app.authorize_url(again))));
  if (page.status == 200) page = approve(other, page);
  EXPECT_EQ(app.redeem(again, page).did, alice.did);
  EXPECT_EQ(accounts(), 1);
}

TEST_F(WaysIn, GitHubSignsInByItsPrimaryAddress) {
  Browser b(w);
  const auto login = app.start();
  const Page consent = land(b, by_provider(b, b.get(app.authorize_url(login)), "github"));
  ASSERT_TRUE(consent.shows("action=\"/auth/consent")) << consent.url << consent.body;
  app.redeem(login, approve(b, consent));
  EXPECT_TRUE(w.account("octocat@github.com"));
  EXPECT_FALSE(w.account("shown@example.com"));
}

TEST_F(WaysIn, DenyingAfterAProviderMakesNoAccount) {
  Browser b(w);
  person_at_provider("alice-1", k_alice);
  const auto login = app.start();
  const Page consent = land(b, by_provider(b, b.get(app.authorize_url(login))));
  EXPECT_EQ(b.submit(consent, "/auth/consent", {{"action", "deny"}}).parameter("error"), "access_denied");
  EXPECT_EQ(accounts(), 0);
}

TEST_F(WaysIn, AttackUnverifiedEmail_NeverLinksAndNeverMakesAnAccount) {
  const Tokens alice = account(k_alice);
  for (const char* address : {k_alice, k_bob}) {
    Browser b(w);
    person_at_provider("mallory-1", address, false);
    Page page = land(b, by_provider(b, b.get(app.authorize_url(app.start()))));
    EXPECT_TRUE(page.shows("has not verified your e-mail address")) << page.url;
    page = land(b, by_provider(b, b.get(url("/account/login?add=1"))));
    EXPECT_TRUE(page.shows("has not verified your e-mail address")) << page.url;
    EXPECT_FALSE(signed_in(b));
  }
  EXPECT_EQ(links(), 0);
  EXPECT_EQ(accounts(), 1);
}

TEST_F(WaysIn, AttackPreHijack_AnIdentityIsLinkedOnlyAfterACodeToTheAccountsMailbox) {
  const Tokens alice = account(k_alice);
  w.clock.advance(16min);
  person_at_provider("alice-1", k_alice);
  Browser b(w);
  const auto login = app.start();
  const auto mails = w.mails(k_alice).size();
  const Page code = land(b, by_provider(b, b.get(app.authorize_url(login))));
  EXPECT_TRUE(code.shows("action=\"/auth/verify")) << code.url;
  EXPECT_TRUE(code.shows("Example ID")) << "says what will be linked";
  EXPECT_EQ(w.mails(k_alice).size(), mails + 1);
  EXPECT_EQ(links(), 0);
  EXPECT_EQ(b.submit(code, "/auth/verify", {{"code", "00000000"}}).status, 400);
  EXPECT_EQ(links(), 0);
  Page page = land(b, b.submit(code, "/auth/verify", {{"code", w.code(k_alice)}}));
  if (page.status == 200) page = approve(b, page);
  EXPECT_EQ(app.redeem(login, page).did, alice.did);
  EXPECT_EQ(links(), 1);
  EXPECT_THAT(events(alice.did), Contains("provider_linked Example ID"));
  // From now on without a code.
  Browser other(w);
  page = land(other, by_provider(other, other.get(url("/account/login"))));
  EXPECT_TRUE(page.shows(alice.did));
}

TEST_F(WaysIn, AttackPreHijack_OnTheAccountPagesAsWell) {
  const Tokens alice = account(k_alice);
  w.clock.advance(16min);
  person_at_provider("alice-1", k_alice);
  Browser b(w);
  const Page code = land(b, by_provider(b, b.get(url("/account/login"))));
  EXPECT_TRUE(code.shows("action=\"/account/verify-otp\"")) << code.url;
  EXPECT_EQ(links(), 0);
  EXPECT_FALSE(signed_in(b));
  const Page page = land(b, b.submit(code, "/account/verify-otp", {{"code", w.code(k_alice)}}));
  EXPECT_TRUE(page.shows(alice.did)) << page.url;
  EXPECT_EQ(links(), 1);
  EXPECT_THAT(events(alice.did), Contains("provider_linked Example ID"));
  expect_notice(k_alice, "Example ID linked");
}

TEST_F(WaysIn, AttackPreHijack_AWaitingIdentityIsLinkedToNoOtherAddressAndNotAfterTenMinutes) {
  account(k_alice);
  const Tokens mallory = account(k_mallory);
  w.clock.advance(16min);
  // Whoever proves another mailbox than the identity's gets nothing linked.
  person_at_provider("alice-1", k_alice);
  Browser b(w);
  land(b, by_provider(b, b.get(url("/account/login"))));
  Page page = b.get(url("/account/login?different=1"));
  page = land(b, b.submit(page, "/account/send-otp", {{"email", k_mallory}}));
  page = land(b, b.submit(page, "/account/verify-otp", {{"code", w.code(k_mallory)}}));
  EXPECT_TRUE(page.shows(mallory.did)) << page.url;
  EXPECT_EQ(links(), 0);
  // Nor is one that waited too long.
  Browser slow(w);
  land(slow, by_provider(slow, slow.get(url("/account/login"))));
  w.clock.advance(10min);
  enter(slow, k_alice);
  EXPECT_TRUE(signed_in(slow));
  EXPECT_EQ(links(), 0);
}

TEST_F(WaysIn, AProviderThatRefusesLeadsBackWithWords) {
  Browser b(w);
  const Page first = b.get(app.authorize_url(app.start()));
  const Page there = b.get(url(link(first, "/api/auth/sign-in/social?provider=oidc")));
  const std::string state = auth::testing::query_field(there.location(), "state");
  const Page back = land(b, b.get(url("/api/auth/callback/oidc?" +
                                      encode_form({{"error", "access_denied"}, {"state", state}}))));
  EXPECT_TRUE(back.shows("You did not allow it there.")) << back.url;
  EXPECT_TRUE(back.shows("action=\"/auth/email")) << "and any other way is open";
}

TEST_F(WaysIn, AttackOpenRedirect_AProviderSignInEndsOnThisOriginOnly) {
  Browser b(w);
  for (const char* target :
       {"https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"}) {
    const Page page = b.get(
        url("/api/auth/sign-in/social?" + encode_form({{"provider", "oidc"}, {"callbackURL", target}})));
    EXPECT_FALSE(page.location().starts_with("https://oidc.test")) << target;
    EXPECT_THAT(page.location(), Not(HasSubstr("evil.example"))) << target;
  }
}

}  // namespace
}  // namespace latchkey::dev::world

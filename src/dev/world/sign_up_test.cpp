// Who may make an account on the pages, what it is called, and who attacks that (epds-flows, section 6).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dev/world/world.h"
#include "pds/invites.h"
#include "signin/audit.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";
constexpr const char* k_invite = "pds-test-abcde-fghij";

FormFields approve(FormFields extra = {}) {
  extra.emplace_back("action", "approve");
  return extra;
}

class SignUpTest : public ::testing::Test {
 protected:
  SignUpTest() : SignUpTest("open") {}
  explicit SignUpTest(const std::string& policy) : w({.sign_up = policy}), app(w) {}

  std::int64_t accounts() {
    static constexpr store::Sql k_accounts{"SELECT count(*) FROM account"};
    return w.read([](store::Tx& tx) { return tx.one(k_accounts)->int64(0); });
  }
  void give_invite(std::int64_t uses = 1, const std::string& code = k_invite) {
    w.write([&](store::Tx& tx) {
      pds::invites::insert(tx, {.code = code,
                                .max_uses = uses,
                                .for_account = "admin",
                                .created_by = "admin",
                                .created_at = w.clock.now()});
    });
  }
  std::int64_t uses(const std::string& code = k_invite) {
    return w.read([&](store::Tx& tx) { return pds::invites::get(tx, code)->uses; });
  }
  std::string handle_of(const std::string& email) { return w.account(email)->handle_text(); }
  std::vector<std::pair<std::string, std::string>> events(const std::string& did) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& entry : w.read([&](store::Tx& tx) { return signin::audit::newest(tx, did, 100); }))
      out.emplace_back(entry.event, entry.detail);
    return out;
  }
  static std::int64_t count_of(const std::vector<std::pair<std::string, std::string>>& events,
                               std::string_view event) {
    return std::ranges::count_if(events, [&](const auto& e) { return e.first == event; });
  }

  World w;
  App app;
};

// A browser at the consent page of a new account.
struct Newcomer {
  Newcomer(World& w, App& app, const std::string& email)
      : browser(w), login(app.start()), page(walk_to_consent(app, login, browser, email)) {}
  Page submit(FormFields fields) { return browser.submit(page, "/auth/consent", approve(std::move(fields))); }
  web::Request submission(FormFields fields) {
    return browser.submission(page, "/auth/consent", approve(std::move(fields)));
  }
  Browser browser;
  App::Login login;
  Page page;
};

// --- Handles

TEST_F(SignUpTest, ARandomHandleUnlessOneIsChosen) {
  Newcomer alice(w, app, k_alice), bob(w, app, k_bob);
  EXPECT_TRUE(alice.page.shows("Choose a handle yourself"));
  EXPECT_TRUE(alice.page.shows(".pds.test"));
  EXPECT_FALSE(alice.page.shows("Invite code"));
  EXPECT_EQ(alice.submit({{"handle", "  "}}).status, 303);
  EXPECT_EQ(handle_of(k_alice).size(), 6 + std::string(".pds.test").size());
  const Tokens tokens = app.redeem(bob.login, bob.submit({{"handle", "Wonderland"}}));
  EXPECT_EQ(handle_of(k_bob), "wonderland.pds.test");
  EXPECT_EQ(w.run(w.identities.resolve_did(Did::parse(tokens.did).value(), identity::Cached::refresh))
                ->handle()
                ->str(),
            "wonderland.pds.test");
}

TEST_F(SignUpTest, AWholeHandleOfThisServerIsTakenAsItIs) {
  EXPECT_EQ(Newcomer(w, app, k_alice).submit({{"handle", " @alice-w.pds.test "}}).status, 303);
  EXPECT_EQ(handle_of(k_alice), "alice-w.pds.test");
}

struct Choice {
  const char* handle;
  const char* words;  // "" : it becomes the account's
  const char* why;
};

class HandleChoice : public SignUpTest, public ::testing::WithParamInterface<Choice> {};

TEST_P(HandleChoice, IsHeldToTheRules) {
  const Choice& row = GetParam();
  Newcomer alice(w, app, k_alice);
  const Page answer = alice.submit({{"handle", row.handle}});
  if (std::string_view(row.words).empty()) {
    EXPECT_EQ(answer.status, 303) << row.why;
    EXPECT_EQ(handle_of(k_alice), std::string(row.handle) + ".pds.test");
    return;
  }
  EXPECT_EQ(answer.status, 400) << row.why;
  EXPECT_TRUE(answer.shows(row.words)) << row.why;
  EXPECT_EQ(accounts(), 0);
  // The same form again, corrected.
  EXPECT_EQ(alice.browser.submit(answer, "/auth/consent", approve({{"handle", "wonderland"}})).status, 303);
  EXPECT_EQ(handle_of(k_alice), "wonderland.pds.test");
}

constexpr const char* k_invalid = "That name cannot be a handle here.";
constexpr const char* k_taken = "That handle is taken.";

INSTANTIATE_TEST_SUITE_P(
    Contract, HandleChoice,
    ::testing::Values(
        Choice{"abc", "", "three characters"}, Choice{"ab", k_invalid, "two"},
        Choice{"abcdefghijklmnopqr", "", "eighteen"}, Choice{"abcdefghijklmnopqrs", k_invalid, "nineteen"},
        Choice{"-abc", k_invalid, "no host label"}, Choice{"a_bc", k_invalid, "nor this"},
        Choice{"<script>", k_invalid, "nor this"},
        Choice{"alice.example.com", k_invalid, "not this server's: there is no DID yet to prove it"},
        Choice{"alice.bob.pds.test", k_invalid, "below another's"}, Choice{"admin", k_taken, "reserved"}));

TEST_F(SignUpTest, WhatWasTypedComesBackEscapedAndUntickedStaysUnticked) {
  Newcomer alice(w, app, k_alice);
  ASSERT_TRUE(alice.page.shows("value=\"transition:generic\" checked"));
  const Page answer = alice.submit({{"handle", "\"><b>x"}, {"scope", "atproto"}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_FALSE(answer.shows("<b>x"));
  EXPECT_TRUE(answer.shows("value=\"&quot;&gt;&lt;b&gt;x\"")) << answer.body;
  EXPECT_TRUE(answer.shows("value=\"atproto\" checked"));
  EXPECT_TRUE(answer.shows("value=\"transition:generic\""));
  EXPECT_FALSE(answer.shows("value=\"transition:generic\" checked"));
  const Page huge = alice.submit({{"handle", std::string(254, 'a')}});
  EXPECT_EQ(huge.status, 400);
  EXPECT_FALSE(huge.shows("aaaa")) << "what no handle can be long is not given back";
}

TEST_F(SignUpTest, AttackRace_OfTwoWhoTakeOneHandleOneGetsItAndTheOtherAnotherChance) {
  Newcomer alice(w, app, k_alice), bob(w, app, k_bob);
  std::vector<web::Request> requests;
  requests.push_back(alice.submission({{"handle", "wonderland"}}));
  requests.push_back(bob.submission({{"handle", "wonderland"}}));
  auto answers = w.together(std::move(requests));
  std::ranges::sort(answers, {}, &Page::status);
  EXPECT_EQ(answers[0].status, 303);
  EXPECT_EQ(answers[1].status, 400);
  EXPECT_TRUE(answers[1].shows(k_taken));
  EXPECT_EQ(accounts(), 1);
  Newcomer& late = w.account(k_alice) ? bob : alice;
  EXPECT_EQ(late.submit({{"handle", "wonderland"}}).status, 400);
  EXPECT_EQ(late.submit({{"handle", "looking-glass"}}).status, 303);
  EXPECT_EQ(accounts(), 2);
}

TEST_F(SignUpTest, AttackForgedFields_AnAccountThatExistsIsNotRenamedAndSpendsNothing) {
  give_invite();
  Browser first(w);
  const Tokens before = sign_in(app, first, k_alice);
  const std::string handle = handle_of(k_alice);
  w.clock.advance(1h);
  Newcomer again(w, app, k_alice);
  ASSERT_EQ(again.page.heading(), "Authorize Application");
  EXPECT_FALSE(again.page.shows("name=\"handle\""));
  const Page back = again.submit({{"handle", "wonderland"},
                                  {"invite_code", k_invite},
                                  {"email", k_bob},
                                  {"did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}});
  EXPECT_EQ(app.redeem(again.login, back).did, before.did);
  EXPECT_EQ(handle_of(k_alice), handle);
  EXPECT_EQ(uses(), 0);
  EXPECT_EQ(accounts(), 1);
}

TEST_F(SignUpTest, AttackForgedFields_ANewAccountIsForTheProvenAddressAndAFieldGivenTwiceIsNone) {
  give_invite();
  Newcomer alice(w, app, k_alice);
  EXPECT_EQ(alice
                .submit({{"email", k_bob},
                         {"invite_code", k_invite},
                         {"handle", "wonderland"},
                         {"handle", "looking-glass"}})
                .status,
            303);
  EXPECT_FALSE(w.account(k_bob));
  EXPECT_EQ(handle_of(k_alice).size(), 6 + std::string(".pds.test").size());
  EXPECT_EQ(uses(), 0) << "what is not asked for is not spent";
}

TEST_F(SignUpTest, TheRecordSaysSoOnce) {
  App site(w, App::Kind::web);
  Newcomer alice(w, site, k_alice);
  const std::string did = site.redeem(alice.login, alice.submit({})).did;
  auto seen = events(did);
  EXPECT_EQ(count_of(seen, "account_created"), 1);
  EXPECT_EQ(count_of(seen, "app_allowed"), 1);
  EXPECT_EQ(seen.front(), std::pair("app_allowed"s, "Example App"s));
  EXPECT_EQ(seen.back().first, "account_created");
  // Denied: nothing was allowed.
  Newcomer again(w, site, k_alice);
  again.browser.submit(again.page, "/auth/consent", {{"action", "deny"}});
  EXPECT_EQ(count_of(events(did), "app_allowed"), 1);
}

TEST_F(SignUpTest, WhatWasAllowedBeforeIsNotAllowedAgain) {
  App trusted(w, App::Kind::confidential);
  Browser browser(w);
  const std::string did = sign_in(trusted, browser, k_alice).did;
  w.clock.advance(1h);
  const auto login = trusted.start();
  EXPECT_EQ(walk_to_consent(trusted, login, browser, k_alice).status, 303) << "nothing is asked";
  EXPECT_EQ(count_of(events(did), "app_allowed"), 1);
  EXPECT_EQ(count_of(events(did), "account_created"), 1);
}

// --- Policies

class InviteSignUp : public SignUpTest {
 protected:
  InviteSignUp() : SignUpTest("invite") {}
};

constexpr const char* k_missing = "Enter the invite code you were given.";
constexpr const char* k_refused = "That invite code is unknown or used up.";

TEST_F(InviteSignUp, AsksForACodeAndSpendsIt) {
  give_invite(2);
  Browser first(w);
  EXPECT_TRUE(first.get(app.authorize_url(app.start())).shows("you need an invite code"));
  Newcomer alice(w, app, k_alice);
  ASSERT_TRUE(alice.page.shows("name=\"invite_code\""));
  EXPECT_TRUE(alice.submit({}).shows(k_missing));
  EXPECT_TRUE(alice.submit({{"invite_code", "  "}}).shows(k_missing));
  const Page wrong = alice.submit({{"invite_code", "pds-test-wrong"}, {"handle", "wonderland"}});
  EXPECT_EQ(wrong.status, 400);
  EXPECT_TRUE(wrong.shows(k_refused));
  EXPECT_TRUE(wrong.shows("value=\"pds-test-wrong\""));
  EXPECT_TRUE(wrong.shows("value=\"wonderland\""));
  EXPECT_EQ(accounts(), 0);
  const Page back = alice.browser.submit(
      wrong, "/auth/consent",
      approve({{"invite_code", fmt::format(" {} ", k_invite)}, {"handle", "wonderland"}}));
  const std::string did = app.redeem(alice.login, back).did;
  EXPECT_EQ(uses(), 1);
  EXPECT_EQ(handle_of(k_alice), "wonderland.pds.test");
  // Whoever has an account is asked for nothing.
  w.clock.advance(1h);
  Newcomer again(w, app, k_alice);
  EXPECT_FALSE(again.page.shows("name=\"invite_code\""));
  EXPECT_EQ(app.redeem(again.login, again.submit({})).did, did);
  EXPECT_EQ(uses(), 1);
}

TEST_F(InviteSignUp, AFormThatIsRefusedSpendsNothing) {
  give_invite();
  Newcomer alice(w, app, k_alice);
  EXPECT_EQ(alice.submit({{"invite_code", k_invite}, {"handle", "ab"}}).status, 400);
  EXPECT_EQ(uses(), 0);
  w.network.down.insert("https://plc.test");
  EXPECT_EQ(alice.submit({{"invite_code", k_invite}}).parameter("error"), "server_error");
}

TEST_F(InviteSignUp, AttackReuse_AUsedUpOrDisabledCodeOpensNothing) {
  give_invite(1);
  give_invite(5, "pds-test-disabled");
  w.write([&](store::Tx& tx) { pds::invites::disable(tx, "pds-test-disabled", w.clock.now()); });
  EXPECT_EQ(Newcomer(w, app, k_alice).submit({{"invite_code", k_invite}}).status, 303);
  Newcomer bob(w, app, k_bob);
  for (const char* code : {k_invite, "pds-test-disabled", "' OR 1=1 --", "pds-test-abcde-fghi"}) {
    const Page answer = bob.submit({{"invite_code", code}});
    EXPECT_EQ(answer.status, 400) << code;
    EXPECT_TRUE(answer.shows(k_refused)) << code;
  }
  EXPECT_EQ(accounts(), 1);
}

TEST_F(InviteSignUp, AttackRace_TheLastUseIsSpentOnceByTwoBrowsers) {
  give_invite(1);
  give_invite(1, "pds-test-second");
  Newcomer alice(w, app, k_alice), bob(w, app, k_bob);
  std::vector<web::Request> requests;
  requests.push_back(alice.submission({{"invite_code", k_invite}}));
  requests.push_back(bob.submission({{"invite_code", k_invite}}));
  auto answers = w.together(std::move(requests));
  std::ranges::sort(answers, {}, &Page::status);
  EXPECT_EQ(answers[0].status, 303);
  EXPECT_EQ(answers[1].status, 400);
  EXPECT_TRUE(answers[1].shows(k_refused));
  EXPECT_EQ(accounts(), 1);
  EXPECT_EQ(uses(), 1);
  Newcomer& late = w.account(k_alice) ? bob : alice;
  EXPECT_EQ(late.submit({{"invite_code", "pds-test-second"}}).status, 303);
}

TEST_F(InviteSignUp, OnePersonInTwoBrowsersGetsOneAccountForOneInvite) {
  give_invite(1);
  Newcomer one(w, app, k_alice), two(w, app, k_alice);
  std::vector<web::Request> requests;
  for (Newcomer* at : {&one, &two})
    requests.push_back(at->submission({{"invite_code", k_invite}, {"handle", "wonderland"}}));
  for (const Page& answer : w.together(std::move(requests))) {
    EXPECT_EQ(answer.status, 303) << answer.heading();
    EXPECT_FALSE(answer.parameter("code").empty()) << answer.location();
  }
  EXPECT_EQ(accounts(), 1);
  EXPECT_EQ(uses(), 1);
  EXPECT_EQ(count_of(events(w.account(k_alice)->did.str()), "account_created"), 1);
}

class DomainSignUp : public SignUpTest {
 protected:
  DomainSignUp() : SignUpTest("domains:example.com,.corp.example") {}
};

TEST_F(DomainSignUp, IsForProvenAddressesOfTheseDomains) {
  Browser browser(w);
  EXPECT_TRUE(browser.get(app.authorize_url(app.start())).shows("addresses at certain domains only"));
  for (const char* email : {k_alice, "carol@eu.corp.example"}) {
    Newcomer newcomer(w, app, email);
    EXPECT_EQ(newcomer.page.heading(), "Create Account & Authorize") << email;
    EXPECT_EQ(newcomer.submit({}).status, 303) << email;
  }
  EXPECT_EQ(accounts(), 2);
}

TEST_F(DomainSignUp, AttackLookalikes_TheseAreOtherDomains) {
  for (const char* email : {"mallory@notexample.com", "mallory@example.com.evil.test", "mallory@corp.example",
                            "mallory@evilcorp.example", "mallory@sub.example.com"}) {
    Newcomer mallory(w, app, email);
    EXPECT_EQ(mallory.page.parameter("error"), "access_denied") << email;
    EXPECT_EQ(mallory.page.parameter("state"), mallory.login.state) << email;
    EXPECT_EQ(w.mails(std::string(email)).size(), 1u) << "until the proof everything looks the same";
  }
  EXPECT_EQ(accounts(), 0);
}

TEST_F(SignUpTest, ClosedLaterTheAccountsThereAreStillSignIn) {
  Newcomer bob(w, app, k_bob);
  Browser first(w);
  const std::string did = sign_in(app, first, k_alice).did;
  w.options.sign_up = "closed";
  w.restart();
  // Said before an address is typed, to everybody.
  Browser browser(w);
  EXPECT_TRUE(browser.get(app.authorize_url(app.start())).shows("This server takes no new accounts."));
  // Whose consent page was open when it closed.
  const Page back = bob.browser.follow_all(bob.submit({{"handle", "wonderland"}}));
  EXPECT_EQ(back.parameter("error"), "access_denied") << back.heading();
  EXPECT_FALSE(w.account(k_bob));
  w.clock.advance(1h);
  Newcomer again(w, app, k_alice);
  EXPECT_EQ(app.redeem(again.login, again.submit({})).did, did);
}

// --- People who proved an address on /api/auth and never came to have an account

class UsersWithoutAccount : public store::EngineTest {};

struct Visitors {
  explicit Visitors(store::Engine engine) : w({.engine = engine}) {}

  Page post(const std::string& path, const json::Object& body) {
    return w.send(web::Request::make("POST", w.options.auth + "/api/auth" + path, json::Value(body).dump(),
                                     {{"content-type", "application/json"}, {"origin", w.options.auth}}));
  }
  void prove(const std::string& email) {
    ASSERT_EQ(post("/email-otp/send-verification-otp", {{"email", email}, {"type", "sign-in"}}).status, 200);
    ASSERT_EQ(post("/sign-in/email-otp", {{"email", email}, {"otp", w.code(email)}}).status, 200);
  }
  std::int64_t users() {
    static constexpr store::Sql k_users{"SELECT count(*) FROM auth_user"};
    return w.read([](store::Tx& tx) { return tx.one(k_users)->int64(0); });
  }
  std::int64_t users_after(std::chrono::seconds wait) {
    w.clock.advance(wait);
    w.run(w.epds->clean());
    return users();
  }

  World w;
};

TEST_P(UsersWithoutAccount, AreForgottenADayAfterTheyWereLastHere) {
  Visitors v(GetParam());
  v.prove(k_bob);
  EXPECT_EQ(v.users(), 1);
  EXPECT_EQ(v.users_after(24h - 1s), 1);
  v.prove(k_bob);  // here again
  EXPECT_EQ(v.users_after(24h - 1s), 1);
  EXPECT_EQ(v.users_after(1s), 0);
}

TEST_P(UsersWithoutAccount, WhoGotAnAccountStays) {
  Visitors v(GetParam());
  v.prove(k_alice);
  App app(v.w);
  Browser browser(v.w);
  sign_in(app, browser, k_alice);
  EXPECT_EQ(v.users_after(48h), 1);
}

INSTANTIATE_TEST_SUITE_P(Store, UsersWithoutAccount, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::dev::world

// The pages of an account: signing in to them, what they show, ending sessions and devices. Groups 5, 6, 15,
// 16 and 21 of docs/threat-model.md as far as these pages go.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";
constexpr const char* k_device = "__Host-latchkey_device";
constexpr const char* k_login = "__Host-latchkey_login";

enum class Remember { yes, no };

class AccountPages : public ::testing::Test {
 protected:
  AccountPages() : AccountPages(WorldOptions{}) {}
  explicit AccountPages(WorldOptions options) : w(std::move(options)), app(w) {}

  std::string url(std::string_view path) const { return w.options.auth + std::string(path); }
  /// Up to the page that takes the code.
  Page asked(Browser& b, const std::string& email, Remember remember = Remember::no) {
    Page page = b.get(url("/account/login?add=1"));
    FormFields fields{{"email", email}};
    if (remember == Remember::yes) fields.emplace_back("stay", "yes");
    return b.follow_all(b.submit(page, "/account/send-otp", std::move(fields)));
  }
  Page enter(Browser& b, const std::string& email, Remember remember = Remember::no) {
    const Page page = asked(b, email, remember);
    return b.follow_all(b.submit(page, "/account/verify-otp", {{"code", w.code(email)}}));
  }
  /// Makes the account, by signing in to an app.
  Tokens account(const std::string& email) {
    Browser b(w, "198.51.100.1");
    return sign_in(app, b, email);
  }
  bool works(const Tokens& tokens) {
    return app.call("GET", "/xrpc/com.atproto.server.getSession", tokens).status == 200;
  }
  bool signed_in(Browser& b) { return b.get(url("/account")).status == 200; }
  static std::string cookie(const Browser& b, const char* name) {
    const auto host = b.jar.find("auth.pds.test");
    if (host == b.jar.end() || !host->second.contains(name)) return {};
    return host->second.at(name).value;
  }
  std::int64_t count(const store::Sql& sql) {
    return w.read([&](store::Tx& tx) { return tx.one(sql)->int64(0); });
  }
  std::int64_t sign_ins() { return count("SELECT count(*) FROM signin_device_account"); }
  std::int64_t living_sessions() {
    return count("SELECT count(*) FROM oauth_session WHERE revoked_at IS NULL");
  }
  /// The part of the page under this heading.
  static std::string section(const Page& page, std::string_view id) {
    const auto at = page.body.find(fmt::format("<h2 id=\"{}\"", id));
    return at == std::string::npos ? std::string()
                                   : page.body.substr(at, page.body.find("</section>", at) - at);
  }
  /// The form of this action that carries `value` as the value of its button.
  static std::string button(const Page& page, std::string_view name, std::size_t nth = 0) {
    const std::string before = fmt::format("name=\"{}\" value=\"", name);
    std::size_t at = page.body.find(before);
    for (std::size_t i = 0; i < nth && at != std::string::npos; ++i) at = page.body.find(before, at + 1);
    if (at == std::string::npos) return {};
    at += before.size();
    return page.body.substr(at, page.body.find('"', at) - at);
  }

  World w;
  App app;
};

// --- The way in

TEST_F(AccountPages, ACodeByMailSignsInAndShowsTheAccount) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  EXPECT_EQ(b.follow(b.get(url("/account"))).heading(), "Your account") << "the form";
  const Page page = enter(b, k_alice);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.url, url("/account"));
  EXPECT_EQ(page.heading(), "@" + w.account(k_alice)->handle_text());
  EXPECT_TRUE(page.shows(alice.did));
  EXPECT_TRUE(page.shows(k_alice));
  EXPECT_TRUE(page.shows("an app on this computer"));
  EXPECT_TRUE(page.shows("Act on your behalf"));
  EXPECT_TRUE(page.shows("This device"));
  const auto mail = w.mails(k_alice).back();
  EXPECT_EQ(mail.text.find("sign in to"), std::string::npos) << "no app is behind this code";
}

TEST_F(AccountPages, LeadWhereTheyShould) {
  account(k_alice);
  Browser b(w);
  EXPECT_EQ(b.get(url("/account")).location(), "/account/login");
  enter(b, k_alice);
  const Page again = b.get(url("/account/login"));
  EXPECT_EQ(again.status, 303);
  EXPECT_EQ(again.location(), "/account");
  EXPECT_EQ(b.get(url("/.well-known/change-password")).location(), url("/account"));
  EXPECT_EQ(b.get(w.options.pds + "/.well-known/change-password").location(), url("/account"));
  for (const char* path : {"/account", "/account/login"})
    EXPECT_EQ(b.get(w.options.pds + path).status, 404) << "pages live on the authorization host";
  EXPECT_EQ(b.get("https://alice.pds.test/account/login").status, 404);
}

TEST_F(AccountPages, TheStepIsKeptAndTheMailSentOnce) {
  account(k_alice);
  Browser b(w);
  const auto before = w.mails(k_alice).size();
  const Page code = asked(b, k_alice, Remember::yes);
  EXPECT_EQ(code.heading(), "Check your e-mail");
  EXPECT_TRUE(code.shows("al***@example.com"));
  EXPECT_EQ(b.get(code.url).heading(), "Check your e-mail") << "reloaded";
  Page form = b.get(url("/account/login?different=1"));
  b.submit(form, "/account/send-otp", {{"email", k_alice}});
  EXPECT_EQ(w.mails(k_alice).size(), before + 1) << "the same address again";
  const Page resent = b.follow(b.submit(code, "/account/send-otp"));
  EXPECT_TRUE(resent.shows("We sent you a new code."));
  EXPECT_EQ(w.mails(k_alice).size(), before + 2);
  b.submit(form, "/account/send-otp", {{"email", k_bob}});
  EXPECT_EQ(w.mails(k_bob).size(), 1u) << "another address";
}

TEST_F(AccountPages, AWrongAddressStaysInTheField) {
  Browser b(w);
  const Page page = b.submit(b.get(url("/account/login")), "/account/send-otp",
                             {{"email", "alice@example,\"com"}, {"stay", "yes"}});
  EXPECT_EQ(page.status, 400);
  EXPECT_TRUE(page.shows("value=\"alice@example,&quot;com\"")) << page.body;
  EXPECT_TRUE(page.shows(" checked"));
  EXPECT_TRUE(w.mails().empty());
}

TEST_F(AccountPages, StayingIsAChoice) {
  account(k_alice);
  Browser stays(w), goes(w);
  enter(stays, k_alice, Remember::yes);
  enter(goes, k_alice, Remember::no);
  w.clock.advance(1h - 1us);
  EXPECT_TRUE(signed_in(goes));
  w.clock.advance(1us);
  EXPECT_FALSE(signed_in(goes));
  w.clock.advance(7 * 24h - 1h - 1us);
  EXPECT_TRUE(signed_in(stays)) << "and is renewed by this visit";
  w.clock.advance(7 * 24h - 1us);
  EXPECT_TRUE(signed_in(stays));
  w.clock.advance(7 * 24h);
  EXPECT_FALSE(signed_in(stays));
}

TEST_F(AccountPages, SigningInToAnAppIsAUse) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice, Remember::yes);
  w.clock.advance(6 * 24h);
  Page page = b.follow_all(b.get(app.authorize_url(app.start())));
  page = b.follow_all(b.submit(page, "/auth/choose", {{"account", w.account(k_alice)->did.str()}}));
  EXPECT_EQ(b.submit(page, "/auth/consent", {{"action", "approve"}}).status, 303);
  w.clock.advance(7 * 24h - 1us);
  EXPECT_TRUE(signed_in(b));
}

TEST_F(AccountPages, ARestartSignsNobodyOut) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice, Remember::yes);
  w.restart();
  EXPECT_TRUE(signed_in(b));
}

// --- Enumeration (group 15) and codes (group 16)

std::string neutral(Page page) {
  std::string text = fmt::format("{}\n", page.status);
  for (const auto& [name, value] : page.headers) text += fmt::format("{}: {}\n", name, value);
  text += page.body;
  for (const auto& [before, after] :
       {std::pair<std::string_view, std::string_view>{"name=\"csrf\" value=\"", "\""},
        {"set-cookie: __Host-latchkey_login=", ";"}})
    for (auto at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
      const auto from = at + before.size();
      text.replace(from, text.find_first_of(after, from) - from, "*");
    }
  return text;
}

TEST_F(AccountPages, AttackEnumeration_KnownAndUnknownAddressesAreAnsweredAlike) {
  account(k_alice);
  w.clock.advance(2h);
  // Both are shown as al***@example.com.
  const auto walk = [&](const std::string& email) {
    Browser b(w, email == k_alice ? "192.0.2.7" : "192.0.2.8");
    std::vector<std::string> pages;
    const auto keep = [&](Page page) {
      pages.push_back(neutral(page));
      return page;
    };
    Page page = keep(b.get(url("/account/login")));
    page = keep(b.follow(keep(b.submit(page, "/account/send-otp", {{"email", email}}))));
    for (int i = 0; i < 4; ++i) keep(b.follow(keep(b.submit(page, "/account/send-otp"))));  // limited
    for (int i = 0; i < 6; ++i) keep(b.submit(page, "/account/verify-otp", {{"code", "123456789"}}));
    return pages;
  };
  const auto before = w.mails(k_alice).size();
  EXPECT_EQ(walk(k_alice), walk("alfred@example.com"));
  const auto known = w.mails(k_alice), unknown = w.mails("alfred@example.com");
  ASSERT_EQ(known.size() - before, unknown.size());
  EXPECT_EQ(unknown.size(), 3u);
  EXPECT_EQ(known.back().subject.substr(8), unknown.back().subject.substr(8)) << "after the code";
  EXPECT_EQ(known.back().text.size(), unknown.back().text.size());
}

TEST_F(AccountPages, AttackEnumeration_OnlyWhoReadsTheMailboxLearnsThatThereIsNoAccount) {
  Browser b(w);
  const Page code = asked(b, "nobody@example.com", Remember::yes);
  const Page page = b.submit(code, "/account/verify-otp", {{"code", w.code("nobody@example.com")}});
  EXPECT_EQ(page.status, 400);
  EXPECT_TRUE(page.shows("No account here has this address"));
  EXPECT_TRUE(cookie(b, k_device).empty());
  EXPECT_FALSE(signed_in(b));
  EXPECT_EQ(sign_ins(), 0);
  EXPECT_EQ(count("SELECT count(*) FROM signin_device"), 0);
  EXPECT_FALSE(w.account("nobody@example.com").has_value()) << "no account is made here";
}

TEST_F(AccountPages, AttackPreHijack_AnUnconfirmedAddressLeadsToNoAccount) {
  const auto made =
      w.run(w.epds->pds().accounts().create_account({.handle = Handle::parse("mallory.pds.test").value(),
                                                     .email = mail::EmailAddress::parse(k_alice).value(),
                                                     .email_proof = pds::EmailProof::unproven}));
  ASSERT_TRUE(made.has_value()) << made.error().message;
  Browser b(w);
  EXPECT_TRUE(enter(b, k_alice).shows("No account here has this address"));
  EXPECT_EQ(sign_ins(), 0);
  EXPECT_FALSE(w.account(k_alice)->email_confirmed_at.has_value());
}

TEST_F(AccountPages, AttackCode_OneForAnAccountPageSignsInToNoAppNorTheOtherWayRound) {
  account(k_alice);
  Browser b(w);
  const Page account_code = asked(b, k_alice);
  const std::string for_account = w.code(k_alice);
  Page app_code = b.submit(b.get(app.authorize_url(app.start())), "/auth/email", {{"email", k_alice}});
  app_code = b.follow(app_code);
  const std::string for_app = w.code(k_alice);
  ASSERT_NE(for_account, for_app);
  EXPECT_EQ(b.submit(app_code, "/auth/verify", {{"code", for_account}}).status, 400);
  EXPECT_EQ(b.submit(account_code, "/account/verify-otp", {{"code", for_app}}).status, 400);
  EXPECT_EQ(b.submit(app_code, "/auth/verify", {{"code", for_app}}).status, 303);
  EXPECT_EQ(b.submit(account_code, "/account/verify-otp", {{"code", for_account}}).status, 303);
}

TEST_F(AccountPages, AttackCode_IsGoodInTheBrowserThatAskedOnceAndForFiveTries) {
  account(k_alice);
  Browser b(w), other(w);
  const Page mine = asked(b, k_alice);
  const std::string code = w.code(k_alice);
  const Page theirs = asked(other, k_alice);
  EXPECT_EQ(other.submit(theirs, "/account/verify-otp", {{"code", code}}).status, 400)
      << "asked for in another browser";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(b.submit(mine, "/account/verify-otp", {{"code", "0"}}).status, 400);
  EXPECT_EQ(b.submit(mine, "/account/verify-otp", {{"code", code}}).status, 303) << "the fifth try";
  EXPECT_EQ(b.submit(b.get(url("/account/login?add=1")), "/account/send-otp", {{"email", k_alice}}).status,
            303);
  const Page again = b.get(url("/account/login"));
  EXPECT_EQ(b.submit(again, "/account/verify-otp", {{"code", code}}).status, 400) << "used";

  w.clock.advance(1h);
  Browser tries(w);
  const Page page = asked(tries, k_alice);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(tries.submit(page, "/account/verify-otp", {{"code", "00000000"}}).status, 400);
  EXPECT_EQ(tries.submit(page, "/account/verify-otp", {{"code", w.code(k_alice)}}).status, 400)
      << "the sixth try, with the right one";
}

// --- Forms from elsewhere (group 5)

TEST_F(AccountPages, AttackLoginCsrf_NobodyIsSignedInToAnothersAccountByAForm) {
  account("mallory@example.com");
  Browser mallory(w), victim(w);
  const Page theirs = asked(mallory, "mallory@example.com");
  const FormFields code{{"code", w.code("mallory@example.com")}};
  // Mallory's form in the victim's browser: without Mallory's cookie, and with one of the victim's own.
  for (int i = 0; i < 2; ++i) {
    for (const auto says : {Browser::Says::fetch_metadata, Browser::Says::origin, Browser::Says::nothing}) {
      victim.says = says;
      EXPECT_EQ(victim.submit(theirs, "/account/verify-otp", code).status, 403);
    }
    victim.get(url("/account/login"));
  }
  EXPECT_TRUE(cookie(victim, k_device).empty());
  EXPECT_EQ(sign_ins(), 0);
  EXPECT_EQ(mallory.submit(theirs, "/account/verify-otp", code).status, 303);
}

TEST_F(AccountPages, AttackCsrf_FormsFromElsewhereSendNoMail) {
  Browser b(w);
  const Page page = b.get(url("/account/login"));
  auto cross = b.submission(page, "/account/send-otp", {{"email", k_alice}});
  cross.headers.set("sec-fetch-site", "cross-site");
  EXPECT_EQ(b.send(cross).status, 403);
  auto origin = b.submission(page, "/account/send-otp", {{"email", k_alice}});
  origin.headers.set("origin", "https://evil.example");
  EXPECT_EQ(b.send(origin).status, 403);
  EXPECT_EQ(b.post(url("/account/send-otp"), {{"email", k_alice}}).status, 403);
  EXPECT_EQ(b.post(url("/account/send-otp"), {{"email", k_alice}, {"csrf", "x"}}).status, 403);
  EXPECT_TRUE(w.mails().empty());
}

TEST_F(AccountPages, AttackCsrf_EveryActionNeedsThePagesToken) {
  const Tokens alice = account(k_alice);
  account(k_bob);
  Browser b(w), other(w), bob(w);
  const Page page = enter(b, k_alice, Remember::yes);
  const Page elsewhere = enter(other, k_alice, Remember::yes);
  const Page bobs = enter(bob, k_bob, Remember::yes);
  const auto token = [](const Page& p) { return button(p, "csrf"); };
  const std::int64_t before = sign_ins();
  for (const char* path :
       {"/account/switch", "/account/session/revoke", "/account/sessions/revoke-all", "/account/logout"}) {
    const FormFields form{{"account", alice.did},
                          {"session", button(page, "session")},
                          {"device", button(page, "device", 1)},
                          {"apps", "yes"}};
    EXPECT_EQ(b.post(url(path), form).status, 403) << path << ": no token";
    for (const auto& [wrong, why] :
         {std::pair<std::string, const char*>{"", "empty"},
          {"AAAA", "made up"},
          {token(elsewhere), "of another device"},
          {token(bobs), "of another account"},
          {button(b.get(url("/account/login?add=1")), "csrf"), "of the form before sign-in"}})
      EXPECT_EQ(b.post(url(path), with(form, "csrf", wrong)).status, 403) << path << ": " << why;
    for (const auto& [name, value] :
         {std::pair{"sec-fetch-site", "cross-site"}, {"sec-fetch-site", "same-site"}, {"origin", "null"}}) {
      auto request = b.request("POST", url(path), with(form, "csrf", token(page)));
      request.headers.set(name, value);
      EXPECT_EQ(b.send(request).status, 403) << path << ": " << name << " " << value;
    }
    Browser nobody(w);
    EXPECT_EQ(nobody.post(url(path), with(form, "csrf", token(page))).location(), "/account/login") << path;
    EXPECT_EQ(b.get(url(path)).status, 405) << path;
  }
  EXPECT_EQ(sign_ins(), before);
  EXPECT_TRUE(works(alice));
}

// --- Ending things

TEST_F(AccountPages, EndingAnAppsAccessEndsItsTokens) {
  const Tokens alice = account(k_alice);
  App second(w, App::Kind::web, "Second App");
  Browser b(w);
  const Tokens other = sign_in(second, b, k_alice);
  Page page = enter(b, k_alice);
  EXPECT_TRUE(page.shows("web.example"));
  ASSERT_TRUE(works(alice));
  const auto name = page.body.find("an app on this computer");
  const auto at = page.body.find("name=\"session\" value=\"", name) + 22;
  const std::string id = page.body.substr(at, page.body.find('"', at) - at);
  const Page done = b.follow(b.submit(page, "/account/session/revoke", {{"session", id}}));
  EXPECT_TRUE(done.shows("The app has no access any more."));
  EXPECT_EQ(section(done, "apps").find("an app on this computer"), std::string::npos);
  EXPECT_TRUE(done.shows("web.example"));
  EXPECT_FALSE(works(alice));
  EXPECT_EQ(app.post("/oauth/token", app.authenticated({{"grant_type", "refresh_token"},
                                                        {"refresh_token", alice.refresh},
                                                        {"client_id", app.client_id()}}))
                .error(),
            "invalid_grant");
  EXPECT_EQ(second.call("GET", "/xrpc/com.atproto.server.getSession", other).status, 200);
  EXPECT_TRUE(b.follow(b.submit(page, "/account/session/revoke", {{"session", id}})).shows("over already"));
}

TEST_F(AccountPages, AttackIds_AnothersSessionOrDeviceIsAsUnknownAsNone) {
  account(k_alice);
  const Tokens bobs_tokens = account(k_bob);
  Browser alice(w), bob(w);
  const Page mine = enter(alice, k_alice, Remember::yes);
  const Page theirs = enter(bob, k_bob, Remember::yes);
  const std::int64_t before = sign_ins(), sessions = living_sessions();
  std::vector<std::string> answers;
  for (const FormFields& form :
       {FormFields{{"session", button(theirs, "session")}}, FormFields{{"device", button(theirs, "device")}},
        FormFields{{"session", "unknown"}}, FormFields{{"device", "unknown"}},
        FormFields{{"session", button(mine, "device")}}, FormFields{{"device", button(mine, "session")}},
        FormFields{}}) {
    const Page answer = alice.submit(mine, "/account/session/revoke", form);
    answers.push_back(fmt::format("{} {}", answer.status, answer.location()));
  }
  EXPECT_EQ(answers, std::vector<std::string>(7, "303 /account?success=nothing"));
  EXPECT_EQ(sign_ins(), before);
  EXPECT_EQ(living_sessions(), sessions);
  EXPECT_TRUE(works(bobs_tokens));
  EXPECT_TRUE(signed_in(bob));
}

TEST_F(AccountPages, SigningAnotherDeviceOut) {
  account(k_alice);
  Browser b(w, "192.0.2.1"), phone(w, "192.0.2.2");
  enter(phone, k_alice, Remember::yes);
  const Page page = enter(b, k_alice, Remember::yes);
  EXPECT_TRUE(page.shows("192.0.2.2"));
  // The one used last is first: this device.
  const std::string here = button(page, "device", 0), there = button(page, "device", 1);
  ASSERT_FALSE(there.empty());
  const Page done = b.follow(b.submit(page, "/account/session/revoke", {{"device", there}}));
  EXPECT_TRUE(done.shows("That device is signed out."));
  EXPECT_EQ(section(done, "devices").find("192.0.2.2"), std::string::npos);
  EXPECT_FALSE(signed_in(phone));
  EXPECT_TRUE(signed_in(b));
  b.submit(page, "/account/session/revoke", {{"device", here}});
  EXPECT_FALSE(signed_in(b));
}

TEST_F(AccountPages, LeavingEverywhereElse) {
  const Tokens alice = account(k_alice), bob = account(k_bob);
  Browser b(w), phone(w), tablet(w), bobs(w);
  enter(bobs, k_bob, Remember::yes);
  enter(phone, k_alice, Remember::yes);
  Page page = enter(b, k_alice, Remember::yes);
  Page done = b.follow(b.submit(page, "/account/sessions/revoke-all"));
  EXPECT_TRUE(done.shows("signed out on all other devices"));
  EXPECT_FALSE(signed_in(phone));
  EXPECT_TRUE(signed_in(b));
  EXPECT_TRUE(works(alice)) << "apps were not chosen";
  enter(tablet, k_alice, Remember::yes);
  done = b.follow(b.submit(page, "/account/sessions/revoke-all", {{"apps", "yes"}}));
  EXPECT_TRUE(done.shows("no app has access"));
  EXPECT_FALSE(signed_in(tablet));
  EXPECT_FALSE(works(alice));
  EXPECT_TRUE(done.shows("No app may act for you"));
  EXPECT_TRUE(works(bob));
  EXPECT_TRUE(signed_in(bobs));
}

TEST_F(AccountPages, SigningOut) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice, Remember::yes);
  const std::string held = cookie(b, k_device);
  const Page out = b.submit(page, "/account/logout");
  EXPECT_EQ(out.status, 303);
  EXPECT_EQ(out.location(), "/account/login");
  EXPECT_FALSE(signed_in(b));
  Browser copy(w);
  copy.jar["auth.pds.test"][k_device] = {held, "", {}};
  EXPECT_FALSE(signed_in(copy)) << "the row is gone, not only the cookie";
  EXPECT_TRUE(works(alice)) << "apps stay";
  EXPECT_EQ(b.submit(page, "/account/logout").location(), "/account/login") << "twice";
}

// --- Several accounts in a browser

TEST_F(AccountPages, SeveralAccountsInOneBrowser) {
  account(k_alice);
  account(k_bob);
  const std::string alice = "@" + w.account(k_alice)->handle_text(),
                    bob = "@" + w.account(k_bob)->handle_text();
  Browser b(w);
  EXPECT_FALSE(enter(b, k_alice, Remember::yes).shows("Also in this browser"));
  w.clock.advance(1s);
  Page page = enter(b, k_bob, Remember::yes);
  EXPECT_EQ(page.heading(), bob);
  EXPECT_TRUE(page.shows(alice));
  w.clock.advance(1s);
  page = b.follow(b.submit(page, "/account/switch", {{"to", w.account(k_alice)->did.str()}}));
  EXPECT_EQ(page.heading(), alice);
  EXPECT_TRUE(page.shows(bob));
  EXPECT_FALSE(page.shows(k_bob)) << "the other account's address is not this one's business";
  page = b.follow(b.follow(b.submit(page, "/account/logout")));
  EXPECT_EQ(page.heading(), bob) << "the other one stays";
}

TEST_F(AccountPages, AFormActsForTheAccountOfItsPage) {
  account(k_alice);
  account(k_bob);
  Browser b(w), phone(w);
  enter(phone, k_alice, Remember::yes);
  const Page alices = enter(b, k_alice, Remember::yes);
  w.clock.advance(1s);
  enter(b, k_bob, Remember::yes);
  Browser bobs_phone(w);
  enter(bobs_phone, k_bob, Remember::yes);
  b.submit(alices, "/account/sessions/revoke-all");
  EXPECT_FALSE(signed_in(phone));
  EXPECT_TRUE(signed_in(bobs_phone)) << "though Bob was the one used last";
}

TEST_F(AccountPages, AttackSwitch_NobodyGetsToAnAccountThatIsNotSignedInHere) {
  account(k_alice);
  account(k_bob);
  const std::string bob = w.account(k_bob)->did.str();
  Browser b(w);
  const Page page = enter(b, k_alice);
  w.clock.advance(1s);
  const auto form = page.form("/account/logout").fields;
  EXPECT_EQ(b.follow(b.post(url("/account/switch"), with(form, "to", bob))).heading(), page.heading());
  // Naming another account in the form makes the token wrong.
  EXPECT_EQ(b.post(url("/account/logout"), with(form, "account", bob)).status, 403);
  EXPECT_TRUE(signed_in(b));
}

// --- Cookies (group 21) and frames (group 6)

TEST_F(AccountPages, AttackFraming_EveryAnswerCarriesTheSecurityHeaders) {
  account(k_alice);
  Browser b(w);
  std::vector<Page> all;
  const auto keep = [&](Page page) {
    all.push_back(page);
    return page;
  };
  keep(b.get(url("/account")));
  Page page = keep(b.get(url("/account/login")));
  keep(b.submit(page, "/account/send-otp", {{"email", "x"}}));
  keep(b.post(url("/account/send-otp"), {}));
  page = keep(b.follow(keep(b.submit(page, "/account/send-otp", {{"email", k_alice}}))));
  keep(b.submit(page, "/account/verify-otp", {{"code", "1"}}));
  page = keep(b.follow(keep(b.submit(page, "/account/verify-otp", {{"code", w.code(k_alice)}}))));
  keep(b.post(url("/account/switch"), page.form("/account/logout").fields));
  keep(b.submit(page, "/account/session/revoke"));
  keep(b.post(url("/account/logout"), {}));
  keep(b.get(url("/account/logout")));
  keep(b.submit(page, "/account/logout"));
  for (const Page& p : all) {
    const std::string where = fmt::format("{} {}", p.status, p.url);
    const std::string csp = p.header("content-security-policy");
    EXPECT_NE(csp.find("frame-ancestors 'none'"), std::string::npos) << where;
    EXPECT_NE(csp.find("form-action 'self'"), std::string::npos) << where;
    EXPECT_EQ(csp.find("unsafe"), std::string::npos) << where;
    EXPECT_EQ(p.header("x-frame-options"), "DENY") << where;
    EXPECT_EQ(p.header("x-content-type-options"), "nosniff") << where;
    EXPECT_EQ(p.header("cache-control"), "no-store") << where;
    EXPECT_TRUE(p.headers.has("strict-transport-security")) << where;
    for (const auto& set : p.headers.all("set-cookie")) {
      EXPECT_TRUE(set.starts_with("__Host-latchkey_")) << set;
      for (const char* part : {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age="})
        EXPECT_NE(set.find(part), std::string::npos) << set << part;
      EXPECT_EQ(set.find("Domain"), std::string::npos) << set;
    }
  }
}

TEST_F(AccountPages, AttackCookies_TheOneBeforeSignInIsGoneAfterItAndOddOnesAreReplaced) {
  account(k_alice);
  for (const std::string& odd : {std::string("x"), std::string(43, '~'), std::string(4000, 'a')}) {
    Browser b(w);
    b.jar["auth.pds.test"][k_login] = {odd, "", {}};
    b.jar["auth.pds.test"][k_device] = {odd, "", {}};
    EXPECT_EQ(b.get(url("/account/login")).status, 200);
    EXPECT_EQ(cookie(b, k_login).size(), 43u);
  }
  Browser b(w);
  enter(b, k_alice);
  EXPECT_NE(b.jar["auth.pds.test"][k_login].attributes.find("Max-Age=0"), std::string::npos);
  EXPECT_NE(b.jar["auth.pds.test"][k_device].attributes.find("Max-Age=34560000"), std::string::npos);
}

TEST_F(AccountPages, AttackTheft_ACopiedCookieSignsThiefAndOwnerOut) {
  account(k_alice);
  Browser owner(w), thief(w);
  enter(owner, k_alice, Remember::yes);
  thief.jar["auth.pds.test"][k_device] = {cookie(owner, k_device), "", {}};
  w.clock.advance(24h);
  ASSERT_TRUE(signed_in(thief)) << "until the secret is changed, nobody can tell them apart";
  w.clock.advance(61s);
  EXPECT_FALSE(signed_in(owner));
  EXPECT_FALSE(signed_in(thief));
  EXPECT_EQ(sign_ins(), 0);
}

TEST_F(AccountPages, AttackFixation_SigningInChangesTheDeviceSecret) {
  account(k_alice);
  account("mallory@example.com");
  Browser mallory(w), victim(w);
  enter(mallory, "mallory@example.com", Remember::yes);
  victim.jar["auth.pds.test"][k_device] = {cookie(mallory, k_device), "", {}};
  w.clock.advance(1s);  // the page is of whoever came last
  const Page page = enter(victim, k_alice, Remember::yes);
  EXPECT_EQ(page.heading(), "@" + w.account(k_alice)->handle_text());
  EXPECT_FALSE(mallory.get(url("/account")).shows(k_alice));
  EXPECT_FALSE(signed_in(mallory));
  EXPECT_TRUE(signed_in(victim));
}

TEST_F(AccountPages, HeadDoesNothing) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice, Remember::yes);
  w.clock.advance(24h);
  const Page head = b.send(b.request("HEAD", url("/account")));
  EXPECT_FALSE(head.headers.has("set-cookie"));
  EXPECT_TRUE(head.body.empty());
}

class AccountPagesOnOneOrigin : public AccountPages {
 protected:
  AccountPagesOnOneOrigin() : AccountPages(one_origin()) {}
};

TEST_F(AccountPagesOnOneOrigin, WorkTheSame) {
  account(k_alice);
  Browser b(w);
  EXPECT_EQ(enter(b, k_alice).heading(), "@" + w.account(k_alice)->handle_text());
  EXPECT_EQ(b.get(url("/.well-known/change-password")).location(), url("/account"));
  EXPECT_EQ(b.get("https://alice.pds.test/account/login").status, 421) << "a handle's host";
}

}  // namespace
}  // namespace latchkey::dev::world

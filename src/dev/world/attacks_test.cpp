// Bad input and attacks on the sign-in: docs/threat-model.md, groups 4, 5, 8 to 10, 14 and 16.
#include <gtest/gtest.h>

#include "dev/world/world.h"
#include "oauth/dpop/dpop.h"
#include "oauth/pkce/pkce.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";

std::string wrong(const std::string& code) { return (code[0] == '0' ? "1" : "0") + code.substr(1); }

std::int64_t accounts(World& w) {
  static constexpr store::Sql k_count{"SELECT count(*) FROM account"};
  return w.read([](store::Tx& tx) { return tx.one(k_count)->int64(0); });
}
std::int64_t codes(World& w) {
  static constexpr store::Sql k_count{"SELECT count(*) FROM oauth_code"};
  return w.read([](store::Tx& tx) { return tx.one(k_count)->int64(0); });
}

// A browser that typed its address and waits for the code.
struct Waiting {
  explicit Waiting(World& w, std::string email = k_alice, App::Kind kind = App::Kind::loopback)
      : app(w, kind), browser(w), login(app.start()) {
    page = browser.get(app.authorize_url(login));
    page = browser.follow(browser.submit(page, "/auth/email", {{"email", email}}));
  }
  Page verify(std::string code) { return browser.submit(page, "/auth/verify", {{"code", code}}); }

  App app;
  Browser browser;
  App::Login login;
  Page page;
};

// A browser in front of the consent page.
struct Asked : Waiting {
  explicit Asked(World& w, std::string email = k_alice) : Waiting(w, email) {
    page = browser.follow_all(verify(w.code(email)));
    EXPECT_NO_THROW(page.form("/auth/consent")) << page.body;
  }
  Page approve() { return browser.submit(page, "/auth/consent", {{"action", "approve"}}); }
};

// --- Pushed requests and request_uri (group 4)

TEST(SignInAttacks, RequestUri_UnknownMissingOrForeign) {
  World w;
  App app(w), other(w, App::Kind::web);
  Browser browser(w);
  const auto login = app.start();
  const std::string authorize = w.options.auth + "/oauth/authorize";
  const std::string client = "client_id=" + percent_encode(app.client_id());
  const std::string uri = "request_uri=" + percent_encode(login.request_uri);
  const struct {
    std::string query;
    const char* why;
  } rows[] = {
      {"", "nothing at all"},
      {client, "no request_uri"},
      {uri, "no client_id"},
      {client + "&request_uri=urn:ietf:params:oauth:request_uri:req-guess", "unknown"},
      {client + "&request_uri=https://evil.example/", "not ours"},
      {"client_id=" + percent_encode(other.client_id()) + "&" + uri, "another client's"},
      {client + "&" + uri + "&" + uri, "given twice"},
      {client + "&" + uri + "&x=%ff", "malformed"},
  };
  for (const auto& row : rows) {
    const Page page = browser.get(authorize + "?" + row.query);
    EXPECT_EQ(page.status, 400) << row.why;
    EXPECT_TRUE(page.location().empty()) << row.why;
    EXPECT_TRUE(page.header("content-type").starts_with("text/html")) << row.why;
  }
  EXPECT_EQ(browser.get(authorize + "?" + client + "&" + uri).status, 200) << "nothing of that used it up";
}

TEST(SignInAttacks, RequestUri_ExpiresAfterFiveMinutesAndTenOnceOpened) {
  World w;
  App app(w);
  Browser browser(w);
  const auto late = app.start(), opened = app.start();
  w.clock.advance(5min - 1s);
  Page page = browser.get(app.authorize_url(opened));
  EXPECT_EQ(page.status, 200);
  w.clock.advance(1s);
  EXPECT_EQ(browser.get(app.authorize_url(late)).status, 400);
  w.clock.advance(5min - 1s);
  EXPECT_EQ(browser.get(page.url).status, 200);
  w.clock.advance(1s);
  EXPECT_EQ(browser.get(page.url).status, 400);
}

TEST(SignInAttacks, RequestUri_ReusedAfterApproval) {
  World w;
  Asked at(w);
  at.app.redeem(at.login, at.approve());
  Browser again(w);
  for (Browser* b : {&at.browser, &again}) EXPECT_EQ(b->get(at.app.authorize_url(at.login)).status, 400);
}

TEST(SignInAttacks, Par_EmailAsLoginHintAndUnregisteredRedirectUri) {
  World w;
  App app(w);
  Page page = app.post("/oauth/par", with(app.par_form(), "login_hint", k_alice));
  EXPECT_EQ(page.status, 400);
  EXPECT_EQ(page.error(), "invalid_request");
  EXPECT_EQ(page.text("error_description"), "Invalid login_hint");
  for (const char* uri :
       {"https://evil.example/callback", "http://127.0.0.1:4321/callback/..", "http://localhost/callback",
        "http://127.0.0.1:4321/callback?x=1", "http://evil@127.0.0.1/callback"}) {
    page = app.post("/oauth/par", with(app.par_form(), "redirect_uri", uri));
    EXPECT_EQ(page.status, 400) << uri;
    EXPECT_EQ(page.error(), "invalid_request") << uri;
  }
}

// --- Who may go on with a sign-in (group 5)

TEST(SignInAttacks, LoginFixation_ASecondBrowserIsRefused) {
  World w;
  App app(w);
  Browser first(w), second(w);
  const auto login = app.start();
  const Page page = first.get(app.authorize_url(login));
  const Page refused = second.get(app.authorize_url(login));
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(refused.forms().empty());
  // Nor with the address of a later step, with or without cookies of its own.
  const std::string step = w.options.auth + page.form("/auth/email").action;
  EXPECT_EQ(second.get(w.options.auth + "/auth/step" + step.substr(step.find('?'))).status, 400);
  second.get(app.authorize_url(app.start()));
  EXPECT_EQ(second.get(w.options.auth + "/auth/step" + step.substr(step.find('?'))).status, 400);
  EXPECT_EQ(first.get(app.authorize_url(login)).status, 200) << "the first one goes on";
}

TEST(SignInAttacks, LoginFixation_WhoKnowsTheFlowCookieIsNotSignedIn) {
  World w;
  Asked at(w);
  // The attacker planted the flow cookie, so it knows it; what was set when the code was right it does not.
  Browser attacker(w);
  for (const auto& [name, cookie] : at.browser.jar["auth.pds.test"])
    if (name.find("session") == std::string::npos) attacker.jar["auth.pds.test"][name] = cookie;
  Page page = attacker.send(attacker.submission(at.page, "/auth/consent", {{"action", "approve"}}));
  EXPECT_TRUE(page.parameter("code").empty());
  page = attacker.follow_all(page);
  EXPECT_EQ(page.heading(), "Check your e-mail") << "and it does not run in circles";
  for (const char* path : {"/auth/complete", "/auth/consent"}) {
    page =
        attacker.follow_all(attacker.get(w.options.auth + path + at.page.url.substr(at.page.url.find('?'))));
    EXPECT_EQ(page.heading(), "Check your e-mail");
    EXPECT_FALSE(page.shows(k_alice));
  }
  EXPECT_EQ(accounts(w), 0);
  at.app.redeem(at.login, at.approve());
}

TEST(SignInAttacks, ALostSessionCookieMeansAnotherCodeAndNothingElse) {
  World w;
  Asked at(w);
  std::erase_if(at.browser.jar["auth.pds.test"],
                [](const auto& c) { return c.first.find("session") != std::string::npos; });
  Page page = at.browser.follow_all(at.browser.get(at.page.url));
  EXPECT_EQ(page.heading(), "Check your e-mail");
  page = at.browser.follow(at.browser.submit(page, "/auth/resend"));
  EXPECT_EQ(w.mails().size(), 2u);
  page = at.browser.follow_all(at.browser.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
  at.app.redeem(at.login, at.browser.submit(page, "/auth/consent", {{"action", "approve"}}));
}

TEST(SignInAttacks, Csrf_FormsWithoutOrWithAForeignTokenDoNothing) {
  World w;
  App app(w);
  Browser browser(w), other(w);
  const auto login = app.start();
  Page page = browser.get(app.authorize_url(login));
  const Page others = other.get(app.authorize_url(app.start()));
  const Page tab = browser.get(app.authorize_url(app.start()));
  const std::string foreign = *single(others.form("/auth/email").fields, "csrf");
  const std::string of_another_flow = *single(tab.form("/auth/email").fields, "csrf");
  const std::string flow = page.form("/auth/email").action.substr(std::string("/auth/email").size());

  const auto attack = [&](const char* path, FormFields fields) {
    for (const auto& token : {std::string(), std::string("x"), foreign, of_another_flow}) {
      auto form = fields;
      if (!token.empty()) form.emplace_back("csrf", token);
      EXPECT_EQ(browser.post(w.options.auth + path + flow, form).status, 403) << path;
    }
    auto twice = fields;
    twice.emplace_back("csrf", *single(page.form("/auth/").fields, "csrf"));
    twice.emplace_back("csrf", foreign);
    EXPECT_EQ(browser.post(w.options.auth + path + flow, twice).status, 403) << path << ": two tokens";
  };
  attack("/auth/email", {{"email", k_alice}});
  attack("/auth/send", {});
  attack("/auth/resend", {});
  EXPECT_TRUE(w.mails().empty());

  page = browser.follow(browser.submit(page, "/auth/email", {{"email", k_alice}}));
  attack("/auth/resend", {});
  attack("/auth/different", {});
  attack("/auth/email", {{"email", k_bob}});
  EXPECT_EQ(w.mails().size(), 1u);
  attack("/auth/verify", {{"code", w.code(k_alice)}});
  EXPECT_EQ(browser.get(page.url).heading(), "Check your e-mail");

  page = browser.follow_all(browser.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
  attack("/auth/consent", {{"action", "approve"}});
  attack("/auth/consent", {{"action", "deny"}});
  EXPECT_EQ(accounts(w), 0);
  EXPECT_EQ(codes(w), 0);
  // None of it ended the sign-in.
  app.redeem(login, browser.submit(page, "/auth/consent", {{"action", "approve"}}));
}

TEST(SignInAttacks, AFormOfManyFieldsIsReadAsAWholeOrRefused) {
  World w;
  App app(w);
  Browser browser(w);
  const Page page = browser.get(app.authorize_url(app.start()));
  const auto fields = [](std::size_t junk) {
    FormFields out{{"email", k_alice}};  // and the token
    for (std::size_t i = 0; i < junk; ++i) out.emplace_back("junk" + std::to_string(i), "x");
    return out;
  };
  EXPECT_EQ(browser.submit(page, "/auth/email", fields(299)).status, 403);
  EXPECT_TRUE(w.mails().empty());
  const Page sent = browser.submit(page, "/auth/email", fields(298));
  EXPECT_EQ(sent.status, 303);
  EXPECT_EQ(w.mails(k_alice).size(), 1u);
  FormFields code{{"code", w.code(k_alice)}};
  for (int i = 0; i < 120; ++i) code.emplace_back("junk" + std::to_string(i), "x");
  EXPECT_NE(
      browser.submit(browser.follow(sent), "/auth/verify", std::move(code)).location().find("/auth/complete"),
      std::string::npos);
}

TEST(SignInAttacks, Csrf_CrossSitePostsAreRefusedEvenWithTheToken) {
  World w;
  Asked at(w);
  const struct {
    web::Headers headers;
    const char* why;
  } rows[] = {
      {{{"sec-fetch-site", "cross-site"}}, "another site"},
      {{{"sec-fetch-site", "same-site"}}, "a sibling, such as the page of a handle"},
      {{{"sec-fetch-site", "none"}}, "typed by nobody"},
      {{{"sec-fetch-site", "cross-site"}, {"origin", "https://auth.pds.test"}}, "they disagree"},
      {{{"sec-fetch-site", "same-origin"}, {"origin", "https://evil.example"}}, "they disagree"},
      {{{"origin", "https://evil.example"}}, "an older browser"},
      {{{"origin", "https://pds.test"}}, "the other host of this server"},
      {{{"origin", "http://auth.pds.test"}}, "without TLS"},
      {{{"origin", "null"}}, "a sandboxed frame"},
  };
  for (const auto& row : rows) {
    at.browser.says = Browser::Says::nothing;
    auto request = at.browser.submission(at.page, "/auth/consent", {{"action", "approve"}});
    for (const auto& [name, value] : row.headers) request.headers.add(name, value);
    EXPECT_EQ(at.browser.send(std::move(request)).status, 403) << row.why;
  }
  EXPECT_EQ(accounts(w), 0);
  at.browser.says = Browser::Says::origin;
  at.app.redeem(at.login, at.approve());
}

TEST(SignInAttacks, ABrowserThatSaysNothingAboutOriginsMaySignIn) {
  World w;
  App app(w);
  Browser browser(w);
  browser.says = Browser::Says::nothing;
  sign_in(app, browser, k_alice);
}

TEST(SignInAttacks, ForgedConsent_OtherFlowNoSessionOtherBrowser) {
  World w;
  App app(w);
  sign_in(app, *std::make_unique<Browser>(w), k_bob);  // the victim has an account
  Asked at(w);
  const std::string consent = w.options.auth + "/auth/consent";
  const std::string flow = at.page.form("/auth/consent").action.substr(std::string("/auth/consent").size());
  const auto csrf = [](const Page& page) { return *single(page.forms().at(0).fields, "csrf"); };

  // Another browser, with everything that can be read in the page.
  Browser stranger(w);
  EXPECT_NE(stranger.post(consent + flow, {{"csrf", csrf(at.page)}, {"action", "approve"}}).status, 303);

  // A flow nobody proved an address for, in a browser that proved one elsewhere.
  const auto second = at.app.start();
  const Page open = at.browser.get(at.app.authorize_url(second));
  const std::string open_flow = open.form("/auth/email").action.substr(std::string("/auth/email").size());
  Page page = at.browser.post(consent + open_flow, {{"csrf", csrf(open)}, {"action", "approve"}});
  EXPECT_TRUE(page.parameter("code").empty());
  EXPECT_EQ(at.browser.follow_all(page).heading(), "Sign in");
  page = at.browser.follow_all(at.browser.get(w.options.auth + "/auth/complete" + open_flow));
  EXPECT_EQ(page.heading(), "Sign in");
  EXPECT_EQ(codes(w), 1) << "only the victim's own";

  // Whoever is named in the form or the address does not matter: the flow's row does.
  page = at.browser.post(consent + flow + "&email=" + k_bob + "&did=" + w.account(k_bob)->did.str(),
                         {{"csrf", csrf(at.page)},
                          {"action", "approve"},
                          {"email", k_bob},
                          {"did", w.account(k_bob)->did.str()},
                          {"sub", w.account(k_bob)->did.str()}});
  EXPECT_EQ(at.app.redeem(at.login, page).did, w.account(k_alice)->did.str());
}

TEST(SignInAttacks, ConsentWithAnUnknownActionAsksAgain) {
  World w;
  Asked at(w);
  for (const FormFields& fields : {FormFields{}, FormFields{{"action", "APPROVE"}},
                                   FormFields{{"action", "approve"}, {"action", "approve"}}})
    EXPECT_EQ(at.browser.follow_all(at.browser.submit(at.page, "/auth/consent", fields)).heading(),
              "Create Account & Authorize");
  EXPECT_EQ(accounts(w), 0);
}

TEST(SignInAttacks, FormsNeedAPost) {
  World w;
  Asked at(w);
  const std::string flow = at.page.url.substr(at.page.url.find('?'));
  const std::string csrf = *single(at.page.forms()[0].fields, "csrf");
  for (const char* path : {"/auth/email", "/auth/send", "/auth/resend", "/auth/different", "/auth/verify"})
    for (const char* method : {"GET", "HEAD", "PUT", "DELETE"}) {
      const Page page =
          at.browser.send(at.browser.request(method, w.options.auth + path + flow + "&csrf=" + csrf));
      EXPECT_EQ(page.status, 405) << method << path;
      EXPECT_EQ(page.header("allow"), "POST") << method << path;
    }
  for (const char* path : {"/oauth/authorize", "/auth/step", "/auth/complete"}) {
    const Page page = at.browser.post(w.options.auth + path + flow, {{"csrf", csrf}});
    EXPECT_EQ(page.status, 405) << path;
    EXPECT_EQ(page.header("allow"), "GET, HEAD") << path;
  }
  // Approving by address does not work.
  at.browser.get(at.page.url + "&action=approve&csrf=" + csrf);
  EXPECT_EQ(accounts(w), 0);
  // A body that is no form is no form.
  auto request = at.browser.submission(at.page, "/auth/consent", {{"action", "approve"}});
  request.headers.set("content-type", "text/plain");
  EXPECT_EQ(at.browser.send(std::move(request)).status, 403);
  EXPECT_EQ(w.mails().size(), 1u);
}

TEST(SignInAttacks, HeadDoesNotOpenARequest) {
  World w;
  App app(w);
  Browser preview(w), browser(w);
  const auto login = app.start(), silent = app.start({{"prompt", "none"}});
  EXPECT_EQ(preview.send(preview.request("HEAD", app.authorize_url(login))).status, 200);
  EXPECT_EQ(preview.send(preview.request("HEAD", app.authorize_url(silent))).status, 200);
  EXPECT_TRUE(preview.jar.empty());
  EXPECT_EQ(browser.get(app.authorize_url(login)).status, 200) << "a link preview must not lock the user out";
  EXPECT_EQ(browser.get(app.authorize_url(silent)).parameter("error"), "login_required");
}

// --- One thing happens once

TEST(SignInAttacks, DuplicateGet_OneMailAndTheStepIsKept) {
  World w;
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  const std::string url = app.authorize_url(login, k_alice);
  const Page first = browser.get(url), second = browser.get(url);
  EXPECT_EQ(first.heading(), "We will send you a code");
  EXPECT_EQ(second.heading(), "We will send you a code");
  EXPECT_TRUE(w.mails().empty());
  // Both pages press their only button.
  browser.submit(first, "/auth/send");
  const Page step = browser.follow(browser.submit(second, "/auth/send"));
  EXPECT_EQ(w.mails().size(), 1u);
  EXPECT_EQ(step.heading(), "Check your e-mail");
  EXPECT_EQ(browser.get(url).heading(), "Check your e-mail") << "a reload keeps the step";
  EXPECT_EQ(browser.get(step.url).heading(), "Check your e-mail");
  EXPECT_EQ(browser.get(app.authorize_url(login, k_bob)).shows("bo***"), false)
      << "another hint changes nothing";
  const Page consent = browser.follow_all(browser.submit(step, "/auth/verify", {{"code", w.code(k_alice)}}));
  EXPECT_EQ(browser.follow_all(browser.get(url)).heading(), "Create Account & Authorize");
  EXPECT_EQ(browser.get(consent.url).heading(), "Create Account & Authorize");
  EXPECT_EQ(w.mails().size(), 1u);
}

TEST(SignInAttacks, DuplicateGet_AtTheSameMoment) {
  World w;
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  browser.get(app.authorize_url(app.start()));  // so that both requests carry the browser's cookie
  const auto pages = w.together({browser.request("GET", app.authorize_url(login, k_alice)),
                                 browser.request("GET", app.authorize_url(login, k_alice))});
  w.together({browser.submission(pages[0], "/auth/send"), browser.submission(pages[1], "/auth/send")});
  EXPECT_EQ(w.mails().size(), 1u);
}

TEST(SignInAttacks, EmailFormSentTwice_OneMail) {
  World w;
  App app(w);
  Browser browser(w);
  const Page page = browser.get(app.authorize_url(app.start()));
  w.together({browser.submission(page, "/auth/email", {{"email", k_alice}}),
              browser.submission(page, "/auth/email", {{"email", k_alice}})});
  browser.submit(page, "/auth/email", {{"email", "ALICE@example.com"}});
  EXPECT_EQ(w.mails().size(), 1u);
  browser.submit(page, "/auth/email", {{"email", k_bob}});
  EXPECT_EQ(w.mails(k_bob).size(), 1u) << "another address is another mail";
}

TEST(SignInAttacks, ApproveSentTwice_OneAccountAndOneCode) {
  for (const bool slow : {false, true}) {
    World w;
    Asked at(w);
    if (slow) w.network.delays["https://plc.test"] = 1s;
    const auto one = at.browser.submission(at.page, "/auth/consent", {{"action", "approve"}});
    const auto pages = w.together({one, one});
    EXPECT_EQ((pages[0].parameter("code").empty() ? 0 : 1) + (pages[1].parameter("code").empty() ? 0 : 1), 1);
    EXPECT_EQ(codes(w), 1);
    EXPECT_EQ(accounts(w), 1);
    at.app.redeem(at.login, pages[pages[0].parameter("code").empty() ? 1 : 0]);
    EXPECT_EQ(at.browser.send(one).status, 400) << "and later";
    EXPECT_EQ(codes(w), 1);
  }
}

TEST(SignInAttacks, TwoFirstSignInsOfOneAddressAtOnce_OneAccount) {
  for (const bool slow : {false, true}) {
    World w;
    Asked one(w), two(w);
    if (slow) w.network.delays["https://plc.test"] = 1s;
    const auto pages =
        w.together({one.browser.submission(one.page, "/auth/consent", {{"action", "approve"}}),
                    two.browser.submission(two.page, "/auth/consent", {{"action", "approve"}})});
    const Tokens a = one.app.redeem(one.login, pages[0]), b = two.app.redeem(two.login, pages[1]);
    EXPECT_EQ(a.did, b.did);
    EXPECT_EQ(accounts(w), 1);
  }
}

// --- Codes by mail (group 16)

TEST(SignInAttacks, OtpGuessing_TheSixthTryFailsEvenWithTheRightDigits) {
  World w;
  Waiting at(w);
  const std::string code = w.code(k_alice);
  for (int i = 0; i < 5; ++i) {
    const Page page = at.verify(wrong(code));
    EXPECT_EQ(page.status, 400);
    EXPECT_TRUE(page.shows("Invalid or expired code"));
  }
  const Page page = at.verify(code);
  EXPECT_EQ(page.status, 400);
  EXPECT_TRUE(page.shows("Invalid or expired code"));
  // Another code helps.
  at.browser.submit(at.page, "/auth/resend");
  EXPECT_EQ(at.verify(w.code(k_alice)).status, 303);
}

TEST(SignInAttacks, OtpGuessing_TheFifthTryMayBeRight) {
  World w;
  Waiting at(w);
  for (int i = 0; i < 4; ++i) at.verify(wrong(w.code(k_alice)));
  EXPECT_EQ(at.verify(w.code(k_alice)).status, 303);
}

TEST(SignInAttacks, OtpGuessing_InParallelCountsEveryTry) {
  World w;
  Waiting at(w);
  const std::string code = w.code(k_alice);
  std::vector<web::Request> tries;
  for (int i = 0; i < 5; ++i)
    tries.push_back(at.browser.submission(at.page, "/auth/verify", {{"code", wrong(code)}}));
  w.together(std::move(tries));
  EXPECT_EQ(at.verify(code).status, 400);
}

TEST(SignInAttacks, Otp_TheRightCodeTwiceAtOnceProvesOnce) {
  World w;
  Waiting at(w);
  const auto one = at.browser.submission(at.page, "/auth/verify", {{"code", w.code(k_alice)}});
  const auto pages = w.together({one, one});
  EXPECT_EQ((pages[0].status == 303) + (pages[1].status == 303), 1);
}

TEST(SignInAttacks, Otp_ACodeOfAnotherAddressOrFlow) {
  World w;
  Waiting alice(w), bob(w, k_bob), again(w, k_alice);
  const auto mails = w.mails(k_alice);
  ASSERT_EQ(mails.size(), 2u);
  EXPECT_EQ(alice.verify(w.code(k_bob)).status, 400) << "bob's code for alice";
  EXPECT_EQ(bob.verify(w.code(k_alice)).status, 400);
  EXPECT_EQ(alice.verify(w.code(k_alice)).status, 400) << "the same address, in another browser";
  EXPECT_EQ(again.verify(w.code(k_alice)).status, 303);
}

TEST(SignInAttacks, Otp_AfterResendTheOldCodeIsDead) {
  World w;
  Waiting at(w);
  const std::string old = w.code(k_alice);
  const Page page = at.browser.follow(at.browser.submit(at.page, "/auth/resend"));
  EXPECT_TRUE(page.shows("We sent you a new code."));
  ASSERT_NE(old, w.code(k_alice));
  EXPECT_EQ(at.verify(old).status, 400);
  EXPECT_EQ(at.verify(w.code(k_alice)).status, 303);
}

TEST(SignInAttacks, Otp_OtherDigitsSpacesAndRubbish) {
  World w;
  Waiting at(w);
  const std::string code = w.code(k_alice);
  EXPECT_EQ(at.verify("\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa7\xd9\xa8").status, 400);
  EXPECT_EQ(at.verify("").status, 400);
  EXPECT_EQ(at.verify(code + "x").status, 400) << "nothing is dropped but spaces and dashes";
  EXPECT_EQ(at.verify(std::string(7000, '1')).status, 400);
  EXPECT_EQ(at.verify(" " + code.substr(0, 4) + " - " + code.substr(4)).status, 303);
}

TEST(SignInAttacks, Otp_AnotherAddressMakesTheFirstCodeWorthless) {
  World w;
  Waiting at(w);
  const std::string code = w.code(k_alice);
  Page page = at.browser.follow(at.browser.submit(at.page, "/auth/different"));
  EXPECT_EQ(page.heading(), "Sign in");
  EXPECT_EQ(at.verify(code).status, 303) << "back to the step";
  EXPECT_EQ(at.browser.get(page.url).heading(), "Sign in") << "nothing was proven";
  page = at.browser.follow(at.browser.submit(page, "/auth/email", {{"email", k_bob}}));
  EXPECT_TRUE(page.shows("bo***@example.com"));
  EXPECT_EQ(at.browser.submit(page, "/auth/verify", {{"code", code}}).status, 400);
  page = at.browser.follow_all(at.browser.submit(page, "/auth/verify", {{"code", w.code(k_bob)}}));
  at.app.redeem(at.login, at.browser.submit(page, "/auth/consent", {{"action", "approve"}}));
  EXPECT_TRUE(w.account(k_bob).has_value());
  EXPECT_FALSE(w.account(k_alice).has_value());
}

TEST(SignInAttacks, Otp_ACodeDoesNotProveTheAddressTypedAfterIt) {
  World w;
  // The victim's limit is used up, so that no code of its own replaces the attacker's.
  for (int i = 0; i < 3; ++i) Waiting(w, k_bob);
  Waiting at(w);
  const std::string code = w.code(k_alice);
  Page page = at.browser.follow(at.browser.submit(at.page, "/auth/different"));
  page = at.browser.follow(at.browser.submit(page, "/auth/email", {{"email", k_bob}}));
  EXPECT_EQ(w.mails(k_bob).size(), 3u);
  EXPECT_EQ(at.browser.submit(page, "/auth/verify", {{"code", code}}).status, 400);
}

TEST(SignInAttacks, Otp_TheProvenAddressCannotBeChanged) {
  World w;
  Waiting at(w);
  const Page asked = at.browser.follow_all(at.verify(w.code(k_alice)));
  const std::string flow = asked.url.substr(asked.url.find('?'));
  const std::string csrf = *single(asked.forms()[0].fields, "csrf");
  at.browser.post(w.options.auth + "/auth/different" + flow, {{"csrf", csrf}});
  at.browser.post(w.options.auth + "/auth/email" + flow, {{"csrf", csrf}, {"email", k_bob}});
  at.browser.post(w.options.auth + "/auth/resend" + flow, {{"csrf", csrf}});
  EXPECT_EQ(w.mails().size(), 1u);
  at.app.redeem(at.login, at.browser.submit(asked, "/auth/consent", {{"action", "approve"}}));
  EXPECT_TRUE(w.account(k_alice).has_value());
}

TEST(SignInAttacks, ResendBeforeTheFirstMailIsTheFirstMail) {
  World w;
  App app(w);
  Browser browser(w);
  const Page page = browser.get(app.authorize_url(app.start(), k_alice));
  const auto send = page.form("/auth/send");
  browser.post(w.options.auth + "/auth/resend" + send.action.substr(std::string("/auth/send").size()),
               send.fields);
  EXPECT_EQ(w.mails().size(), 1u);
  browser.submit(page, "/auth/send");
  EXPECT_EQ(w.mails().size(), 1u);
}

// --- Codes of the authorization server, proofs (groups 8 to 10)

TEST(SignInAttacks, CodeInjection_WrongVerifierKeyOrClient) {
  World w;
  Asked at(w);
  const std::string code = at.approve().parameter("code");
  const auto error = [](const Page& page) { return page.status == 400 ? page.error() : "status"; };
  auto form = at.app.code_form(at.login, code);
  EXPECT_EQ(error(at.app.post("/oauth/token", with(form, "code_verifier", std::string(43, 'a')))),
            "invalid_grant");
  EXPECT_EQ(error(at.app.post("/oauth/token", with(form, "redirect_uri", "http://127.0.0.1:9/callback"))),
            "invalid_grant");
  EXPECT_EQ(error(at.app.post("/oauth/token", with(form, "code", "guess"))), "invalid_grant");
  App attacker(w, App::Kind::web);
  attacker.dpop_key = at.app.dpop_key;  // so that only the client differs
  EXPECT_EQ(error(attacker.post("/oauth/token", with(form, "client_id", attacker.client_id()))),
            "invalid_grant");
  App same_client(w);  // with a DPoP key of its own
  EXPECT_EQ(error(same_client.post("/oauth/token", form)), "invalid_grant");
  EXPECT_EQ(at.app.post("/oauth/token", form).status, 200) << "no guess spends the code";
}

TEST(SignInAttacks, CodeReuse_EndsWhatTheFirstUseGranted) {
  World w;
  Asked at(w);
  const Page back = at.approve();
  const Tokens tokens = at.app.redeem(at.login, back);
  const std::string session = "/xrpc/com.atproto.server.getSession";
  EXPECT_EQ(at.app.call("GET", session, tokens).status, 200);
  const Page again = at.app.post("/oauth/token", at.app.code_form(at.login, back.parameter("code")));
  EXPECT_EQ(again.error(), "invalid_grant");
  EXPECT_EQ(at.app.call("GET", session, tokens).status, 401);
}

TEST(SignInAttacks, Code_LivesAMinute) {
  World w;
  Asked at(w), late(w, k_bob);
  const Page back = at.approve(), second = late.approve();
  w.clock.advance(59s);
  at.app.redeem(at.login, back);
  w.clock.advance(1s);
  EXPECT_EQ(late.app.post("/oauth/token", late.app.code_form(late.login, second.parameter("code"))).error(),
            "invalid_grant");
}

TEST(SignInAttacks, Dpop_StaleNonceReplayedProofAndForeignKey) {
  World w;
  Asked at(w);
  const Tokens tokens = at.app.redeem(at.login, at.approve());
  const std::string path = "/xrpc/com.atproto.server.getSession", url = w.options.pds + path;
  const auto call = [&](const std::string& proof) {
    return w.send(
        web::Request::make("GET", url, "", {{"authorization", "DPoP " + tokens.access}, {"dpop", proof}}));
  };
  const std::string proof = at.app.proof("GET", url, tokens.access);
  EXPECT_EQ(call(proof).status, 200);
  Page page = call(proof);
  EXPECT_EQ(page.status, 401) << "replayed";
  EXPECT_NE(page.header("www-authenticate").find("invalid_dpop_proof"), std::string::npos);
  page = call(at.app.proof("GET", url));
  EXPECT_EQ(page.status, 401) << "no ath";
  App thief(w);
  thief.nonce = at.app.nonce;
  page = call(thief.proof("GET", url, tokens.access));
  EXPECT_EQ(page.status, 401) << "another key";
  EXPECT_NE(page.header("www-authenticate").find("invalid_token"), std::string::npos);
  w.clock.advance(10min);
  page = call(at.app.proof("GET", url, tokens.access));
  EXPECT_EQ(page.status, 401) << "a stale nonce";
  EXPECT_EQ(page.error(), "use_dpop_nonce");
  EXPECT_FALSE(page.header("dpop-nonce").empty());
  // At PAR the same, with 400 (RFC 9449 §8).
  const std::string par = w.options.pds + "/oauth/par";
  const std::string stale = at.app.proof("POST", par);
  w.clock.advance(4min);
  EXPECT_EQ(at.app.post_with_proof("/oauth/par", at.app.par_form(), stale).status, 400);
  const std::string good = at.app.proof("POST", par);
  EXPECT_EQ(at.app.post_with_proof("/oauth/par", at.app.par_form(), good).status, 201);
  EXPECT_EQ(at.app.post_with_proof("/oauth/par", at.app.par_form(), good).error(), "invalid_dpop_proof");
}

// --- Ends other than a code

TEST(SignInAttacks, Deny_TellsTheAppAndEndsTheRequest) {
  for (const char* mode : {"query", "fragment"}) {
    World w;
    App app(w);
    Browser browser(w);
    const auto login = app.start({{"response_mode", mode}});
    const Page asked = walk_to_consent(app, login, browser, k_alice);
    const Page back = browser.submit(asked, "/auth/consent", {{"action", "deny"}});
    EXPECT_EQ(back.status, 303);
    EXPECT_TRUE(back.location().starts_with(app.redirect_uri()));
    EXPECT_EQ(back.parameter("error"), "access_denied");
    EXPECT_EQ(back.parameter("iss"), w.options.pds);
    EXPECT_EQ(back.parameter("state"), login.state);
    EXPECT_EQ(browser.submit(asked, "/auth/consent", {{"action", "approve"}}).status, 400);
    EXPECT_EQ(accounts(w), 0);
    EXPECT_EQ(codes(w), 0);
  }
}

TEST(SignInAttacks, PromptNone_IsLoginRequired) {
  World w;
  App app(w), confidential(w, App::Kind::confidential);
  Browser browser(w);
  sign_in(confidential, browser, k_alice);
  for (App* a : {&app, &confidential}) {
    const auto login = a->start({{"prompt", "none"}});
    const Page back = browser.get(a->authorize_url(login));
    EXPECT_EQ(back.parameter("error"), "login_required");
    EXPECT_EQ(back.parameter("iss"), w.options.pds);
    EXPECT_EQ(back.parameter("state"), login.state);
  }
}

TEST(SignInAttacks, LoginHintOfAnotherAccount_OnlyThatAccountMayFinish) {
  World w;
  App app(w);
  Browser browser(w);
  sign_in(app, browser, k_bob);
  const auto unknown = app.start({{"login_hint", "nobody.pds.test"}});
  const Page back = walk_to_consent(app, unknown, browser, k_bob);
  EXPECT_EQ(back.status, 303);
  EXPECT_EQ(back.parameter("error"), "access_denied");
  EXPECT_EQ(back.parameter("state"), unknown.state);
  // And with the address typed by hand in another way: there is none to type.
  const auto bobs = app.start({{"login_hint", w.account(k_bob)->handle_text()}});
  const Page page = browser.get(app.authorize_url(bobs));
  const auto send = page.form("/auth/send");
  const std::string flow = send.action.substr(std::string("/auth/send").size());
  browser.post(w.options.auth + "/auth/email" + flow, with(send.fields, "email", k_alice));
  browser.post(w.options.auth + "/auth/different" + flow, send.fields);
  EXPECT_TRUE(w.mails(k_alice).empty());
  EXPECT_EQ(browser.get(page.url).heading(), "We will send you a code");
}

TEST(SignInAttacks, ExpiredFlow_GivesThePageThatSaysSo) {
  World w;
  Asked at(w);
  w.clock.advance(10min);
  for (auto& [host, cookies] : at.browser.jar)  // a browser whose clock is late
    for (auto& [name, cookie] : cookies) cookie.expires.reset();
  for (const Page& page :
       {at.browser.get(at.page.url), at.approve(), at.browser.get(w.options.auth + "/auth/step?flow_id=x"),
        at.browser.get(w.options.auth + "/auth/complete"), at.browser.get(w.options.auth + "/auth/step")}) {
    EXPECT_EQ(page.status, 400);
    EXPECT_EQ(page.heading(), "Authentication session expired");
    EXPECT_TRUE(page.shows("Go back to the app")) << "a way on";
  }
  EXPECT_EQ(accounts(w), 0);
  w.run(w.epds->clean());
  w.clock.advance(2h);
  w.run(w.epds->clean());
  EXPECT_EQ(at.browser.get(at.page.url).status, 400);
}

TEST(SignInAttacks, ClosedSignUp_TellsOnlyWhoProvedTheAddress) {
  World w({.sign_up = "closed"});
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  const Page back = walk_to_consent(app, login, browser, k_alice);
  EXPECT_EQ(back.parameter("error"), "access_denied");
  EXPECT_EQ(back.parameter("state"), login.state);
  EXPECT_EQ(w.mails(k_alice).size(), 1u) << "until then everything looks the same";
  EXPECT_EQ(accounts(w), 0);
}

TEST(SignInAttacks, DeactivatedOrTakenDownAccountsAreNotSignedIn) {
  World w;
  App app(w), confidential(w, App::Kind::confidential);
  Browser browser(w);
  sign_in(app, browser, k_alice);
  sign_in(confidential, browser, k_bob);
  const std::int64_t alice = w.account(k_alice)->id, bob = w.account(k_bob)->id;
  w.clock.advance(1h);
  const auto issued = codes(w);
  // Before the consent page, also for a client that need not ask.
  w.write([&](store::Tx& tx) { pds::accounts::set_takedown(tx, bob, "mod-1"); });
  auto login = confidential.start();
  Page back = walk_to_consent(confidential, login, browser, k_bob);
  EXPECT_EQ(back.parameter("error"), "access_denied");
  EXPECT_EQ(back.parameter("state"), login.state);
  w.write([&](store::Tx& tx) { pds::accounts::set_deactivated(tx, alice, w.clock.now()); });
  login = app.start();
  back = walk_to_consent(app, login, browser, k_alice);
  EXPECT_EQ(back.parameter("error"), "access_denied");
  // And between the page and the button.
  w.write([&](store::Tx& tx) { pds::accounts::set_deactivated(tx, alice, std::nullopt); });
  w.clock.advance(1h);
  login = app.start();
  const Page asked = walk_to_consent(app, login, browser, k_alice);
  w.write([&](store::Tx& tx) { pds::accounts::set_takedown(tx, alice, "mod-2"); });
  back = browser.follow_all(browser.submit(asked, "/auth/consent", {{"action", "approve"}}));
  EXPECT_EQ(back.parameter("error"), "access_denied");
  EXPECT_EQ(codes(w), issued);
}

// --- Neighbours that fail

TEST(SignInFailures, DirectoryDown_ServerErrorAndNothingHalfDone) {
  for (const bool lost_answer : {false, true}) {
    World w;
    auto& failing = lost_answer ? w.network.losing_answers : w.network.down;
    failing = {"https://plc.test"};
    Asked at(w);
    Page back = at.approve();
    EXPECT_EQ(back.status, 303);
    EXPECT_EQ(back.parameter("error"), "server_error");
    EXPECT_EQ(back.parameter("state"), at.login.state);
    EXPECT_EQ(back.parameter("iss"), w.options.pds);
    EXPECT_EQ(codes(w), 0);
    EXPECT_FALSE(w.account(k_alice).has_value()) << "not visible before the directory has it";
    // Still down.
    back = walk(at.app, at.app.start(), at.browser, k_alice);
    EXPECT_EQ(back.parameter("error"), "server_error");

    failing.clear();
    const auto login = at.app.start();
    const Tokens tokens = at.app.redeem(login, walk(at.app, login, at.browser, k_alice));
    EXPECT_EQ(at.browser.get("https://plc.test/" + tokens.did).status, 200);
    EXPECT_EQ(accounts(w), 1);
    const Page operations = at.browser.get("https://plc.test/export");
    EXPECT_EQ(std::ranges::count(operations.body, '\n') + 1, 1) << operations.body;
  }
}

TEST(SignInFailures, ARestartFinishesWhatTheDirectoryDelayed) {
  World w;
  w.network.down = {"https://plc.test"};
  Asked at(w);
  at.approve();
  w.network.down.clear();
  w.restart();
  ASSERT_TRUE(w.account(k_alice).has_value());
  const Tokens tokens = sign_in(at.app, at.browser, k_alice);
  EXPECT_EQ(tokens.did, w.account(k_alice)->did.str());
}

TEST(SignInFailures, AFailingMailServerDoesNotShow) {
  for (const bool throws : {false, true}) {
    World broken, whole;
    broken.postman.refuses = true;
    broken.postman.throws = throws;
    Waiting a(broken), b(whole);
    EXPECT_EQ(broken.transcript, whole.transcript);
    broken.postman.refuses = broken.postman.throws = false;
    a.browser.submit(a.page, "/auth/resend");
    EXPECT_EQ(a.verify(broken.code(k_alice)).status, 303);
  }
}

TEST(SignInFailures, ASlowMailServerDoesNotDelayTheAnswer) {
  World w;
  w.postman.delay = 30s;
  App app(w);
  Browser browser(w);
  const Page page = browser.get(app.authorize_url(app.start()));
  std::optional<bool> delivered;
  auto request = browser.submission(page, "/auth/email", {{"email", k_alice}});
  w.executor.post([&, task = w.routes->handle(std::move(request))]() mutable {
    spawn([](Task<web::Response> t, World* world, std::optional<bool>* out) -> Task<void> {
      co_await std::move(t);
      *out = !world->mails().empty();
    }(std::move(task), &w, &delivered));
  });
  w.executor.run_until([&] { return delivered.has_value(); });
  EXPECT_FALSE(*delivered);
  w.run(w.epds->settled());
  EXPECT_EQ(w.mails().size(), 1u);
}

TEST(SignInFailures, ALostDatabaseIsAPageWithTheRequestsNumber) {
  World w;
  Asked at(w);
  w.db().close();
  const Page page = at.approve();
  EXPECT_EQ(page.status, 500);
  EXPECT_TRUE(page.header("content-type").starts_with("text/html"));
  EXPECT_TRUE(page.shows("request-")) << page.body;
}

// attacks.md 19: somebody makes an account with the victim's address and waits for them to sign in.
TEST(SignInAttacks, AttackPreHijack_AnUnconfirmedAddressLeadsToNoAccount) {
  World w;
  App app(w);
  Browser victim(w);
  const std::string handle = "squatter." + Url::parse(w.options.pds)->host;
  const json::Object input{
      {"handle", handle}, {"email", "victim@example.com"}, {"password", "the attacker knows"}};
  const Page made =
      w.send(web::Request::make("POST", w.options.pds + "/xrpc/com.atproto.server.createAccount",
                                json::Value(input).dump(), {{"content-type", "application/json"}}));
  ASSERT_EQ(made.status, 200) << made.body;

  auto login = app.start();
  Page page = victim.follow(
      victim.submit(victim.get(app.authorize_url(login)), "/auth/email", {{"email", "victim@example.com"}}));
  page = victim.follow_all(victim.submit(page, "/auth/verify", {{"code", w.code("victim@example.com")}}));
  EXPECT_EQ(page.parameter("error"), "access_denied") << page.url << page.body;
  EXPECT_EQ(page.parameter("code"), "");

  // Who names the account and can read its mail confirms the address with it.
  login = app.start({{"login_hint", handle}});
  page = victim.follow(victim.submit(victim.get(app.authorize_url(login)), "/auth/send"));
  page = victim.follow_all(victim.submit(page, "/auth/verify", {{"code", w.code("victim@example.com")}}));
  page = victim.submit(page, "/auth/consent", {{"action", "approve"}});
  EXPECT_EQ(app.redeem(login, page).did, made.text("did"));
  EXPECT_TRUE(w.account("victim@example.com")->email_confirmed_at.has_value());
  EXPECT_EQ(sign_in(app, victim, "victim@example.com").did, made.text("did"));
}

}  // namespace
}  // namespace latchkey::dev::world

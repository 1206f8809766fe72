#include "auth/service/sign_in_pages.h"

#include <gmock/gmock.h>

#include "auth/service/testing.h"

namespace latchkey::service {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;

void with_codes(ServiceOptions& o) { o.email_otp = EmailOtpSettings{}; }

std::string code_in(TestService& s, const std::string& email) {
  const auto mails = s.mails.list(email);
  return mails.empty() ? "" : mails.back().subject.substr(0, 8);
}

TEST(SignInPage, ShowsTheWaysInThatAreConfigured) {
  TestService codes(with_codes);
  const auto page = TestBrowser(codes).get("/sign-in");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("action=\"/sign-in/bluesky\""));
  EXPECT_THAT(page.body, HasSubstr("action=\"/sign-in/email\""));
  EXPECT_THAT(page.body, Not(HasSubstr("type=\"password\"")));
  EXPECT_THAT(page.body, Not(HasSubstr("data-passkey")));
  EXPECT_THAT(page.body, HasSubstr("My App"));

  TestService other([](ServiceOptions& o) {
    o.bluesky.reset();
    o.passkey_rp_id = "";
  });
  const auto second = TestBrowser(other).get("/sign-in");
  EXPECT_THAT(second.body, Not(HasSubstr("action=\"/sign-in/bluesky\"")));
  EXPECT_THAT(second.body, HasSubstr("type=\"password\""));
  EXPECT_THAT(second.body, HasSubstr("data-passkey=\"sign-in\""));
  EXPECT_EQ(TestBrowser(other).get("/sign-in/bluesky").status, 404);
}

TEST(SignInPage, NeedsNothingFromElsewhereAndNothingInline) {
  TestService s(with_codes);
  TestBrowser b(s);
  const auto page = b.get("/sign-in");
  EXPECT_THAT(std::string(page.headers.get("content-security-policy")), HasSubstr("default-src 'none'"));
  EXPECT_THAT(std::string(page.headers.get("content-security-policy")), Not(HasSubstr("unsafe-inline")));
  EXPECT_THAT(page.body, Not(HasSubstr("http://")));
  const auto css = page.body.find("href=\"/sign-in/static/");
  ASSERT_NE(css, page.body.npos) << "static files are below the page, for the proxy's sake";
  const auto address = page.body.substr(css + 6, page.body.find('"', css + 6) - css - 6);
  EXPECT_EQ(b.get(address).status, 200);
}

TEST(SignInPage, SuggestsHandlesWhereTheOperatorWantsIt) {
  TestService off, on([](ServiceOptions& o) { o.typeahead = "https://appview.test"; });
  const auto plain = TestBrowser(off).get("/sign-in").body;
  for (const char* part : {"datalist", "data-handles-url", "handles.js"})
    EXPECT_THAT(plain, Not(HasSubstr(part)));
  TestBrowser b(on);
  const auto page = b.get("/sign-in");
  EXPECT_THAT(page.body, HasSubstr("list=\"handles\" data-handles-url=\"/sign-in/handles\""));
  EXPECT_THAT(page.body, HasSubstr("<datalist id=\"handles\">"));
  EXPECT_THAT(page.body,
              ::testing::ContainsRegex("<script type=\"module\" src=\"/sign-in/static/[^\"]+/handles.js\">"));
  EXPECT_THAT(std::string(page.headers.get("content-security-policy")), HasSubstr("connect-src 'self';"));
  EXPECT_THAT(page.body, Not(HasSubstr("appview.test"))) << "the browser asks us";
  EXPECT_THAT(on.network.asked, ::testing::IsEmpty());
}

TEST(SignInPage, SpeaksTheReadersLanguage) {
  TestService s(with_codes);
  TestBrowser b(s);
  EXPECT_THAT(b.get("/sign-in", {{"accept-language", "de"}}).body, HasSubstr("Anmelden"));
  const auto page = b.get("/sign-in?callbackURL=%2Fnotes&lang=fr");
  EXPECT_THAT(page.body, HasSubstr("Se connecter"));
  EXPECT_THAT(page.body, HasSubstr("/sign-in?callbackURL=%2Fnotes&amp;lang=de"))
      << "languages keep where it goes";
}

TEST(SignInPage, SignsInByCode) {
  TestService s(with_codes);
  TestBrowser b(s);
  b.get("/sign-in?callbackURL=%2Fnotes%3Fa%3Db");
  const auto sent = b.submit("/sign-in/email", {{"email", "a@example.com"}, {"callbackURL", "/notes?a=b"}});
  EXPECT_EQ(sent.status, 200);
  EXPECT_THAT(sent.body, HasSubstr("a@example.com"));
  const auto wrong = b.submit("/sign-in/code", {{"email", "a@example.com"}, {"code", "00000000"}});
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("Invalid or expired code"));
  std::string code = code_in(s, "a@example.com");
  code.insert(4, " ");
  const auto in =
      b.submit("/sign-in/code", {{"email", "a@example.com"}, {"code", code}, {"callbackURL", "/notes?a=b"}});
  EXPECT_EQ(in.status, 303);
  EXPECT_EQ(in.headers.get("location"), "/notes?a=b");
  const auto page = b.get("/sign-in?callbackURL=%2Fnotes");
  EXPECT_THAT(page.body, HasSubstr("You are signed in to My App as"));
  EXPECT_THAT(page.body, HasSubstr("a@example.com"));
  EXPECT_THAT(page.body, HasSubstr("href=\"/notes\""));
}

TEST(SignInPage, SignsInByPasswordAndOut) {
  TestService s;
  s.sign_up("a@example.com");
  TestBrowser b(s);
  b.get("/sign-in");
  const auto wrong = b.submit("/sign-in/password", {{"email", "a@example.com"}, {"password", "wrong"}});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_THAT(wrong.body, HasSubstr("Invalid e-mail address or password"));
  EXPECT_THAT(wrong.body, HasSubstr("value=\"a@example.com\""));
  EXPECT_THAT(wrong.body, Not(HasSubstr("value=\"wrong\"")));
  EXPECT_EQ(b.submit("/sign-in/password", {{"email", "a@example.com"}, {"password", "password-1234"}}).status,
            303);
  b.get("/sign-in");
  EXPECT_EQ(b.submit("/sign-in/out", {}).status, 303);
  EXPECT_THAT(b.get("/sign-in").body, HasSubstr("action=\"/sign-in/password\""));
}

TEST(SignInPage, SendsLinksWhereThereAreNoCodes) {
  TestService s([](ServiceOptions& o) { o.magic_link = MagicLinkSettings{}; });
  TestBrowser b(s);
  b.get("/sign-in");
  const auto sent =
      b.submit("/sign-in/email", {{"email", "a@example.com"}, {"callbackURL", "https://other.test/x"}});
  EXPECT_THAT(sent.body, HasSubstr("We sent a link to a@example.com. It works once, for 5 minutes."));
  const auto text = s.mails.list("a@example.com").at(0).text;
  const auto at = text.find("https://app.test/api/auth/magic-link");
  const auto link = text.substr(at + 16, text.find('\n', at) - at - 16);
  const auto in = b.get(link);
  EXPECT_EQ(in.status, 302);
  const std::string next(in.headers.get("location"));
  EXPECT_EQ(next, "https://app.test/sign-in/next?callbackURL=https%3A%2F%2Fother.test%2Fx");
  EXPECT_EQ(b.get(next.substr(16)).headers.get("location"), "https://other.test/x");
}

TEST(SignInPage, MailsInTheLanguageItIsIn) {
  TestService s([](ServiceOptions& o) { o.magic_link = MagicLinkSettings{}; });
  TestBrowser b(s);
  b.get("/sign-in?lang=fr", {{"accept-language", "de"}});
  b.submit("/sign-in/email", {{"email", "a@example.com"}});
  EXPECT_EQ(s.mails.list("a@example.com").at(0).subject, "Votre lien de connexion à My App");
}

TEST(SignInPage, LeavesForTheServerOfABlueskyAccount) {
  TestService s;
  TestBrowser b(s);
  b.get("/sign-in");
  const auto out =
      b.submit("/sign-in/bluesky", {{"handle", " alice.test "}, {"callbackURL", "https://other.test/x"}});
  EXPECT_EQ(out.status, 200) << "form-action would not let a redirect pass";
  EXPECT_THAT(std::string(out.headers.get("refresh")),
              ::testing::StartsWith("0;url=https://pds.test/oauth/authorize?after=%2Fsign-in%2Fnext%3F"));
  EXPECT_THAT(out.body, HasSubstr("pds.test"));
  const auto unknown = b.submit("/sign-in/bluesky", {{"handle", "bob.test"}});
  EXPECT_EQ(unknown.status, 400);
  EXPECT_THAT(unknown.body, HasSubstr("We cannot find this handle"));
  EXPECT_THAT(unknown.body, HasSubstr("value=\"bob.test\""));
}

TEST(SignInPage, ComesBackOnlyWithASession) {
  TestService s;
  TestBrowser b(s);
  EXPECT_EQ(b.get("/sign-in/next?callbackURL=%2Fnotes").headers.get("location"),
            "/sign-in?callbackURL=%2Fnotes");
  const auto cookie = s.sign_up("a@example.com");
  b.jar[cookie.substr(0, cookie.find('='))] = cookie.substr(cookie.find('=') + 1);
  EXPECT_EQ(b.get("/sign-in/next?callbackURL=%2Fnotes").headers.get("location"), "/notes");
}

TEST(SignInPage, SaysWhatWentWrongElsewhere) {
  TestService s;
  TestBrowser b(s);
  const auto via = b.get("/api/auth/error?error=account_not_linked");
  EXPECT_EQ(via.headers.get("location"), "/sign-in/error?error=account_not_linked");
  EXPECT_THAT(b.get("/sign-in/error?error=account_not_linked").body,
              HasSubstr("sign in the way you did before"));
  const auto odd = b.get("/sign-in/error?error=%3Cscript%3E");
  EXPECT_THAT(odd.body, HasSubstr("Signing in did not work"));
  EXPECT_THAT(odd.body, Not(HasSubstr("script&gt;")));
}

TEST(SignInPage, AttackOpenRedirect_CallbackOfAnotherOrigin) {
  TestService s(with_codes);
  for (const char* evil : {"https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)",
                           "/%2Fevil.test", "https://app.test@evil.test/", "https://app.test.evil.test"}) {
    TestBrowser b(s);
    const auto query = "?callbackURL=" + percent_encode(evil);
    EXPECT_THAT(b.get("/sign-in" + query).body, Not(HasSubstr("evil"))) << evil;
    EXPECT_THAT(b.get("/sign-in" + query).body, Not(HasSubstr("javascript"))) << evil;
    EXPECT_EQ(b.get("/sign-in/next" + query).headers.get("location"), "/sign-in") << evil;
    b.submit("/sign-in/email", {{"email", "a@example.com"}, {"callbackURL", evil}});
    const auto in =
        b.submit("/sign-in/code",
                 {{"email", "a@example.com"}, {"code", code_in(s, "a@example.com")}, {"callbackURL", evil}});
    EXPECT_EQ(in.headers.get("location"), "/sign-in") << evil;
    EXPECT_THAT(b.get("/sign-in" + query).body, Not(HasSubstr("evil"))) << "signed in: " << evil;
    s.clock.advance(std::chrono::hours(1));
  }
}

TEST(SignInPage, AttackCsrf_FormsFromElsewhere) {
  TestService s;
  s.sign_up("eve@example.com");
  TestBrowser b(s);
  b.get("/sign-in");
  const FormFields eve{{"email", "eve@example.com"}, {"password", "password-1234"}};
  EXPECT_EQ(b.post("/sign-in/password", eve).status, 403) << "no token";
  auto with_token = eve;
  with_token.emplace_back("csrf", b.csrf);
  EXPECT_EQ(b.post("/sign-in/password", with_token, {{"origin", "https://evil.test"}}).status, 403)
      << "another site";
  EXPECT_EQ(b.post("/sign-in/password", with_token, {{"sec-fetch-site", "cross-site"}}).status, 403);
  TestBrowser stranger(s);
  EXPECT_EQ(stranger.post("/sign-in/password", with_token).status, 403) << "the token of another browser";
  EXPECT_EQ(b.post("/sign-in/password", with_token).status, 303);
}

TEST(SignInPage, AttackClickjacking_FramesAreRefused) {
  TestService s;
  TestBrowser b(s);
  EXPECT_EQ(b.get("/sign-in", {{"sec-fetch-dest", "iframe"}, {"sec-fetch-mode", "navigate"}}).status, 403);
  EXPECT_EQ(b.get("/sign-in").headers.get("x-frame-options"), "DENY");
}

TEST(SignInPage, IsNotThereWhenItIsOff) {
  TestService s([](ServiceOptions& o) { o.sign_in_page = Switch::off; });
  EXPECT_EQ(TestBrowser(s).get("/sign-in").status, 404);
}

TEST(SignInPage, KeepsTheLimitsOfItsRoutes) {
  TestService s([](ServiceOptions& o) { o.rate_limit.enabled = true; });
  TestBrowser b(s);
  b.get("/sign-in");
  const FormFields guess{{"email", "a@example.com"}, {"password", "guess"}};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(b.submit("/sign-in/password", guess).status, 401);
  const auto fourth = b.submit("/sign-in/password", guess);
  EXPECT_EQ(fourth.status, 429);
  EXPECT_THAT(fourth.body, HasSubstr("Too many tries"));
}

}  // namespace
}  // namespace latchkey::service

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
  const auto down = b.submit("/sign-in/bluesky", {{"handle", "down.test"}});
  EXPECT_EQ(down.status, 400);
  EXPECT_EQ(down.body.find("We cannot find this handle"), std::string::npos) << "it may well be there";
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

// --- An account with a password

const FormFields k_ada{{"name", "Ada"}, {"email", "ada@example.com"}, {"password", "password-1234"}};

FormFields with(FormFields fields, const std::string& name, const std::string& value) {
  for (auto& [n, v] : fields)
    if (n == name) return v = value, fields;
  fields.emplace_back(name, value);
  return fields;
}

TEST(SignUpPage, MakesAnAccountAndSignsIn) {
  TestService s;
  TestBrowser b(s);
  EXPECT_THAT(b.get("/sign-in?callbackURL=%2Fnotes").body,
              HasSubstr("href=\"/sign-in/new?callbackURL=%2Fnotes\""));
  const auto page = b.get("/sign-in/new?callbackURL=%2Fnotes");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<title>Create an account</title>"));
  EXPECT_THAT(page.body, HasSubstr("Take a password of 8 to 128 characters."));
  EXPECT_THAT(page.body, HasSubstr("href=\"/sign-in?callbackURL=%2Fnotes\"")) << "and back";
  EXPECT_THAT(page.body, HasSubstr("/sign-in/new?callbackURL=%2Fnotes&amp;lang=de"));
  const auto in = b.submit("/sign-in/new", with(k_ada, "callbackURL", "/notes"));
  EXPECT_EQ(in.status, 303);
  EXPECT_EQ(in.headers.get("location"), "/notes");
  EXPECT_THAT(b.get("/sign-in").body, HasSubstr("Ada"));
  EXPECT_EQ(b.get("/sign-in/new?callbackURL=%2Fnotes").headers.get("location"),
            "/sign-in?callbackURL=%2Fnotes")
      << "who is signed in has an account";
}

TEST(SignUpPage, SpeaksTheReadersLanguage) {
  TestService s;
  TestBrowser b(s);
  EXPECT_THAT(b.get("/sign-in/new", {{"accept-language", "de"}}).body, HasSubstr("Konto anlegen"));
  b.get("/sign-in/new?lang=fr");
  const auto again = b.submit("/sign-in/new", with(k_ada, "password", "short"));
  EXPECT_THAT(again.body, HasSubstr("Créer un compte"));
  EXPECT_THAT(again.body, HasSubstr("href=\"/sign-in/new?lang=de\""));
}

TEST(SignUpPage, TakesPasswordsOfTheConfiguredLength) {
  TestService s([](ServiceOptions& o) {
    o.email_and_password.min_password_length = 10;
    o.email_and_password.max_password_length = 12;
  });
  for (const auto& [length, taken] :
       std::initializer_list<std::pair<int, bool>>{{9, false}, {10, true}, {12, true}, {13, false}}) {
    TestBrowser b(s);
    b.get("/sign-in/new");
    const std::string email = "p" + std::to_string(length) + "@example.com";
    const std::string password(static_cast<std::size_t>(length), 'x');
    const auto answer = b.submit("/sign-in/new", with(with(k_ada, "email", email), "password", password));
    EXPECT_EQ(answer.status, taken ? 303 : 400) << length;
    if (taken) continue;
    EXPECT_THAT(answer.body, HasSubstr("role=\"alert\""));
    EXPECT_THAT(answer.body, HasSubstr("<span>Take a password of 10 to 12 characters.</span>"));
    EXPECT_THAT(answer.body, HasSubstr("value=\"" + email + "\""));
    EXPECT_THAT(answer.body, HasSubstr("value=\"Ada\""));
    EXPECT_THAT(answer.body, Not(HasSubstr(password))) << "passwords are typed again";
  }
}

TEST(SignUpPage, SaysWhatElseIsWrong) {
  TestService s;
  s.sign_up("ada@example.com");
  TestBrowser b(s);
  b.get("/sign-in/new");
  const auto taken = b.submit("/sign-in/new", k_ada);
  EXPECT_EQ(taken.status, 422);
  EXPECT_THAT(taken.body, HasSubstr("There is an account with this e-mail address already"));
  EXPECT_FALSE(b.jar.contains("__Secure-better-auth.session_token"));
  const auto odd = b.submit("/sign-in/new", with(k_ada, "email", "ada"));
  EXPECT_EQ(odd.status, 400);
  EXPECT_THAT(odd.body, HasSubstr("This is not a valid e-mail address."));
}

// Who has an account learns nothing but that a mail was sent, and so does nobody else.
TEST(SignUpPage, WaitsForTheAddressToBeConfirmed) {
  TestService s([](ServiceOptions& o) { o.email_and_password.require_email_verification = true; });
  TestBrowser b(s);
  b.get("/sign-in/new?lang=de");
  const auto sent = b.submit("/sign-in/new", with(k_ada, "callbackURL", "/notes"));
  EXPECT_EQ(sent.status, 200);
  EXPECT_THAT(sent.body, HasSubstr("Wir haben einen Link an ada@example.com gesendet."));
  EXPECT_THAT(sent.body, HasSubstr("href=\"/sign-in?callbackURL=%2Fnotes\"")) << "to sign in afterwards";
  EXPECT_FALSE(b.jar.contains("__Secure-better-auth.session_token"));
  const auto mails = s.mails.list("ada@example.com");
  ASSERT_EQ(mails.size(), 1u);
  EXPECT_EQ(mails[0].subject, "Bestätigen Sie Ihre E-Mail-Adresse für My App");
  const auto at = mails[0].text.find("https://app.test/api/auth/verify-email");
  const auto link = mails[0].text.substr(at + 16, mails[0].text.find('\n', at) - at - 16);

  b.get("/sign-in");
  const FormFields in{{"email", "ada@example.com"}, {"password", "password-1234"}};
  EXPECT_EQ(b.submit("/sign-in/password", in).status, 403) << "not yet";
  const auto followed = [&] { return std::string(b.get(link).headers.get("location")); };
  const auto fresh = followed();
  EXPECT_EQ(fresh, "/sign-in/next?callbackURL=%2Fnotes");
  EXPECT_EQ(b.get(fresh).headers.get("location"), "/sign-in?callbackURL=%2Fnotes");
  s.clock.advance(std::chrono::hours(1));
  const std::string late(b.get(followed()).headers.get("location"));
  EXPECT_EQ(late, "/sign-in/error?error=TOKEN_EXPIRED");
  EXPECT_THAT(b.get(late + "&lang=en").body, HasSubstr("This took too long"));
  b.get("/sign-in");
  EXPECT_EQ(b.submit("/sign-in/password", in).status, 303);

  TestBrowser other(s);
  other.get("/sign-in/new?lang=de");
  const auto taken = other.submit("/sign-in/new", with(k_ada, "callbackURL", "/notes"));
  EXPECT_EQ(taken.status, 200);
  EXPECT_THAT(taken.body, HasSubstr("Wir haben einen Link an ada@example.com gesendet."));
  EXPECT_EQ(s.mails.list("ada@example.com").size(), 1u);
}

TEST(SignUpPage, IsThereOnlyWherePasswordsMakeAccounts) {
  for (const auto& change : std::initializer_list<TestService::Change>{
           [](ServiceOptions& o) { o.email_and_password.disable_sign_up = true; },
           [](ServiceOptions& o) { o.email_and_password.enabled = false; }}) {
    TestService s(change);
    TestBrowser b(s);
    EXPECT_THAT(b.get("/sign-in").body, Not(HasSubstr("/sign-in/new")));
    EXPECT_EQ(b.get("/sign-in/new").status, 404);
    EXPECT_EQ(b.submit("/sign-in/new", k_ada).status, 404);
  }
}

TEST(SignUpPage, AttackOpenRedirect_CallbackOfAnotherOrigin) {
  TestService s;
  int n = 0;
  for (const char* evil : {"https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)",
                           "/%2Fevil.test", "https://app.test@evil.test/", "https://app.test.evil.test"}) {
    TestBrowser b(s);
    const auto page = b.get("/sign-in/new?callbackURL=" + percent_encode(evil)).body;
    EXPECT_THAT(page, Not(HasSubstr("evil"))) << evil;
    EXPECT_THAT(page, Not(HasSubstr("javascript"))) << evil;
    const auto wrong = b.submit("/sign-in/new", with(with(k_ada, "password", "x"), "callbackURL", evil));
    EXPECT_THAT(wrong.body, Not(HasSubstr("evil"))) << evil;
    const auto in =
        b.submit("/sign-in/new",
                 with(with(k_ada, "email", "e" + std::to_string(n++) + "@example.com"), "callbackURL", evil));
    EXPECT_EQ(in.headers.get("location"), "/sign-in") << evil;
  }
}

TEST(SignUpPage, AttackCsrf_FormsFromElsewhere) {
  TestService s;
  TestBrowser b(s);
  b.get("/sign-in/new");
  EXPECT_EQ(b.post("/sign-in/new", k_ada).status, 403) << "no token";
  const auto with_token = with(k_ada, "csrf", b.csrf);
  EXPECT_EQ(b.post("/sign-in/new", with_token, {{"origin", "https://evil.test"}}).status, 403);
  EXPECT_EQ(b.post("/sign-in/new", with_token, {{"sec-fetch-site", "cross-site"}}).status, 403);
  TestBrowser stranger(s);
  EXPECT_EQ(stranger.post("/sign-in/new", with_token).status, 403) << "the token of another browser";
  EXPECT_EQ(b.post("/sign-in/new", with_token).status, 303);
}

TEST(SignUpPage, AttackInjection_WhatIsTypedStaysText) {
  TestService s;
  TestBrowser b(s);
  b.get("/sign-in/new");
  const auto page = b.submit(
      "/sign-in/new",
      {{"name", "\"><script>1</script>"}, {"email", "\"><script>2</script>"}, {"password", "password-1234"}});
  EXPECT_THAT(page.body, Not(HasSubstr("<script>")));
  EXPECT_THAT(page.body, HasSubstr("&lt;script&gt;1"));
  EXPECT_THAT(page.body, HasSubstr("&lt;script&gt;2"));
}

TEST(SignUpPage, KeepsTheLimitsOfItsRoute) {
  TestService s([](ServiceOptions& o) { o.rate_limit.enabled = true; });
  TestBrowser b(s);
  b.get("/sign-in/new");
  const auto short_one = with(k_ada, "password", "short");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(b.submit("/sign-in/new", short_one).status, 400);
  const auto fourth = b.submit("/sign-in/new", short_one);
  EXPECT_EQ(fourth.status, 429);
  EXPECT_THAT(fourth.body, HasSubstr("Too many tries"));
}

}  // namespace
}  // namespace latchkey::service

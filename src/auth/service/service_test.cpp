#include "auth/service/service.h"

#include <gmock/gmock.h>

#include "auth/service/testing.h"

namespace latchkey::service {
namespace {
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

web::Request api(const char* method, const std::string& path, json::Object body = {},
                 web::Headers headers = {}) {
  headers.set("content-type", "application/json");
  return web::Request::make(method, "https://app.test/api/auth" + path,
                            std::string(method) == "POST" ? json::Value(std::move(body)).dump() : "",
                            std::move(headers));
}

class ServiceSchema : public store::EngineTest {};

TEST_P(ServiceSchema, TellsWhatIsMissingUntilItIsMade) {
  TestService s({}, GetParam());
  EXPECT_THAT(s.service->pending(), IsEmpty()) << "migrate() made everything";
  // Another program with more plugins.
  ServiceOptions more{.base_url = "https://app.test",
                      .app_name = "App",
                      .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                      .passkey_rp_id = "",
                      .anonymous = true,
                      .jwt = auth::JwtOptions{}};
  more.rate_limit.storage = auth::RateLimitOptions::Storage::database;
  Service next(std::move(more), {*s.db, s.network, nullptr, s.passwords, s.clock, s.rng});
  EXPECT_THAT(next.pending(),
              ::testing::UnorderedElementsAre("table rateLimit", "table passkey", "table jwks",
                                              "index passkey_userId_idx", "index passkey_credentialID_idx",
                                              "column user.isAnonymous"));
  EXPECT_THAT(next.pending(), Contains("table passkey")) << "looking changes nothing";
  next.migrate();
  EXPECT_THAT(next.pending(), IsEmpty());
}

TEST_P(ServiceSchema, KeepsTheTablesOfABetterAuthProgram) {
  store::TestDatabase db(GetParam());
  store::migrate(*db, [&](store::Tx& tx) {
    tx.script(
        "CREATE TABLE \"user\" (\"id\" TEXT NOT NULL PRIMARY KEY, \"name\" TEXT NOT NULL, \"email\" TEXT NOT "
        "NULL "
        "UNIQUE, \"emailVerified\" BOOLEAN NOT NULL, \"image\" TEXT, \"createdAt\" DATE NOT NULL, "
        "\"updatedAt\" "
        "DATE NOT NULL, \"theirs\" TEXT);");
  });
  TestNetwork network;
  FakeClock clock;
  SeededRng rng;
  ThreadPool passwords(1, 10);
  ServiceOptions options{.base_url = "https://app.test",
                         .app_name = "App",
                         .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                         .bluesky = stand_in_for_bluesky()};
  Service service(std::move(options), {*db, network, nullptr, passwords, clock, rng});
  const auto missing = service.pending();
  EXPECT_THAT(missing, Contains("table session"));
  EXPECT_THAT(missing, Contains("column user.bskyDid"));
  EXPECT_THAT(missing, Contains("index user_bskyDid_key"));
  EXPECT_THAT(missing, Contains("index session_userId_idx"));
  EXPECT_THAT(missing, ::testing::Not(Contains("table user")));
  service.migrate();
  EXPECT_THAT(service.pending(), IsEmpty());
  EXPECT_THAT(run(db->read([&](store::Tx& tx) { return store::columns_of(tx, db->engine(), "user"); })),
              Contains("theirs"));
}
INSTANTIATE_TEST_SUITE_P(Store, ServiceSchema, store::engines(), store::engine_name);

TEST(Service, LetsScriptsOfTrustedOriginsReadAndNobodyElses) {
  TestService s;
  const auto allowed = s.send(api("GET", "/get-session", {}, {{"origin", "https://other.test"}}));
  EXPECT_EQ(allowed.headers.get("access-control-allow-origin"), "https://other.test");
  EXPECT_EQ(allowed.headers.get("access-control-allow-credentials"), "true");
  const auto foreign = s.send(api("GET", "/get-session", {}, {{"origin", "https://evil.test"}}));
  EXPECT_FALSE(foreign.headers.has("access-control-allow-origin"));
  const auto preflight = s.send(
      web::Request::make("OPTIONS", "https://app.test/api/auth/sign-in/email", {},
                         {{"origin", "https://other.test"}, {"access-control-request-method", "POST"}}));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.get("access-control-allow-methods"), "GET, POST");
}

TEST(Service, AnswersHealthChecks) {
  TestService s;
  EXPECT_EQ(s.send(web::Request::make("GET", "https://app.test/health")).status, 200);
  EXPECT_EQ(s.send(api("GET", "/ok")).body, R"({"ok":true})");
}

TEST(Service, TakesTheBasePathOfItsAddress) {
  TestService s([](ServiceOptions& o) { o.base_url = "https://app.test/auth"; });
  EXPECT_EQ(s.send(web::Request::make("GET", "https://app.test/auth/ok")).status, 200);
  EXPECT_EQ(s.send(web::Request::make("GET", "https://app.test/auth/forward-auth")).status, 401);
  EXPECT_EQ(s.send(api("GET", "/ok")).status, 404);
}

TEST(Service, MailsCodesInTheLanguageOfWhoAsks) {
  TestService s([](ServiceOptions& o) {
    o.email_otp = EmailOtpSettings{.otp_length = 6, .expires_in = std::chrono::seconds(90)};
  });
  s.send(api("POST", "/email-otp/send-verification-otp", {{"email", "a@example.com"}, {"type", "sign-in"}},
             {{"accept-language", "de"}, {"origin", "https://app.test"}}));
  const auto mails = s.mails.list("a@example.com");
  ASSERT_EQ(mails.size(), 1u);
  EXPECT_THAT(mails[0].subject,
              ::testing::MatchesRegex("[0-9]{6} .*Anmeldecode.*My App|[0-9]{6} .*My App.*"));
  EXPECT_THAT(mails[0].text, HasSubstr("2 Minuten")) << "rounded up";
  EXPECT_THAT(mails[0].text, HasSubstr("app.test"));
  EXPECT_EQ(mails[0].deadline, s.clock.now() + std::chrono::seconds(90));
}

TEST(Service, MailsLinks) {
  TestService s([](ServiceOptions& o) {
    o.magic_link = MagicLinkSettings{};
    o.delete_user = true;
  });
  s.send(api("POST", "/sign-in/magic-link", {{"email", "a@example.com"}}, {{"origin", "https://app.test"}}));
  const auto cookie = s.sign_up("b@example.com");
  s.send(api("POST", "/request-password-reset", {{"email", "b@example.com"}, {"redirectTo", "/reset"}},
             {{"origin", "https://app.test"}}));
  s.send(api("POST", "/delete-user", {{"callbackURL", "/"}},
             {{"origin", "https://app.test"}, {"cookie", cookie}}));
  const auto a = s.mails.list("a@example.com"), b = s.mails.list("b@example.com");
  ASSERT_EQ(a.size(), 1u);
  EXPECT_EQ(a[0].subject, "Your sign-in link for My App");
  EXPECT_THAT(a[0].text, HasSubstr("https://app.test/api/auth/magic-link/verify?token="));
  EXPECT_THAT(a[0].html, HasSubstr("https://app.test/api/auth/magic-link/verify?token="));
  ASSERT_EQ(b.size(), 2u);
  EXPECT_THAT(b[0].text, HasSubstr("https://app.test/api/auth/reset-password/"));
  EXPECT_THAT(b[1].text, HasSubstr("https://app.test/api/auth/delete-user/callback?token="));
}

// Every kind of link, each asked for in German, and in a language that nobody here speaks.
TEST(Service, MailsLinksInTheLanguageOfWhoAsks) {
  struct Row {
    const char *accept_language, *lang, *sign_in, *verify, *reset, *erase;
  };
  const Row rows[] = {
      {"de-AT, en;q=0.5", "de", "Ihr Anmeldelink für My App", "Bestätigen Sie Ihre E-Mail-Adresse für My App",
       "Ein neues Passwort für My App", "Ihr Konto bei My App löschen?"},
      {"tlh", "en", "Your sign-in link for My App", "Confirm your e-mail address for My App",
       "A new password for My App", "Delete your account at My App?"},
      {"", "en", "Your sign-in link for My App", "Confirm your e-mail address for My App",
       "A new password for My App", "Delete your account at My App?"}};
  for (const auto& row : rows) {
    TestService s([](ServiceOptions& o) {
      o.magic_link = MagicLinkSettings{};
      o.delete_user = true;
    });
    const auto cookie = s.sign_up("a@example.com");
    const auto ask = [&](const char* path, json::Object body) {
      s.send(api(
          "POST", path, std::move(body),
          {{"origin", "https://app.test"}, {"cookie", cookie}, {"accept-language", row.accept_language}}));
    };
    ask("/sign-in/magic-link", {{"email", "a@example.com"}});
    ask("/send-verification-email", {{"email", "a@example.com"}});
    ask("/request-password-reset", {{"email", "a@example.com"}, {"redirectTo", "/reset"}});
    ask("/delete-user", {{"callbackURL", "/"}});
    const auto mails = s.mails.list("a@example.com");
    std::vector<std::string> subjects;
    for (const auto& mail : mails) {
      subjects.push_back(mail.subject);
      EXPECT_THAT(mail.html, HasSubstr(std::string("<html lang=\"") + row.lang + "\"")) << mail.subject;
      EXPECT_THAT(mail.text, HasSubstr(mail.subject)) << "the heading";
    }
    EXPECT_THAT(subjects, ::testing::ElementsAre(row.sign_in, row.verify, row.reset, row.erase))
        << row.accept_language;
  }
}

TEST(Service, RefusesWaysInThatNeedMailWithoutOne) {
  store::TestDatabase db(store::Engine::sqlite);
  TestNetwork network;
  FakeClock clock;
  SeededRng rng;
  ThreadPool passwords(1, 10);
  ServiceOptions options{.base_url = "https://app.test",
                         .app_name = "App",
                         .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                         .email_otp = EmailOtpSettings{}};
  EXPECT_THROW(Service(std::move(options), {*db, network, nullptr, passwords, clock, rng}),
               std::invalid_argument);
}

}  // namespace
}  // namespace latchkey::service

// Attacks on the framework: cookies and origins, client addresses and Host, injection, guessing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "auth/core/password.h"
#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_cookie = "__Secure-better-auth.session_token";

// --- Cookies (attacks 5 and 21) ---

TEST(AuthAttacks, AttackForgedCookie_ATokenWithoutOurSignatureIsNoSession) {
  TestAuth app;
  Browser b(app);
  const std::string token = *b.sign_up("a@app.test").string_at("token");
  const std::string genuine = b.jar[k_cookie];
  for (const std::string& forged :
       {token, token + ".", token + "." + std::string(43, 'A') + "%3D", genuine + "A", "x" + genuine,
        genuine.substr(0, genuine.size() - 4) + "A%3D"}) {
    b.jar = {{k_cookie, forged}};
    EXPECT_TRUE(b.session().is_null()) << forged;
  }
  b.jar = {{k_cookie, genuine}};
  EXPECT_FALSE(b.session().is_null());
}

TEST(AuthAttacks, AttackSessionFixation_SigningInMakesANewToken) {
  TestAuth app;
  Browser attacker(app), victim(app);
  attacker.sign_up("a@app.test");
  victim.sign_up("v@app.test");
  victim.jar = attacker.jar;  // planted
  victim.post("/sign-in/email", json::Object{{"email", "v@app.test"}, {"password", "password-1234"}});
  EXPECT_NE(victim.jar[k_cookie], attacker.jar[k_cookie]);
  EXPECT_EQ(*attacker.session().find("user")->string_at("email"), "a@app.test");
}

TEST(AuthAttacks, AttackPlantedCookie_OfTwoCookiesOfOneNameNeitherCounts) {
  TestAuth app;
  Browser a(app), b(app);
  a.sign_up("a@app.test");
  b.sign_up("b@app.test");
  const auto both = fmt::format("{0}={1}; {0}={2}", k_cookie, a.jar[k_cookie], b.jar[k_cookie]);
  EXPECT_EQ(Browser(app).get("/get-session", {{"cookie", both}}).body, "null");
}

TEST(AuthAttacks, AttackCookieTheft_CookiesAreSecureHttpOnlyLaxAndHostOnlyWithHostPrefix) {
  const auto cookie = [](CookieOptions::NamePrefix prefix) {
    TestAuth app(store::Engine::sqlite, [&](Options& o) { o.cookies.name_prefix = prefix; });
    Browser b(app);
    return std::string(
        b.post("/sign-up/email",
               json::Object{{"name", "n"}, {"email", "a@app.test"}, {"password", "password-1234"}})
            .headers.get("set-cookie"));
  };
  for (const auto& text :
       {cookie(CookieOptions::NamePrefix::secure), cookie(CookieOptions::NamePrefix::host)}) {
    EXPECT_NE(text.find("; Secure"), text.npos) << text;
    EXPECT_NE(text.find("; HttpOnly"), text.npos) << text;
    EXPECT_NE(text.find("; SameSite=Lax"), text.npos) << text;
    EXPECT_EQ(text.find("Domain"), text.npos) << text;
  }
  EXPECT_TRUE(cookie(CookieOptions::NamePrefix::host).starts_with("__Host-better-auth.session_token="));
}

TEST(AuthCookies, NamesDomainsAndAttributesAreTheProgramsToChoose) {
  const auto cookies = [](CookieOptions o, bool https = true) {
    return Cookies(std::move(o), https, {Secret(std::string(32, 'k'))});
  };
  EXPECT_EQ(cookies({}).name("state"), "__Secure-better-auth.state");
  EXPECT_EQ(cookies({}, false).name("state"), "better-auth.state");
  EXPECT_EQ(cookies({.secure = CookieOptions::Secure::always}, false).name("state"),
            "__Secure-better-auth.state");
  EXPECT_EQ(cookies({.secure = CookieOptions::Secure::never}).name("state"), "better-auth.state");
  const auto shared =
      cookies({.prefix = "app",
               .cross_subdomain = "app.test",
               .partitioned = true,
               .overrides = {{.key = "state", .name = "oauth", .same_site = web::SameSite::none}}});
  EXPECT_EQ(
      shared.plain("session_token", "v", 60s).str(),
      "__Secure-app.session_token=v; Path=/; Domain=app.test; Max-Age=60; Secure; HttpOnly; SameSite=Lax; "
      "Partitioned");
  EXPECT_EQ(shared.plain("state", "a b;", std::nullopt).str(),
            "__Secure-oauth=a%20b%3B; Path=/; Domain=app.test; Secure; HttpOnly; SameSite=None; Partitioned");
  EXPECT_TRUE(
      shared.cleared("state").str().starts_with("__Secure-oauth=; Path=/; Domain=app.test; Max-Age=0;"));
}

TEST(AuthCookies, NoneLivesLongerThan400Days) {
  const Cookies cookies({}, true, {Secret(std::string(32, 'k'))});
  EXPECT_NO_THROW(cookies.plain("a", "v", 34'560'000s));
  EXPECT_THROW(cookies.plain("a", "v", 34'560'001s), std::invalid_argument);
  EXPECT_THROW(
      Cookies({.overrides = {{.key = "a", .max_age = 34'560'001s}}}, true, {Secret(std::string(32, 'k'))}),
      std::invalid_argument);
}

// --- Origins (attack 5); the rest of the table is in transcript 03 ---

TEST(AuthAttacks, AttackCsrf_PluginRoutesAreGuardedToo) {
  struct Run {
    static Task<Answer> now(Context&) { co_return json_answer(true); }
  };
  TestAuth app(store::Engine::sqlite, [](Options& o) {
    o.plugins = {{.id = "p",
                  .endpoints = {post("/p/now", &Run::now),
                                get("/p/go", &Run::now, {.callback = CallbackQuery::checked})}}};
  });
  Browser b(app);
  b.sign_up("a@app.test");
  EXPECT_EQ(code_of(b.post("/p/now", json::Object{}, {{"origin", "https://evil.test"}})), "INVALID_ORIGIN");
  EXPECT_EQ(code_of(b.post("/p/now?callbackURL=https://evil.test", json::Object{})), "INVALID_CALLBACK_URL");
  EXPECT_EQ(code_of(b.get("/p/go?callbackURL=//evil.test")), "INVALID_CALLBACK_URL");
  EXPECT_EQ(b.post("/p/now", json::Object{}).status, 200);
}

TEST(AuthAttacks, AttackOpenRedirect_OnlyOwnPathsAndTrustedOrigins) {
  const TrustedOrigins origins("https://app.test:8443", {"https://*.apps.test", "*.any.test", "192.168.*.*",
                                                         "myapp://", "other://host/in"});
  for (const char* good : {"/", "/dash", "/dash?x=//evil&y=%2F", "/a//b", "https://app.test:8443/x",
                           "https://a.b.apps.test/", "http://x.any.test", "http://192.168.1.20/", "myapp://",
                           "myapp://x/y", "other://host/in", "other://host/in/x"})
    EXPECT_TRUE(origins.allows_redirect(good)) << good;
  for (const char* bad : {"",
                          "dash",
                          "//evil.test",
                          "/\\evil.test",
                          "/%2Fevil.test",
                          "/x%5cevil",
                          "/.//evil.test",
                          "/a\tb",
                          "/a\nb",
                          "https://app.test/",
                          "http://app.test:8443/",
                          "https://app.test:8443@evil.test/",
                          "https://app.test:8443.evil.test/",
                          "https://apps.test/",
                          "https://evil.test/.apps.test",
                          "https://evil.test?.apps.test",
                          "https://evilapps.test",
                          "http://192.168.1.20.evil.test/",
                          "javascript:alert(1)",
                          "data:text/html,x",
                          "other://host",
                          "other://host/in/../out",
                          "other://host/in%2f..%2fx",
                          "other://host/inside",
                          "other://evil/in",
                          "myapp:x",
                          "https://user@x.apps.test/",
                          "\\\\evil"})
    EXPECT_FALSE(origins.allows_redirect(bad)) << bad;
}

TEST(AuthAttacks, AttackCors_OnlyTrustedOriginsReadAnswers) {
  TestAuth app(store::Engine::sqlite, [](Options& o) {
    o.cors = Cors::trusted_origins;
    o.trusted_origins = {"https://spa.test"};
  });
  Browser b(app);
  const auto good = b.get("/get-session", {{"origin", "https://spa.test"}});
  EXPECT_EQ(good.headers.get("access-control-allow-origin"), "https://spa.test");
  EXPECT_EQ(good.headers.get("access-control-allow-credentials"), "true");
  const auto evil = b.get("/get-session", {{"origin", "https://evil.test"}});
  EXPECT_FALSE(evil.headers.has("access-control-allow-origin"));
  EXPECT_EQ(evil.headers.get("vary"), "Origin");
  const auto preflight = b.send("OPTIONS", "/sign-in/email", {},
                                {{"origin", "https://spa.test"}, {"access-control-request-method", "POST"}});
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.headers.get("access-control-allow-headers"), "content-type, authorization");
}

TEST(AuthAttacks, AttackLogs_ATokenInAPathIsNotTheTextOfTheAccessLog) {
  TestAuth app;
  Browser b(app);
  EXPECT_EQ(b.get("/reset-password/the-token?callbackURL=/x").log_path, "/api/auth/reset-password/:token");
  EXPECT_EQ(b.get("/ok").log_path, "") << "the path as it is";
}

// --- Host and client addresses (attack 17) ---

TEST(AuthAttacks, AttackHostPoisoning_LinksInMailsNameTheConfiguredHost) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  auto request =
      web::Request::make("POST", "https://evil.test/api/auth/request-password-reset",
                         R"({"email":"a@app.test","redirectTo":"/reset"})",
                         {{"content-type", "application/json"}, {"x-forwarded-host", "evil.test"}});
  EXPECT_EQ(run(app.auth->handle(request)).status, 200);
  ASSERT_EQ(app.mails.size(), 1u);
  EXPECT_TRUE(app.mails[0].mail.url.starts_with("https://app.test/api/auth/reset-password/"));
}

void limits_on(Options& o) { o.rate_limit.enabled = true; }

TEST(AuthAttacks, AttackSpoofedAddress_ForwardedHeadersDoNotMakeANewClient) {
  TestAuth app(store::Engine::sqlite, &limits_on);
  Browser b(app);
  const auto sign_in = [&](int i) {
    return b
        .post("/sign-in/email", json::Object{{"email", "a@app.test"}, {"password", "x"}},
              {{"x-forwarded-for", fmt::format("198.51.100.{}", i)}})
        .status;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sign_in(i), 401);
  EXPECT_EQ(sign_in(4), 429);
}

class RateLimit : public ::testing::TestWithParam<RateLimitOptions::Storage> {
 protected:
  TestAuth app_{store::Engine::sqlite, [](Options& o) {
                  o.rate_limit.enabled = true;
                  o.rate_limit.storage = GetParam();
                  o.rate_limit.custom_rules = {{"/ok", std::nullopt}, {"/list-*", RateLimitRule{60s, 1}}};
                }};
};
INSTANTIATE_TEST_SUITE_P(Storage, RateLimit,
                         ::testing::Values(RateLimitOptions::Storage::memory,
                                           RateLimitOptions::Storage::database));

TEST_P(RateLimit, AttackGuessing_TheFourthSignInInTenSecondsWaits) {
  Browser b(app_);
  const auto sign_in = [&] {
    return b.post("/sign-in/email", json::Object{{"email", "a@app.test"}, {"password", "x"}});
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sign_in().status, 401);
  app_.clock.advance(4s);
  const auto refused = sign_in();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.get("x-retry-after"), "6");
  EXPECT_EQ(refused.body, R"({"message":"Too many requests. Please try again later."})");
  b.ip = "203.0.113.8";
  EXPECT_EQ(sign_in().status, 401) << "another client";
  b.ip = "203.0.113.7";
  app_.clock.advance(6s - 1ms);
  EXPECT_EQ(sign_in().status, 429);
  app_.clock.advance(1ms);
  EXPECT_EQ(sign_in().status, 401) << "refused requests did not extend the window";
}

TEST_P(RateLimit, RulesOfTheProgramWinAndPathsCountForThemselves) {
  Browser b(app_);
  for (int i = 0; i < 150; ++i) ASSERT_EQ(b.get("/ok").status, 200);
  EXPECT_EQ(b.get("/list-sessions").status, 401);
  EXPECT_EQ(b.get("/list-sessions").status, 429);
  EXPECT_EQ(b.get("/list-accounts").status, 401);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(b.get("/get-session").status, 200);
  EXPECT_EQ(b.get("/get-session").status, 429) << "the default: 100 in 10 seconds";
}

TEST_P(RateLimit, AttackGuessing_ATokenInThePathIsNoCounterOfItsOwn) {
  Browser b(app_);
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(b.get(fmt::format("/reset-password/guess{}?callbackURL=/", i)).status, 302);
  EXPECT_EQ(b.get("/reset-password/another?callbackURL=/").status, 429);
}

TEST_P(RateLimit, AttackAddresses_ASubscribersIpv6NetworkIsOneClient) {
  Browser b(app_);
  const auto sign_in = [&](const char* ip) {
    b.ip = ip;
    return b.post("/sign-in/email", json::Object{{"email", "a@app.test"}, {"password", "x"}}).status;
  };
  for (const char* ip : {"2001:db8::1", "2001:db8::2", "2001:db8::3"}) EXPECT_EQ(sign_in(ip), 401);
  EXPECT_EQ(sign_in("2001:db8::ffff"), 429);
  EXPECT_EQ(sign_in("2001:db8:0:1::1"), 401) << "the neighbour";
}

TEST(AuthAttacks, AttackMemory_AMillionAddressesDoNotGrowTheTableNorResetTheBusyOnes) {
  MemoryRateLimits limits(1000);
  const Time now(1'750'000'000s);
  const RateLimitRule rule{60s, 3};
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(run(limits.take("busy", rule, now)).has_value());
  for (int i = 0; i < 5000; ++i) run(limits.take(std::to_string(i), rule, now));
  EXPECT_LE(limits.size(), 1000u);
  EXPECT_TRUE(run(limits.take("busy", rule, now)).has_value());
}

// --- Injection and bad input (attack 18) ---

TEST(AuthAttacks, AttackHeaderInjection_LineBreaksDoNotReachHeaders) {
  TestAuth app;
  Browser b(app);
  const auto r = b.post(
      "/sign-in/email",
      json::Object{{"email", "a@app.test"}, {"password", "x"}, {"callbackURL", "/x\r\nset-cookie: a=b"}});
  EXPECT_EQ(code_of(r), "INVALID_CALLBACK_URL");
  EXPECT_EQ(b.get("/error?error=a%0d%0ax&error_description=b%0d%0ac").headers.get("location"),
            "/?error=UNKNOWN&error_description=b%0D%0Ac");
  EXPECT_EQ(*b.sign_up("a\r\nbcc: x@app.test").string_at("code"), "VALIDATION_ERROR");
}

TEST(AuthAttacks, AttackBadText_NulAndBrokenUtf8AreRefusedAndNotAServerError) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  EXPECT_EQ(code_of(b.post("/update-user", json::Object{{"name", std::string("a\0b", 3)}})),
            "VALIDATION_ERROR");
  EXPECT_EQ(
      code_of(b.send("POST", "/update-user", "{\"name\":\"\xff\"}", {{"content-type", "application/json"}})),
      "BAD_REQUEST");
  EXPECT_EQ(b.get("/get-session?disableRefresh=%00").status, 400);
  EXPECT_EQ(b.get("/reset-password/%00?callbackURL=/").status, 404);
  EXPECT_EQ(b.get("/reset-password/%ff?callbackURL=/").status, 404);
  Browser other(app);
  const auto in =
      other.post("/sign-in/email", json::Object{{"email", "a@app.test"}, {"password", "password-1234"}},
                 {{"user-agent", "\xff\xfe"}});
  EXPECT_EQ(in.status, 200);
  EXPECT_EQ(*other.session().find("session")->string_at("userAgent"), "");
}

TEST(AuthAttacks, AttackBadText_ABearerTokenThatIsNoTextIsADeadSession) {
  struct Bearer {
    static Task<Result<void, Fault>> use(Context& c) {
      c.use_session_token(std::string("\xff\0", 2));
      co_return Result<void, Fault>();
    }
  };
  TestAuth app(store::Engine::sqlite, [](Options& o) { o.before = {{.run = &Bearer::use}}; });
  Browser b(app);
  EXPECT_EQ(b.get("/get-session").body, "null");
  EXPECT_EQ(b.post("/sign-out", json::Object{}).status, 200);
}

TEST(AuthAttacks, AttackBigBody_AQuarterOfAMebibyteIsEnough) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  const auto update = [&](std::size_t bytes) {
    const std::string frame = R"({"image":""})";
    return b.send("POST", "/update-user", R"({"image":")" + std::string(bytes - frame.size(), 'x') + R"("})",
                  {{"content-type", "application/json"}});
  };
  EXPECT_EQ(update(k_max_body).status, 200);
  EXPECT_EQ(update(k_max_body + 1).status, 413);
}

// --- Passwords and enumeration (attack 15, as far as the framework) ---

TEST(AuthAttacks, PasswordsHaveEightTo128Utf16Units) {
  TestAuth app;
  const auto code = [&](const std::string& password) {
    const json::Value r = Browser(app).sign_up("a@app.test", password);
    return r.string_at("code") ? *r.string_at("code") : "";
  };
  EXPECT_EQ(code("1234567"), "PASSWORD_TOO_SHORT");
  EXPECT_EQ(code(std::string(129, 'x')), "PASSWORD_TOO_LONG");
  EXPECT_EQ(code("\xf0\x9f\x94\x91\xf0\x9f\x94\x91\xf0\x9f\x94\x91"), "PASSWORD_TOO_SHORT")
      << "three keys are six units";
  EXPECT_EQ(code(std::string(128, 'x')), "");
  EXPECT_EQ(password_length("\xf0\x9f\x94\x91\xc3\xa9"), 3u);
}

TEST(AuthAttacks, APasswordIsTheSameFromEveryKeyboard) {  // NFKC
  SeededRng rng;
  const std::string stored = hash_password("caf\xc3\xa9-\xef\xac\x81sh", rng);  // é composed, the fi ligature
  EXPECT_TRUE(verify_password("cafe\xcc\x81-fish", stored));
  EXPECT_FALSE(verify_password("cafe-fish", stored));
}

TEST(AuthAttacks, AttackEnumeration_ResetAnswersAreTheSame) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  const auto known = b.post("/request-password-reset", json::Object{{"email", "a@app.test"}});
  const auto writes = (*app.db).stats().writes;
  const auto unknown = b.post("/request-password-reset", json::Object{{"email", "b@app.test"}});
  EXPECT_EQ(known.body, unknown.body);
  EXPECT_EQ(known.status, unknown.status);
  EXPECT_EQ((*app.db).stats().writes - writes, 1u) << "and cost the same";
  EXPECT_EQ(app.mails.size(), 1u);
}

TEST(AuthAttacks, AttackEnumeration_AMailerThatFailsDoesNotShow) {
  struct Mailer {
    static Task<void> send(LinkMail) {
      throw std::runtime_error("no route to host");
      co_return;
    }
  };
  TestAuth app(store::Engine::sqlite,
               [](Options& o) { o.email_and_password.send_reset_password = &Mailer::send; });
  Browser b(app);
  b.sign_up("a@app.test");
  EXPECT_EQ(b.post("/request-password-reset", json::Object{{"email", "a@app.test"}}).status, 200);
}

TEST(AuthAttacks, AttackResetReplay_ALinkIsGoodForOneHourAndOnce) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  const auto link = [&] {
    b.post("/request-password-reset", json::Object{{"email", "a@app.test"}});
    return app.mails.back().mail.token;
  };
  const auto reset = [&](const std::string& token) {
    return b.post("/reset-password", json::Object{{"newPassword", "password-5678"}, {"token", token}}).status;
  };
  const std::string first = link();
  app.clock.advance(1h);
  EXPECT_EQ(reset(first), 400);
  const std::string second = link();
  app.clock.advance(1h - 1ms);
  EXPECT_EQ(reset(second), 200);
  EXPECT_EQ(reset(second), 400);
}

TEST(AuthAttacks, AttackStaleLink_AVerificationLinkOfAnEarlierAddressProvesNothing) {
  TestAuth app(store::Engine::sqlite, [](Options& o) { o.user.change_email.enabled = true; });
  Browser b(app);
  b.sign_up("a@app.test");
  b.post("/send-verification-email", json::Object{{"email", "a@app.test"}});
  const std::string old_link = app.mails.back().mail.token;
  b.post("/change-email", json::Object{{"newEmail", "b@app.test"}});
  EXPECT_EQ(app.mails.back().mail.user.email, "b@app.test") << "the link goes to the new address";
  EXPECT_EQ(b.get("/verify-email?token=" + app.mails.back().mail.token).status, 200);
  EXPECT_EQ(*b.session().find("user")->string_at("email"), "b@app.test");
  EXPECT_EQ(code_of(b.get("/verify-email?token=" + old_link)), "INVALID_TOKEN");
  EXPECT_EQ(*b.session().find("user")->find("emailVerified"), json::Value(false));
}

TEST(AuthAttacks, AttackStaleLink_AVerificationLinkIsGoodForAnHour) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  b.post("/send-verification-email", json::Object{{"email", "a@app.test"}});
  const std::string path = "/verify-email?token=" + app.mails.back().mail.token;
  app.clock.advance(1h);
  EXPECT_EQ(code_of(b.get(path)), "TOKEN_EXPIRED");
  app.clock.advance(-1s);
  EXPECT_EQ(b.get(path).status, 200);
}

TEST(AuthAttacks, AttackForeignSession_TokensOfOthersAreNotRevoked) {
  TestAuth app;
  Browser a(app), b(app);
  a.sign_up("a@app.test");
  const std::string victim = *b.sign_up("b@app.test").string_at("token");
  EXPECT_EQ(a.post("/revoke-session", json::Object{{"token", victim}}).body, R"({"status":true})");
  EXPECT_FALSE(b.session().is_null());
}

TEST(AuthAttacks, AttackForeignDeletion_ALinkDeletesOnlyTheOneItWasMailedTo) {
  TestAuth app;
  app.restart([&](Options& o) {
    o.user.delete_user.enabled = true;
    o.user.delete_user.send_delete_account_verification = app.mailer("delete");
  });
  Browser a(app), b(app);
  a.sign_up("a@app.test");
  b.sign_up("b@app.test");
  a.post("/delete-user", json::Object{});
  const std::string path = "/delete-user/callback?token=" + app.mails.back().mail.token;
  EXPECT_EQ(b.get(path).status, 404);
  EXPECT_EQ(a.get(path).status, 200) << "the other's try did not spend it";
  EXPECT_TRUE(a.session().is_null());
  EXPECT_FALSE(b.session().is_null());
}

// --- Sessions: both sides of their limits; the rest is in transcripts 01 and 14 ---

TEST(AuthSessions, ASessionLivesSevenDaysAndIsExtendedAfterOne) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  app.clock.advance(24h - 1ms);
  EXPECT_FALSE(b.get("/get-session").headers.has("set-cookie"));
  app.clock.advance(1ms);
  EXPECT_TRUE(b.get("/get-session").headers.has("set-cookie"));
  app.clock.advance(7 * 24h - 1ms);
  EXPECT_FALSE(json::parse(b.get("/get-session?disableRefresh=true").body)->is_null());
  app.clock.advance(1ms);
  EXPECT_TRUE(b.session().is_null());
  EXPECT_TRUE(b.jar.empty()) << "a dead session takes its cookies along";
}

TEST(AuthSessions, ANotRememberedSessionLivesADayAndIsNotExtended) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  b.jar.clear();
  b.post("/sign-in/email",
         json::Object{{"email", "a@app.test"}, {"password", "password-1234"}, {"rememberMe", false}});
  app.clock.advance(24h - 1ms);
  EXPECT_FALSE(b.session().is_null());
  app.clock.advance(1ms);
  EXPECT_TRUE(b.session().is_null());
}

TEST(AuthSessions, BeingExtendedDoesNotMakeASessionFresh) {
  TestAuth app;
  Browser b(app);
  b.sign_up("a@app.test");
  app.clock.advance(24h - 1ms);
  EXPECT_EQ(b.get("/list-sessions").status, 200);
  app.clock.advance(1ms);
  EXPECT_EQ(code_of(b.get("/list-sessions")), "SESSION_NOT_FRESH");
  EXPECT_EQ(code_of(b.get("/list-sessions")), "SESSION_NOT_FRESH");
}

}  // namespace
}  // namespace latchkey::auth

#include "auth/plugins/email_otp/plugin.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include "auth/core/schema.h"
#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;
using json::Object;

Task<void> keep(std::vector<OtpMail>* mails, OtpMail mail) {
  mails->push_back(std::move(mail));
  co_return;
}
Task<void> lose(OtpMail) {
  throw std::runtime_error("no mail server");
  co_return;
}

class EmailOtpPlugin : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (!IsSkipped()) app_.emplace(GetParam(), plugin());
  }
  std::function<void(Options&)> plugin() {
    return [this](Options& o) {
      EmailOtpOptions copy = options_;
      if (!copy.send) copy.send = [this](OtpMail mail) { return keep(&mails_, std::move(mail)); };
      // Something another plugin keeps of users.
      Plugin keys{.id = "extra-key",
                  .tables = {{"extra_key", {{.name = "userId", .required = true, .references = "user"}}}}};
      o.plugins = {email_otp(std::move(copy)), std::move(keys)};
      o.email_verification.auto_sign_in_after_verification = auto_sign_in_;
    };
  }
  void restart() { app_->restart(plugin()); }
  /// Strict mode, over the tables of EmailOtp in the same database.
  void make_strict(EmailOtpLimits limits = {}) {
    store::migrate(*app_->db, migrations());
    strict_ = std::make_unique<EmailOtp>(*app_->db, app_->clock, app_->rng, Secret<Bytes>(Bytes(32, 7)),
                                         std::move(limits));
    options_.strict = strict_.get();
    options_.otp_length = 8;
    options_.allowed_attempts = 5;
    restart();
  }

  web::Response ask(const std::string& type = "sign-in", const std::string& email = "dan@example.test") {
    return b().post("/email-otp/send-verification-otp", Object{{"email", email}, {"type", type}});
  }
  /// Asks, and what was mailed.
  std::string code(const std::string& type = "sign-in", const std::string& email = "dan@example.test") {
    const auto before = mails_.size();
    EXPECT_EQ(ask(type, email).status, 200);
    EXPECT_EQ(mails_.size(), before + 1);
    return mails_.empty() ? "" : mails_.back().otp;
  }
  web::Response sign_in(const std::string& otp, const std::string& email = "dan@example.test") {
    return b().post("/sign-in/email-otp", Object{{"email", email}, {"otp", otp}});
  }
  static std::string wrong(const std::string& code) { return (code[0] == '0' ? "1" : "0") + code.substr(1); }
  Browser& b() {
    if (!browser_) browser_.emplace(*app_);
    return *browser_;
  }
  std::optional<Verification> row(const std::string& identifier) {
    return run(
        app_->db->read([&](store::Tx& tx) { return app_->auth->verifications().newest(tx, identifier); }));
  }
  std::int64_t rows_of(const store::Sql& sql) {
    return run(app_->db->read([&](store::Tx& tx) { return tx.one(sql)->int64(0); }));
  }

  EmailOtpOptions options_;
  bool auto_sign_in_ = false;
  std::vector<OtpMail> mails_;
  std::optional<TestAuth> app_;
  std::unique_ptr<EmailOtp> strict_;
  std::optional<Browser> browser_;
};

// --- Codes

TEST_P(EmailOtpPlugin, ACodeSignsInOnceAndForFiveMinutes) {
  const std::string first = code();
  app_->clock.advance(299s);
  EXPECT_EQ(sign_in(first).status, 200);
  EXPECT_EQ(code_of(sign_in(first)), "INVALID_OTP") << "spent";
  const std::string late = code();
  app_->clock.advance(300s);
  EXPECT_EQ(code_of(sign_in(late)), "OTP_EXPIRED");
  EXPECT_EQ(code_of(sign_in(late)), "INVALID_OTP") << "and gone";
}

TEST_P(EmailOtpPlugin, AttackGuessing_TheThirdTryMayBeRightTheFourthNot) {
  const std::string good = code();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(code_of(sign_in(wrong(good))), "INVALID_OTP");
  EXPECT_EQ(sign_in(good).status, 200);
  const std::string late = code();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of(sign_in(wrong(late))), "INVALID_OTP");
  EXPECT_EQ(code_of(sign_in(late)), "TOO_MANY_ATTEMPTS");
  EXPECT_EQ(code_of(sign_in(late)), "INVALID_OTP");
}

TEST_P(EmailOtpPlugin, AttackGuessing_CheckingCountsAsATry) {
  const std::string good = code();
  for (int i = 0; i < 3; ++i)
    b().post("/email-otp/check-verification-otp",
             Object{{"email", "dan@example.test"}, {"type", "sign-in"}, {"otp", wrong(good)}});
  EXPECT_EQ(code_of(sign_in(good)), "TOO_MANY_ATTEMPTS");
}

TEST_P(EmailOtpPlugin, AttackSubstitution_ACodeIsBoundToAddressAndType) {
  const std::string good = code();
  EXPECT_EQ(code_of(sign_in(good, "eve@example.test")), "INVALID_OTP");
  EXPECT_EQ(
      code_of(b().post("/email-otp/verify-email", Object{{"email", "dan@example.test"}, {"otp", good}})),
      "INVALID_OTP");
  EXPECT_EQ(sign_in(good, "DAN@example.test").status, 200);
}

TEST_P(EmailOtpPlugin, OutsideOfStrictModeACodeIsItsExactText) {
  const std::string good = code();
  EXPECT_EQ(code_of(sign_in(good + " ")), "INVALID_OTP");
  EXPECT_EQ(sign_in(good).status, 200);
}

TEST_P(EmailOtpPlugin, ANewCodeKillsTheOld) {
  const std::string old = code(), fresh = code();
  ASSERT_NE(old, fresh);
  EXPECT_EQ(code_of(sign_in(old)), "INVALID_OTP");
  EXPECT_EQ(sign_in(fresh).status, 200);
}

TEST_P(EmailOtpPlugin, AttackGuessing_AReusedCodeKeepsItsAttempts) {
  for (const auto store : {EmailOtpOptions::Store::plain, EmailOtpOptions::Store::encrypted}) {
    options_.resend = EmailOtpOptions::Resend::reuse;
    options_.store = store;
    restart();
    const std::string good = code();
    app_->clock.advance(200s);
    EXPECT_EQ(code(), good) << "the same again";
    app_->clock.advance(299s);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of(sign_in(wrong(good))), "INVALID_OTP");
    const std::string fresh = code();
    EXPECT_NE(fresh, good) << "used up: another one";
    EXPECT_EQ(code_of(sign_in(good)), "INVALID_OTP");
    EXPECT_EQ(sign_in(fresh).status, 200);
  }
}

TEST_P(EmailOtpPlugin, AHashedCodeCannotBeSentAgain) {
  options_.resend = EmailOtpOptions::Resend::reuse;
  options_.store = EmailOtpOptions::Store::hashed;
  restart();
  const std::string old = code(), fresh = code();
  EXPECT_NE(old, fresh);
  EXPECT_EQ(sign_in(fresh).status, 200);
}

TEST_P(EmailOtpPlugin, EncryptedCodesOutliveAChangeOfSecrets) {
  options_.store = EmailOtpOptions::Store::encrypted;
  restart();
  const std::string good = code();
  EXPECT_EQ(row("sign-in-otp-dan@example.test")->value.find(good), std::string::npos);
  app_->restart([&](Options& o) {
    plugin()(o);
    o.old_secrets = {o.secret};
    o.secret = Secret<std::string>("another-secret-of-tests-0123456789abcdef");
  });
  EXPECT_EQ(sign_in(good).status, 200);
}

// --- Who is mailed to

TEST_P(EmailOtpPlugin, AttackEnumeration_UnknownAddressesGetTheSameAnswerAndNoMail) {
  b().sign_up("known@example.test");
  options_.disable_sign_up = true;
  restart();
  for (const char* type : {"email-verification", "forget-password", "sign-in"}) {
    const auto known = ask(type, "known@example.test"), unknown = ask(type, "unknown@example.test");
    EXPECT_EQ(known.status, unknown.status);
    EXPECT_EQ(known.body, unknown.body);
    EXPECT_EQ(mails_.back().email, "known@example.test") << type;
  }
  EXPECT_EQ(mails_.size(), 3u);
  EXPECT_FALSE(row("forget-password-otp-unknown@example.test"));
}

TEST_P(EmailOtpPlugin, AttackTiming_AMailThatIsWithheldIsAsMuchWork) {
  options_.feign = EmailOtpOptions::Feign::on;
  restart();
  ask("email-verification");
  ASSERT_EQ(mails_.size(), 1u);
  EXPECT_TRUE(mails_[0].withheld);
  EXPECT_EQ(mails_[0].email, "dan@example.test");
  EXPECT_FALSE(row("email-verification-otp-dan@example.test")) << "a code nobody was told opens nothing";
  EXPECT_EQ(sign_in(code()).status, 200);
  mails_.clear();
  ask("email-verification");
  ASSERT_EQ(mails_.size(), 1u);
  EXPECT_FALSE(mails_[0].withheld);
}

TEST_P(EmailOtpPlugin, AttackEnumeration_AMailerThatFailsDoesNotShow) {
  b().sign_up("known@example.test");
  options_.send = lose;
  restart();
  const auto known = ask("forget-password", "known@example.test"),
             unknown = ask("forget-password", "unknown@example.test");
  EXPECT_EQ(known.status, 200);
  EXPECT_EQ(known.body, unknown.body);
}

TEST_P(EmailOtpPlugin, SignUpCanBeOff) {
  const std::string good = code();
  options_.disable_sign_up = true;
  restart();
  EXPECT_EQ(code_of(sign_in(good)), "INVALID_OTP");
}

TEST_P(EmailOtpPlugin, ANewUserIsAskedForTheirAddress) {
  b().sign_up("quiet@example.test");
  EXPECT_TRUE(mails_.empty());
  options_.send_verification_on_sign_up = true;
  restart();
  b().sign_up("new@example.test");
  ASSERT_EQ(mails_.size(), 1u);
  EXPECT_EQ(mails_[0].type, "email-verification");
  Browser other(*app_);
  other.sign_up("new@example.test", "another-password");
  EXPECT_EQ(mails_.size(), 1u) << "that sign-up failed";
}

// --- What a code proves

TEST_P(EmailOtpPlugin, AttackPreHijack_WhoeverRegisteredAStrangersAddressLosesEveryWayIn) {
  for (const bool by_reset : {false, true}) {
    const std::string email = by_reset ? "r@example.test" : "s@example.test";
    Browser attacker(*app_);
    const auto user = attacker.sign_up(email, "password-of-attacker");
    const std::string id = *user.find("user")->string_at("id");
    run(app_->db->write([&](store::Tx& tx) {
      static constexpr store::Sql k_add{R"(INSERT INTO "extra_key" ("id", "userId") VALUES (?1, ?1))"};
      tx.exec(k_add, id);
    }));
    if (by_reset) {
      const auto r = b().post("/email-otp/reset-password", Object{{"email", email},
                                                                  {"otp", code("forget-password", email)},
                                                                  {"password", "password-of-owner"}});
      EXPECT_EQ(r.status, 200) << r.body;
    } else {
      EXPECT_EQ(sign_in(code("sign-in", email), email).status, 200);
    }
    EXPECT_TRUE(attacker.session().is_null());
    EXPECT_EQ(attacker.post("/sign-in/email", Object{{"email", email}, {"password", "password-of-attacker"}})
                  .status,
              401);
    static constexpr store::Sql k_keys{R"(SELECT count(*) FROM "extra_key")"};
    EXPECT_EQ(rows_of(k_keys), 0) << "such as a passkey";
  }
}

TEST_P(EmailOtpPlugin, AVerifiedUserKeepsPasswordAndOtherSessions) {
  Browser phone(*app_);
  phone.sign_up("dan@example.test", "password-1234");
  EXPECT_EQ(b().post("/email-otp/verify-email",
                     Object{{"email", "dan@example.test"}, {"otp", code("email-verification")}})
                .status,
            200);
  EXPECT_FALSE(phone.session().is_null());
  EXPECT_EQ(sign_in(code()).status, 200);
  EXPECT_FALSE(phone.session().is_null());
  EXPECT_EQ(Browser(*app_)
                .post("/sign-in/email", Object{{"email", "dan@example.test"}, {"password", "password-1234"}})
                .status,
            200);
}

TEST_P(EmailOtpPlugin, VerifyingSignsInWhereTheProgramWantsIt) {
  Browser phone(*app_);
  phone.sign_up("dan@example.test");
  auto_sign_in_ = true;
  restart();
  b().post("/email-otp/verify-email",
           Object{{"email", "dan@example.test"}, {"otp", code("email-verification")}});
  EXPECT_EQ(*b().session().find("user")->string_at("email"), "dan@example.test");
}

TEST_P(EmailOtpPlugin, APasswordTooShortDoesNotSpendTheCode) {
  Browser phone(*app_);
  phone.sign_up("dan@example.test");
  const std::string good = code("forget-password");
  const auto reset = [&](const std::string& password) {
    return b().post("/email-otp/reset-password",
                    Object{{"email", "dan@example.test"}, {"otp", good}, {"password", password}});
  };
  EXPECT_EQ(code_of(reset("1234567")), "PASSWORD_TOO_SHORT");
  EXPECT_EQ(reset("12345678").status, 200);
}

// --- Another address

TEST_P(EmailOtpPlugin, AnAddressChangesByACodeThatWentToTheNewOne) {
  options_.change_email.enabled = true;
  restart();
  b().sign_up("dan@example.test");
  EXPECT_EQ(b().post("/email-otp/request-email-change", Object{{"newEmail", "Dan2@example.test"}}).status,
            200);
  ASSERT_EQ(mails_.size(), 1u);
  EXPECT_EQ(mails_[0].email, "dan2@example.test");
  const auto change = [&](Browser& who) {
    return who.post("/email-otp/change-email",
                    Object{{"newEmail", "dan2@example.test"}, {"otp", mails_[0].otp}});
  };
  Browser eve(*app_);
  eve.sign_up("eve@example.test");
  EXPECT_EQ(code_of(change(eve)), "INVALID_OTP") << "somebody else's code";
  EXPECT_EQ(change(b()).status, 200);
  const auto now = b().session();
  EXPECT_EQ(*now.find("user")->string_at("email"), "dan2@example.test");
  EXPECT_TRUE(*now.find("user")->find("emailVerified")->boolean());
}

TEST_P(EmailOtpPlugin, AttackEnumeration_ATakenAddressIsToldOnlyToItsMailbox) {
  options_.change_email.enabled = true;
  restart();
  Browser(*app_).sign_up("taken@example.test");
  b().sign_up("dan@example.test");
  const auto taken = b().post("/email-otp/request-email-change", Object{{"newEmail", "taken@example.test"}}),
             freed = b().post("/email-otp/request-email-change", Object{{"newEmail", "free@example.test"}});
  EXPECT_EQ(taken.body, freed.body);
  EXPECT_EQ(mails_.size(), 1u);
  Browser(*app_).sign_up("free@example.test");  // meanwhile
  const auto late =
      b().post("/email-otp/change-email", Object{{"newEmail", "free@example.test"}, {"otp", mails_[0].otp}});
  EXPECT_EQ(late.status, 400);
  EXPECT_NE(late.body.find("Email already in use"), std::string::npos);
}

TEST_P(EmailOtpPlugin, TheOldAddressIsAskedFirstWhereTheProgramWantsIt) {
  options_.change_email = {.enabled = true, .verify_current = true};
  restart();
  b().sign_up("dan@example.test");
  const auto request = [&](json::Object body) {
    body.set("newEmail", "new@example.test");
    return b().post("/email-otp/request-email-change", body);
  };
  EXPECT_EQ(request({}).status, 400);
  const std::string good = code("email-verification");
  EXPECT_EQ(code_of(request({{"otp", wrong(good)}})), "INVALID_OTP");
  EXPECT_EQ(mails_.size(), 1u);
  EXPECT_EQ(request({{"otp", good}}).status, 200);
  EXPECT_EQ(mails_.back().email, "new@example.test");
}

// --- Strict mode

TEST_P(EmailOtpPlugin, AttackEnumeration_StrictWhateverIsWrongIsInvalidOtp) {
  make_strict();
  const std::string good = code();
  EXPECT_EQ(code_of(sign_in(good, "nobody@example.test")), "INVALID_OTP");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(code_of(sign_in(wrong(good))), "INVALID_OTP");
  EXPECT_EQ(code_of(sign_in(good)), "INVALID_OTP") << "after five tries";
  const std::string late = code();
  app_->clock.advance(options_.expires_in);
  EXPECT_EQ(code_of(sign_in(late)), "INVALID_OTP") << "expired";
}

TEST_P(EmailOtpPlugin, StrictTheFifthTryMayBeRightWithSpacesAndDashes) {
  make_strict();
  const std::string good = code();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(code_of(sign_in(wrong(good))), "INVALID_OTP");
  EXPECT_EQ(sign_in(good.substr(0, 4) + " - " + good.substr(4)).status, 200);
}

TEST_P(EmailOtpPlugin, StrictOtherScriptsDigitsAreNotRead) {
  make_strict();
  code();
  EXPECT_EQ(code_of(sign_in("\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa7\xd9\xa8")),
            "INVALID_OTP");
}

TEST_P(EmailOtpPlugin, AttackMailBomb_StrictPagesAndRoutesCountSendsTogether) {
  make_strict();
  const EmailOtp::Subject page{*mail::EmailAddress::parse("Dan@example.test"), "sign-in", "flow"};
  const std::string kept = code();
  code();
  ASSERT_TRUE(run(strict_->issue(page, b().ip)));
  const std::string last = mails_.back().otp;
  const auto refused = ask();
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(refused.body, R"({"success":true})");
  EXPECT_EQ(mails_.size(), 2u) << "the fourth is silent";
  restart();
  ask();
  EXPECT_EQ(mails_.size(), 2u) << "limits survive a restart";
  EXPECT_FALSE(run(strict_->count_send(page.email, b().ip)));
  EXPECT_EQ(sign_in(last).status, 200) << "what was told before stays good";
  app_->clock.advance(15min);
  EXPECT_TRUE(run(strict_->count_send(page.email, b().ip)));
}

TEST_P(EmailOtpPlugin, AttackGuessing_StrictPagesAndRoutesLockTogether) {
  make_strict();
  const EmailOtp::Subject page{*mail::EmailAddress::parse("dan@example.test"), "sign-in", "flow"};
  for (int i = 0; i < 5; ++i) {
    sign_in("00000000");
    run(strict_->verify(page, "00000000", "198.51.100.9"));
  }
  const std::string good = code();
  EXPECT_EQ(code_of(sign_in(good)), "INVALID_OTP") << "ten failures: locked";
  app_->clock.advance(1h);
  EXPECT_EQ(sign_in(code()).status, 200);
}

TEST_P(EmailOtpPlugin, StrictCodesRestUnderTheServersKey) {
  make_strict();
  const std::string good = code();
  const auto kept = row("sign-in-otp-dan@example.test");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->value, strict_->keyed("sign-in-otp-dan@example.test", good) + ":0");
  EXPECT_EQ(kept->value.find(good), std::string::npos);
}

// How long an answer takes is how much it writes; src/store flushes nothing for a transaction without
// changes.
TEST(StrictEmailOtpOnDisk, AttackEnumeration_WhatIsRefusedWritesAsMuchAsWhatIsNot) {
  std::string folder = (std::filesystem::temp_directory_path() / "latchkey-otp-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/auth.sqlite";
  FakeClock clock;
  SeededRng rng;
  std::vector<OtpMail> mails;
  auto db = store::open_sqlite(path);
  store::migrate(*db, migrations());
  {
    EmailOtp strict(*db, clock, rng, Secret<Bytes>(Bytes(32, 7)), {});
    Options options{.base_url = TestAuth::base,
                    .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                    .database = *db,
                    .clock = clock,
                    .rng = rng};
    options.rate_limit.enabled = false;
    options.plugins = {email_otp({.otp_length = 8, .strict = &strict, .send = [&mails](OtpMail mail) {
                                    return keep(&mails, std::move(mail));
                                  }})};
    Auth auth(std::move(options));
    auth.migrate();
    const auto written = [&](const std::string& route, const Object& body) {
      auto request = web::Request::make("POST", std::string(TestAuth::base) + "/api/auth" + route,
                                        json::Value(body).dump());
      request.headers.add("content-type", "application/json");
      request.headers.add("origin", TestAuth::base);
      request.remote_ip = "192.0.2.1";
      const auto before = std::filesystem::file_size(path + "-wal");
      run(auth.handle(std::move(request)));
      return std::filesystem::file_size(path + "-wal") - before;
    };
    const Object ask{{"email", "dan@example.test"}, {"type", "sign-in"}};
    const auto send = [&] { return written("/email-otp/send-verification-otp", ask); };
    const auto guess = [&](const std::string& email) {
      return written("/sign-in/email-otp", {{"email", email}, {"otp", "12345678"}});
    };
    send();
    const auto sent = send();
    send();
    EXPECT_EQ(send(), sent) << "the fourth, which is not sent";
    EXPECT_EQ(mails.size(), 3u);
    guess("dan@example.test");
    const auto guessed = guess("dan@example.test");
    EXPECT_GT(guessed, 0u);
    EXPECT_EQ(guess("nobody@example.test"), guessed) << "an address that has no code";
  }
  db.reset();
  std::filesystem::remove_all(folder);
}

// --- Options

TEST(EmailOtpOptions, ThatCannotWorkAreRefused) {
  const auto with = [](std::size_t length, int attempts) {
    return EmailOtpOptions{.otp_length = length, .allowed_attempts = attempts, .send = lose};
  };
  EXPECT_NO_THROW(email_otp(with(4, 1)));
  EXPECT_NO_THROW(email_otp(with(12, 1)));
  EXPECT_THROW(email_otp(with(3, 1)), std::invalid_argument);
  EXPECT_THROW(email_otp(with(13, 1)), std::invalid_argument);
  EXPECT_THROW(email_otp(with(6, 0)), std::invalid_argument);
  EXPECT_THROW(email_otp({}), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Store, EmailOtpPlugin, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth

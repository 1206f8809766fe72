#include "auth/plugins/email_otp/email_otp.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "auth/core/schema.h"
#include "store/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

class EmailOtpTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
    restart();
  }
  void restart() {
    otp_ = std::make_unique<EmailOtp>(**db_, clock_, rng_, Secret<Bytes>(Bytes(32, 7)), limits_);
  }
  EmailOtp::Subject subject(std::string_view email = "alice@example.com", std::string flow = "flow-a") {
    return {*mail::EmailAddress::parse(email), "sign-in", std::move(flow)};
  }
  std::optional<std::string> issue(EmailOtp::Subject s, std::string ip = "192.0.2.1") {
    return run(otp_->issue(std::move(s), std::move(ip)));
  }
  bool verify(EmailOtp::Subject s, std::string code, std::string ip = "192.0.2.1") {
    return run(otp_->verify(std::move(s), std::move(code), std::move(ip)));
  }
  /// Failures counted against addresses.
  std::int64_t failures() {
    static constexpr store::Sql k_failures{
        "SELECT count(*) FROM auth_event WHERE bucket LIKE 'otp-fail-email:%'"};
    return run((**db_).read([](store::Tx& tx) { return tx.one(k_failures)->int64(0); }));
  }
  static std::string wrong(const std::string& code) { return (code[0] == '0' ? "1" : "0") + code.substr(1); }

  FakeClock clock_;
  SeededRng rng_;
  EmailOtpLimits limits_;
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<EmailOtp> otp_;
};

TEST_P(EmailOtpTest, ACodeHasEightDigitsAndWorksOnce) {
  const auto code = issue(subject());
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(code->size(), 8u);
  EXPECT_EQ(code->find_first_not_of("0123456789"), std::string::npos);
  EXPECT_TRUE(verify(subject(), *code));
  EXPECT_FALSE(verify(subject(), *code)) << "single use";
}

TEST_P(EmailOtpTest, SpacesAndDashesDoNotMatterButOtherDigitsDo) {
  const std::string code = *issue(subject());
  EXPECT_FALSE(verify(subject(), "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa7\xd9\xa8"))
      << "Arabic-Indic digits";
  EXPECT_FALSE(verify(subject(), code + "0")) << "one digit more";
  EXPECT_TRUE(verify(subject(), " " + code.substr(0, 4) + "-" + code.substr(4) + " "));
}

TEST_P(EmailOtpTest, AttackGuessing_TheSixthTryFailsEvenWithTheRightDigits) {
  const std::string code = *issue(subject());
  for (int i = 0; i < k_code_tries; ++i) EXPECT_FALSE(verify(subject(), wrong(code)));
  EXPECT_FALSE(verify(subject(), code));
}

TEST_P(EmailOtpTest, TheFifthTryMayStillBeRight) {
  const std::string code = *issue(subject());
  for (int i = 0; i < k_code_tries - 1; ++i) EXPECT_FALSE(verify(subject(), wrong(code)));
  EXPECT_TRUE(verify(subject(), code));
}

TEST_P(EmailOtpTest, AttackAddresses_ASubscribersIpv6NetworkIsOneClient) {
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(
        issue(subject("p" + std::to_string(i) + "@example.com"), "2001:db8::" + std::to_string(i + 1)));
  EXPECT_FALSE(issue(subject("p10@example.com"), "2001:db8::ffff"));
  EXPECT_TRUE(issue(subject("p11@example.com"), "2001:db8:0:1::1")) << "the neighbour";
  // The same for wrong guesses.
  const std::string code = *issue(subject("q@example.com"), "2001:db8:0:1::1");
  for (int i = 0; i < 30; ++i)
    verify(subject("r" + std::to_string(i) + "@example.com"), "12345678",
           "2001:db8:0:2::" + std::to_string(i + 1));
  EXPECT_FALSE(verify(subject("q@example.com"), code, "2001:db8:0:2::ffff"));
  EXPECT_TRUE(verify(subject("q@example.com"), code, "2001:db8:0:1::1"));
}

TEST_P(EmailOtpTest, ExpiresAfterTenMinutes) {
  const std::string first = *issue(subject());
  clock_.advance(k_email_code_lifetime - 1s);
  EXPECT_TRUE(verify(subject(), first));
  const std::string second = *issue(subject());
  clock_.advance(k_email_code_lifetime);
  EXPECT_FALSE(verify(subject(), second));
}

TEST_P(EmailOtpTest, ANewCodeKillsTheOld) {
  const std::string first = *issue(subject()), second = *issue(subject());
  if (first != second) EXPECT_FALSE(verify(subject(), first));
  EXPECT_TRUE(verify(subject(), second));
}

TEST_P(EmailOtpTest, AttackSubstitution_ACodeIsBoundToAddressPurposeAndFlow) {
  const std::string code = *issue(subject("alice@example.com", "flow-a"));
  EXPECT_FALSE(verify(subject("bob@example.com", "flow-a"), code));
  EXPECT_FALSE(verify(subject("alice@example.com", "flow-b"), code));
  auto other = subject();
  other.purpose = "recovery";
  EXPECT_FALSE(verify(other, code));
  EXPECT_TRUE(verify(subject("ALICE@example.com "), code)) << "one address however it is written";
}

TEST_P(EmailOtpTest, TheFourthSendInAQuarterHourIsSilent) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(issue(subject()).has_value());
  EXPECT_FALSE(issue(subject()).has_value());
  restart();
  EXPECT_FALSE(issue(subject()).has_value()) << "limits survive a restart";
  EXPECT_TRUE(issue(subject("bob@example.com")).has_value()) << "only that address is limited";
  clock_.advance(15min);
  EXPECT_TRUE(issue(subject()).has_value());
  EXPECT_TRUE(issue(subject()).has_value());
  EXPECT_FALSE(issue(subject()).has_value()) << "five in an hour";
}

TEST_P(EmailOtpTest, SendsFromOneClientAddressAreLimited) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(issue(subject(fmt::format("u{}@example.com", i))).has_value());
  EXPECT_FALSE(issue(subject("u10@example.com")).has_value());
  EXPECT_TRUE(issue(subject("u10@example.com"), "192.0.2.2").has_value());
}

TEST_P(EmailOtpTest, AttackGuessing_TenFailuresInAnHourLockTheAddress) {
  // Two codes' worth of tries; a third code does not help any more.
  for (int round = 0; round < 2; ++round) {
    const std::string code = *issue(subject());
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(verify(subject(), wrong(code), fmt::format("192.0.2.{}", i)));
  }
  const std::string code = *issue(subject());
  EXPECT_FALSE(verify(subject(), code));
  clock_.advance(1h);
  limits_.sends_per_email = {{100, 1h}};
  restart();
  const std::string later = *issue(subject());
  EXPECT_TRUE(verify(subject(), later));
}

// One address under fire: a thousand requests a day and a half long, from a new client address each, with
// restarts in between.
TEST_P(EmailOtpTest, AttackMailBomb_AThousandSendsToOneAddressAreWhatTheLimitsSay) {
  int sent = 0;
  for (int i = 0; i < 1000; ++i) {
    sent += issue(subject("alice@example.com", fmt::format("flow-{}", i)), fmt::format("2001:db8:{:x}::1", i))
                .has_value();
    if (i % 100 == 99) restart();
  }
  EXPECT_EQ(sent, 3) << "within a quarter of an hour";
  clock_.advance(15min);
  for (int i = 0; i < 1000; ++i) sent += issue(subject(), fmt::format("2001:db8:{:x}::2", i)).has_value();
  EXPECT_EQ(sent, 5) << "within an hour";
}

TEST_P(EmailOtpTest, AttackGuessing_AThousandGuessesAtOneAddressAreTenTries) {
  limits_.sends_per_email = {{1000, 1h}};
  limits_.sends_overall = {{1000, 1min}};
  restart();
  std::string code = *issue(subject(), "2001:db8:ffff::1");
  int looked_at = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i % 4 == 0) code = *issue(subject(), fmt::format("2001:db8:{:x}:1::1", i));
    const bool before = failures() < 10;
    EXPECT_FALSE(verify(subject(), wrong(code), fmt::format("2001:db8:{:x}::1", i)));
    looked_at += before;
    if (i % 100 == 99) restart();
  }
  EXPECT_EQ(looked_at, 10);
  EXPECT_FALSE(verify(subject(), code, "2001:db8:ffff::1")) << "the right one, too late";
  clock_.advance(1h);
  EXPECT_TRUE(verify(subject(), *issue(subject(), "2001:db8:ffff::1"), "2001:db8:ffff::1"));
}

// How long an answer takes is how much it writes; src/store flushes nothing for a transaction without
// changes.
TEST(EmailOtpOnDisk, AttackEnumeration_WhatIsRefusedWritesAsMuchAsWhatIsNot) {
  std::string folder = (std::filesystem::temp_directory_path() / "latchkey-otp-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/auth.sqlite";
  FakeClock clock;
  SeededRng rng;
  auto db = store::open_sqlite(path);
  store::migrate(*db, migrations());
  EmailOtp otp(*db, clock, rng, Secret<Bytes>(Bytes(32, 7)), {});
  const auto written = [&](auto ask) {
    const auto before = std::filesystem::file_size(path + "-wal");
    ask();
    return std::filesystem::file_size(path + "-wal") - before;
  };
  int flow = 0;
  const auto subject = [&] {
    return EmailOtp::Subject{*mail::EmailAddress::parse("alice@example.com"), "sign-in",
                             fmt::format("flow-{}", flow)};
  };
  const auto send = [&] {
    ++flow;
    run(otp.issue(subject(), "192.0.2.1"));
  };
  const auto guess = [&] { run(otp.verify(subject(), "123456789", "192.0.2.1")); };
  send();
  const auto sent = written(send);
  send();
  EXPECT_EQ(written(send), sent) << "the fourth, which is not sent";
  guess();
  const auto guessed = written(guess);
  for (int i = 2; i < 10; ++i) guess();
  EXPECT_EQ(written(guess), guessed) << "the eleventh, which is not looked at";
  db.reset();
  std::filesystem::remove_all(folder);
}

TEST_P(EmailOtpTest, AttackGuessing_TwoProcessesCountTogether) {
  if (GetParam() != store::Engine::postgres) GTEST_SKIP() << "one process only";
  const auto other_database = db_->open_again();
  EmailOtp other(*other_database, clock_, rng_, Secret<Bytes>(Bytes(32, 7)), limits_);
  int sent = 0;
  for (int i = 0; i < 10; ++i) {
    sent += issue(subject()).has_value();
    sent += run(other.issue(subject(), "192.0.2.9")).has_value();
  }
  EXPECT_EQ(sent, 3);
  const std::string code = *issue(subject("bob@example.com"));
  for (int i = 0; i < 5; ++i) {
    auto& process = i % 2 == 0 ? *otp_ : other;
    EXPECT_FALSE(run(process.verify(subject("bob@example.com"), wrong(code), "192.0.2.1")));
  }
  EXPECT_FALSE(run(other.verify(subject("bob@example.com"), code, "192.0.2.1"))) << "the sixth try";
}

TEST_P(EmailOtpTest, CleaningDropsOnlyWhatIsOver) {
  const std::string code = *issue(subject());
  run(otp_->clean());
  EXPECT_TRUE(verify(subject(), code));
  for (int i = 0; i < 2; ++i) issue(subject());
  clock_.advance(25h);
  run(otp_->clean());
  const auto rows = run((**db_).read([](store::Tx& tx) {
    static constexpr store::Sql k_rows{
        "SELECT (SELECT count(*) FROM auth_event) + (SELECT count(*) FROM auth_code)"};
    return tx.one(k_rows)->int64(0);
  }));
  EXPECT_EQ(rows, 0);
}

INSTANTIATE_TEST_SUITE_P(Store, EmailOtpTest, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth

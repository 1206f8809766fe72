// Recovery by a backup address: the original account or nothing (epds-flows, section 7), and who attacks it
// (groups 5, 15 and 16 of docs/threat-model.md).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"
#include "signin/audit.h"
#include "signin/backup_emails.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_backup = "old.friend@example.org";

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() : RecoveryTest(WorldOptions{}) {}
  explicit RecoveryTest(WorldOptions options) : w(std::move(options)), app(w) {}

  std::string url(std::string_view path) const { return w.options.auth + std::string(path); }
  std::string account(const std::string& email) {
    Browser b(w, "198.51.100.1");
    return sign_in(app, b, email).did;
  }
  /// As if the link in the mail had been confirmed.
  void give_backup(const std::string& did, const std::string& email = k_backup) {
    const auto link = signin::backup_emails::new_link(w.rng);
    w.write([&](store::Tx& tx) {
      signin::backup_emails::add(tx,
                                 {.id = did + email, .did = did, .email = email, .created_at = w.clock.now()},
                                 link.hash, w.clock.now() + 1h);
      return signin::backup_emails::verify(tx, link.hash, w.clock.now()).has_value();
    });
  }
  /// The page that takes the code, after this backup address was typed.
  Page asked(Browser& b, const App::Login& login, const std::string& backup = k_backup) {
    const Page first = b.get(app.authorize_url(login));
    Page page = b.submit(first, "/auth/email", {{"email", "lost@example.com"}});
    page = b.follow(page);
    const auto at = page.body.find("/auth/recover?");
    const std::string path = page.body.substr(at, page.body.find('"', at) - at);
    return b.follow(b.submit(b.get(url(path)), "/auth/recover", {{"email", backup}}));
  }
  Page recovered(Browser& b, const App::Login& login, const std::string& backup = k_backup) {
    const Page page = asked(b, login, backup);
    return b.follow_all(b.submit(page, "/auth/recover/verify", {{"code", w.code(backup)}}));
  }
  /// As the record of the account has it.
  std::int64_t recoveries(const std::string& did) {
    std::int64_t out = 0;
    for (const auto& entry : w.read([&](store::Tx& tx) { return signin::audit::newest(tx, did, 100); }))
      out += entry.event == "recovered";
    return out;
  }
  std::int64_t accounts() {
    static constexpr store::Sql k_accounts{"SELECT count(*) FROM account"};
    return w.read([](store::Tx& tx) { return tx.one(k_accounts)->int64(0); });
  }

  World w;
  App app;
};

TEST_F(RecoveryTest, ReturnsTheOriginalAccountAndTellsItsOwner) {
  const std::string did = account(k_alice);
  give_backup(did);
  const auto before = accounts();
  Browser b(w);
  const auto login = app.start();
  const Page consent = recovered(b, login);
  EXPECT_EQ(consent.heading(), "Authorize Application");
  EXPECT_EQ(app.redeem(login, b.submit(consent, "/auth/consent", {{"action", "approve"}})).did, did);
  EXPECT_EQ(accounts(), before) << "recovery never makes an account";
  const auto notice = w.mails(k_alice).back();
  EXPECT_NE(notice.subject.find("Recovered with ol***@example.org"), std::string::npos) << notice.subject;
  EXPECT_NE(notice.text.find(url("/account")), std::string::npos);
  EXPECT_EQ(notice.text.find(k_backup), std::string::npos) << "masked";
  EXPECT_EQ(recoveries(did), 1);
}

TEST_F(RecoveryTest, SignsOutWhoWasThereBefore) {
  const std::string did = account(k_alice);
  give_backup(did);
  Browser owner(w);
  Page page = owner.get(url("/account/login"));
  page = owner.follow_all(owner.submit(page, "/account/send-otp", {{"email", k_alice}, {"stay", "yes"}}));
  owner.follow_all(owner.submit(page, "/account/verify-otp", {{"code", w.code(k_alice)}}));
  ASSERT_EQ(owner.get(url("/account")).status, 200);
  Browser b(w);
  recovered(b, app.start());
  EXPECT_EQ(owner.get(url("/account")).status, 303);
}

TEST_F(RecoveryTest, AttackEnumeration_WithoutAConfirmedBackupThePageIsTheSameAndNothingIsMailed) {
  const std::string did = account(k_alice);
  give_backup(did);
  Browser known(w), unknown(w);
  const Page with = asked(known, app.start()),
             without = asked(unknown, app.start(), "ol.stranger@example.org");
  const auto plain = [](const Page& page) {
    std::string body = page.body;
    for (const char* attribute : {"name=\"csrf\" value=\"", "flow_id="})
      for (std::size_t at = 0; (at = body.find(attribute, at)) != std::string::npos;) {
        at += std::string_view(attribute).size();
        body.erase(at, body.find_first_of("\"&", at) - at);
      }
    return body;
  };
  EXPECT_EQ(with.status, without.status);
  EXPECT_EQ(plain(with), plain(without));
  EXPECT_TRUE(without.shows("If a backup e-mail matches"));
  EXPECT_EQ(w.mails(std::string(k_backup)).size(), 1u);
  EXPECT_TRUE(w.mails(std::string("ol.stranger@example.org")).empty());
  // An address that waits for its confirmation counts for nothing.
  w.write([&](store::Tx& tx) {
    signin::backup_emails::add(
        tx, {.id = "x", .did = did, .email = "pending@example.org", .created_at = w.clock.now()},
        Bytes(32, 1), w.clock.now() + 1h);
  });
  Browser b(w);
  asked(b, app.start(), "pending@example.org");
  EXPECT_TRUE(w.mails(std::string("pending@example.org")).empty());
}

TEST_F(RecoveryTest, AttackTiming_WithoutAConfirmedBackupAsMuchIsWritten) {
  const std::string did = account(k_alice);
  give_backup(did);
  Browser known(w), unknown(w);
  asked(known, app.start());
  EXPECT_TRUE(w.postman.to_nobody.empty());
  asked(unknown, app.start(), "ol.stranger@example.org");
  ASSERT_EQ(w.postman.to_nobody.size(), 1u);
  const auto& feigned = w.postman.to_nobody[0];
  const auto mails = w.mails(std::string(k_backup));
  ASSERT_EQ(mails.size(), 1u);
  EXPECT_EQ(feigned.subject.size(), mails[0].subject.size());
  EXPECT_EQ(feigned.text.size(), mails[0].text.size());
  EXPECT_EQ(feigned.html.size(), mails[0].html.size());
}

TEST_F(RecoveryTest, AttackTakeover_TheAccountsOwnAddressIsNoBackup) {
  account(k_alice);
  const auto before = w.mails(k_alice).size();
  Browser b(w);
  asked(b, app.start(), k_alice);
  EXPECT_EQ(w.mails(k_alice).size(), before);
}

TEST_F(RecoveryTest, AttackGuessing_AfterFiveWrongCodesTheRightOneIsWrong) {
  give_backup(account(k_alice));
  Browser b(w);
  const Page page = asked(b, app.start());
  const std::string code = w.code(k_backup);
  const std::string wrong = (code[0] == '0' ? "1" : "0") + code.substr(1);
  for (int i = 0; i < 5; ++i) {
    const Page answer = b.submit(page, "/auth/recover/verify", {{"code", wrong}});
    EXPECT_EQ(answer.status, 400);
    EXPECT_TRUE(answer.shows("Invalid or expired code"));
  }
  EXPECT_EQ(b.submit(page, "/auth/recover/verify", {{"code", code}}).status, 400);
}

TEST_F(RecoveryTest, AttackSubstitution_ARecoveryCodeIsForItsFlowAndPurposeOnly) {
  give_backup(account(k_alice));
  Browser b(w), other(w);
  asked(b, app.start());
  const std::string code = w.code(k_backup);
  const Page elsewhere = asked(other, app.start(), "ol.stranger@example.org");
  EXPECT_EQ(other.submit(elsewhere, "/auth/recover/verify", {{"code", code}}).status, 400) << "other flow";
  // As a sign-in code of the same mailbox.
  Browser third(w);
  Page page = third.get(app.authorize_url(app.start()));
  page = third.follow(third.submit(page, "/auth/email", {{"email", k_backup}}));
  EXPECT_EQ(third.submit(page, "/auth/verify", {{"code", code}}).status, 400);
}

TEST_F(RecoveryTest, AttackForgery_TheFormNeedsItsTokenAndItsBrowser) {
  give_backup(account(k_alice));
  Browser b(w), thief(w);
  const Page page = asked(b, app.start());
  const std::string code = w.code(k_backup);
  auto request = b.submission(page, "/auth/recover/verify", {{"code", code}});
  request.body = encode_form({{"code", code}, {"csrf", "wrong"}});
  EXPECT_EQ(b.send(std::move(request)).status, 403);
  auto planted = thief.submission(page, "/auth/recover/verify", {{"code", code}});
  EXPECT_EQ(thief.send(std::move(planted)).status, 400);
  EXPECT_EQ(b.submit(page, "/auth/recover/verify", {{"code", code}}).status, 303) << "nothing was spent";
}

TEST_F(RecoveryTest, OneAddressForTwoAccountsAsksWhich) {
  const std::string alice = account(k_alice), bob = account("bob@example.com");
  give_backup(alice);
  give_backup(bob);
  Browser b(w);
  const auto login = app.start();
  const Page which = recovered(b, login);
  EXPECT_EQ(which.heading(), "Which account?");
  EXPECT_TRUE(which.shows(w.account(k_alice)->handle_text()));
  EXPECT_EQ(b.get(which.url).heading(), "Which account?") << "reloaded";
  const Page consent = b.follow_all(b.submit(which, "/auth/recover/choose", {{"account", bob}}));
  EXPECT_EQ(app.redeem(login, b.submit(consent, "/auth/consent", {{"action", "approve"}})).did, bob);
}

TEST_F(RecoveryTest, AttackSubstitution_OnlyAnAccountOfThisAddressCanBeChosen) {
  const std::string alice = account(k_alice), bob = account("bob@example.com"),
                    victim = account("victim@example.com");
  give_backup(alice);
  give_backup(bob);
  Browser b(w);
  const Page which = recovered(b, app.start());
  const Page answer = b.submit(which, "/auth/recover/choose", {{"account", victim}});
  EXPECT_EQ(answer.status, 303);
  EXPECT_EQ(b.follow(answer).heading(), "Which account?");
  // A browser without the cookie of the proof chooses nothing.
  auto request = b.submission(which, "/auth/recover/choose", {{"account", alice}});
  std::string cookies;
  for (const auto& [name, cookie] : b.jar["auth.pds.test"])
    if (name.find("session") == std::string::npos)
      cookies += (cookies.empty() ? "" : "; ") + name + "=" + cookie.value;
  request.headers.set("cookie", cookies);
  EXPECT_EQ(w.send(std::move(request)).location().find("/auth/complete"), std::string::npos);
  EXPECT_EQ(recoveries(alice), 0);
}

TEST_F(RecoveryTest, ALockedRequestRecoversItsAccountOnly) {
  const std::string alice = account(k_alice), bob = account("bob@example.com");
  give_backup(alice);
  Browser b(w);
  const auto login = app.start({{"login_hint", bob}});
  Page page = b.get(app.authorize_url(login));
  const auto at = page.body.find("/auth/recover?");
  ASSERT_NE(at, std::string::npos);
  const std::string path = page.body.substr(at, page.body.find('"', at) - at);
  page = b.follow(b.submit(b.get(url(path)), "/auth/recover", {{"email", k_backup}}));
  const Page none = b.follow_all(b.submit(page, "/auth/recover/verify", {{"code", w.code(k_backup)}}));
  EXPECT_TRUE(none.shows("This address cannot recover the account that was asked for."));
  EXPECT_EQ(recoveries(alice), 0);
}

class DelayedRecovery : public RecoveryTest {
 protected:
  DelayedRecovery() : RecoveryTest(WorldOptions{.recovery_delay = 24h}) {}
};

TEST_F(DelayedRecovery, WaitsForThePrimaryMailboxAndThenGoesOn) {
  const std::string did = account(k_alice);
  give_backup(did);
  Browser b(w);
  EXPECT_EQ(recovered(b, app.start()).heading(), "Your recovery has begun");
  const auto mails = w.mails(k_alice).size();
  EXPECT_NE(w.mails(k_alice).back().text.find("/auth/recover/cancel?token="), std::string::npos);
  w.clock.advance(24h - 1s);
  Browser again(w);
  EXPECT_EQ(recovered(again, app.start()).heading(), "Your recovery has begun")
      << "asking again is no faster";
  EXPECT_EQ(w.mails(k_alice).size(), mails) << "and writes no second mail";
  w.clock.advance(1s);
  Browser third(w);
  const auto login = app.start();
  const Page consent = recovered(third, login);
  EXPECT_EQ(app.redeem(login, third.submit(consent, "/auth/consent", {{"action", "approve"}})).did, did);
}

TEST_F(DelayedRecovery, IsCalledOffByTheLinkInTheMail) {
  give_backup(account(k_alice));
  Browser b(w);
  recovered(b, app.start());
  const std::string text = w.mails(k_alice).back().text;
  const auto at = text.find(url("/auth/recover/cancel?token="));
  const std::string link = text.substr(at, text.find_first_of(" \r\n", at) - at);
  Browser owner(w);
  const Page page = owner.get(link);
  EXPECT_EQ(page.heading(), "Stop this recovery?");
  EXPECT_EQ(owner.get(link).heading(), "Stop this recovery?")
      << "a scanner that opens the link changes nothing";
  EXPECT_EQ(owner.submit(page, "/auth/recover/cancel").heading(), "The recovery is stopped");
  EXPECT_EQ(owner.get(link).status, 400);
  w.clock.advance(25h);
  Browser later(w);
  EXPECT_EQ(recovered(later, app.start()).heading(), "Your recovery has begun") << "from the beginning";
}

}  // namespace
}  // namespace latchkey::dev::world

// What the account pages change: who may, the proof it takes, names, addresses and backups (epds-flows,
// sections 7 to 9). Groups 5, 6, 15 and 16 of docs/threat-model.md.
#include "dev/world/account_world.h"

namespace latchkey::dev::world {
namespace {

struct Route {
  const char* path;
  enum class Proof { recent, any } proof;
  FormFields harmless = {};  // so that nothing happens
};

// Every form of the account pages.
const std::vector<Route>& routes() {
  using enum Route::Proof;
  static const std::vector<Route> k_routes{{"/account/handle", recent},
                                           {"/account/email", recent},
                                           {"/account/email/verify", recent},
                                           {"/account/backup-email/add", recent},
                                           {"/account/backup-email/remove", recent},
                                           {"/account/passkey/add", recent},
                                           {"/account/passkey/rename", recent},
                                           {"/account/passkey/remove", recent},
                                           {"/account/provider/link", recent},
                                           {"/account/provider/unlink", recent},
                                           {"/account/password", recent},
                                           {"/account/password/remove", recent},
                                           {"/account/app-password/add", recent},
                                           {"/account/app-password/revoke", any},
                                           {"/account/data/archive", any},
                                           {"/account/data/repo", any},
                                           {"/account/rotation-key/add", recent},
                                           {"/account/rotation-key/remove", recent},
                                           {"/account/deactivate", recent},
                                           {"/account/reactivate", any},
                                           {"/account/delete", recent, {{"confirm", "DELETE"}}},
                                           {"/account/confirm/send", any},
                                           {"/account/confirm/verify", any}};
  return k_routes;
}

class Settings : public AccountWorld {
 protected:
  Settings() = default;
  explicit Settings(WorldOptions options) : AccountWorld(std::move(options)) {}
  /// The link in the newest mail to this address.
  std::string mailed_link(const std::string& to) {
    const auto mails = w.mails(to);
    if (mails.empty()) return {};
    const std::string& text = mails.back().text;
    const auto at = text.find(url("/account/backup-email/verify?token="));
    return at == std::string::npos ? std::string() : text.substr(at, text.find_first_of(" \r\n", at) - at);
  }
  Page add_backup(Browser& b, const std::string& address) {
    return b.submit(b.get(url("/account")), "/account/backup-email/add", {{"email", address}});
  }
  /// With its link confirmed.
  void give_backup(Browser& b, const std::string& address) {
    EXPECT_EQ(add_backup(b, address).location(), "/account?success=backup_added");
    Browser anywhere(w);
    EXPECT_EQ(anywhere.submit(anywhere.get(mailed_link(address)), "/account/backup-email/verify").status,
              200);
  }
};

// --- Who may

TEST_F(Settings, AttackCsrf_EveryFormNeedsItsSessionItsTokenAndItsAccount) {
  const Tokens alice = account(k_alice), bob = account(k_bob);
  Browser b(w), other(w), bobs(w), nobody(w);
  const Page page = enter(b, k_alice), elsewhere = enter(other, k_alice), theirs = enter(bobs, k_bob);
  const auto before = events(alice.did);
  for (const auto& [path, proof, fields] : routes()) {
    FormFields form = page.form("/account/logout").fields;
    for (const auto& [name, value] : fields) form = with(form, name, value);
    EXPECT_EQ(nobody.post(url(path), form).location(), "/account/login") << path << ": no session";
    EXPECT_EQ(b.post(url(path), without(form, "csrf")).status, 403) << path << ": no token";
    for (const auto& [wrong, why] : {std::pair<std::string, const char*>{"AAAA", "made up"},
                                     {button(elsewhere, "csrf"), "of another browser"},
                                     {button(theirs, "csrf"), "of another account"}})
      EXPECT_EQ(b.post(url(path), with(form, "csrf", wrong)).status, 403) << path << ": " << why;
    EXPECT_EQ(b.post(url(path), with(form, "account", bob.did)).status, 403)
        << path << ": another account named";
    auto cross = b.request("POST", url(path), form);
    cross.headers.set("sec-fetch-site", "cross-site");
    EXPECT_EQ(b.send(std::move(cross)).status, 403) << path << ": from another site";
    EXPECT_EQ(b.get(url(path)).status, 405) << path << ": a link";
  }
  EXPECT_EQ(events(alice.did), before);
  EXPECT_EQ(accounts(), 2);
}

TEST_F(Settings, AttackOldSession_AChangeTakesAProofOfTheLastFiveMinutes) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  w.clock.advance(5min - 1us);
  for (const auto& [path, proof, fields] : routes())
    if (proof == Route::Proof::recent && std::string_view(path) != "/account/deactivate" && fields.empty())
      EXPECT_NE(act(b, page, path).location(), "/account/confirm") << path;
  EXPECT_TRUE(b.get(url("/account")).shows("action=\"/account/delete\""));
  w.clock.advance(1us);
  const auto before = events(alice.did);
  for (const auto& [path, proof, fields] : routes())
    if (proof == Route::Proof::recent)
      EXPECT_EQ(act(b, page, path, fields).location(), "/account/confirm") << path;
  EXPECT_EQ(events(alice.did), before);
  EXPECT_FALSE(b.get(url("/account")).shows("action=\"/account/delete\""));
  EXPECT_EQ(accounts(), 1);
}

// --- Confirm it is you

TEST_F(Settings, ACodeConfirmsThatItIsYou) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  w.clock.advance(5min);
  const Page ask = b.get(url("/account/confirm"));
  EXPECT_TRUE(ask.shows("al***@example.com"));
  EXPECT_FALSE(ask.shows(k_alice));
  const auto mails = w.mails(k_alice).size();
  const Page code = b.submit(ask, "/account/confirm/send", {});
  EXPECT_EQ(w.mails(k_alice).size(), mails + 1);
  EXPECT_EQ(b.submit(code, "/account/confirm/verify", {{"code", "x"}}).status, 400);
  EXPECT_EQ(b.submit(code, "/account/confirm/verify", {{"code", w.code(k_alice)}}).location(),
            "/account?success=confirmed");
  EXPECT_TRUE(b.get(url("/account")).shows("action=\"/account/delete\""));
  EXPECT_EQ(b.submit(code, "/account/confirm/verify", {{"code", w.code(k_alice)}}).status, 400)
      << "single use";
}

TEST_F(Settings, AttackSubstitution_AConfirmationIsOfItsBrowserAndPurpose) {
  account(k_alice);
  Browser b(w), other(w);
  const Page page = enter(b, k_alice);
  enter(other, k_alice);
  w.clock.advance(16min);
  const Page mine = b.submit(b.get(url("/account/confirm")), "/account/confirm/send");
  const std::string code = w.code(k_alice);
  w.clock.advance(1s);
  const Page theirs = other.submit(other.get(url("/account/confirm")), "/account/confirm/send");
  EXPECT_EQ(other.submit(theirs, "/account/confirm/verify", {{"code", code}}).status, 400)
      << "of another browser";
  EXPECT_EQ(other.get(url("/account")).shows("action=\"/account/delete\""), false);
  EXPECT_EQ(b.submit(mine, "/account/confirm/verify", {{"code", code}}).status, 303);
  // A code to another address than one of the account's is never sent.
  const auto mails = w.mails().size();
  EXPECT_EQ(act(b, page, "/account/confirm/send", {{"to", "ma***@example.com"}}).location(),
            "/account/confirm");
  EXPECT_EQ(w.mails().size(), mails);
}

// --- Handle

TEST_F(Settings, TheHandleChanges) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", " "}}).location(), "/account?error=invalid_handle");
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", "@Wonder"}}).location(),
            "/account?success=handle_updated");
  EXPECT_EQ(handle(k_alice), "wonder.pds.test");
  EXPECT_EQ(b.get(url("/account?success=handle_updated")).heading(), "@wonder.pds.test");
  EXPECT_EQ(events(alice.did).front(), "handle_changed wonder.pds.test");
  expect_notice(k_alice, "Handle changed to wonder.pds.test");
  EXPECT_EQ(app.call("GET", "/xrpc/com.atproto.server.getSession", alice).text("handle"), "wonder.pds.test");
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", "wonder.pds.test"}}).location(), "/account")
      << "its own";
}

TEST_F(Settings, AHandleOfThisServerHasThreeToEighteenCharacters) {
  account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  for (const auto& [name, answer] :
       std::vector<std::pair<std::string, std::string>>{{"ab", "error=invalid_handle"},
                                                        {"abc", "success=handle_updated"},
                                                        {std::string(18, 'a'), "success=handle_updated"},
                                                        {std::string(19, 'a'), "error=invalid_handle"},
                                                        {"-abc", "error=invalid_handle"},
                                                        {"a_c", "error=invalid_handle"},
                                                        {"a.b.pds.test", "error=invalid_handle"},
                                                        {"admin", "error=handle_taken"}})
    EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", name}}).location(), "/account?" + answer) << name;
}

TEST_F(Settings, AHandleThatIsTakenStaysItsOwners) {
  account(k_alice);
  account(k_bob);
  Browser b(w);
  const Page page = enter(b, k_alice);
  const std::string before = handle(k_alice);
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", handle(k_bob)}}).location(),
            "/account?error=handle_taken");
  EXPECT_EQ(handle(k_alice), before);
  EXPECT_EQ(b.get(url("/account?error=handle_taken")).status, 400);
  w.network.down.insert("https://plc.test");
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", "wonder"}}).location(),
            "/account?error=handle_failed");
}

class OwnDomains : public Settings {
 protected:
  OwnDomains() : Settings(WorldOptions{.resolves_handles = true}) {
    w.network.site("https://alice.wonder.land", [this](web::Request r) -> Task<web::Response> {
      return answer(r.path == "/.well-known/atproto-did" ? points_to : "");
    });
  }
  static Task<web::Response> answer(std::string body) {
    web::Response response = web::Response::empty(body.empty() ? 404 : 200);
    response.header("content-type", "text/plain");
    response.body = std::move(body);
    co_return response;
  }
  std::string points_to;
};

TEST_F(OwnDomains, AreHandlesOnceTheyPointAtTheAccount) {
  const Tokens alice = account(k_alice);
  const Tokens bob = account(k_bob);
  Browser b(w);
  const Page page = enter(b, k_alice);
  points_to = bob.did;
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", "alice.wonder.land"}}).location(),
            "/account?error=handle_unproven");
  points_to = alice.did;
  w.clock.advance(2min);
  EXPECT_EQ(b.submit(page, "/account/handle", {{"handle", "alice.wonder.land"}}).location(),
            "/account?success=handle_updated");
  EXPECT_EQ(handle(k_alice), "alice.wonder.land");
}

// --- Address

TEST_F(Settings, TheAddressChangesByACodeAndBothMailboxesHearOfIt) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/email", {{"email", "no address"}}).location(),
            "/account?error=invalid_email");
  EXPECT_EQ(b.submit(page, "/account/email", {{"email", "Alice@Example.com"}}).location(),
            "/account?error=already_primary");
  const std::string fresh = "wonder@example.org";
  const Page ask = b.submit(page, "/account/email", {{"email", "Wonder@Example.org"}});
  EXPECT_EQ(ask.heading(), "Confirm your new address");
  EXPECT_EQ(b.submit(ask, "/account/email/verify", {{"code", "1"}}).status, 400);
  EXPECT_TRUE(w.account(k_alice)) << "until then nothing changes";
  EXPECT_EQ(b.submit(ask, "/account/email/verify", {{"code", w.code(fresh)}}).location(),
            "/account?success=email_updated");
  ASSERT_TRUE(w.account(fresh));
  EXPECT_EQ(w.account(fresh)->did.str(), alice.did);
  EXPECT_TRUE(w.account(fresh)->email_confirmed_at);
  EXPECT_FALSE(w.account(k_alice));
  EXPECT_EQ(events(alice.did).front(), "email_changed al***@example.com");
  expect_notice(k_alice, "E-mail address changed", {fresh});
  expect_notice(fresh, "E-mail address changed", {k_alice});
  EXPECT_EQ(b.submit(ask, "/account/email/verify", {{"code", w.code(fresh)}}).status, 400) << "single use";
}

TEST_F(Settings, AttackSubstitution_TheCodeOfOneAddressChangesToNoOther) {
  account(k_alice);
  Browser b(w), other(w);
  const Page page = enter(b, k_alice), elsewhere = enter(other, k_alice);
  b.submit(page, "/account/email", {{"email", k_mallory}});
  const std::string code = w.code(k_mallory);
  const auto verify = [&](Browser& with, const Page& from, const std::string& address) {
    return act(with, from, "/account/email/verify", {{"email", address}, {"code", code}}).status;
  };
  EXPECT_EQ(verify(b, page, "victim@example.com"), 400) << "an address whose mailbox was not shown";
  EXPECT_EQ(verify(other, elsewhere, k_mallory), 400) << "another browser";
  EXPECT_EQ(verify(b, page, k_mallory), 303);
}

TEST_F(Settings, AnAddressThatWasTakenMeanwhileStaysItsAccounts) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  const Page ask = b.submit(page, "/account/email", {{"email", k_bob}});
  const std::string code = w.code(k_bob);
  w.clock.advance(1s);
  const Tokens bob = account(k_bob);
  EXPECT_EQ(b.submit(ask, "/account/email/verify", {{"code", code}}).location(),
            "/account?error=email_taken");
  EXPECT_EQ(w.account(k_bob)->did.str(), bob.did);
  EXPECT_EQ(w.account(k_alice)->did.str(), alice.did);
  EXPECT_THAT(events(alice.did), Not(Contains(HasSubstr("email_changed"))));
}

TEST_F(Settings, AttackOldMailbox_WhoReadsTheAddressTheAccountHadIsNobody) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  SoftAuthenticator a = authenticator();
  Page page = add_passkey(b, a, "Key");  // so that there is a user of /api/auth, too
  const std::string fresh = "wonder@example.org";
  page = b.submit(page, "/account/email", {{"email", fresh}});
  ASSERT_EQ(b.submit(page, "/account/email/verify", {{"code", w.code(fresh)}}).status, 303);
  Browser thief(w);
  EXPECT_EQ(json_sign_in(thief, k_alice).status, 200) << "of an address that is nobody's now";
  EXPECT_EQ(land(thief, thief.get(url("/account/complete"))).url, url("/account/login?error=no_account"));
  EXPECT_FALSE(signed_in(thief));
  Browser owner(w);
  EXPECT_EQ(json_sign_in(owner, fresh).status, 200);
  EXPECT_TRUE(land(owner, owner.get(url("/account/complete"))).shows(alice.did));
  Browser by_key(w);
  EXPECT_EQ(use_passkey(by_key, a).status, 200);
  EXPECT_TRUE(land(by_key, by_key.get(url("/account/complete"))).shows(alice.did));
}

// --- Backups

TEST_F(Settings, ABackupAddressIsConfirmedByTheLinkOnceWithinADay) {
  const Tokens alice = account(k_alice);
  Browser b(w), elsewhere(w);
  enter(b, k_alice);
  const std::string backup = "old.friend@example.org";
  EXPECT_EQ(add_backup(b, "x").location(), "/account?error=invalid_email");
  EXPECT_EQ(add_backup(b, k_alice).location(), "/account?error=already_primary");
  EXPECT_EQ(add_backup(b, backup).location(), "/account?success=backup_added");
  EXPECT_EQ(events(alice.did).front(), "backup_email_added ol***@example.org");
  const std::string link = mailed_link(backup);
  ASSERT_FALSE(link.empty());
  EXPECT_THAT(w.mails(backup).back().subject, HasSubstr("Verify your backup email"));

  w.clock.advance(24h - 1us);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(elsewhere.get(link).status, 200) << "a mail scanner changes nothing";
  EXPECT_THAT(events(alice.did), Not(Contains(HasSubstr("backup_email_verified"))));
  const Page page = elsewhere.get(link);
  EXPECT_EQ(elsewhere.submit(page, "/account/backup-email/verify").status, 200);
  EXPECT_THAT(events(alice.did), Contains("backup_email_verified ol***@example.org"));
  expect_notice(k_alice, "Backup address ol***@example.org confirmed", {backup});
  EXPECT_EQ(elsewhere.submit(page, "/account/backup-email/verify").status, 400) << "once";
  EXPECT_EQ(elsewhere.get(link).status, 400);
}

TEST_F(Settings, ALinkOlderThanADayConfirmsNothing) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  add_backup(b, "old.friend@example.org");
  const std::string link = mailed_link("old.friend@example.org");
  const Page page = b.get(link);
  w.clock.advance(24h);
  EXPECT_EQ(b.get(link).status, 400);
  EXPECT_EQ(b.submit(page, "/account/backup-email/verify").location(), "/account?error=verify_failed");
  Browser elsewhere(w);
  EXPECT_EQ(elsewhere.submit(page, "/account/backup-email/verify").status, 400);
  EXPECT_EQ(b.post(url("/account/backup-email/verify"), {{"token", "AAAA"}}).status, 403)
      << "not from the page";
  EXPECT_EQ(b.get(url("/account/backup-email/verify?token=AAAA")).status, 400);
  EXPECT_EQ(b.get(url("/account/backup-email/verify")).status, 400);
  EXPECT_THAT(events(alice.did), Not(Contains(HasSubstr("backup_email_verified"))));
}

TEST_F(Settings, OnlyTheOwnerRemovesABackup) {
  const Tokens alice = account(k_alice);
  account(k_bob);
  Browser b(w), bobs(w);
  enter(b, k_alice);
  give_backup(b, "old.friend@example.org");
  const Page page = b.get(url("/account"));
  const std::string id = button(page, "backup");
  ASSERT_FALSE(id.empty());
  const Page theirs = enter(bobs, k_bob);
  EXPECT_EQ(act(bobs, theirs, "/account/backup-email/remove", {{"backup", id}}).location(),
            "/account?success=nothing");
  EXPECT_TRUE(b.get(url("/account")).shows("old.friend@example.org"));
  EXPECT_EQ(b.submit(page, "/account/backup-email/remove", {{"backup", id}}).location(),
            "/account?success=backup_removed");
  EXPECT_FALSE(b.get(url("/account")).shows("name=\"backup\" value="));
  EXPECT_EQ(events(alice.did).front(), "backup_email_removed ol***@example.org");
  expect_notice(k_alice, "Backup address ol***@example.org removed", {"old.friend@example.org"});
}

TEST_F(Settings, FiveBackupsAreEnough) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  for (int i = 0; i < 5; ++i) give_backup(b, fmt::format("b{}@example.org", i));
  EXPECT_EQ(add_backup(b, "b5@example.org").location(), "/account?error=too_many_backups");
  EXPECT_TRUE(w.mails(std::string("b5@example.org")).empty());
}

TEST_F(Settings, AttackMailBomb_LinksCountAsMailsToThatAddress) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(add_backup(b, "victim@example.org").location(), "/account?success=backup_added");
  EXPECT_EQ(add_backup(b, "victim@example.org").location(), "/account?error=send_failed");
  EXPECT_EQ(w.mails(std::string("victim@example.org")).size(), 3u);
}

TEST_F(Settings, TheNewPrimaryAddressIsNoBackupAnyMore) {
  account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  const std::string backup = "old.friend@example.org";
  give_backup(b, backup);
  const Page ask = b.submit(b.get(url("/account")), "/account/email", {{"email", backup}});
  EXPECT_EQ(b.submit(ask, "/account/email/verify", {{"code", w.code(backup)}}).location(),
            "/account?success=email_updated");
  EXPECT_FALSE(b.get(url("/account")).shows("name=\"backup\" value="));
}

}  // namespace
}  // namespace latchkey::dev::world

// What an account holds and its end, from its pages: download, keys, rest, deletion, signing out everywhere
// (epds-flows, section 8).
#include "dev/world/account_world.h"

namespace latchkey::dev::world {
namespace {

class AccountData : public AccountWorld {
 protected:
  std::string fresh_key() {
    return crypto::PrivateKey::generate(crypto::Curve::p256, w.rng).public_key().did_key();
  }
  std::vector<pds::RotationKey> keys(const std::string& email) {
    return w.run(w.epds->pds().identity().rotation_keys(*w.account(email))).value();
  }
  std::int64_t rows(const store::Sql& sql, const std::string& did) {
    return w.read([&](store::Tx& tx) { return tx.one(sql, did)->int64(0); });
  }
};

TEST_F(AccountData, TheRepositoryIsDownloaded) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  const Page car = b.submit(page, "/account/data/repo");
  EXPECT_EQ(car.status, 200);
  EXPECT_EQ(car.header("content-type"), "application/vnd.ipld.car");
  EXPECT_EQ(car.header("content-disposition"), "attachment; filename=\"" + handle(k_alice) + ".car\"");
  EXPECT_GT(car.body.size(), 100u);
  EXPECT_EQ(car.body, b.get(w.options.pds + "/xrpc/com.atproto.sync.getRepo?did=" + alice.did).body);
  EXPECT_EQ(events(alice.did).front(), "data_downloaded");
}

TEST_F(AccountData, EverythingIsDownloadedAsOneArchive) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  const Page tar = b.submit(page, "/account/data/archive");
  EXPECT_EQ(tar.status, 200);
  EXPECT_EQ(tar.header("content-type"), "application/x-tar");
  EXPECT_EQ(tar.header("content-disposition"), "attachment; filename=\"" + handle(k_alice) + ".tar\"");
  const std::string car = b.get(w.options.pds + "/xrpc/com.atproto.sync.getRepo?did=" + alice.did).body;
  EXPECT_TRUE(tar.body.starts_with("repo.car"));
  EXPECT_EQ(tar.body.substr(512, car.size()), car);
  EXPECT_EQ(events(alice.did).front(), "data_downloaded");
}

TEST_F(AccountData, AKeyOfOnesOwnIsAddedShownAndRemoved) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  Page page = enter(b, k_alice);
  const std::string server = keys(k_alice).at(0).did_key, own = fresh_key();
  for (const std::string& wrong : {std::string(), std::string("did:key:z123"), std::string("x")})
    EXPECT_EQ(b.submit(page, "/account/rotation-key/add", {{"key", wrong}}).location(),
              "/account?error=invalid_key");
  EXPECT_EQ(b.submit(page, "/account/rotation-key/add", {{"key", " " + own + "\r\n"}}).location(),
            "/account?success=key_added");
  ASSERT_EQ(keys(k_alice).size(), 2u);
  EXPECT_EQ(keys(k_alice)[0].did_key, own) << "before the server's";
  EXPECT_EQ(events(alice.did).front(), "rotation_key_added " + own);
  expect_notice(k_alice, "Key " + own + " added");
  EXPECT_EQ(b.submit(page, "/account/rotation-key/add", {{"key", own}}).location(),
            "/account?error=key_refused");

  page = b.get(url("/account"));
  EXPECT_EQ(button(page, "key"), own) << "only one's own can be removed";
  EXPECT_TRUE(page.shows(server));
  EXPECT_EQ(act(b, page, "/account/rotation-key/remove", {{"key", server}}).location(),
            "/account?error=key_refused");
  EXPECT_EQ(b.submit(page, "/account/rotation-key/remove", {{"key", own}}).location(),
            "/account?success=key_removed");
  EXPECT_EQ(keys(k_alice).size(), 1u);
  EXPECT_EQ(events(alice.did).front(), "rotation_key_removed " + own);
  w.network.down.insert("https://plc.test");
  EXPECT_EQ(b.submit(page, "/account/rotation-key/add", {{"key", fresh_key()}}).location(),
            "/account?error=key_failed");
  EXPECT_EQ(b.get(url("/account")).status, 200) << "without its keys";
}

TEST_F(AccountData, AnAccountRestsAndComesBack) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/deactivate").location(), "/account?success=deactivated");
  EXPECT_FALSE(w.account(k_alice)->active());
  EXPECT_EQ(events(alice.did).front(), "deactivated");
  expect_notice(k_alice, "Account deactivated");
  // No app gets in; the pages still open.
  Browser other(w);
  const auto login = app.start();
  EXPECT_EQ(walk(app, login, other, k_alice).parameter("error"), "access_denied");
  w.clock.advance(16min);
  Browser third(w);
  page = enter(third, k_alice);
  EXPECT_FALSE(page.shows("action=\"/account/deactivate\""));
  EXPECT_EQ(third.submit(page, "/account/reactivate").location(), "/account?success=reactivated");
  EXPECT_TRUE(w.account(k_alice)->active());
  EXPECT_EQ(events(alice.did).front(), "reactivated");
}

TEST_F(AccountData, ADeletedAccountIsGoneAndItsAddressMakesANewOne) {
  const Tokens alice = account(k_alice), bob = account(k_bob);
  Browser b(w), phone(w), stranger(w);
  phone.submit(enter(phone, k_alice), "/account/passkey/add");
  ASSERT_TRUE(has_json_session(phone));
  enter(b, k_alice);
  SoftAuthenticator a = authenticator();
  add_passkey(b, a, "Key");
  Page page = link_provider(b);
  for (const char* wrong : {"", "delete", "DELETE ", "yes"})
    EXPECT_EQ(b.submit(page, "/account/delete", {{"confirm", wrong}}).location(),
              "/account?error=confirm_delete");
  ASSERT_TRUE(w.account(k_alice));
  const Page gone = b.submit(page, "/account/delete", {{"confirm", "DELETE"}});
  EXPECT_EQ(gone.status, 200);
  EXPECT_EQ(gone.heading(), "Account Deleted");
  EXPECT_FALSE(w.account(k_alice));
  expect_notice(k_alice, "Your account was deleted");
  EXPECT_FALSE(signed_in(b));
  EXPECT_FALSE(signed_in(phone));
  EXPECT_FALSE(has_json_session(phone));
  EXPECT_FALSE(works(alice));
  EXPECT_TRUE(works(bob));
  EXPECT_EQ(use_passkey(stranger, a).status, 401);
  EXPECT_EQ(links(), 0);
  static constexpr store::Sql k_traces[] = {{"SELECT count(*) FROM auth_user WHERE did = ?1"},
                                            {"SELECT count(*) FROM oauth_session WHERE did = ?1"},
                                            {"SELECT count(*) FROM oauth_approval WHERE did = ?1"},
                                            {"SELECT count(*) FROM signin_device_account WHERE did = ?1"}};
  for (const auto& sql : k_traces) EXPECT_EQ(rows(sql, alice.did), 0) << sql.text;
  EXPECT_TRUE(events(alice.did).empty());
  EXPECT_EQ(b.get(w.options.pds + "/xrpc/com.atproto.sync.getRepo?did=" + alice.did).status, 400);
  w.clock.advance(16min);
  EXPECT_NE(account(k_alice).did, alice.did);
}

TEST_F(AccountData, SigningOutEverywhereElseEndsSessionsOfScriptsAndAppsWhenWanted) {
  const Tokens alice = account(k_alice);
  Browser b(w), phone(w);
  phone.submit(enter(phone, k_alice), "/account/passkey/add");
  ASSERT_TRUE(has_json_session(phone));
  const Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/sessions/revoke-all").location(), "/account?success=devices");
  EXPECT_TRUE(signed_in(b));
  EXPECT_FALSE(signed_in(phone));
  EXPECT_FALSE(has_json_session(phone));
  EXPECT_TRUE(works(alice)) << "apps only when wanted";
  EXPECT_EQ(events(alice.did).front(), "all_signed_out");
  EXPECT_EQ(b.submit(page, "/account/sessions/revoke-all", {{"apps", "yes"}}).location(),
            "/account?success=everything");
  EXPECT_FALSE(works(alice));
}

}  // namespace
}  // namespace latchkey::dev::world

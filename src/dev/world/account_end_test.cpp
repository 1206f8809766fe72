// Operations of an account through all parts: what changes at the directory, what a deletion leaves behind.
#include <gmock/gmock.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";

class AccountOperations : public ::testing::Test {
 protected:
  /// Makes the account by signing in to an app, and leaves it signed in to its pages.
  Tokens make(const std::string& email) {
    Browser browser(w);
    const Tokens tokens = sign_in(app, browser, email);
    sign_in_to_pages(email);
    return tokens;
  }
  void sign_in_to_pages(const std::string& email) {
    Browser b(w);
    const Page form = b.get(w.options.auth + "/account/login?add=1");
    const Page code = b.follow_all(b.submit(form, "/account/send-otp", {{"email", email}}));
    EXPECT_EQ(b.follow_all(b.submit(code, "/account/verify-otp", {{"code", w.code(email)}})).status, 200);
  }
  std::string session(const std::string& email) {
    return "Bearer " + w.run(w.epds->pds().sessions().begin(*w.account(email))).access_jwt;
  }
  Page post(const std::string& nsid, std::optional<json::Value> body, const std::string& auth = {}) {
    web::Headers headers;
    if (body) headers.set("content-type", "application/json");
    if (!auth.empty()) headers.set("authorization", auth);
    return w.send(web::Request::make("POST", w.options.pds + "/xrpc/com.atproto." + nsid,
                                     body ? body->dump() : "", headers));
  }
  /// Asks for the token as the account and reads it from the mail.
  std::string mailed_token(const std::string& email) {
    EXPECT_EQ(post("server.requestAccountDelete", std::nullopt, session(email)).status, 200);
    const auto mail = w.mails(email).back();
    EXPECT_EQ(mail.subject, "Account Deletion Requested");
    const auto at = mail.text.find("    ") + 4;
    const std::string token = mail.text.substr(at, 11);
    EXPECT_THAT(mail.html, HasSubstr(token));
    EXPECT_THAT(mail.html, HasSubstr("@" + w.account(email)->handle_text()));
    return token;
  }
  Page delete_account(const std::string& did, const std::string& password, const std::string& token) {
    return post("server.deleteAccount", json::Object{{"did", did}, {"password", password}, {"token", token}});
  }
  std::int64_t rows(const store::Sql& sql, const std::string& did) {
    return w.read([&](store::Tx& tx) { return tx.one(sql, did)->int64(0); });
  }
  /// Rows that name the account, in the tables of every part.
  std::int64_t traces(const std::string& did) {
    static constexpr store::Sql k_counts[] = {{"SELECT count(*) FROM account WHERE did = ?1"},
                                              {"SELECT count(*) FROM oauth_session WHERE did = ?1"},
                                              {"SELECT count(*) FROM oauth_code WHERE did = ?1"},
                                              {"SELECT count(*) FROM oauth_approval WHERE did = ?1"},
                                              {"SELECT count(*) FROM signin_device_account WHERE did = ?1"}};
    std::int64_t sum = 0;
    for (const auto& sql : k_counts) sum += rows(sql, did);
    return sum;
  }

  World w;
  App app{w};
};

TEST_F(AccountOperations, ADeletedAccountLeavesNothingInAnyPart) {
  const Tokens alice = make(k_alice), bob = make(k_bob);
  ASSERT_TRUE(w.run(
      w.epds->pds().settings().set_password(*w.account(k_alice), Secret<std::string>("correct horse"))));
  ASSERT_GE(traces(alice.did), 4);
  const auto of_bob = traces(bob.did);
  ASSERT_EQ(delete_account(alice.did, "correct horse", mailed_token(k_alice)).status, 200);

  EXPECT_EQ(traces(alice.did), 0);
  EXPECT_EQ(traces(bob.did), of_bob);
  EXPECT_EQ(app.call("GET", "/xrpc/com.atproto.server.getSession", alice).status, 401);
  EXPECT_EQ(app.call("GET", "/xrpc/com.atproto.server.getSession", bob).status, 200);
  // The address is free: whoever reads its mails starts anew.
  Browser browser(w);
  EXPECT_NE(sign_in(app, browser, k_alice).did, alice.did);
}

TEST_F(AccountOperations, WithoutPasswordADeletionTakesASignInOfTheLastFiveMinutes) {
  const Tokens alice = make(k_alice);
  w.clock.advance(5min + 1us);
  const auto token = mailed_token(k_alice);
  const Page refused = delete_account(alice.did, "", token);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.error(), "AuthenticationRequired");
  sign_in_to_pages(k_alice);
  w.clock.advance(5min);
  EXPECT_EQ(delete_account(alice.did, "", token).status, 200);
  EXPECT_EQ(traces(alice.did), 0);
}

TEST_F(AccountOperations, HandleAndKeysReachTheDirectory) {
  const Tokens alice = make(k_alice);
  ASSERT_EQ(
      post("identity.updateHandle", json::Object{{"handle", "wonder.pds.test"}}, session(k_alice)).status,
      200);
  EXPECT_EQ(w.account(k_alice)->handle_text(), "wonder.pds.test");
  const auto own = crypto::PrivateKey::generate(crypto::Curve::p256, w.rng).public_key();
  ASSERT_TRUE(w.run(w.epds->pds().identity().add_rotation_key(*w.account(k_alice), own)));
  const auto keys = w.run(w.epds->pds().identity().rotation_keys(*w.account(k_alice))).value();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].did_key, own.did_key());
  const auto identity =
      w.run(w.identities.resolve_did(Did::parse(alice.did).value(), identity::Cached::refresh));
  EXPECT_EQ(identity->handle()->str(), "wonder.pds.test");
  // With the directory away nothing is begun, and the handle stays.
  w.network.down.insert("https://plc.test");
  EXPECT_EQ(
      post("identity.updateHandle", json::Object{{"handle", "land.pds.test"}}, session(k_alice)).error(),
      "UpstreamFailure");
  w.network.down.clear();
  w.restart();
  EXPECT_EQ(w.account(k_alice)->handle_text(), "wonder.pds.test");
}

}  // namespace
}  // namespace latchkey::dev::world

// tests/fixtures/better-auth/vectors.json: values that better-auth 1.7.25 made under a known secret.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "auth/core/email_tokens.h"
#include "auth/core/password.h"
#include "auth/core/symmetric.h"
#include "auth/core/testing.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

class Vectors : public ::testing::Test {
 protected:
  Vectors() {
    std::ifstream file(std::string(LATCHKEY_FIXTURES) + "/better-auth/vectors.json");
    std::stringstream text;
    text << file.rdbuf();
    all_ = json::parse(text.str()).value();
    app_.restart([&](Options& o) { o.secret = Secret<std::string>(*all_.string_at("secret")); });
  }
  const json::Value& at(std::string_view name) const { return *all_.find(name); }

  json::Value all_;
  TestAuth app_;
};

TEST_F(Vectors, SignedCookie) {
  const std::string token = *at("signed_cookie").string_at("token"),
                    value = *at("signed_cookie").string_at("set_cookie_value");
  EXPECT_EQ(app_.auth->cookies().signed_cookie("session_token", token, 1s).value, value);
  EXPECT_EQ(app_.auth->cookies().verify(*percent_decode(value)), token);
}

TEST_F(Vectors, PasswordHash) {
  const std::string password = *at("password_hash").string_at("password"),
                    stored = *at("password_hash").string_at("stored");
  EXPECT_TRUE(verify_password(password, stored));
  EXPECT_FALSE(verify_password(password + "x", stored));
  EXPECT_FALSE(verify_password(password, stored.substr(1)));
  EXPECT_EQ(hash_password(password, app_.rng).size(), stored.size());
}

TEST_F(Vectors, VerificationLink) {
  const json::Value& v = at("verify_email_jwt");
  const json::Value& payload = *v.find("payload");
  const Time made = from_unix_seconds(*payload.find("iat")->integer());
  const EmailToken token{.email = *payload.string_at("email"), .user_id = *payload.string_at("userId")};
  EXPECT_EQ(sign_email_token(*app_.auth, token, made), *v.string_at("token"));
  EXPECT_EQ(read_email_token(*app_.auth, *v.string_at("token"), made)->user_id, token.user_id);
  const std::string url = verification_url(*app_.auth, *v.string_at("token"), "/x?y=1");
  EXPECT_EQ("{{base}}" + url.substr(app_.auth->origin().size()), *v.string_at("url"));
}

TEST_F(Vectors, SymmetricEncryption) {
  const std::string secret = *all_.string_at("secret"), sealed = *at("symmetric").string_at("hex");
  EXPECT_EQ(decrypt_symmetric(secret, sealed), *at("symmetric").string_at("plaintext"));
  std::string changed = sealed;
  changed[60] = changed[60] == '0' ? '1' : '0';
  EXPECT_EQ(decrypt_symmetric(secret, changed), std::nullopt);
  EXPECT_EQ(decrypt_symmetric(secret + "x", sealed), std::nullopt);
  EXPECT_EQ(decrypt_symmetric(secret, sealed.substr(0, 40)), std::nullopt);
  EXPECT_EQ(decrypt_symmetric(secret, encrypt_symmetric(secret, "", app_.rng)), "");
}

// Rows as the JavaScript program wrote them are read, and ours have the same storage classes.
TEST_F(Vectors, SqliteRows) {
  const json::Value& user = *at("sqlite_rows").find("user");
  const json::Value& session = *at("sqlite_rows").find("session");
  const auto text = [](const json::Value& row, std::string_view name) { return *row.string_at(name); };
  static constexpr store::Sql k_user{
      "INSERT INTO \"user\" (\"id\", \"name\", \"email\", \"emailVerified\", \"image\", \"createdAt\", "
      "\"updatedAt\") "
      "VALUES (?1, ?2, ?3, 0, NULL, ?4, ?5)"};
  static constexpr store::Sql k_session{
      "INSERT INTO \"session\" (\"id\", \"expiresAt\", \"token\", \"createdAt\", \"updatedAt\", "
      "\"ipAddress\", "
      "\"userAgent\", \"userId\") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"};
  run(app_.db->write([&](store::Tx& tx) {
    tx.exec(k_user, text(user, "id"), text(user, "name"), text(user, "email"), text(user, "createdAt"),
            text(user, "updatedAt"));
    tx.exec(k_session, text(session, "id"), text(session, "expiresAt"), text(session, "token"),
            text(session, "createdAt"), text(session, "updatedAt"), text(session, "ipAddress"),
            text(session, "userAgent"), text(session, "userId"));
  }));
  const auto found = run(
      app_.db->read([&](store::Tx& tx) { return app_.auth->sessions().find(tx, text(session, "token")); }));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->user.name, text(user, "name"));
  EXPECT_FALSE(found->user.email_verified);
  EXPECT_EQ(rfc3339(found->user.created_at), text(user, "createdAt"));
  EXPECT_EQ(rfc3339(found->session.expires_at), text(session, "expiresAt"));
  EXPECT_EQ(found->session.user_agent, text(session, "userAgent"));

  Browser(app_).sign_up("ours@app.test");
  static constexpr store::Sql k_types{
      "SELECT typeof(\"createdAt\"), typeof(\"emailVerified\"), \"createdAt\" FROM \"user\" WHERE \"email\" "
      "= ?1"};
  run(app_.db->read([&](store::Tx& tx) {
    const auto row = tx.one(k_types, "ours@app.test");
    EXPECT_EQ(row->text(0), *at("sqlite_types").string_at("createdAt"));
    EXPECT_EQ(row->text(1), *at("sqlite_types").string_at("emailVerified"));
    EXPECT_EQ(row->text(2), rfc3339(app_.clock.now()));
  }));
}

TEST_F(Vectors, ResetRow) {
  Browser b(app_);
  b.sign_up("a@app.test");
  b.post("/request-password-reset", json::Object{{"email", "a@app.test"}, {"redirectTo", "/reset"}});
  const auto& mail = app_.mails.back().mail;
  const std::string recorded = *at("reset_row").string_at("identifier");
  const auto row = run(app_.db->read([&](store::Tx& tx) {
    return app_.auth->verifications().find(tx, "reset-password:" + mail.token, app_.clock.now());
  }));
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->identifier.size(), recorded.size());
  EXPECT_EQ(row->value, mail.user.id);
  EXPECT_EQ(row->expires_at - row->created_at, 1h);
  EXPECT_TRUE(mail.url.ends_with("/api/auth/reset-password/" + mail.token + "?callbackURL=%2Freset"));
}

}  // namespace
}  // namespace latchkey::auth

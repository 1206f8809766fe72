#include "auth/plugins/jwt/jwt.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "auth/core/symmetric.h"
#include "auth/core/testing.h"
#include "auth/plugins/jwt/keys.h"
#include "oauth/jose/jwt.h"
#include "oauth/jose/verification_key.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;
using json::Object;

class Jwts : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    app_.emplace(GetParam(), with({}));
    browser_.emplace(*app_);
  }
  static std::function<void(Options&)> with(JwtOptions options) {
    return [options](Options& o) {
      o.plugins = {jwt(options)};
      o.user.additional_fields = {{.name = "aud"}};  // which clients write
    };
  }
  std::string token() { return *json::parse(browser_->get("/token").body).value().string_at("token"); }
  json::Array keys() { return *json::parse(Browser(*app_).get("/jwks").body).value().find("keys")->array(); }
  /// What another service finds out with /jwks alone.
  std::optional<oauth::Jwt> verified(const std::string& text) {
    const auto parsed = oauth::parse_compact(text);
    if (!parsed) return std::nullopt;
    const auto set = oauth::VerificationKeys::parse(json::parse(Browser(*app_).get("/jwks").body).value());
    const json::Value* kid = parsed->header.find("kid");
    const oauth::VerificationKey* key = set && kid ? set->find(*kid->string(), "EdDSA") : nullptr;
    if (key && oauth::verify(*parsed, *key)) return *parsed;
    return std::nullopt;
  }
  std::vector<jwks::Key> rows() {
    return run(app_->db->read([](store::Tx& tx) { return jwks::all(tx); }));
  }

  std::optional<TestAuth> app_;
  std::optional<Browser> browser_;
};

TEST_P(Jwts, TellOtherServicesWhoIsSignedIn) {
  const auto me = browser_->sign_up("dan@example.test");
  const auto jwt = verified(token());
  ASSERT_TRUE(jwt);
  EXPECT_EQ(jwt->alg(), "EdDSA");
  EXPECT_EQ(*jwt->string_claim("sub"), *me.find("user")->string_at("id"));
  EXPECT_EQ(*jwt->string_claim("email"), "dan@example.test");
  EXPECT_EQ(*jwt->string_claim("iss"), "https://app.test");
  EXPECT_TRUE(jwt->has_audience("https://app.test"));
  EXPECT_EQ(*jwt->time_claim("exp") - *jwt->time_claim("iat"), 15min);
  const auto session = browser_->get("/get-session");
  EXPECT_TRUE(verified(std::string(session.headers.get("set-auth-jwt"))));
}

TEST_P(Jwts, AttackWithoutASessionThereIsNone) {
  EXPECT_EQ(browser_->get("/token").status, 401);
  EXPECT_FALSE(browser_->get("/get-session").headers.has("set-auth-jwt"));
}

TEST_P(Jwts, AttackAFieldOfTheUserDoesNotNameTheAudience) {
  browser_->sign_up("dan@example.test");
  EXPECT_EQ(browser_->post("/update-user", Object{{"aud", "https://bank.test"}}).status, 200);
  const auto jwt = verified(token());
  ASSERT_TRUE(jwt);
  EXPECT_TRUE(jwt->has_audience("https://app.test"));
  EXPECT_FALSE(jwt->has_audience("https://bank.test"));
}

TEST_P(Jwts, OneKeyIsMadeAndItsSecretRestsSealed) {
  browser_->sign_up("dan@example.test");
  token();
  token();
  ASSERT_EQ(rows().size(), 1u);
  ASSERT_EQ(keys().size(), 1u);
  EXPECT_FALSE(keys()[0].find("d")) << "public members only";
  const auto sealed = json::parse(rows()[0].private_key).value();
  ASSERT_TRUE(sealed.string());
  const auto opened = decrypt_symmetric("a-secret-of-tests-0123456789abcdef", *sealed.string());
  ASSERT_TRUE(opened);
  EXPECT_TRUE(json::parse(*opened).value().string_at("d"));
}

TEST_P(Jwts, AKeyOutlivesAChangeOfSecretsWhileTheOldOneIsKnown) {
  browser_->sign_up("dan@example.test");
  const std::string before = token();
  const auto change = [&](bool keep_old) {
    app_->restart([&](Options& o) {
      with({})(o);
      if (keep_old) o.old_secrets = {o.secret};
      o.secret = Secret<std::string>("another-secret-of-tests-0123456789abcdef");
    });
  };
  change(true);
  token();
  EXPECT_EQ(rows().size(), 1u);
  change(false);
  browser_->jar.clear();
  browser_->sign_up("eve@example.test");
  EXPECT_TRUE(verified(token()));
  EXPECT_EQ(rows().size(), 2u);
  EXPECT_TRUE(verified(before)) << "the old key is still told";
}

TEST_P(Jwts, KeysRotateAndOldOnesStayForTheirGrace) {
  app_->restart(with({.rotation_interval = 24h, .grace_period = 1h}));
  browser_->sign_up("dan@example.test");
  token();
  app_->clock.advance(24h - 1s);
  const std::string last = token();
  EXPECT_EQ(rows().size(), 1u);
  app_->clock.advance(1s);
  token();
  EXPECT_EQ(rows().size(), 2u);
  app_->clock.advance(1h - 1s);
  EXPECT_EQ(keys().size(), 2u);
  EXPECT_TRUE(verified(last));
  app_->clock.advance(1s);
  EXPECT_EQ(keys().size(), 1u);
}

TEST_P(Jwts, SayWhatTheProgramWants) {
  app_->restart(with({.issuer = "https://id.test",
                      .audience = "https://api.test",
                      .expires_in = 60s,
                      .get_session_header = JwtOptions::Header::off,
                      .payload = [](const SessionAndUser& who) {
                        return Object{{"role", "admin"}, {"sub", "somebody else"}, {"mail", who.user.email}};
                      }}));
  browser_->sign_up("dan@example.test");
  const auto jwt = verified(token());
  ASSERT_TRUE(jwt);
  EXPECT_EQ(*jwt->string_claim("role"), "admin");
  EXPECT_EQ(*jwt->string_claim("mail"), "dan@example.test");
  EXPECT_NE(*jwt->string_claim("sub"), "somebody else");
  EXPECT_EQ(*jwt->string_claim("iss"), "https://id.test");
  EXPECT_TRUE(jwt->has_audience("https://api.test"));
  EXPECT_EQ(*jwt->time_claim("exp") - *jwt->time_claim("iat"), 60s);
  EXPECT_FALSE(browser_->get("/get-session").headers.has("set-auth-jwt"));
}

TEST(JwtOptions, ATokenDoesNotOutliveItsKey) {
  EXPECT_NO_THROW(jwt({.expires_in = 900s, .grace_period = 900s}));
  EXPECT_THROW(jwt({.expires_in = 900s, .grace_period = 899s}), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Store, Jwts, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth

#include "auth/plugins/magic_link/magic_link.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;
using json::Object;

class MagicLinks : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    app_.emplace(GetParam(), plugin());
    browser_.emplace(*app_);
  }
  std::function<void(Options&)> plugin(MagicLinkOptions options = {}) {
    return [this, options](Options& o) {
      MagicLinkOptions copy = options;
      if (!copy.send) copy.send = app_mailer();
      o.plugins = {magic_link(std::move(copy))};
    };
  }
  SendLink app_mailer() {
    return [this](LinkMail mail) { return TestAuth::keep(&*app_, "magic", std::move(mail)); };
  }
  web::Response ask(Object more = {}, const std::string& email = "Tom@example.test") {
    more.set("email", email);
    return browser_->post("/sign-in/magic-link", more);
  }
  /// Below the base path, as it was mailed last.
  std::string link() const {
    const std::string base = std::string(TestAuth::base) + "/api/auth";
    EXPECT_TRUE(app_->mails.back().mail.url.starts_with(base));
    return app_->mails.back().mail.url.substr(base.size());
  }
  static std::string location(const web::Response& r) { return std::string(r.headers.get("location")); }

  std::optional<TestAuth> app_;
  std::optional<Browser> browser_;
};

TEST_P(MagicLinks, ALinkSignsInOnceAndForFiveMinutes) {
  ask({{"name", "Tom"}, {"callbackURL", "/dash"}});
  EXPECT_EQ(app_->mails.back().mail.user.email, "tom@example.test");
  EXPECT_EQ(app_->mails.back().mail.token.size(), 32u);
  app_->clock.advance(299s);
  EXPECT_EQ(location(browser_->get(link())), "https://app.test/dash");
  EXPECT_EQ(*browser_->session().find("user")->string_at("name"), "Tom");
  Browser again(*app_);
  EXPECT_EQ(location(again.get(link())), "https://app.test/dash?error=INVALID_TOKEN");
  EXPECT_TRUE(again.session().is_null());
  ask();
  app_->clock.advance(300s);
  EXPECT_EQ(location(again.get(link())), "https://app.test/?error=INVALID_TOKEN");
}

TEST_P(MagicLinks, NewUsersAndErrorsHaveTargetsOfTheirOwn) {
  const Object targets{
      {"callbackURL", "/dash"}, {"newUserCallbackURL", "/welcome"}, {"errorCallbackURL", "/oops?a=1"}};
  ask(targets);
  EXPECT_EQ(location(browser_->get(link())), "https://app.test/welcome");
  EXPECT_EQ(location(browser_->get(link())), "https://app.test/oops?a=1&error=INVALID_TOKEN");
  ask(targets);
  EXPECT_EQ(location(browser_->get(link())), "https://app.test/dash") << "known by now";
}

TEST_P(MagicLinks, WithoutATargetTheAnswerIsJson) {
  ask();
  const auto r = browser_->get("/magic-link/verify?token=" + app_->mails.back().mail.token);
  EXPECT_EQ(r.status, 200);
  const auto body = json::parse(r.body).value();
  EXPECT_TRUE(body.string_at("token"));
  EXPECT_TRUE(body.find("user") && body.find("session"));
}

TEST_P(MagicLinks, AttackOpenRedirectTargetsAreOurs) {
  for (const char* name : {"callbackURL", "newUserCallbackURL", "errorCallbackURL"}) {
    EXPECT_EQ(ask({{name, "https://evil.test/"}}).status, 403) << name;
    ask();
    const std::string url = "/magic-link/verify?token=" + app_->mails.back().mail.token + "&" + name;
    EXPECT_EQ(browser_->get(url + "=https%3A%2F%2Fevil.test%2F").status, 403) << name;
    EXPECT_EQ(browser_->get(url + "=%2F%5Cevil.test").status, 403) << name;
  }
  EXPECT_TRUE(browser_->session().is_null());
}

TEST_P(MagicLinks, AttackOtherRowsOfVerificationAreNoLinks) {
  run(app_->db->write([&](store::Tx& tx) {
    app_->auth->verifications().put(tx, "reset-password:abc", R"({"email":"tom@example.test"})",
                                    app_->clock.now() + 1h, app_->clock.now());
    app_->auth->verifications().put(tx, "magic-link:xyz", R"({"email":"tom@example.test"})",
                                    app_->clock.now() + 1h, app_->clock.now());
  }));
  for (const char* token : {"reset-password:abc", "abc", "xyz", ""})
    EXPECT_EQ(location(browser_->get(std::string("/magic-link/verify?token=") + token)),
              "https://app.test/?error=INVALID_TOKEN");
}

TEST_P(MagicLinks, AttackPreHijack_WhoeverRegisteredAStrangersAddressLosesEveryWayIn) {
  Browser attacker(*app_);
  attacker.sign_up("tom@example.test", "password-of-attacker");
  ask();
  browser_->get(link());
  EXPECT_TRUE(attacker.session().is_null());
  EXPECT_EQ(
      attacker
          .post("/sign-in/email", Object{{"email", "tom@example.test"}, {"password", "password-of-attacker"}})
          .status,
      401);
  EXPECT_TRUE(*browser_->session().find("user")->find("emailVerified")->boolean());
}

TEST_P(MagicLinks, AttackEnumeration_KnownAndUnknownAreNotToldApart) {
  Browser(*app_).sign_up("known@example.test");
  app_->restart(plugin({.disable_sign_up = true, .send = app_mailer()}));
  const auto known = ask({}, "known@example.test"), unknown = ask({}, "unknown@example.test");
  EXPECT_EQ(known.status, unknown.status);
  EXPECT_EQ(known.body, unknown.body);
  EXPECT_EQ(app_->mails.size(), 2u);
  EXPECT_EQ(location(browser_->get(link())), "https://app.test/?error=new_user_signup_disabled");
  EXPECT_TRUE(browser_->session().is_null());
}

TEST_P(MagicLinks, AHashedTokenRestsNowhere) {
  app_->restart(plugin({.store = MagicLinkOptions::Store::hashed, .send = app_mailer()}));
  ask();
  const std::string token = app_->mails.back().mail.token;
  EXPECT_FALSE(run(app_->db->read(
      [&](store::Tx& tx) { return app_->auth->verifications().newest(tx, "magic-link:" + token); })));
  browser_->get(link());
  EXPECT_FALSE(browser_->session().is_null());
}

TEST(MagicLinkOptions, NeedAMailer) { EXPECT_THROW(magic_link({}), std::invalid_argument); }

INSTANTIATE_TEST_SUITE_P(Store, MagicLinks, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth

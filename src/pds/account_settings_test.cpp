// Address, password, app passwords.
#include "pds/account_settings.h"

#include <gmock/gmock.h>

#include "pds/method_permissions.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using ::testing::MatchesRegex;

constexpr const char* k_login = "com.atproto.server.createSession";
constexpr const char* k_refresh = "com.atproto.server.refreshSession";
constexpr const char* k_create = "com.atproto.server.createAppPassword";
constexpr const char* k_list = "/xrpc/com.atproto.server.listAppPasswords";
constexpr const char* k_revoke = "com.atproto.server.revokeAppPassword";
constexpr const char* k_session = "/xrpc/com.atproto.server.getSession";

struct SettingsWorld : World {
  explicit SettingsWorld(store::Engine engine = store::Engine::sqlite)
      : World(engine), alice(sign_up("alice")) {}
  AccountSettings& settings() { return pds().settings(); }
  Answered log_in(const std::string& identifier, const std::string& password) {
    return post(k_login, json::Object{{"identifier", identifier}, {"password", password}});
  }
  std::string app_password(const std::string& name, Privileged privileged = Privileged::no) {
    return run(settings().create_app_password(account(alice), name, privileged)).value().password.reveal();
  }
  std::string access_by(const std::string& password) {
    const auto got = log_in("alice.test", password);
    EXPECT_EQ(got.status, 200) << got.text;
    return "Bearer " + got.text_at("accessJwt");
  }
  mail::EmailAddress email(const char* text) { return mail::EmailAddress::parse(text).value(); }
  Secret<std::string> secret(std::string text) { return Secret<std::string>(std::move(text)); }
  SignedIn alice;
};

class Email : public store::EngineTest {};

TEST_P(Email, ChangesToOneThatNobodyHas) {
  SettingsWorld w(GetParam());
  w.sign_up("bob");
  const auto taken =
      run(w.settings().change_email(w.account(w.alice), w.email("BOB@mail.test"), EmailProof::proven));
  EXPECT_EQ(taken.error().message, "This email address is already in use, please use a different email.");
  EXPECT_EQ(w.account(w.alice).email, "alice@mail.test");

  ASSERT_TRUE(
      run(w.settings().change_email(w.account(w.alice), w.email("new@mail.test"), EmailProof::proven)));
  EXPECT_EQ(w.account(w.alice).email, "new@mail.test");
  EXPECT_EQ(w.account(w.alice).email_confirmed_at, w.clock.now());
  EXPECT_EQ(w.log_in("new@mail.test", "correct horse").status, 200);
  EXPECT_EQ(w.log_in("alice@mail.test", "correct horse").status, 401);
}

TEST_P(Email, IsConfirmedOnlyWhileItIsTheAccounts) {
  SettingsWorld w(GetParam());
  ASSERT_TRUE(
      run(w.settings().change_email(w.account(w.alice), w.email("new@mail.test"), EmailProof::unproven)));
  EXPECT_FALSE(w.account(w.alice).email_confirmed_at) << "what was confirmed was the old one";
  EXPECT_EQ(run(w.settings().confirm_email(w.account(w.alice), w.email("alice@mail.test"))).error().code,
            xrpc::Error::InvalidEmail);
  EXPECT_TRUE(run(w.settings().confirm_email(w.account(w.alice), w.email("new@mail.test"))));
  EXPECT_TRUE(w.account(w.alice).email_confirmed_at);
}

INSTANTIATE_TEST_SUITE_P(Store, Email, store::engines(), store::engine_name);

class Password : public store::EngineTest {};

TEST_P(Password, ChangingItEndsTheSessions) {
  SettingsWorld w(GetParam());
  ASSERT_TRUE(run(w.settings().set_password(w.account(w.alice), w.secret("battery staple"))));
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).error(), "ExpiredToken");
  EXPECT_EQ(w.log_in("alice.test", "correct horse").status, 401);
  EXPECT_EQ(w.log_in("alice.test", "battery staple").status, 200);
  EXPECT_TRUE(run(w.settings().is_password(w.account(w.alice), w.secret("battery staple"))));
  EXPECT_FALSE(run(w.settings().is_password(w.account(w.alice), w.secret("correct horse"))));
}

TEST_P(Password, CanBeTakenAway) {
  SettingsWorld w(GetParam());
  EXPECT_TRUE(run(w.settings().has_password(w.account(w.alice))));
  ASSERT_TRUE(run(w.settings().remove_password(w.account(w.alice))));
  EXPECT_FALSE(run(w.settings().has_password(w.account(w.alice))));
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).error(), "ExpiredToken");
  EXPECT_EQ(w.log_in("alice.test", "correct horse").status, 401);
  EXPECT_FALSE(run(w.settings().is_password(w.account(w.alice), w.secret(""))));
  EXPECT_EQ(w.log_in("alice.test", w.app_password("phone")).status, 200);
}

TEST_P(Password, HasALength) {
  SettingsWorld w(GetParam());
  const auto set = [&](std::size_t length) {
    return run(w.settings().set_password(w.account(w.alice), w.secret(std::string(length, 'x')))).has_value();
  };
  EXPECT_FALSE(set(7));
  EXPECT_TRUE(set(8));
  EXPECT_TRUE(set(256));
  EXPECT_FALSE(set(257));
}

TEST_P(Password, AttackASessionBegunWhileItChangesDoesNotOutliveTheChange) {
  SettingsWorld w(GetParam());
  const auto proved = run(w.pds().sessions().log_in("alice.test", w.secret("correct horse"))).value();
  ASSERT_TRUE(run(w.settings().set_password(w.account(w.alice), w.secret("battery staple"))));
  EXPECT_EQ(run(w.pds().sessions().begin(proved)).error().code, xrpc::Error::AuthenticationRequired);

  const auto app = w.app_password("phone");
  const auto by_app = run(w.pds().sessions().log_in("alice.test", w.secret(app))).value();
  run(w.settings().revoke_app_password(w.account(w.alice), "phone"));
  EXPECT_FALSE(run(w.pds().sessions().begin(by_app)));
  w.clock.advance(std::chrono::seconds(1));
  w.app_password("phone");
  EXPECT_FALSE(run(w.pds().sessions().begin(by_app))) << "another one of the same name";
}

INSTANTIATE_TEST_SUITE_P(Store, Password, store::engines(), store::engine_name);

class AppPasswords : public store::EngineTest {};

TEST_P(AppPasswords, AreShownOnceAndOpenASession) {
  SettingsWorld w(GetParam());
  const auto made = w.post(k_create, json::Object{{"name", "phone"}}, w.alice.access);
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.text_at("name"), "phone");
  EXPECT_EQ(made.body.find("privileged")->boolean() != nullptr, true);
  EXPECT_EQ(made.headers.get("cache-control"), "no-store");
  EXPECT_THAT(made.text_at("password"), MatchesRegex("[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}"));

  const auto listed = w.get(k_list, w.alice.access);
  ASSERT_EQ(listed.status, 200) << listed.text;
  const auto& passwords = *listed.body.find("passwords")->array();
  ASSERT_EQ(passwords.size(), 1u);
  EXPECT_EQ(*passwords[0].string_at("name"), "phone");
  EXPECT_FALSE(passwords[0].find("password"));

  for (const char* identifier : {"alice.test", "alice@mail.test"}) {
    const auto got = w.log_in(identifier, made.text_at("password"));
    ASSERT_EQ(got.status, 200) << got.text;
    EXPECT_FALSE(got.body.find("email")) << "the address is the person's";
    EXPECT_EQ(w.get(k_session, "Bearer " + got.text_at("accessJwt")).status, 200);
  }
}

TEST_P(AppPasswords, HaveOneNameEach) {
  SettingsWorld w(GetParam());
  w.app_password("phone");
  const auto again = w.post(k_create, json::Object{{"name", "phone"}}, w.alice.access);
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.message(), "could not create app-specific password");
  const auto bob = w.sign_up("bob");
  EXPECT_EQ(w.post(k_create, json::Object{{"name", "phone"}}, bob.access).status, 200);
  for (const auto& [name, status] :
       {std::pair{std::string(), 400}, std::pair{std::string(100, 'x'), 200},
        std::pair{std::string(101, 'x'), 400}, std::pair{std::string("a\nb"), 400}})
    EXPECT_EQ(w.post(k_create, json::Object{{"name", name}}, w.alice.access).status, status) << name;
}

TEST_P(AppPasswords, AreAHundredAtMost) {
  SettingsWorld w(GetParam());
  for (std::size_t i = 0; i < k_max_app_passwords; ++i) w.app_password("p" + std::to_string(i));
  EXPECT_FALSE(run(w.settings().create_app_password(w.account(w.alice), "more", Privileged::no)));
  run(w.settings().revoke_app_password(w.account(w.alice), "p7"));
  w.app_password("more");
}

TEST_P(AppPasswords, RevokedEndWithTheirSessions) {
  SettingsWorld w(GetParam());
  const auto phone = w.app_password("phone"), tablet = w.app_password("tablet");
  const auto on_phone = w.log_in("alice.test", phone), on_tablet = w.log_in("alice.test", tablet);
  const auto refreshed = w.post(k_refresh, std::nullopt, "Bearer " + on_phone.text_at("refreshJwt"));
  ASSERT_EQ(refreshed.status, 200) << refreshed.text;
  EXPECT_EQ(w.post(k_revoke, json::Object{{"name", "phone"}}, w.alice.access).status, 200);
  EXPECT_EQ(w.log_in("alice.test", phone).status, 401);
  for (const auto& session : {on_phone, refreshed})
    EXPECT_EQ(w.post(k_refresh, std::nullopt, "Bearer " + session.text_at("refreshJwt")).error(),
              "ExpiredToken");
  EXPECT_EQ(w.post(k_refresh, std::nullopt, "Bearer " + on_tablet.text_at("refreshJwt")).status, 200);
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).status, 200);
  for (const std::string name : {"phone", "never", "a\nb"})
    EXPECT_EQ(w.post(k_revoke, json::Object{{"name", name}}, w.alice.access).status, 200)
        << "it is not there";
}

TEST_P(AppPasswords, OfAnotherAccountDoNotOpenThisOne) {
  SettingsWorld w(GetParam());
  w.sign_up("bob");
  const auto wrong = w.log_in("alice.test", "wrong horse");
  EXPECT_EQ(w.log_in("bob.test", w.app_password("phone")).text, wrong.text);
  EXPECT_EQ(w.log_in("alice.test", "aaaa-bbbb-cccc-dddd").text, wrong.text);
}

TEST_P(AppPasswords, DoNotOpenATakenDownAccount) {
  SettingsWorld w(GetParam());
  const auto password = w.app_password("phone");
  const auto id = w.account(w.alice).id;
  w.write([&](store::Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  const auto got = w.post(
      k_login, json::Object{{"identifier", "alice.test"}, {"password", password}, {"allowTakendown", true}});
  EXPECT_EQ(got.status, 401);
  EXPECT_EQ(got.error(), "AuthenticationRequired");
}

INSTANTIATE_TEST_SUITE_P(Store, AppPasswords, store::engines(), store::engine_name);

// Attack 32: what an app password may not do, before and after the session is refreshed.
TEST(AppPasswordSession, AttackAppPassword_ChangesNeitherHandleNorPasswordsNorTheAccount) {
  for (const auto privileged : {Privileged::no, Privileged::yes}) {
    SettingsWorld w;
    const auto first = w.log_in("alice.test", w.app_password("phone", privileged));
    const auto next = w.post(k_refresh, std::nullopt, "Bearer " + first.text_at("refreshJwt"));
    EXPECT_FALSE(next.body.find("email"));
    for (const auto& session : {first, next}) {
      const std::string access = "Bearer " + session.text_at("accessJwt");
      EXPECT_FALSE(w.get(k_session, access).body.find("email"));
      const std::pair<const char*, std::optional<json::Value>> calls[] = {
          {"com.atproto.identity.updateHandle", json::Object{{"handle", "wonder.test"}}},
          {"com.atproto.server.createAppPassword", json::Object{{"name", "another"}}},
          {"com.atproto.server.deactivateAccount", json::Object{}},
          {"com.atproto.server.activateAccount", std::nullopt},
          {"com.atproto.server.requestAccountDelete", std::nullopt}};
      for (const auto& [nsid, body] : calls) {
        const auto got = w.post(nsid, body, access);
        EXPECT_EQ(got.status, 400) << nsid;
        EXPECT_EQ(got.error(), "InvalidToken") << nsid;
        EXPECT_EQ(got.message(), "Bad token scope") << nsid;
      }
      EXPECT_EQ(w.get(k_list, access).status, 200) << "it may look";
      const auto chat = w.get(
          "/xrpc/com.atproto.server.getServiceAuth?aud=did:web:chat.test&lxm=chat.bsky.convo.getLog", access);
      EXPECT_EQ(chat.status, privileged == Privileged::yes ? 200 : 400) << chat.text;
    }
    EXPECT_EQ(w.account(w.alice).handle_text(), "alice.test");
    EXPECT_TRUE(w.account(w.alice).active());
    EXPECT_EQ(w.process.mailer.sent, 0);
  }
}

TEST(AppPasswordSession, MethodsForTheMainPasswordAreNamedInTheTable) {
  for (const char* nsid :
       {"com.atproto.identity.updateHandle", "com.atproto.identity.requestPlcOperationSignature",
        "com.atproto.identity.signPlcOperation", "com.atproto.repo.importRepo",
        "com.atproto.server.activateAccount", "com.atproto.server.createAppPassword",
        "com.atproto.server.deactivateAccount", "com.atproto.server.getAccountInviteCodes",
        "com.atproto.server.requestAccountDelete", "com.atproto.server.requestEmailUpdate",
        "com.atproto.server.updateEmail"}) {
    const auto& needed = *permission_of(nsid);
    for (const auto scope : {SessionScope::app_pass, SessionScope::app_pass_privileged})
      EXPECT_EQ(check_session(needed, scope).error().code, xrpc::Error::InvalidToken) << nsid;
    for (const auto scope : {SessionScope::access, SessionScope::takendown})
      EXPECT_TRUE(check_session(needed, scope)) << nsid;
  }
  EXPECT_TRUE(check_session(*permission_of("com.atproto.repo.createRecord"), SessionScope::app_pass));
}

}  // namespace
}  // namespace latchkey::pds

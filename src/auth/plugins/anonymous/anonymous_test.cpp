#include "auth/plugins/anonymous/anonymous.h"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>

#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using json::Object;

using Links = std::vector<std::pair<std::string, std::string>>;
Task<void> note(Links* links, SessionAndUser from, SessionAndUser to) {
  links->emplace_back(from.user.email, to.user.email);
  co_return;
}
Task<void> fail_to_move(SessionAndUser, SessionAndUser) {
  throw std::runtime_error("could not move");
  co_return;
}

struct AnonymousUsers : ::testing::Test {
  Links links;
  TestAuth app{store::Engine::sqlite, with({.on_link = [this](SessionAndUser a, SessionAndUser b) {
                 return note(&links, std::move(a), std::move(b));
               }})};
  Browser browser{app};

  static std::function<void(Options&)> with(AnonymousOptions options) {
    return [options](Options& o) { o.plugins = {anonymous(options)}; };
  }
  std::string email_of(Browser& who) { return *who.session().find("user")->string_at("email"); }
  bool exists(const std::string& email) {
    return run(app.db->read([&](store::Tx& tx) { return app.auth->users().find_by_email(tx, email); }))
        .has_value();
  }
};

TEST_F(AnonymousUsers, HaveASessionAndNoAddress) {
  EXPECT_EQ(browser.post("/sign-in/anonymous", Object{}).status, 200);
  EXPECT_TRUE(email_of(browser).ends_with("@anonymous.placeholder.invalid"));
  EXPECT_TRUE(*browser.session().find("user")->find("isAnonymous")->boolean());
  EXPECT_EQ(code_of(browser.post("/sign-in/anonymous", Object{})),
            "ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY");
}

TEST_F(AnonymousUsers, BecomeSomebodyAndAreGone) {
  browser.post("/sign-in/anonymous", Object{});
  const std::string before = email_of(browser);
  browser.sign_up("dan@example.test");
  EXPECT_EQ(email_of(browser), "dan@example.test");
  EXPECT_FALSE(exists(before));
  EXPECT_EQ(links, (Links{{before, "dan@example.test"}}));
}

TEST_F(AnonymousUsers, StayWhenWhatTheyHaveCouldNotBeMoved) {
  browser.post("/sign-in/anonymous", Object{});
  const std::string before = email_of(browser);
  app.restart(with({.on_link = fail_to_move}));
  const Object dan{{"name", "n"}, {"email", "dan@example.test"}, {"password", "password-1234"}};
  EXPECT_EQ(browser.post("/sign-up/email", dan).status, 500);
  EXPECT_TRUE(exists(before));
}

TEST_F(AnonymousUsers, OthersAreNotTouchedByASignIn) {
  browser.sign_up("dan@example.test");
  browser.sign_up("eve@example.test");
  EXPECT_TRUE(exists("dan@example.test"));
  EXPECT_TRUE(links.empty());
}

TEST_F(AnonymousUsers, DeleteThemselves) {
  browser.post("/sign-in/anonymous", Object{});
  const std::string email = email_of(browser);
  EXPECT_EQ(browser.post("/delete-anonymous-user", Object{}).status, 200);
  EXPECT_FALSE(exists(email));
  EXPECT_TRUE(browser.session().is_null());
  EXPECT_EQ(browser.post("/delete-anonymous-user", Object{}).status, 401);
}

TEST_F(AnonymousUsers, AttackSomebodyIsNotDeletedByTheRouteOfNobodies) {
  browser.sign_up("dan@example.test");
  const auto r = browser.post("/delete-anonymous-user", Object{});
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(code_of(r), "USER_IS_NOT_ANONYMOUS");
  EXPECT_TRUE(exists("dan@example.test"));
}

TEST_F(AnonymousUsers, AttackNobodyMakesThemselvesAnonymous) {
  browser.sign_up("dan@example.test");
  browser.post("/update-user", Object{{"isAnonymous", true}});
  EXPECT_FALSE(*browser.session().find("user")->find("isAnonymous")->boolean());
}

TEST_F(AnonymousUsers, DeletingCanBeOff) {
  app.restart(with({.disable_delete_anonymous_user = true}));
  browser.post("/sign-in/anonymous", Object{});
  const std::string email = email_of(browser);
  EXPECT_EQ(code_of(browser.post("/delete-anonymous-user", Object{})), "DELETE_ANONYMOUS_USER_DISABLED");
  browser.sign_up("dan@example.test");
  EXPECT_TRUE(exists(email));
}

}  // namespace
}  // namespace latchkey::auth

#include "auth/plugins/bearer/bearer.h"

#include <gtest/gtest.h>

#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using json::Object;

struct Bearer : ::testing::Test {
  TestAuth app{store::Engine::sqlite, with({})};
  Browser browser{app};

  static std::function<void(Options&)> with(BearerOptions options) {
    return [options](Options& o) { o.plugins = {bearer(options)}; };
  }
  /// Signs up; what set-auth-token says.
  std::string token() {
    const auto r =
        browser.post("/sign-up/email",
                     Object{{"name", "n"}, {"email", "dan@example.test"}, {"password", "password-1234"}});
    EXPECT_EQ(r.headers.get("access-control-expose-headers"), "set-auth-token");
    return std::string(r.headers.get("set-auth-token"));
  }
  web::Response get(const std::string& path, const std::string& authorization) {
    return Browser(app).get(path, {{"authorization", authorization}});
  }
  static bool is_dan(const web::Response& r) { return r.body.find("dan@example.test") != std::string::npos; }
};

TEST_F(Bearer, ATokenIsASession) {
  const std::string signed_token = token(), bare = signed_token.substr(0, signed_token.find('.'));
  EXPECT_TRUE(is_dan(get("/get-session", "Bearer " + bare)));
  EXPECT_TRUE(is_dan(get("/get-session", "bearer  " + bare + " "))) << "the scheme in any case";
  EXPECT_TRUE(is_dan(get("/get-session", "Bearer " + signed_token)));
  EXPECT_TRUE(is_dan(get("/get-session", "Bearer " + encode_uri_component(signed_token))));
  EXPECT_FALSE(is_dan(get("/get-session", "Basic " + bare)));
  EXPECT_FALSE(is_dan(get("/get-session", "Bearer")));
}

TEST_F(Bearer, PagesOfTheProgramSeeIt) {
  const std::string signed_token = token();
  auto request = web::Request::make("GET", std::string(TestAuth::base) + "/page");
  request.headers.add("authorization", "Bearer " + signed_token);
  EXPECT_TRUE(run(app.auth->session_of(request)).has_value());
}

TEST_F(Bearer, SigningOutEndsIt) {
  const std::string signed_token = token();
  Browser(app).post("/sign-out", Object{}, {{"authorization", "Bearer " + signed_token}});
  EXPECT_FALSE(is_dan(get("/get-session", "Bearer " + signed_token)));
}

TEST_F(Bearer, AttackATokenThatIsNobodysDoesNotFallBackToTheCookie) {
  token();
  EXPECT_FALSE(is_dan(browser.get("/get-session", {{"authorization", "Bearer nope"}})));
}

TEST_F(Bearer, AttackAForgedSignatureIsNotLookedAt) {
  const std::string signed_token = token(), bare = signed_token.substr(0, signed_token.find('.'));
  EXPECT_FALSE(is_dan(get("/get-session", "Bearer " + bare + ".AAAA")));
  EXPECT_TRUE(is_dan(browser.get("/get-session", {{"authorization", "Bearer " + bare + ".AAAA"}})))
      << "the cookie still counts";
}

TEST_F(Bearer, ASignatureCanBeRequired) {
  const std::string signed_token = token(), bare = signed_token.substr(0, signed_token.find('.'));
  app.restart(with({.signature = BearerOptions::Signature::required}));
  EXPECT_FALSE(is_dan(get("/get-session", "Bearer " + bare)));
  EXPECT_TRUE(is_dan(get("/get-session", "Bearer " + signed_token)));
}

TEST_F(Bearer, AnAnswerThatSetsNoSessionTellsNoToken) {
  token();
  EXPECT_FALSE(browser.get("/get-session").headers.has("set-auth-token"));
  EXPECT_FALSE(browser.post("/sign-out", Object{}).headers.has("set-auth-token"));
}

}  // namespace
}  // namespace latchkey::auth

#include "auth/plugins/social/github.h"

#include <gtest/gtest.h>

#include "auth/plugins/social/generic_oauth.h"
#include "auth/plugins/social/testing.h"
#include "crypto/hash.h"

namespace latchkey::auth {
namespace {

using testing::query_field;
using Kind = ProviderError::Kind;

class GithubProvider : public ::testing::Test {
 protected:
  std::shared_ptr<SocialProvider> make(std::string base = "https://github.com") {
    return github(
        {.credentials = {"gh-client", Secret<std::string>("gh-secret")}, .base_url = std::move(base)}, net_,
        clock_);
  }
  Result<SocialProfile, ProviderError> sign_in(SocialProvider& provider, std::string code = "good") {
    TRY(const auto url,
        run(executor_, provider.authorization_url({.redirect_uri = "https://app.example.com/cb",
                                                   .state = "s",
                                                   .code_verifier = std::string(43, 'v')})));
    server_.challenge = query_field(url, "code_challenge");
    TRY(auto tokens,
        run(executor_, provider.exchange({code, "https://app.example.com/cb", std::string(43, 'v')})));
    scopes_ = tokens.scopes;
    return run(executor_, provider.profile(std::move(tokens), std::nullopt));
  }
  Result<SocialProfile, ProviderError> sign_in() { return sign_in(*make()); }

  InlineExecutor executor_;
  FakeClock clock_;
  testing::Network net_;
  testing::GithubServer server_{net_};
  std::vector<std::string> scopes_;
};

TEST_F(GithubProvider, SignsInByNumberWithThePrimaryAddress) {
  const auto profile = sign_in();
  ASSERT_TRUE(profile) << profile.error().detail;
  EXPECT_EQ(profile->subject, "583231");
  EXPECT_EQ(profile->email, "octocat@github.com");
  EXPECT_TRUE(profile->email_verified);
  EXPECT_EQ(profile->name, "The Octocat");
  EXPECT_EQ(profile->image, "https://avatars.githubusercontent.com/u/583231");
  EXPECT_EQ(scopes_, (std::vector<std::string>{"read:user", "user:email"})) << "GitHub joins by comma";
}

TEST_F(GithubProvider, ARenamedAccountIsTheSame) {
  server_.user.set("login", "hexacat").set("name", nullptr);
  EXPECT_EQ(sign_in()->subject, "583231");
  EXPECT_EQ(sign_in()->name, "hexacat");
}

TEST_F(GithubProvider, AttackUnverifiedPrimaryAddressProvesNothing) {
  server_.emails = {json::Object{{"email", "victim@example.com"}, {"primary", true}, {"verified", false}}};
  ASSERT_TRUE(sign_in());
  EXPECT_FALSE(sign_in()->email_verified);
  server_.emails = {json::Object{{"email", "victim@example.com"}, {"primary", true}, {"verified", "true"}}};
  EXPECT_FALSE(sign_in()->email_verified);
}

TEST_F(GithubProvider, AttackTheAddressShownInTheProfileIsNotTaken) {
  server_.user.set("email", "victim@example.com");
  server_.emails = {};
  EXPECT_FALSE(sign_in()->email);
  server_.emails = {json::Object{{"email", "other@example.com"}, {"primary", false}, {"verified", true}}};
  EXPECT_FALSE(sign_in()->email);
}

TEST_F(GithubProvider, ABadCodeIsRefusedThoughTheStatusIs200) {
  const auto answer = sign_in(*make(), "bad");
  EXPECT_EQ(answer.error().kind, Kind::refused);
  EXPECT_EQ(answer.error().detail, "bad_verification_code");
}

TEST_F(GithubProvider, AttackAnAccountWithoutNumberIsNobody) {
  for (const json::Value& id :
       {json::Value(), json::Value("583231"), json::Value(0), json::Value(-1), json::Value(1.5)}) {
    server_.user.set("id", id);
    EXPECT_FALSE(sign_in()) << id.dump();
  }
}

TEST_F(GithubProvider, WithoutTheListOfAddressesThereIsNoProfile) {
  net_.pages.erase("https://api.github.com/user/emails");
  EXPECT_EQ(sign_in().error().kind, Kind::refused);
  net_.pages["https://api.github.com/user/emails"] = [](const FetchRequest&) {
    return testing::json_answer(200, json::Object{});
  };
  EXPECT_EQ(sign_in().error().kind, Kind::invalid);
}

TEST_F(GithubProvider, AttackPeopleOfAnEnterpriseServerAreNotThoseOfGithubCom) {
  const testing::GithubServer enterprise(net_, "https://git.example.com", "https://git.example.com/api/v3");
  const auto provider = make("https://git.example.com/");
  EXPECT_EQ(provider->description().id, "github");
  EXPECT_EQ(provider->description().account_provider_id, "https://git.example.com");
  EXPECT_EQ(make()->description().account_provider_id, "github");
}

// ---- OAuth 2.0 in general

class GenericProvider : public ::testing::Test {
 protected:
  GenericOauthOptions options_{.id = "acme",
                               .credentials = {"acme-client", Secret<std::string>("acme-secret")},
                               .authorization_endpoint = "https://idp.test/authorize",
                               .token_endpoint = "https://idp.test/token",
                               .userinfo_endpoint = "https://idp.test/userinfo",
                               .scopes = {"openid", "email"}};
  Result<ProviderTokens, ProviderError> exchange(json::Object answer) {
    net_.pages["https://idp.test/token"] = [answer](const FetchRequest&) {
      return testing::json_answer(200, answer);
    };
    return run(executor_, generic_oauth(options_, net_, clock_)->exchange({"c", "r", std::string(43, 'v')}));
  }
  InlineExecutor executor_;
  FakeClock clock_;
  testing::Network net_;
};

TEST_F(GenericProvider, AttackAdditionalParametersNeverReplaceThoseOfTheProtocol) {
  const auto url =
      run(executor_, generic_oauth(options_, net_, clock_)
                         ->authorization_url({.redirect_uri = "https://app.example.com/cb",
                                              .state = "s",
                                              .code_verifier = std::string(43, 'v'),
                                              .scopes = {"email", "calendar"},
                                              .additional = {{"redirect_uri", "https://evil.example.com"},
                                                             {"client_id", "x"},
                                                             {"scope", "x"},
                                                             {"state", "x"},
                                                             {"code_challenge", "x"},
                                                             {"response_type", "token"},
                                                             {"request", "x"},
                                                             {"prompt", "login"}}}));
  EXPECT_EQ(*url,
            "https://idp.test/"
            "authorize?response_type=code&client_id=acme-client&state=s&scope=openid+email+calendar"
            "&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&code_challenge_method=S256&code_challenge=" +
                oauth::pkce_challenge(std::string(43, 'v')) + "&prompt=login");
}

TEST_F(GenericProvider, ReadsTokenAnswers) {  // RFC 6749 §5.1
  const auto tokens = exchange({{"access_token", "a"}, {"token_type", "BEARER"}, {"expires_in", 60}});
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->access_expires_at, clock_.now() + std::chrono::seconds(60));
  EXPECT_EQ(tokens->scopes, options_.scopes) << "what was asked for, when the answer says nothing";
  EXPECT_EQ(tokens->refresh_token, "");
  EXPECT_EQ(exchange({{"access_token", "a"}, {"scope", "x y"}})->scopes,
            (std::vector<std::string>{"x", "y"}));
  std::string many;
  for (int i = 0; i < 101; ++i) many += "s ";
  EXPECT_EQ(exchange({{"access_token", "a"}, {"scope", many.substr(0, 200)}})->scopes.size(), 100u);
  EXPECT_EQ(exchange({{"access_token", "a"}, {"scope", many}})->scopes.size(), 100u) << "bounded";
  const auto nested = [](std::size_t n) {  // levels, the answer itself being one
    json::Value v = json::Array();
    for (std::size_t i = 2; i < n; ++i) v = json::Array{std::move(v)};
    return v;
  };
  EXPECT_TRUE(exchange({{"access_token", "a"}, {"x", nested(32)}}));
  EXPECT_FALSE(exchange({{"access_token", "a"}, {"x", nested(33)}}));
  constexpr std::int64_t ten_years = 10LL * 365 * 24 * 3600;
  EXPECT_TRUE(exchange({{"access_token", "a"}, {"expires_in", ten_years}})->access_expires_at);
  EXPECT_FALSE(exchange({{"access_token", "a"}, {"expires_in", ten_years + 1}})->access_expires_at);
  for (const json::Value& odd :
       {json::Value(-1), json::Value("60"), json::Value(1e300), json::Value(std::int64_t{1} << 62)})
    EXPECT_FALSE(exchange({{"access_token", "a"}, {"expires_in", odd}})->access_expires_at) << odd.dump();
}

TEST_F(GenericProvider, AttackTokenAnswersThatAreNoneAreRefused) {
  EXPECT_FALSE(exchange({}));
  EXPECT_FALSE(exchange({{"access_token", ""}}));
  EXPECT_FALSE(exchange({{"access_token", 1}}));
  EXPECT_FALSE(exchange({{"access_token", "a"}, {"token_type", "mac"}}));
  EXPECT_FALSE(exchange({{"access_token", "a"}, {"error", "invalid_grant"}}));
  EXPECT_EQ(exchange({{"access_token", "a"}, {"error", "<script>"}}).error().detail, "an odd error");
}

TEST_F(GenericProvider, AttackAProfileOfSomebodyElseIsRefused) {
  const testing::ToyProvider toy(net_, "https://idp.test");
  const auto provider = generic_oauth(options_, net_, clock_);
  const std::string token = "at." + testing::ToyProvider::code_for({{"sub", "alice"}});
  EXPECT_TRUE(run(executor_, provider->current_profile(token, "alice")));
  EXPECT_FALSE(run(executor_, provider->current_profile(token, "bob")));
}

TEST_F(GenericProvider, AttackAnotherIssuerIsRecognisedWhereTheIssuerIsKnown) {
  const auto is_its = [&](std::string iss) {
    return run(executor_, generic_oauth(options_, net_, clock_)->is_its_issuer(iss)).value();
  };
  EXPECT_TRUE(is_its("https://anything.example.com"));
  options_.issuer = "https://idp.test";
  EXPECT_FALSE(is_its("https://anything.example.com"));
  EXPECT_TRUE(is_its("https://idp.test"));
}

}  // namespace
}  // namespace latchkey::auth

#include "sign_in_providers.h"

#include <gtest/gtest.h>

#include "environment_testing.h"

namespace latchkey::app {
namespace {

class SignInProviders : public ::testing::Test {
 protected:
  std::vector<SignInProvider> read(PlainHttpProviders plain = PlainHttpProviders::refuse) {
    problems_.clear();
    return read_sign_in_providers(env_.variables(), env_.names(), plain, problems_);
  }
  /// The variables the problems begin with.
  std::string complaints(PlainHttpProviders plain = PlainHttpProviders::refuse) {
    EXPECT_TRUE(read(plain).empty());
    return variables_of(problems_);
  }
  TestEnvironment env_;
  Problems problems_;
};

TEST_F(SignInProviders, NoneAreThereUnlessConfigured) {
  env_ = {{"OIDC_ENABLED", "true"}, {"GOOGLE_CLIENT_ID", ""}};
  EXPECT_EQ(complaints(), "");
}

TEST_F(SignInProviders, AreThereWithIdAndSecret) {
  env_ = {{"GOOGLE_CLIENT_ID", "g"},
          {"GOOGLE_CLIENT_SECRET", "gs"},
          {"GITHUB_CLIENT_ID", "h"},
          {"GITHUB_CLIENT_SECRET", "hs"},
          {"OIDC_MY_COMPANY_ISSUER", "https://login.example.com/realms/a"},
          {"OIDC_MY_COMPANY_CLIENT_ID", "c"},
          {"OIDC_MY_COMPANY_CLIENT_SECRET", "cs"},
          {"OIDC_MY_COMPANY_LABEL", "My Company"},
          {"OIDC_OTHER_ISSUER", "https://other.example.com"},
          {"OIDC_OTHER_CLIENT_ID", "o"},
          {"OIDC_OTHER_CLIENT_SECRET", "os"}};
  const auto list = read();
  ASSERT_TRUE(problems_.empty()) << problems_[0];
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0].id, "google");
  EXPECT_EQ(list[1].url, "https://github.com");
  EXPECT_EQ(list[2].id, "my-company");
  EXPECT_EQ(list[2].label, "My Company");
  EXPECT_EQ(list[2].url, "https://login.example.com/realms/a");
  EXPECT_EQ(list[2].client_secret.reveal(), "cs");
  EXPECT_EQ(list[3].label, "OTHER");

  struct Silence final : Fetch {
    Task<Result<FetchResponse, FetchError>> fetch(FetchRequest) override {
      co_return fail(FetchError{FetchError::Kind::unreachable, ""});
    }
  } net;
  FakeClock clock;
  const auto providers = social_providers(list, net, clock);
  ASSERT_EQ(providers.size(), 4u);
  EXPECT_EQ(providers[0]->description().account_provider_id, "google");
  EXPECT_EQ(providers[1]->description().account_provider_id, "github");
  EXPECT_EQ(providers[2]->description().id, "my-company");
  EXPECT_EQ(providers[2]->description().account_provider_id, "https://login.example.com/realms/a");
}

TEST_F(SignInProviders, HalfOfOneIsAProblem) {
  env_ = {{"GOOGLE_CLIENT_ID", "g"}};
  EXPECT_EQ(complaints(), "GOOGLE_CLIENT_SECRET ");
  env_ = {{"GITHUB_CLIENT_SECRET", "h"}};
  EXPECT_EQ(complaints(), "GITHUB_CLIENT_ID ");
  env_ = {{"OIDC_ACME_ISSUER", "https://acme.example.com"}};
  EXPECT_EQ(complaints(), "OIDC_ACME_CLIENT_ID OIDC_ACME_CLIENT_SECRET ");
  env_ = {{"OIDC_ACME_CLIENT_ID", "c"}, {"OIDC_ACME_CLIENT_SECRET", ""}};
  EXPECT_EQ(complaints(), "OIDC_ACME_ISSUER OIDC_ACME_CLIENT_SECRET ");
  env_ = {{"OIDC_ACME_LABEL", "Acme"}};
  EXPECT_EQ(complaints(), "OIDC_ACME_ISSUER OIDC_ACME_CLIENT_ID OIDC_ACME_CLIENT_SECRET ");
}

TEST_F(SignInProviders, AttackNamesAndIssuersThatCouldBeTakenForOthersAreRefused) {
  const auto with = [&](const std::string& name, const std::string& issuer) {
    env_ = {{"OIDC_" + name + "_ISSUER", issuer},
            {"OIDC_" + name + "_CLIENT_ID", "c"},
            {"OIDC_" + name + "_CLIENT_SECRET", "s"}};
  };
  for (const std::string name : {"GOOGLE", "GITHUB", "CREDENTIAL", "acme", "A-B", "_A", "A_", "Ä"}) {
    with(name, "https://acme.example.com");
    EXPECT_EQ(complaints(), "OIDC_" + name + "_ISSUER ") << name;
  }
  for (const std::string issuer :
       {"http://acme.example.com", "acme.example.com", "https://a@acme.example.com",
        "https://acme.example.com?x", "https://acme.example.com#x", "javascript:x"}) {
    with("ACME", issuer);
    EXPECT_EQ(complaints(), "OIDC_ACME_ISSUER ") << issuer;
  }
  with("ACME", "http://idp.lan:8080");
  EXPECT_EQ(read(PlainHttpProviders::allow).size(), 1u);
  with(std::string(32, 'A'), "https://acme.example.com");
  EXPECT_EQ(read().size(), 1u);
  with(std::string(33, 'A'), "https://acme.example.com");
  EXPECT_NE(complaints(), "");
}

TEST_F(SignInProviders, GithubMayBeAnEnterpriseServer) {
  env_ = {{"GITHUB_CLIENT_ID", "h"},
          {"GITHUB_CLIENT_SECRET", "hs"},
          {"GITHUB_BASE_URL", "https://git.example.com"}};
  EXPECT_EQ(read()[0].url, "https://git.example.com");
  env_["GITHUB_BASE_URL"] = "http://git.example.com";
  EXPECT_EQ(complaints(), "GITHUB_BASE_URL ");
  env_ = {{"GITHUB_BASE_URL", "https://git.example.com"}};
  EXPECT_EQ(complaints(), "GITHUB_CLIENT_ID GITHUB_CLIENT_SECRET ");
}

}  // namespace
}  // namespace latchkey::app

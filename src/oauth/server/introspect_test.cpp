#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class Introspection : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (!IsSkipped()) serve_confidential_client(client_key_);
  }
  web::Response ask(std::string token) {
    return post("/oauth/introspect",
                asserted({{"client_id", k_confidential}, {"token", std::move(token)}}, client_key_), "");
  }
  static bool active(const web::Response& r) { return *body(r).find("active")->boolean(); }
};

TEST_P(Introspection, TellsTheOwnerAboutBothTokens) {  // RFC 7662 §2.2
  const auto tokens = signed_in_with(client_key_);
  const auto response = ask(text(tokens, "access_token"));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.get("cache-control"), "no-store");
  const auto access = body(response);
  EXPECT_TRUE(*access.find("active")->boolean());
  EXPECT_EQ(text(access, "sub"), k_did);
  EXPECT_EQ(text(access, "scope"), "atproto transition:generic");
  EXPECT_EQ(text(access, "client_id"), k_confidential);
  EXPECT_EQ(text(access, "token_type"), "DPoP");
  EXPECT_EQ(*access.find("iat")->integer(), unix_seconds(clock_.now()));
  EXPECT_EQ(*access.find("exp")->integer(), unix_seconds(clock_.now() + k_access_lifetime));
  EXPECT_EQ(text(*access.find("cnf"), "jkt"), (Jwk{key_.public_key(), "", "", ""}.thumbprint()));
  const auto refresh = body(ask(text(tokens, "refresh_token")));
  EXPECT_TRUE(*refresh.find("active")->boolean());
  EXPECT_EQ(*refresh.find("exp")->integer(), unix_seconds(clock_.now() + k_confidential_idle_lifetime));
}

TEST_P(Introspection, AttackIntrospection_AnotherClientsTokenIsInactive) {
  for (const char* which : {"access_token", "refresh_token"}) {
    const auto response = ask(text(signed_in(), which));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "{\"active\":false}");
  }
}

TEST_P(Introspection, AttackIntrospection_NeedsAClientThatProvesItself) {
  const auto tokens = signed_in();
  EXPECT_EQ(error(post("/oauth/introspect",
                       {{"client_id", k_loopback}, {"token", text(tokens, "access_token")}}, "")),
            "unauthorized_client")
      << "anybody can say a public client_id";
  EXPECT_EQ(error(post("/oauth/introspect", {{"client_id", k_confidential}, {"token", "x"}}, "")),
            "invalid_client");
  EXPECT_EQ(error(post("/oauth/introspect", {{"token", "x"}}, "")), "invalid_request");
  EXPECT_EQ(error(post("/oauth/introspect", asserted({{"client_id", k_confidential}}, client_key_), "")),
            "invalid_request")
      << "no token";
}

TEST_P(Introspection, WhatIsOverIsInactive) {
  const auto inactive = [&](const json::Value& tokens, const char* which, const char* why) {
    EXPECT_EQ(ask(text(tokens, which)).body, "{\"active\":false}") << why;
  };
  EXPECT_EQ(ask("nonsense").body, "{\"active\":false}");
  auto tokens = signed_in_with(client_key_);
  const auto next = body(refreshed_with(tokens, client_key_));
  inactive(tokens, "refresh_token", "rotated away");
  EXPECT_TRUE(active(ask(text(next, "refresh_token"))));
  becomes(Standing::deactivated);
  inactive(next, "access_token", "the account sleeps");
  inactive(next, "refresh_token", "the account sleeps");
  becomes(Standing::active);
  EXPECT_TRUE(active(ask(text(next, "access_token"))));
  clock_.advance(k_access_lifetime);
  inactive(next, "access_token", "expired");
  EXPECT_TRUE(active(ask(text(next, "refresh_token"))));
  run(server_->end_sessions(k_did));
  inactive(next, "refresh_token", "ended");
}

INSTANTIATE_TEST_SUITE_P(Store, Introspection, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth

#include "oauth/client/server_metadata.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace latchkey::oauth::client {
namespace {

json::Object good() {
  return {{"issuer", "https://as.test"},
          {"authorization_endpoint", "https://auth.as.test/oauth/authorize"},
          {"token_endpoint", "https://as.test/oauth/token"},
          {"pushed_authorization_request_endpoint", "https://as.test/oauth/par"},
          {"revocation_endpoint", "https://as.test/oauth/revoke"},
          {"response_types_supported", json::Array{"code"}},
          {"grant_types_supported", json::Array{"authorization_code", "refresh_token"}},
          {"code_challenge_methods_supported", json::Array{"S256"}},
          {"token_endpoint_auth_methods_supported", json::Array{"none", "private_key_jwt"}},
          {"token_endpoint_auth_signing_alg_values_supported", json::Array{"ES256", "ES256K"}},
          {"scopes_supported", json::Array{"atproto", "transition:generic"}},
          {"dpop_signing_alg_values_supported", json::Array{"ES256"}},
          {"authorization_response_iss_parameter_supported", true},
          {"require_pushed_authorization_requests", true},
          {"client_id_metadata_document_supported", true}};
}
bool accepted(const json::Object& o, PlainHttp plain = PlainHttp::refuse,
              std::string origin = "https://as.test") {
  return ServerMetadata::parse(json::Value(o).dump(), origin, plain).has_value();
}

TEST(ServerMetadata, IsReadWhenItMeetsTheProfile) {
  auto document = good();
  document.set("protected_resources", json::Array{"https://pds.test"});
  const auto m = ServerMetadata::parse(json::Value(document).dump(), "https://as.test", PlainHttp::refuse);
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->issuer, "https://as.test");
  EXPECT_EQ(m->authorization_endpoint, "https://auth.as.test/oauth/authorize");
  EXPECT_EQ(m->token_endpoint, "https://as.test/oauth/token");
  EXPECT_EQ(m->pushed_authorization_request_endpoint, "https://as.test/oauth/par");
  EXPECT_EQ(m->revocation_endpoint, "https://as.test/oauth/revoke");
  EXPECT_EQ(m->protected_resources, std::vector<std::string>{"https://pds.test"});
}

TEST(ServerMetadata, AttackMixUp_OfAForeignIssuerIsRefused) {
  for (const auto* issuer : {"https://evil.test", "https://as.test/", "https://as.test:443",
                             "https://AS.test", "http://as.test", "https://as.test.evil.test", ""}) {
    auto o = good();
    o.set("issuer", issuer);
    EXPECT_FALSE(accepted(o)) << issuer;
  }
  EXPECT_FALSE(accepted(good(), PlainHttp::refuse, "https://other.test"));
}

TEST(ServerMetadata, NeedsEveryRequiredMember) {
  for (const auto& member : good()) {
    if (member.key == "revocation_endpoint") continue;
    auto o = good();
    o.erase(member.key);
    EXPECT_FALSE(accepted(o)) << "without " << member.key;
    o = good();
    o.set(member.key, 7);
    EXPECT_FALSE(accepted(o)) << member.key << " as a number";
  }
  auto o = good();
  o.erase("revocation_endpoint");
  EXPECT_TRUE(accepted(o)) << "not demanded by the profile";
}

TEST(ServerMetadata, NeedsTheRightValues) {
  struct Row {
    const char* member;
    json::Value value;
  };
  const Row refused[] = {
      {"response_types_supported", json::Array{"token"}},
      {"grant_types_supported", json::Array{"authorization_code"}},
      {"code_challenge_methods_supported", json::Array{"plain"}},
      {"token_endpoint_auth_methods_supported", json::Array{"none"}},
      {"token_endpoint_auth_signing_alg_values_supported", json::Array{"RS256"}},
      {"token_endpoint_auth_signing_alg_values_supported", json::Array{"ES256", "none"}},
      {"scopes_supported", json::Array{"openid"}},
      {"dpop_signing_alg_values_supported", json::Array{"RS256"}},
      {"authorization_response_iss_parameter_supported", false},
      {"require_pushed_authorization_requests", false},
      {"client_id_metadata_document_supported", false},
      {"require_request_uri_registration", false},
      {"authorization_endpoint", "http://as.test/oauth/authorize"},
      {"authorization_endpoint", "javascript:alert(1)"},
      {"token_endpoint", "https://u:p@as.test/token"},
      {"token_endpoint", "/oauth/token"},
      {"revocation_endpoint", "http://as.test/revoke"},
      {"pushed_authorization_request_endpoint", "https://as.test/par#x"},
      {"protected_resources", "https://pds.test"},
  };
  for (const auto& row : refused) {
    auto o = good();
    o.set(row.member, row.value);
    EXPECT_FALSE(accepted(o)) << row.member << " = " << row.value.dump();
  }
  auto o = good();
  o.set("require_request_uri_registration", true);
  EXPECT_TRUE(accepted(o));
}

TEST(ServerMetadata, MayBePlainHttpOnlyOnThisMachineInDevelopment) {
  auto o = good();
  const std::string origin = "http://localhost:2583";
  o.set("issuer", origin);
  for (const auto* endpoint : {"authorization_endpoint", "token_endpoint",
                               "pushed_authorization_request_endpoint", "revocation_endpoint"})
    o.set(endpoint, origin + "/oauth/x");
  EXPECT_TRUE(accepted(o, PlainHttp::loopback, origin));
  EXPECT_FALSE(accepted(o, PlainHttp::refuse, origin));
  o.set("token_endpoint", "http://as.test/oauth/x");
  EXPECT_FALSE(accepted(o, PlainHttp::loopback, origin));
}

TEST(ServerMetadata, IsJson) {
  for (const auto* text : {"", "[]", "null", "{", "<html>"})
    EXPECT_FALSE(ServerMetadata::parse(text, "https://as.test", PlainHttp::refuse)) << text;
}

TEST(ProtectedResource, NamesOneServer) {
  const auto read = [](const char* text) {
    return parse_protected_resource(text, "https://pds.test", PlainHttp::refuse);
  };
  EXPECT_EQ(read(R"({"resource":"https://pds.test","authorization_servers":["https://as.test"]})"),
            "https://as.test");
  const char* refused[] = {
      R"({"resource":"https://other.test","authorization_servers":["https://as.test"]})",
      R"({"authorization_servers":["https://as.test"]})",
      R"({"resource":"https://pds.test","authorization_servers":[]})",
      R"({"resource":"https://pds.test","authorization_servers":["https://a.test","https://b.test"]})",
      R"({"resource":"https://pds.test","authorization_servers":"https://as.test"})",
      R"({"resource":"https://pds.test"})",
      R"({"resource":"https://pds.test","authorization_servers":["https://as.test/path"]})",
      R"({"resource":"https://pds.test","authorization_servers":["https://as.test/"]})",
      R"({"resource":"https://pds.test","authorization_servers":["https://as.test:443"]})",
      R"({"resource":"https://pds.test","authorization_servers":["http://as.test"]})",
      R"({"resource":"https://pds.test","authorization_servers":["https://u@as.test"]})",
      "[]",
  };
  for (const auto* text : refused) EXPECT_FALSE(read(text)) << text;
}

}  // namespace
}  // namespace latchkey::oauth::client

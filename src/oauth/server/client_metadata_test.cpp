#include "oauth/server/client_metadata.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace latchkey::oauth {
namespace {

constexpr std::string_view k_id = "https://app.example/oauth/client-metadata.json";

json::Object document() {
  return {{"client_id", k_id},
          {"client_name", "Example"},
          {"application_type", "web"},
          {"grant_types", json::Array{"authorization_code", "refresh_token"}},
          {"response_types", json::Array{"code"}},
          {"scope", "atproto transition:generic"},
          {"redirect_uris", json::Array{"https://app.example/callback"}},
          {"dpop_bound_access_tokens", true},
          {"token_endpoint_auth_method", "none"}};
}
json::Object document(std::string member, json::Value value) {
  auto doc = document();
  doc.set(std::move(member), std::move(value));
  return doc;
}
json::Object without(std::string_view member) {
  auto doc = document();
  doc.erase(member);
  return doc;
}
Result<Client, Fault> parse(json::Object doc) {
  return parse_client_metadata(*ClientId::parse(k_id, LocalHosts::refuse), std::move(doc),
                               LocalHosts::refuse);
}
json::Object jwks(std::string kid = "k1") {
  SeededRng rng;
  Jwk key{crypto::PrivateKey::generate(crypto::Curve::p256, rng).public_key(), std::move(kid), "ES256",
          "sig"};
  return {{"keys", json::Array{key.to_json()}}};
}

struct Row {
  const char* text;
  bool valid;
  const char* why;
};

TEST(ClientId, FollowsTheProfile) {
  const Row rows[] = {
      {"https://app.example/client-metadata.json", true, "the common case"},
      {"https://app.example/a?b=c", true, "a query is part of the name"},
      {"http://localhost", true, "loopback"},
      {"http://localhost/", true, "loopback with a slash"},
      {"http://localhost?scope=atproto", true, "loopback with parameters"},
      {"", false, "empty"},
      {"http://app.example/x", false, "http"},
      {"https://app.example", false, "no path"},
      {"https://app.example/", false, "path of a slash only"},
      {"https://app.example:8443/x", false, "a port"},
      {"https://app.example:443/x", false, "even the default port is another spelling"},
      {"https://user@app.example/x", false, "credentials"},
      {"https://app.example/x#y", false, "a fragment"},
      {"https://app.example/a/../x", false, "dot segments"},
      {"https://app.example/a/%2e%2e/x", false, "encoded dot segments"},
      {"https://APP.example/x", false, "host in upper case: another spelling of the same address"},
      {"https://127.0.0.1/x", false, "an address"},
      {"https://0x7f.1/x", false, "an address in disguise"},
      {"https://[::1]/x", false, "an IPv6 address"},
      {"https://localhost/x", false, "this machine"},
      {"https://intranet/x", false, "a single label"},
      {"https://printer.local/x", false, "a local name"},
      {"https://app.example./x", false, "a trailing dot"},
      {"http://localhost:3000", false, "loopback with a port"},
      {"http://localhost/callback", false, "loopback with a path"},
      {"http://localhost#x", false, "loopback with a fragment"},
      {"http://127.0.0.1/", false, "loopback by address"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(ClientId::parse(row.text, LocalHosts::refuse).has_value(), row.valid)
        << row.text << ": " << row.why;
  EXPECT_TRUE(ClientId::parse("https://x.co/" + std::string(2035, 'a'), LocalHosts::refuse).has_value());
  EXPECT_FALSE(ClientId::parse("https://x.co/" + std::string(2036, 'a'), LocalHosts::refuse).has_value());
  EXPECT_TRUE(ClientId::parse("https://app.localhost:8443/x", LocalHosts::allow).has_value())
      << "on a dev network";
}

TEST(ClientMetadata, AcceptsTheCommonDocument) {
  const auto client = parse(document());
  ASSERT_TRUE(client.has_value()) << client.error().description;
  EXPECT_EQ(client->client_name, "Example");
  EXPECT_TRUE(client->may_refresh);
  EXPECT_FALSE(client->is_confidential());
}

TEST(ClientMetadata, RequiresWhatTheProfileRequires) {
  for (const char* member :
       {"client_id", "grant_types", "response_types", "scope", "redirect_uris", "dpop_bound_access_tokens"})
    EXPECT_FALSE(parse(without(member)).has_value()) << member;
  EXPECT_TRUE(parse(without("client_name")).has_value());
  EXPECT_FALSE(parse(document("client_id", "https://app.example/other.json")).has_value());
  EXPECT_FALSE(parse(document("dpop_bound_access_tokens", false)).has_value());
  EXPECT_FALSE(parse(document("scope", "transition:generic")).has_value()) << "no atproto";
  EXPECT_FALSE(parse(document("scope", "atprotox")).has_value()) << "a word, not a prefix";
  EXPECT_FALSE(parse(document("grant_types", json::Array{"refresh_token"})).has_value());
  EXPECT_FALSE(parse(document("grant_types", "authorization_code")).has_value()) << "wrong type";
  EXPECT_FALSE(parse(document("response_types", json::Array{"token"})).has_value());
  EXPECT_FALSE(parse(document("application_type", "desktop")).has_value());
  EXPECT_FALSE(parse(document("redirect_uris", json::Array{})).has_value());
  EXPECT_FALSE(parse(document("redirect_uris", json::Array(33, "https://app.example/callback"))).has_value());
  EXPECT_TRUE(parse(document("redirect_uris", json::Array(32, "https://app.example/callback"))).has_value());
}

TEST(ClientMetadata, ConfidentialClientsShowTheirKeys) {
  auto doc = document("token_endpoint_auth_method", "private_key_jwt");
  doc.set("token_endpoint_auth_signing_alg", "ES256");
  EXPECT_FALSE(parse(doc).has_value()) << "no keys";
  doc.set("jwks", jwks());
  const auto client = parse(doc);
  ASSERT_TRUE(client.has_value()) << client.error().description;
  EXPECT_TRUE(client->is_confidential());
  auto both = doc;
  both.set("jwks_uri", "https://app.example/jwks.json");
  EXPECT_FALSE(parse(both).has_value()) << "both jwks and jwks_uri";
  auto no_kid = doc;
  no_kid.set("jwks", jwks(""));
  EXPECT_FALSE(parse(no_kid).has_value()) << "no kid";
  auto native = doc;
  native.set("application_type", "native");
  EXPECT_FALSE(parse(native).has_value()) << "a native app cannot keep a key";
  auto rsa = doc;
  rsa.set("token_endpoint_auth_signing_alg", "RS256");
  EXPECT_FALSE(parse(rsa).has_value());
  EXPECT_FALSE(parse(document("token_endpoint_auth_method", "client_secret_basic")).has_value());
}

TEST(ClientMetadata, AttackPrivateKeyInJwksIsRefused) {
  SeededRng rng;
  const auto key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  auto doc = document("token_endpoint_auth_method", "private_key_jwt");
  doc.set("token_endpoint_auth_signing_alg", "ES256");
  doc.set("jwks", json::Object{{"keys", json::Array{private_jwk(key, "k1")}}});
  EXPECT_FALSE(parse(doc).has_value());
}

TEST(ClientMetadata, ClientUriIsAParentOnTheSameOrigin) {
  EXPECT_TRUE(parse(document("client_uri", "https://app.example")).has_value());
  EXPECT_TRUE(parse(document("client_uri", "https://app.example/oauth")).has_value());
  EXPECT_FALSE(parse(document("client_uri", "https://app.example/oa")).has_value()) << "not a whole segment";
  EXPECT_FALSE(parse(document("client_uri", "https://bank.example/")).has_value());
}

TEST(ClientMetadata, RedirectUrisOfWebClients) {
  const Row rows[] = {
      {"https://app.example/callback?x=1", true, "a query is allowed"},
      {"https://other.example/callback", true, "another host is allowed, it is listed"},
      {"http://app.example/callback", false, "http"},
      {"http://127.0.0.1/callback", false, "loopback is for native clients"},
      {"https://localhost/callback", false, "a local name"},
      {"https://10.0.0.1/callback", false, "an address"},
      {"https://user@app.example/callback", false, "credentials"},
      {"https://app.example/callback#x", false, "a fragment"},
      {"example.app:/callback", false, "custom schemes are for native clients"},
      {"javascript:alert(1)", false, "no scheme of ours"},
      {"callback", false, "not absolute"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(parse(document("redirect_uris", json::Array{row.text})).has_value(), row.valid)
        << row.text << ": " << row.why;
}

TEST(ClientMetadata, RedirectUrisOfNativeClients) {
  const Row rows[] = {
      {"example.app:/callback", true, "the reversed host of the client_id"},
      {"http://127.0.0.1/callback", true, "loopback"},
      {"http://[::1]:4000/callback", true, "loopback"},
      {"com.evil:/callback", false, "somebody else's scheme"},
      {"example.app://callback", false, "two slashes"},
      {"example.app:callback", false, "no slash"},
      {"example.app:/callback\r\nSet-Cookie: a=b", false, "it would break out of the Location header"},
      {"example.app:/call back", false, "a space"},
      {"example.app:/c\xc3\xa4llback", false, "not ASCII"},
      {"http://localhost/callback", false, "a name may resolve elsewhere"},
  };
  for (const auto& row : rows) {
    auto doc = document("redirect_uris", json::Array{row.text});
    doc.set("application_type", "native");
    EXPECT_EQ(parse(doc).has_value(), row.valid) << row.text << ": " << row.why;
  }
}

TEST(RedirectUri, AttackTable_OnlyTheExactUriIsAllowed) {
  const auto client = *parse(document());
  EXPECT_TRUE(client.allows_redirect_uri("https://app.example/callback"));
  for (const char* evil :
       {"https://app.example/callback/", "https://app.example/callback/x", "https://app.example/callback?x",
        "https://app.example/callback#x", "https://app.example@evil.example/callback",
        "https://app.example:444/callback", "https://APP.example/callback", "https://app.example./callback",
        "https://app.example/x/../callback", "http://app.example/callback", "https://evil.example/callback",
        ""})
    EXPECT_FALSE(client.allows_redirect_uri(evil)) << evil;
}

TEST(RedirectUri, LoopbackPortIsFree) {  // RFC 8252 §7.3
  const auto client = *loopback_client(*ClientId::parse(
      "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb", LocalHosts::refuse));
  EXPECT_TRUE(client.allows_redirect_uri("http://127.0.0.1:8080/cb"));
  EXPECT_TRUE(client.allows_redirect_uri("http://127.0.0.1:61023/cb"));
  EXPECT_FALSE(client.allows_redirect_uri("http://127.0.0.1:61023/other"));
  EXPECT_FALSE(client.allows_redirect_uri("http://127.0.0.1:61023/cb?x=1"));
  EXPECT_FALSE(client.allows_redirect_uri("http://[::1]:8080/cb")) << "another address";
  EXPECT_FALSE(client.allows_redirect_uri("http://localhost:8080/cb"));
  EXPECT_FALSE(client.allows_redirect_uri("https://127.0.0.1:8080/cb"));
}

TEST(LoopbackClient, HasDefaultsAndStrictParameters) {
  const auto load = [](std::string text) {
    return loopback_client(*ClientId::parse(text, LocalHosts::refuse));
  };
  const auto plain = load("http://localhost");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->scope, "atproto");
  EXPECT_TRUE(plain->allows_redirect_uri("http://127.0.0.1:1234/"));
  EXPECT_TRUE(load("http://localhost?scope=atproto%20transition%3Ageneric").has_value());
  EXPECT_FALSE(load("http://localhost?scope=transition%3Ageneric").has_value()) << "no atproto";
  EXPECT_FALSE(load("http://localhost?scope=atproto&scope=atproto").has_value()) << "scope twice";
  EXPECT_FALSE(load("http://localhost?redirect_uri=https%3A%2F%2Fevil.example%2F").has_value());
  EXPECT_FALSE(load("http://localhost?client_name=x").has_value()) << "unknown parameter";
}

// epds-flows, section 5.
TEST(ClientBranding, TakesWhatKeepsTheRules) {
  auto doc = document("brand_color", "#0085FF");
  doc.set("background_color", "#fff");
  doc.set("email_template_uri", "https://app.example/mail.html");
  doc.set("email_subject_template", "{{code}}\r\n for {{app_name}}");
  const auto client = parse(doc);
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(client->branding.brand_color->str(), "#0085ff");
  EXPECT_EQ(client->branding.background_color->str(), "#ffffff");
  EXPECT_EQ(client->branding.email_template_uri, "https://app.example/mail.html");
  EXPECT_EQ(client->branding.email_subject_template, "{{code}} for {{app_name}}") << "one line";
}

TEST(ClientBranding, AttackBrandColor_WhatIsNoColorIsDroppedAndTheClientStillSignsIn) {
  for (const json::Value& bad :
       {json::Value("red;}body{background:url(https://evil.example/x)"),
        json::Value("#fff;}body{display:none"), json::Value("red"), json::Value("#12345"),
        json::Value("rgb(1,2,3)"), json::Value("</style><script>"), json::Value(7),
        json::Value(json::Array{"#fff"}), json::Value(nullptr)})
    for (const char* member : {"brand_color", "background_color"}) {
      const auto client = parse(document(member, bad));
      ASSERT_TRUE(client.has_value()) << member;
      EXPECT_FALSE(client->branding.brand_color || client->branding.background_color) << member;
    }
}

TEST(ClientBranding, AttackEmailTemplateUri_OnlyPublicHttps) {
  for (const json::Value& bad :
       {json::Value("http://app.example/mail.html"), json::Value("https://127.0.0.1/mail.html"),
        json::Value("https://[::1]/mail.html"), json::Value("https://localhost/mail.html"),
        json::Value("https://intranet/mail.html"), json::Value("https://user@app.example/mail.html"),
        json::Value("file:///etc/passwd"), json::Value("data:text/html,{{code}}"), json::Value(1)}) {
    const auto client = parse(document("email_template_uri", bad));
    ASSERT_TRUE(client.has_value());
    EXPECT_FALSE(client->branding.email_template_uri) << bad.dump();
  }
}

TEST(ClientBranding, ASubjectHas150CharactersAtMost) {
  const auto subject = [](json::Value text) {
    return parse(document("email_subject_template", std::move(text)))->branding.email_subject_template;
  };
  std::string longest;
  for (int i = 0; i < 150; ++i) longest += "\xc3\xa9";
  EXPECT_EQ(subject(longest), longest) << "characters, not bytes";
  EXPECT_FALSE(subject(longest + "e"));
  EXPECT_FALSE(subject(""));
  EXPECT_FALSE(subject("\r\n"));
  EXPECT_FALSE(subject(json::Array{"x"}));
}

}  // namespace
}  // namespace latchkey::oauth

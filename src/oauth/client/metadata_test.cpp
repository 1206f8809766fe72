#include "oauth/client/metadata.h"

#include <gtest/gtest.h>

#include "oauth/jose/jwk.h"

namespace latchkey::oauth::client {
namespace {

ClientKey key(std::string kid, crypto::Curve curve = crypto::Curve::p256) {
  SeededRng rng(7);
  return {std::move(kid), crypto::PrivateKey::generate(curve, rng)};
}

TEST(ClientMetadata, OfALoopbackClientIsItsClientId) {
  const auto m = ClientMetadata::loopback({"http://127.0.0.1:8080/callback"}, "atproto transition:generic");
  ASSERT_TRUE(m);
  EXPECT_EQ(
      m->client_id(),
      "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcallback&scope=atproto%20transition%3A"
      "generic");
  EXPECT_FALSE(m->confidential());
  EXPECT_EQ(m->current_key(), nullptr);
}

TEST(ClientMetadata, OfALoopbackClientHasOnlyLoopbackRedirects) {
  const char* refused[] = {
      "http://localhost:8080/callback", "https://127.0.0.1/callback", "http://127.0.0.2/callback",
      "http://u@127.0.0.1/callback",    "http://127.0.0.1/#x",        "/callback"};
  for (const auto* uri : refused) EXPECT_FALSE(ClientMetadata::loopback({uri}, "atproto")) << uri;
  EXPECT_TRUE(ClientMetadata::loopback({"http://[::1]:3000/"}, "atproto"));
  EXPECT_FALSE(ClientMetadata::loopback({}, "atproto"));
  EXPECT_FALSE(ClientMetadata::loopback({"http://127.0.0.1/"}, "transition:generic")) << "no atproto";
  EXPECT_FALSE(ClientMetadata::loopback({"http://127.0.0.1/"}, ""));
}

TEST(ClientMetadata, DescribesAConfidentialClient) {
  const auto m =
      ClientMetadata::web("https://app.example.com/client.json", {"https://app.example.com/callback"},
                          "atproto", {key("new"), key("old")}, "", {.client_name = "App"});
  ASSERT_TRUE(m);
  EXPECT_EQ(m->current_key()->kid, "new");
  EXPECT_EQ(m->key("old")->kid, "old");
  EXPECT_EQ(m->key("gone"), nullptr);
  const json::Value doc(m->document());
  EXPECT_EQ(*doc.string_at("client_id"), "https://app.example.com/client.json");
  EXPECT_EQ(*doc.string_at("token_endpoint_auth_method"), "private_key_jwt");
  EXPECT_EQ(*doc.string_at("token_endpoint_auth_signing_alg"), "ES256");
  EXPECT_EQ(*doc.string_at("application_type"), "web");
  EXPECT_EQ(*doc.string_at("client_name"), "App");
  EXPECT_TRUE(*doc.find("dpop_bound_access_tokens")->boolean());
  const auto keys = Jwks::parse(*doc.find("jwks"));
  ASSERT_TRUE(keys) << "and no private member in it";
  EXPECT_EQ(keys->keys.size(), 2U);
  EXPECT_EQ(doc.find("jwks_uri"), nullptr);
  EXPECT_EQ(doc.find("logo_uri"), nullptr);
}

TEST(ClientMetadata, PublishesEitherKeysOrTheirAddress) {
  const auto m =
      ClientMetadata::web("https://app.example.com/client.json", {"https://app.example.com/callback"},
                          "atproto", {key("a")}, "https://app.example.com/jwks.json");
  ASSERT_TRUE(m);
  const json::Value doc(m->document());
  EXPECT_EQ(*doc.string_at("jwks_uri"), "https://app.example.com/jwks.json");
  EXPECT_EQ(doc.find("jwks"), nullptr);
  EXPECT_TRUE(Jwks::parse(json::Value(m->jwks())));
}

TEST(ClientMetadata, OfAWebClientObeysTheProfile) {
  const auto with = [](std::string id, std::string redirect = "https://app.example.com/callback",
                       std::vector<ClientKey> keys = {}, std::string jwks_uri = {}) {
    return ClientMetadata::web(std::move(id), {std::move(redirect)}, "atproto", std::move(keys),
                               std::move(jwks_uri))
        .has_value();
  };
  const std::string good = "https://app.example.com/client.json";
  EXPECT_TRUE(with(good));
  for (const auto* id : {"http://app.example.com/client.json", "https://app.example.com:8443/client.json",
                         "https://app.example.com/", "https://app.example.com",
                         "https://127.0.0.1/client.json", "https://u@app.example.com/client.json",
                         "https://app.example.com/client.json#x", "https://APP.example.com/client.json"})
    EXPECT_FALSE(with(id)) << id;
  EXPECT_FALSE(with(good, "https://other.example.com/callback"));
  EXPECT_FALSE(with(good, "https://app.example.com/callback#x"));
  EXPECT_FALSE(with(good, "com.example.app:/callback"));
  EXPECT_FALSE(with(good, "https://app.example.com/callback", {key("")}));
  EXPECT_FALSE(with(good, "https://app.example.com/callback", {key("a"), key("a")})) << "one kid, two keys";
  EXPECT_FALSE(with(good, "https://app.example.com/callback", {key("a", crypto::Curve::k256)}));
  EXPECT_FALSE(with(good, "https://app.example.com/callback", {}, "https://app.example.com/jwks.json"));
}

TEST(ClientMetadata, OfANativeClientHasItsOwnSchemeOrLoopbackRedirects) {
  const std::string id = "https://app.example.com/client.json";
  const auto m = ClientMetadata::native(id,
                                        {"com.example.app:/callback", "http://127.0.0.1/callback",
                                         "http://[::1]/callback", "https://app.example.com/callback"},
                                        "atproto", {.client_name = "App"});
  ASSERT_TRUE(m) << m.error().message;
  const json::Value doc(m->document());
  EXPECT_EQ(*doc.string_at("application_type"), "native");
  EXPECT_EQ(*doc.string_at("token_endpoint_auth_method"), "none");
  EXPECT_EQ(*doc.string_at("client_name"), "App");
  EXPECT_FALSE(m->confidential());
  for (const auto* uri :
       {"com.example.evil:/callback", "com.example.app://callback", "com.example.app:callback",
        "com.example.app:/", "com.example.app:/a#b", "com.example.app:/a b", "com.example.app.x:/a",
        "app.example.com:/callback", "http://localhost/callback", "http://10.0.0.1/callback",
        "https://other.example.com/callback", "javascript:/alert(1)", ""})
    EXPECT_FALSE(ClientMetadata::native(id, {uri}, "atproto")) << uri;
  EXPECT_FALSE(
      ClientMetadata::native("http://app.example.com/client.json", {"http://127.0.0.1/"}, "atproto"));
  EXPECT_FALSE(ClientMetadata::native(id, {}, "atproto"));
  EXPECT_FALSE(ClientMetadata::native(id, {"http://127.0.0.1/"}, "openid"));
}

TEST(ClientMetadata, LoopbackRedirectsHaveAnyPort) {  // RFC 8252 §7.3
  const auto m = *ClientMetadata::loopback({"http://127.0.0.1:8080/callback"}, "atproto");
  EXPECT_TRUE(m.has_redirect_uri("http://127.0.0.1:8080/callback"));
  EXPECT_TRUE(m.has_redirect_uri("http://127.0.0.1:49152/callback"));
  EXPECT_TRUE(m.has_redirect_uri("http://127.0.0.1/callback"));
  for (const auto* uri : {"http://127.0.0.1:8080/other", "http://127.0.0.1:8080/callback?x", "",
                          "http://[::1]:8080/callback", "http://localhost:8080/callback",
                          "http://u@127.0.0.1:8080/callback", "https://127.0.0.1:8080/callback"})
    EXPECT_FALSE(m.has_redirect_uri(uri)) << uri;
  const auto web =
      *ClientMetadata::web("https://app.example.com/c", {"https://app.example.com/callback"}, "atproto");
  EXPECT_TRUE(web.has_redirect_uri("https://app.example.com/callback"));
  EXPECT_FALSE(web.has_redirect_uri("https://app.example.com:8443/callback"));
}

}  // namespace
}  // namespace latchkey::oauth::client

#include "auth/plugins/social/oidc.h"

#include <gtest/gtest.h>

#include "auth/plugins/social/profile.h"
#include "auth/plugins/social/testing.h"
#include "crypto/hash.h"
#include "web/client.h"

namespace latchkey::auth {
namespace {

using testing::query_field;
using Kind = ProviderError::Kind;
using namespace std::chrono_literals;

constexpr std::string_view k_redirect = "https://app.example.com/api/auth/callback/acme";
constexpr std::string_view k_issuer = "https://idp.example.com";

class OidcProvider : public ::testing::Test {
 protected:
  OidcProvider() : idp_(net_, clock_, std::string(k_issuer)) { restart(); }
  /// As after a restart: nothing is remembered.
  void restart() {
    OidcOptions options = options_;
    options.id = "acme";
    options.issuer = k_issuer;
    provider_ = oidc(std::move(options), net_, clock_);
  }
  Result<std::string, ProviderError> url() {
    return run(executor_, provider_->authorization_url({.redirect_uri = std::string(k_redirect),
                                                        .state = "state-1",
                                                        .code_verifier = std::string(128, 'v'),
                                                        .nonce = "nonce-1"}));
  }
  Result<SocialProfile, ProviderError> sign_in() {
    TRY(const auto where, url());
    const std::string code = idp_.authorize(where);
    TRY(auto tokens,
        run(executor_, provider_->exchange({code, std::string(k_redirect), std::string(128, 'v')})));
    return run(executor_, provider_->profile(std::move(tokens), "nonce-1"));
  }
  /// What becomes of a sign-in whose ID token is different in these claims.
  bool accepts(json::Object claims) {
    idp_.claims_changes = std::move(claims);
    const bool ok = sign_in().has_value();
    idp_.claims_changes = {};
    return ok;
  }
  bool accepts_metadata(json::Object changes) {
    idp_.metadata_changes = std::move(changes);
    restart();
    const bool ok = sign_in().has_value();
    idp_.metadata_changes = {};
    restart();
    return ok;
  }
  std::int64_t now() const { return unix_seconds(clock_.now()); }

  InlineExecutor executor_;
  FakeClock clock_;
  testing::Network net_;
  testing::OpenIdProvider idp_;
  OidcOptions options_{.credentials = {"client-1", Secret<std::string>("s3cret/+ &")}};
  std::shared_ptr<SocialProvider> provider_;
};

TEST_F(OidcProvider, SignsInWithVerifiedClaims) {
  const auto profile = sign_in();
  ASSERT_TRUE(profile) << profile.error().detail;
  EXPECT_EQ(profile->subject, "alice");
  EXPECT_EQ(profile->email, "alice@example.com");
  EXPECT_TRUE(profile->email_verified);
  EXPECT_EQ(profile->name, "Alice");
  EXPECT_EQ(profile->image, "https://img.example.com/alice.png");
}

TEST_F(OidcProvider, AsksForACodeWithPkceAndNonce) {
  const std::string asked = url().value();
  EXPECT_TRUE(asked.starts_with("https://idp.example.com/authorize?response_type=code&"));
  EXPECT_EQ(query_field(asked, "client_id"), "client-1");
  EXPECT_EQ(query_field(asked, "scope"), "openid email profile");
  EXPECT_EQ(query_field(asked, "redirect_uri"), k_redirect);
  EXPECT_EQ(query_field(asked, "state"), "state-1");
  EXPECT_EQ(query_field(asked, "nonce"), "nonce-1");
  EXPECT_EQ(query_field(asked, "code_challenge_method"), "S256");
  EXPECT_EQ(query_field(asked, "code_challenge"), oauth::pkce_challenge(std::string(128, 'v')));
}

TEST_F(OidcProvider, AnAddressThatIsNotInTheIdTokenComesFromUserinfo) {
  idp_.claims_changes = {{"email", nullptr}, {"email_verified", nullptr}};
  EXPECT_EQ(sign_in()->email, "alice@example.com");
  EXPECT_TRUE(sign_in()->email_verified);
  idp_.userinfo.set("email_verified", false);
  EXPECT_FALSE(sign_in()->email_verified);
}

TEST_F(OidcProvider, RefreshesAndReadsTheProfileAgain) {
  const auto tokens = run(executor_, provider_->refresh("refresh-1"));
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->access_token, "access-2");
  EXPECT_EQ(tokens->access_expires_at, clock_.now() + 3600s);
  EXPECT_EQ(run(executor_, provider_->refresh("refresh-2")).error().kind, Kind::refused);
  EXPECT_EQ(run(executor_, provider_->current_profile("access-1", "alice"))->email, "alice@example.com");
  EXPECT_FALSE(run(executor_, provider_->current_profile("access-1", "bob")));
}

// ---- attacks: the ID token (OpenID Connect Core §3.1.3.7)

TEST_F(OidcProvider, AttackTokenOfAnotherIssuerIsRefused) {  // 2
  for (const std::string iss : {"https://evil.example.com", "https://idp.example.com/",
                                "http://idp.example.com", "idp.example.com", "HTTPS://idp.example.com"})
    EXPECT_FALSE(accepts({{"iss", iss}})) << iss;
  EXPECT_FALSE(accepts({{"iss", nullptr}}));
  options_.issuer_aliases = {"idp.example.com"};
  restart();
  EXPECT_TRUE(accepts({{"iss", "idp.example.com"}}));
  EXPECT_FALSE(accepts({{"iss", "evil.example.com"}}));
}

TEST_F(OidcProvider, AttackTokenForAnotherAudienceIsRefused) {  // 3
  EXPECT_FALSE(accepts({{"aud", "client-2"}}));
  EXPECT_FALSE(accepts({{"aud", nullptr}}));
  EXPECT_FALSE(accepts({{"aud", json::Array{"client-2"}}}));
  EXPECT_TRUE(accepts({{"aud", json::Array{"client-1"}}}));
  EXPECT_FALSE(accepts({{"aud", json::Array{"client-1", "client-2"}}})) << "whom this client does not trust";
  options_.trusted_audiences = {"client-2"};
  restart();
  EXPECT_TRUE(accepts({{"aud", json::Array{"client-1", "client-2"}}}));
  EXPECT_FALSE(accepts({{"aud", "client-2"}}));
}

TEST_F(OidcProvider, AttackTokenAskedForByAnotherClientIsRefused) {  // 5
  EXPECT_TRUE(accepts({{"azp", "client-1"}}));
  EXPECT_FALSE(accepts({{"azp", "client-2"}}));
  EXPECT_FALSE(accepts({{"azp", 1}}));
}

TEST_F(OidcProvider, AttackForgedSignatureIsRefused) {  // 6
  SeededRng rng(99);
  const auto mallory = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  const auto good = oauth::parse_compact(idp_.make_id_token()).value();
  auto claims = good.payload;
  claims.set("nonce", "nonce-1");
  idp_.id_token = oauth::sign_jwt({{"kid", "k1"}}, claims, mallory);
  EXPECT_FALSE(sign_in());
  idp_.id_token = oauth::sign_jwt({{"kid", "k1"}}, claims, idp_.keys.at("k1"));
  EXPECT_TRUE(sign_in()) << "the same claims, signed by the provider";
}

TEST_F(OidcProvider, AttackAlgNoneAndHmacAreRefused) {  // 7, 8
  auto claims = oauth::parse_compact(idp_.make_id_token()).value().payload;
  claims.set("nonce", "nonce-1");
  idp_.metadata_changes = {{"id_token_signing_alg_values_supported", json::Array{"ES256", "HS256", "none"}}};
  const std::string body = base64url(as_bytes(json::Value(claims).dump()));
  idp_.id_token = base64url(as_bytes(R"({"alg":"none"})")) + "." + body + ".";
  EXPECT_FALSE(sign_in());
  const std::string secret = "client-secret-client-secret-client-secret";
  options_.credentials.client_secret = Secret<std::string>(secret);
  idp_.client_secret = secret;
  restart();
  idp_.id_token = oauth::sign_hs256({{"kid", "k1"}}, claims, as_bytes(secret));
  EXPECT_FALSE(sign_in());
  const auto published = idp_.keys.at("k1").public_key().compressed();
  idp_.id_token = oauth::sign_hs256({{"kid", "k1"}}, claims, published);
  EXPECT_FALSE(sign_in());
}

TEST_F(OidcProvider, AttackAlgThatTheProviderDoesNotListIsRefused) {  // 7
  EXPECT_FALSE(accepts_metadata({{"id_token_signing_alg_values_supported", json::Array{"RS256"}}}));
  EXPECT_TRUE(accepts_metadata({{"id_token_signing_alg_values_supported", json::Array{"ES256"}}}));
  EXPECT_FALSE(accepts_metadata({{"id_token_signing_alg_values_supported", json::Array{"none", "HS256"}}}));
  EXPECT_FALSE(accepts_metadata({{"id_token_signing_alg_values_supported", nullptr}}));
}

TEST_F(OidcProvider, AttackExpiredTokenIsRefused) {  // 9, with a minute for clocks that run apart
  EXPECT_TRUE(accepts({{"exp", now() - 59}}));
  EXPECT_FALSE(accepts({{"exp", now() - 60}}));
  EXPECT_FALSE(accepts({{"exp", 0}}));
  EXPECT_FALSE(accepts({{"exp", nullptr}}));
}

TEST_F(OidcProvider, AttackOldTokenAndTokenOfTheFutureAreRefused) {  // 10
  EXPECT_TRUE(accepts({{"iat", now() - 600}}));
  EXPECT_FALSE(accepts({{"iat", now() - 601}}));
  EXPECT_TRUE(accepts({{"iat", now() + 60}}));
  EXPECT_FALSE(accepts({{"iat", now() + 61}}));
  EXPECT_FALSE(accepts({{"iat", nullptr}}));
}

TEST_F(OidcProvider, AttackNonceOfAnotherSignInIsRefused) {  // 11
  EXPECT_FALSE(accepts({{"nonce", "nonce-2"}}));
  EXPECT_FALSE(accepts({{"nonce", nullptr}}));
  EXPECT_FALSE(accepts({{"nonce", ""}}));
  EXPECT_TRUE(accepts({{"nonce", "nonce-1"}}));
}

TEST_F(OidcProvider, AttackAccessTokenSwappedBesideTheIdTokenIsRefused) {  // §3.1.3.8
  EXPECT_FALSE(accepts({{"at_hash", testing::OpenIdProvider::crypto_hash("access-2")}}));
  EXPECT_FALSE(accepts({{"at_hash", 1}}));
  EXPECT_TRUE(accepts({{"at_hash", nullptr}})) << "optional in this flow";
}

TEST_F(OidcProvider, AttackUserinfoAboutSomebodyElseIsRefused) {  // §5.3.2
  idp_.claims_changes = {{"email", nullptr}};
  idp_.userinfo.set("sub", "mallory");
  EXPECT_FALSE(sign_in());
  idp_.userinfo.erase("sub");
  EXPECT_FALSE(sign_in());
}

TEST_F(OidcProvider, AttackAddressIsVerifiedOnlyWhenTheProviderSaysTrue) {
  for (const json::Value& not_true :
       {json::Value("true"), json::Value(1), json::Value(false), json::Value(json::Array{true})}) {
    idp_.claims_changes = {{"email_verified", not_true}};
    ASSERT_TRUE(sign_in());
    EXPECT_FALSE(sign_in()->email_verified) << not_true.dump();
  }
  idp_.claims_changes = {{"email_verified", nullptr}};
  EXPECT_FALSE(sign_in()->email_verified);
}

TEST_F(OidcProvider, AttackSubjectMustIdentifySomebody) {
  EXPECT_FALSE(accepts({{"sub", nullptr}}));
  EXPECT_FALSE(accepts({{"sub", ""}}));
  EXPECT_FALSE(accepts({{"sub", 7}}));
  EXPECT_FALSE(accepts({{"sub", "a\nb"}}));
  EXPECT_TRUE(accepts({{"sub", std::string(255, 's')}}));
  EXPECT_FALSE(accepts({{"sub", std::string(256, 's')}}));
}

TEST_F(OidcProvider, TokenAnswerWithoutAnIdTokenIsRefused) {
  idp_.token_changes = {{"id_token", nullptr}};
  EXPECT_EQ(sign_in().error().kind, Kind::invalid);
}

// ---- attacks: the code

TEST_F(OidcProvider, AttackCodeWithAnotherVerifierIsRefused) {
  const std::string code = idp_.authorize(url().value());
  EXPECT_EQ(run(executor_, provider_->exchange({code, std::string(k_redirect), std::string(128, 'w')}))
                .error()
                .kind,
            Kind::refused);
}

TEST_F(OidcProvider, AttackAnswerOfAnotherIssuerIsRecognised) {  // RFC 9207 §2.4
  const auto is_its = [&](std::string iss) { return run(executor_, provider_->is_its_issuer(iss)).value(); };
  EXPECT_TRUE(is_its(std::string(k_issuer)));
  EXPECT_FALSE(is_its("https://evil.example.com"));
  EXPECT_TRUE(is_its("")) << "this one does not promise to send it";
  idp_.metadata_changes = {{"authorization_response_iss_parameter_supported", true}};
  restart();
  EXPECT_FALSE(is_its(""));
  EXPECT_TRUE(is_its(std::string(k_issuer)));
}

// ---- attacks: discovery

TEST_F(OidcProvider, AttackMetadataOfAnotherIssuerIsRefused) {  // Discovery §4.3
  EXPECT_FALSE(accepts_metadata({{"issuer", "https://evil.example.com"}}));
  EXPECT_FALSE(accepts_metadata({{"issuer", "https://idp.example.com/"}}));
  EXPECT_FALSE(accepts_metadata({{"issuer", nullptr}}));
  EXPECT_TRUE(accepts_metadata({}));
}

TEST_F(OidcProvider, AttackEndpointsThatAreNotHttpsAreRefused) {
  for (const auto* name : {"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"})
    for (const auto* url : {"http://idp.example.com/x", "javascript:alert(1)//x", "file:///etc/passwd", "/x",
                            "https://user@idp.example.com/x", "https://idp.example.com/x#f", "",
                            "https://idp.example.com/\r\nx"})
      EXPECT_FALSE(accepts_metadata({{name, url}})) << name << url;
  for (const auto* name : {"authorization_endpoint", "token_endpoint", "jwks_uri"})
    EXPECT_FALSE(accepts_metadata({{name, nullptr}})) << name;
  EXPECT_TRUE(accepts_metadata({{"userinfo_endpoint", nullptr}}));
}

TEST_F(OidcProvider, AttackAProviderWithoutS256IsRefused) {
  EXPECT_FALSE(accepts_metadata({{"code_challenge_methods_supported", json::Array{"plain"}}}));
  EXPECT_TRUE(accepts_metadata({{"code_challenge_methods_supported", json::Array{"plain", "S256"}}}));
}

TEST_F(OidcProvider, AuthenticatesAsTheProviderWants) {
  EXPECT_TRUE(
      accepts_metadata({{"token_endpoint_auth_methods_supported", json::Array{"client_secret_post"}}}));
  EXPECT_EQ(testing::header_of(net_.requests.back(), "Authorization"), "");
  EXPECT_FALSE(accepts_metadata({{"token_endpoint_auth_methods_supported", json::Array{"private_key_jwt"}}}));
}

TEST_F(OidcProvider, AttackDiscoveryAtPrivateAddressesIsRefusedByTheGuard) {
  web::GuardedClient guarded(
      {.resolve = {"idp.example.com:443:127.0.0.1", "idp.example.com:443:169.254.169.254"}});
  const auto provider = oidc(
      {.id = "acme", .issuer = std::string(k_issuer), .credentials = options_.credentials}, guarded, clock_);
  const auto answer = run(executor_, provider->authorization_url({}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, Kind::invalid);
}

TEST_F(OidcProvider, EverythingAProviderSendsIsBounded) {
  ASSERT_TRUE(sign_in());
  for (const auto& request : net_.requests) {
    EXPECT_LE(request.max_body, k_max_provider_answer) << request.url;
    EXPECT_LE(request.timeout, 5s) << request.url;
  }
  idp_.token_changes = {{"access_token", std::string(k_max_provider_token, 'a')}, {"id_token", nullptr}};
  const auto exchange = [&] {
    const std::string code = idp_.authorize(url().value());
    return run(executor_, provider_->exchange({code, std::string(k_redirect), std::string(128, 'v')}))
        .error()
        .detail;
  };
  EXPECT_EQ(exchange(), "token answer without an ID token") << "the access token itself is short enough";
  idp_.token_changes.set("access_token", std::string(k_max_provider_token + 1, 'a'));
  EXPECT_EQ(exchange(), "token answer without usable tokens");
}

TEST_F(OidcProvider, AProviderThatDoesNotAnswerIsToldFromOneThatSaysNo) {
  net_.broken["https://idp.example.com/token"] = FetchError::Kind::timeout;
  EXPECT_EQ(sign_in().error().kind, Kind::unreachable);
  net_.broken["https://idp.example.com/token"] = FetchError::Kind::too_large;
  EXPECT_EQ(sign_in().error().kind, Kind::invalid);
  net_.broken.clear();
  net_.pages["https://idp.example.com/token"] = [](const FetchRequest&) {
    return FetchResponse{503, {}, "<html>"};
  };
  EXPECT_EQ(sign_in().error().kind, Kind::unreachable);
  net_.pages["https://idp.example.com/token"] = [](const FetchRequest&) {
    return FetchResponse{302, {}, ""};
  };
  EXPECT_EQ(sign_in().error().kind, Kind::refused) << "redirects are not followed";
}

// ---- keys

TEST_F(OidcProvider, ARotatedKeyIsFetched) {
  ASSERT_TRUE(sign_in());
  clock_.advance(60s);
  idp_.add_key("k2", 2);
  idp_.signing_kid = "k2";
  EXPECT_TRUE(sign_in());
  EXPECT_EQ(net_.count("https://idp.example.com/keys"), 2);
}

TEST_F(OidcProvider, AttackUnknownKidsFetchTheKeysAtMostOnceAMinute) {
  ASSERT_TRUE(sign_in());
  for (int i = 0; i < 20; ++i) {
    idp_.header_changes = {{"kid", "unknown-" + std::to_string(i)}};
    EXPECT_FALSE(sign_in());
  }
  EXPECT_EQ(net_.count("https://idp.example.com/keys"), 1) << "the first fetch was less than a minute ago";
  clock_.advance(59s);
  EXPECT_FALSE(sign_in());
  EXPECT_EQ(net_.count("https://idp.example.com/keys"), 1);
  clock_.advance(1s);
  EXPECT_FALSE(sign_in());
  EXPECT_FALSE(sign_in());
  EXPECT_EQ(net_.count("https://idp.example.com/keys"), 2);
  idp_.header_changes = {};
  EXPECT_TRUE(sign_in()) << "known keys serve all the while";
}

TEST_F(OidcProvider, AttackAKeyTheProviderTookBackIsGoneAfterAnHour) {
  ASSERT_TRUE(sign_in());
  const auto stolen = idp_.keys.at("k1");
  idp_.keys.erase("k1");
  idp_.add_key("k2", 2);
  idp_.signing_kid = "k2";
  clock_.advance(std::chrono::hours(1));
  EXPECT_TRUE(sign_in());
  auto claims = oauth::parse_compact(idp_.make_id_token())->payload;
  claims.set("nonce", "nonce-1");
  idp_.id_token = oauth::sign_jwt({{"kid", "k1"}}, claims, stolen);
  EXPECT_FALSE(sign_in());
}

TEST_F(OidcProvider, AttackNeverTheFirstKeyWhenTheTokenNamesNone) {
  idp_.header_changes = {{"kid", nullptr}};
  EXPECT_TRUE(sign_in()) << "a set of one key";
  idp_.add_key("k2", 2);
  clock_.advance(std::chrono::hours(1));
  EXPECT_FALSE(sign_in());
}

TEST_F(OidcProvider, DocumentsAreKeptForAnHour) {
  ASSERT_TRUE(sign_in());
  const auto counts = [&] {
    return std::pair(net_.count("https://idp.example.com/.well-known/openid-configuration"),
                     net_.count("https://idp.example.com/keys"));
  };
  clock_.advance(3599s);
  ASSERT_TRUE(sign_in());
  EXPECT_EQ(counts(), std::pair(1, 1));
  clock_.advance(1s);
  ASSERT_TRUE(sign_in());
  EXPECT_EQ(counts(), std::pair(2, 2));
}

TEST_F(OidcProvider, AttackMetadataThatFailIsAskedForEveryTenSeconds) {
  const std::string document = "https://idp.example.com/.well-known/openid-configuration";
  net_.broken[document] = FetchError::Kind::timeout;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(url().error().kind, Kind::unreachable);
  clock_.advance(9s);
  EXPECT_FALSE(url());
  EXPECT_EQ(net_.count(document), 1);
  net_.broken.clear();
  clock_.advance(1s);
  EXPECT_TRUE(url());
}

TEST_F(OidcProvider, KeysThatAreAFailureAreAskedForAgainAfterAPause) {
  net_.broken["https://idp.example.com/keys"] = FetchError::Kind::unreachable;
  EXPECT_EQ(sign_in().error().kind, Kind::unreachable);
  net_.broken.clear();
  EXPECT_FALSE(sign_in());
  clock_.advance(60s);
  EXPECT_TRUE(sign_in());
}

TEST_F(OidcProvider, ManySignInsAtOnceFetchTheMetadataOnce) {
  Completion<bool> gate;
  const std::string document = "https://idp.example.com/.well-known/openid-configuration";
  net_.held[document] = gate;
  int done = 0;
  struct One {
    static Task<void> ask(SocialProvider* provider, int* done) {
      const auto url = co_await provider->authorization_url({});
      EXPECT_TRUE(url);
      ++*done;
    }
  };
  executor_.post([&] {
    for (int i = 0; i < 5; ++i) spawn(One::ask(provider_.get(), &done));
  });
  executor_.post([&] { gate.deliver(true); });
  executor_.run_until([&] { return done == 5; });
  EXPECT_EQ(net_.count(document), 1);
}

// ---- ID tokens from apps

TEST_F(OidcProvider, TakesAnIdTokenOfAnApp) {
  ASSERT_TRUE(url());
  idp_.nonce = "app-nonce";
  const auto verify = [&](std::optional<std::string> nonce) {
    return run(executor_, provider_->verify_id_token(idp_.make_id_token(), nonce)).has_value();
  };
  EXPECT_TRUE(verify("app-nonce"));
  EXPECT_FALSE(verify("other"));
  EXPECT_FALSE(verify(std::nullopt)) << "a token of somebody's sign-in with us";
  idp_.claims_changes = {{"nonce", nullptr}};
  EXPECT_TRUE(verify(std::nullopt));
  idp_.claims_changes = {{"nonce", nullptr}, {"iat", now() - 3600}};
  EXPECT_TRUE(verify(std::nullopt));
  idp_.claims_changes = {{"nonce", nullptr}, {"iat", now() - 3601}};
  EXPECT_FALSE(verify(std::nullopt));
}

// ---- Google

TEST(Google, IsAnIssuerWithTwoNames) {
  InlineExecutor executor;
  FakeClock clock;
  testing::Network net;
  testing::OpenIdProvider idp(net, clock, "https://accounts.google.com");
  const auto provider = google({.credentials = {"client-1", Secret<std::string>("s3cret/+ &")}}, net, clock);
  EXPECT_EQ(provider->description().id, "google");
  EXPECT_EQ(provider->description().account_provider_id, "google");
  for (const auto* iss : {"https://accounts.google.com", "accounts.google.com"}) {
    idp.claims_changes = {{"iss", iss}};
    const auto url =
        run(executor, provider->authorization_url(
                          {.redirect_uri = "r", .code_verifier = std::string(43, 'v'), .nonce = "n"}));
    auto tokens = run(executor, provider->exchange({idp.authorize(url.value()), "r", std::string(43, 'v')}));
    EXPECT_TRUE(run(executor, provider->profile(std::move(tokens.value()), "n"))) << iss;
  }
}

// ---- profiles

TEST(SocialProfile, AttackHostileTextIsMadeHarmless) {
  const auto from = [](json::Object changes) {
    json::Object claims{{"sub", "s"}, {"email", "a@example.com"}, {"email_verified", true}, {"name", "A"}};
    for (const auto& m : changes) claims.set(m.key, m.value);
    return profile_from_claims(std::move(claims)).value();
  };
  EXPECT_EQ(from({{"name", "A\r\nBcc: x"}}).name, "ABcc: x");
  EXPECT_EQ(from({{"name", std::string(256, 'n')}}).name.size(), 256u);
  EXPECT_EQ(from({{"name", std::string(257, 'n')}}).name.size(), 256u);
  EXPECT_EQ(from({{"name", std::string(255, 'n') + "é"}}).name, std::string(255, 'n'))
      << "no half characters";
  for (const auto* email : {"a@example.com\r\nBcc: x@y.z", "a", "a@b", "<a@example.com>", ""}) {
    EXPECT_FALSE(from({{"email", email}}).email) << email;
    EXPECT_FALSE(from({{"email", email}}).email_verified) << email;
  }
  EXPECT_EQ(from({{"picture", "https://i.example.com/a"}}).image, "https://i.example.com/a");
  for (const auto* url : {"javascript:alert(1)", "http://i.example.com/a", "data:image/svg+xml,x", "//x/y"})
    EXPECT_FALSE(from({{"picture", url}}).image) << url;
  EXPECT_TRUE(from({{"picture", "https://x.example.com/" + std::string(2048 - 22, 'p')}}).image);
  EXPECT_FALSE(from({{"picture", "https://x.example.com/" + std::string(2048 - 21, 'p')}}).image);
}

}  // namespace
}  // namespace latchkey::auth

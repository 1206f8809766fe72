#include "auth/plugins/social/plugin_testing.h"

namespace latchkey::auth {
namespace {

using namespace std::chrono_literals;
using namespace testing;

TEST_P(SocialTest, TheFirstSignInMakesAUserAndTheNextFindsIt) {
  Browser first = browser(), second = browser();
  EXPECT_EQ(sign_in(first, claims("1", "ann@example.com")), "/welcome");
  EXPECT_EQ(sign_in(second, claims("1", "ann@example.com")), "/dash");
  ASSERT_TRUE(user_of(first) && user_of(second));
  EXPECT_EQ(user_of(first)->id, user_of(second)->id);
  EXPECT_TRUE(user_of(first)->email_verified);
  EXPECT_EQ(accounts_of(*user_of(first)).size(), 1u);
}

TEST_P(SocialTest, AnOpenIdProviderIsKeptByItsIssuer) {
  Browser b = browser();
  EXPECT_EQ(oidc_sign_in(b), "/welcome");
  const auto accounts = accounts_of(*user_of(b));
  ASSERT_EQ(accounts.size(), 1u);
  EXPECT_EQ(accounts[0].provider_id, "https://oidc.test");
  EXPECT_EQ(accounts[0].account_id, "alice");
}

TEST_P(SocialTest, TwoProvidersOfOneNameAreAMistake) {
  EXPECT_THROW(
      social({.providers = {generic_oauth(acme_, net_, clock_), generic_oauth(acme_, net_, clock_)}}),
      std::invalid_argument);
  auto other = acme_;
  other.id = "other";
  other.account_provider_id = "acme";
  EXPECT_THROW(
      social({.providers = {generic_oauth(acme_, net_, clock_), generic_oauth(other, net_, clock_)}}),
      std::invalid_argument);
}

// ---- attacks: state

TEST_P(SocialTest, AttackTheCallbackOfAnotherBrowserIsRefused) {
  Browser attacker = browser(), victim = browser();
  const auto url = begin(attacker);
  EXPECT_EQ(come_back(victim, url, claims("mallory", "mallory@example.com")), "/oops?error=state_mismatch");
  EXPECT_FALSE(user_of(victim)) << "or the victim would act in the attacker's account";
  EXPECT_EQ(come_back(attacker, url, claims("mallory", "mallory@example.com")), "/welcome")
      << "and spoils nothing for the browser it belongs to";
}

TEST_P(SocialTest, AttackAStateIsGoodOnce) {
  Browser b = browser();
  const auto url = begin(b);
  const auto cookies = b.cookies;
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")), "/welcome");
  b.cookies = cookies;
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")),
            "https://app.example.com/api/auth/error?error=state_mismatch");
}

TEST_P(SocialTest, AttackTwoCallbacksAtOnceAreOneSignIn) {
  Browser b = browser();
  const auto url = begin(b);
  std::vector<std::string> locations;
  struct One {
    static Task<void> callback(Auth* auth, web::Request request, std::vector<std::string>* locations) {
      locations->push_back(location(co_await auth->handle(std::move(request))));
    }
  };
  InlineExecutor executor;
  executor.post([&] {
    for (int i = 0; i < 2; ++i)
      spawn(One::callback(
          auth_.get(),
          web::Request::make("GET",
                             std::string(k_base) + "/api/auth/callback/acme?code=" +
                                 testing::ToyProvider::code_for(claims("1", "ann@example.com")) +
                                 "&state=" + query_field(url, "state"),
                             {}, {{"cookie", all_cookies(b)}}),
          &locations));
  });
  executor.run_until([&] { return locations.size() == 2; });
  EXPECT_EQ(std::ranges::count(locations, "/welcome"), 1);
}

TEST_P(SocialTest, AttackAnOldStateIsRefused) {
  Browser b = browser();
  auto url = begin(b);
  clock_.advance(10min - 1s);
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")), "/welcome");
  url = begin(b);
  clock_.advance(10min);
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")), "/oops?error=state_mismatch");
}

TEST_P(SocialTest, AttackProviderMixUpTheStateOfOneIsNotGoodForAnother) {
  Browser b = browser();
  const auto url = begin(b);
  net_.requests.clear();
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com"), "oidc"), "/oops?error=state_mismatch");
  EXPECT_TRUE(net_.requests.empty()) << "the code goes to nobody";
}

TEST_P(SocialTest, AttackAnAnswerOfAnotherIssuerIsRefused) {  // RFC 9207
  Browser b = browser();
  EXPECT_EQ(oidc_sign_in(b, "&iss=https%3A%2F%2Fevil.test"), "/oops?error=issuer_mismatch");
  EXPECT_EQ(oidc_sign_in(b, "&iss=https%3A%2F%2Foidc.test&iss=https%3A%2F%2Fevil.test"),
            "/oops?error=issuer_mismatch")
      << "no parameter twice";
  EXPECT_EQ(net_.count("https://oidc.test/token"), 0);
  EXPECT_EQ(oidc_sign_in(b, "&iss=https%3A%2F%2Foidc.test"), "/welcome");
}

TEST_P(SocialTest, AttackAnIdTokenOfAnotherSignInIsRefused) {
  Browser victim = browser(), attacker = browser();
  idp_.authorize(begin(victim, {{"provider", "oidc"}}));
  idp_.id_token = idp_.make_id_token();  // has the victim's nonce
  EXPECT_EQ(oidc_sign_in(attacker), "/oops?error=unable_to_get_user_info");
  EXPECT_FALSE(user_of(attacker));
}

TEST_P(SocialTest, AttackAdditionalDataForgesNothing) {
  const User victim = add_user("victim@example.com", true);
  Browser b = browser();
  const auto url = begin(
      b, {{"additionalData",
           json::Object{
               {"link", json::Object{{"userId", victim.id}, {"email", victim.email}, {"sessionId", "x"}}},
               {"provider", "oidc"},
               {"codeVerifier", "x"},
               {"callbackURL", "https://evil.test"},
               {"idTokenNonce", "x"},
               {"requestSignUp", true}}}});
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")), "/welcome");
  EXPECT_TRUE(accounts_of(victim).empty());
}

TEST_P(SocialTest, AdditionalDataIsBounded) {
  Browser b = browser();
  const auto sized = [](std::size_t n) { return json::Object{{"k", std::string(n - 8, 'x')}}; };  // {"k":"…"}
  EXPECT_NE(begin(b, {{"additionalData", sized(4096)}}), "");
  EXPECT_EQ(begin(b, {{"additionalData", sized(4097)}}), "");
}

TEST_P(SocialTest, AttackWhatAProviderSaysCannotBreakOutOfTheLocation) {
  Browser b = browser();
  const auto url = begin(b);
  const auto answer = b.get("/callback/acme?error=" + std::string(70, 'e') +
                            "%0d%0aSet-Cookie:x&error_description=" + std::string(511, 'd') +
                            "%3Cscript%3E&state=" + query_field(url, "state"));
  EXPECT_EQ(location(answer),
            "/oops?error=" + std::string(64, 'e') + "&error_description=" + std::string(511, 'd') + "%3C");
  const auto next = begin(b);
  EXPECT_EQ(location(b.get("/callback/acme?error=a%0d%0aSet-Cookie:x&state=" + query_field(next, "state"))),
            "/oops?error=a%0D%0ASet-Cookie%3Ax");
}

TEST_P(SocialTest, AttackTheHostHeaderDoesNotMoveTheRedirectUri) {
  Browser b = browser();
  auto request =
      web::Request::make("POST", "https://evil.test/api/auth/sign-in/social", R"({"provider":"acme"})",
                         {{"content-type", "application/json"}, {"x-forwarded-host", "evil.test"}});
  EXPECT_EQ(query_field(location(b.send(std::move(request))), "redirect_uri"),
            "https://app.example.com/api/auth/callback/acme");
}

TEST_P(SocialTest, WhatIsAskedOfTheProviderIsBounded) {
  Browser b = browser();
  const auto scopes = [&](std::size_t n) {
    json::Array list;
    for (std::size_t i = 0; i < n; ++i) list.emplace_back("s" + std::to_string(i));
    return query_field(begin(b, {{"scopes", std::move(list)}}), "scope");
  };
  EXPECT_TRUE(scopes(100).ends_with(" s99"));
  EXPECT_TRUE(scopes(101).ends_with(" s99"));
  const auto parameter = [&](std::size_t n, const std::string& wanted, std::string value = "v") {
    json::Object list;
    for (std::size_t i = 0; i < n; ++i) list.set("p" + std::to_string(i), value);
    return query_field(begin(b, {{"additionalParams", std::move(list)}}), wanted);
  };
  EXPECT_EQ(parameter(50, "p49"), "v");
  EXPECT_EQ(parameter(51, "p50"), "");
  EXPECT_EQ(parameter(1, "p0", std::string(2046, 'v')).size(), 2046u);
  EXPECT_EQ(parameter(1, "p0", std::string(2047, 'v')), "");
}

// ---- GET /sign-in/social

TEST_P(SocialTest, ALinkStartsASignInWhereTheHostWantsIt) {
  Browser b = browser();
  EXPECT_EQ(b.get("/sign-in/social?provider=acme").status, 404);
  social_.get_sign_in = SocialOptions::GetSignIn::on;
  restart();
  b = browser();
  const auto answer =
      b.get("/sign-in/social?provider=acme&callbackURL=/auth/complete&errorCallbackURL=/oops");
  EXPECT_EQ(answer.status, 302);
  EXPECT_TRUE(location(answer).starts_with("https://idp.test/authorize?"));
  EXPECT_EQ(come_back(b, location(answer), claims("1", "ann@example.com")), "/auth/complete");
  EXPECT_EQ(code_of(b.get("/sign-in/social?provider=nobody&callbackURL=/")), "PROVIDER_NOT_FOUND");
  EXPECT_EQ(code_of(b.get("/sign-in/social")), "PROVIDER_NOT_FOUND");
  net_.broken["https://oidc.test/.well-known/openid-configuration"] = FetchError::Kind::timeout;
  EXPECT_EQ(location(b.get("/sign-in/social?provider=oidc&errorCallbackURL=/oops")),
            "/oops?error=provider_unavailable");
}

TEST_P(SocialTest, AttackALinkLeadsBackToThisOriginOnly) {
  social_.get_sign_in = SocialOptions::GetSignIn::on;
  restart();
  Browser b = browser();
  for (const auto* url : {"https://evil.test", "//evil.test", "/%5Cevil.test", "/%252Fevil.test",
                          "javascript:alert(1)", "https://app.example.com@evil.test", "dash"}) {
    EXPECT_EQ(code_of(b.get(std::string("/sign-in/social?provider=acme&callbackURL=") + url)),
              "INVALID_CALLBACK_URL")
        << url;
    EXPECT_EQ(code_of(b.get(std::string("/sign-in/social?provider=acme&errorCallbackURL=") + url)),
              "INVALID_ERROR_CALLBACK_URL")
        << url;
  }
  EXPECT_TRUE(b.cookies.empty());
}

TEST_P(SocialTest, AttackAPictureOnSomePageStartsNothing) {
  social_.get_sign_in = SocialOptions::GetSignIn::on;
  restart();
  Browser b = browser();
  EXPECT_EQ(
      b.get("/sign-in/social?provider=acme", {{"sec-fetch-mode", "no-cors"}, {"sec-fetch-dest", "image"}})
          .status,
      403);
  EXPECT_TRUE(b.cookies.empty());
  EXPECT_EQ(
      b.get("/sign-in/social?provider=acme", {{"sec-fetch-mode", "navigate"}, {"sec-fetch-dest", "document"}})
          .status,
      302);
}

// ---- ID tokens of apps

TEST_P(SocialTest, AnAppSignsInWithAnIdToken) {
  idp_.nonce = "n";
  const auto send = [&](Browser& b, json::Object token, std::string path = "/sign-in/social") {
    return b.post(path, {{"provider", "oidc"}, {"idToken", std::move(token)}});
  };
  Browser b = browser();
  const auto answer = send(b, {{"token", idp_.make_id_token()}, {"nonce", "n"}});
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(user_of(b)->email, "alice@example.com");
  Browser other = browser();
  EXPECT_EQ(code_of(send(other, {{"token", idp_.make_id_token()}, {"nonce", "m"}})), "INVALID_TOKEN");
  EXPECT_EQ(code_of(send(other, {{"nonce", "n"}})), "VALIDATION_ERROR");
  EXPECT_EQ(code_of(other.post("/sign-in/social",
                               {{"provider", "acme"}, {"idToken", json::Object{{"token", "x"}}}})),
            "ID_TOKEN_NOT_SUPPORTED");
  EXPECT_FALSE(user_of(other));

  const User ann = add_user("ann@example.com", true);
  Browser signed_in = signed_in_as(ann);
  const auto link_with = [&] {
    return send(signed_in, {{"token", idp_.make_id_token()}, {"nonce", "n"}}, "/link-social");
  };
  EXPECT_EQ(code_of(link_with()), "SOCIAL_ACCOUNT_ALREADY_LINKED");
  idp_.claims_changes = {{"sub", "ann"}};
  EXPECT_EQ(code_of(link_with()), "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED");
  idp_.claims_changes = {{"sub", "ann"}, {"email", "ann@example.com"}, {"email_verified", false}};
  EXPECT_EQ(code_of(link_with()), "LINKING_NOT_ALLOWED");
  EXPECT_EQ(code_of(send(other, {{"token", idp_.make_id_token()}, {"nonce", "n"}})), "OAUTH_LINK_ERROR");
  idp_.claims_changes = {{"sub", "ann"}, {"email", "ann@example.com"}};
  EXPECT_EQ(body_of(link_with()),
            json::Value(json::Object{{"url", ""}, {"status", true}, {"redirect", false}}));
}

TEST_P(SocialTest, AttackByIdentityAnIdTokenIsBoundToNoBrowserAndRefused) {
  social_.match = Match::by_identity;
  restart();
  idp_.nonce = "n";
  Browser b = browser();
  EXPECT_EQ(code_of(b.post("/sign-in/social",
                           {{"provider", "oidc"},
                            {"idToken", json::Object{{"token", idp_.make_id_token()}, {"nonce", "n"}}}})),
            "ID_TOKEN_NOT_SUPPORTED");
}

// ---- tokens

TEST_P(SocialTest, AnAccessTokenIsRefreshedShortlyBeforeItEnds) {
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  const std::string id = accounts_of(*user_of(b))[0].id;
  const auto get = [&] { return b.post("/get-access-token", {{"accountId", id}}); };
  const int before = net_.count("https://idp.test/token");
  clock_.advance(3595s);
  EXPECT_EQ(get().status, 200);
  EXPECT_EQ(net_.count("https://idp.test/token"), before);
  clock_.advance(1s);
  EXPECT_EQ(*body_of(get()).string_at("accessTokenExpiresAt"), rfc3339(clock_.now() + 3600s));
  EXPECT_EQ(net_.count("https://idp.test/token"), before + 1);
  clock_.advance(3600s);
  net_.broken["https://idp.test/token"] = FetchError::Kind::timeout;
  EXPECT_EQ(code_of(get()), "FAILED_TO_GET_ACCESS_TOKEN");
  EXPECT_EQ(code_of(b.post("/refresh-token", {{"accountId", id}})), "FAILED_TO_REFRESH_ACCESS_TOKEN");
}

TEST_P(SocialTest, TokensRestSealedWhereTheHostWantsIt) {
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  const User ann = *user_of(b);
  const std::string id = accounts_of(ann)[0].id, access = *accounts_of(ann)[0].access_token;
  account_.encrypt_oauth_tokens = true;
  restart();
  b = signed_in_as(ann);
  EXPECT_EQ(*body_of(b.post("/get-access-token", {{"accountId", id}})).string_at("accessToken"), access)
      << "stored in clear before";
  EXPECT_EQ(b.post("/refresh-token", {{"accountId", id}}).status, 200);
  for (const auto& stored : {*accounts_of(ann)[0].access_token, *accounts_of(ann)[0].refresh_token})
    EXPECT_EQ(stored.find_first_not_of("0123456789abcdef"), std::string::npos) << stored;
  EXPECT_EQ(*body_of(b.post("/get-access-token", {{"accountId", id}})).string_at("accessToken"), access);
  EXPECT_EQ(*body_of(b.post("/refresh-token", {{"accountId", id}})).string_at("accessToken"), access);
  EXPECT_EQ(b.get("/account-info?accountId=" + id).status, 200);
}

TEST_P(SocialTest, AttackTokensOfSomebodyElsesAccountAreNotGiven) {
  Browser owner = browser(), other = browser();
  sign_in(owner, claims("1", "owner@example.com"));
  sign_in(other, claims("2", "other@example.com"));
  const std::string id = accounts_of(*user_of(owner))[0].id;
  EXPECT_EQ(code_of(other.post("/get-access-token", {{"accountId", id}})), "ACCOUNT_NOT_FOUND");
  EXPECT_EQ(code_of(other.post("/refresh-token", {{"accountId", id}})), "ACCOUNT_NOT_FOUND");
  EXPECT_EQ(code_of(other.get("/account-info?accountId=" + id)), "ACCOUNT_NOT_FOUND");
  EXPECT_EQ(owner.get("/account-info?accountId=" + id).status, 200);
}

TEST_P(SocialTest, AttackTokensOfAnotherPersonAtTheProviderGiveNoProfile) {
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  net_.pages["https://idp.test/userinfo"] = [](const FetchRequest&) {
    return testing::json_answer(200, json::Object{{"sub", "2"}, {"email", "bob@example.com"}});
  };
  EXPECT_EQ(code_of(b.get("/account-info?accountId=" + accounts_of(*user_of(b))[0].id)),
            "FAILED_TO_GET_USER_INFO");
}

TEST_P(SocialTest, AProviderThatWasTakenAwayIsNamed) {
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  const User ann = *user_of(b);
  const std::string id = accounts_of(ann)[0].id;
  acme_.id = "acme-2";
  restart();
  b = signed_in_as(ann);
  EXPECT_EQ(code_of(b.post("/get-access-token", {{"accountId", id}})), "PROVIDER_NOT_CONFIGURED");
}

// ---- unlinking

Task<void> note(std::vector<std::string>* out, std::string what) {
  out->push_back(std::move(what));
  co_return;
}

TEST_P(SocialTest, TheHostMayKeepTheLastWayIn) {
  bool may = false;
  account_.linking.allow_unlinking_all = true;
  account_.before_unlink = [&may](store::Tx&, const Context&, const User& user,
                                  const Account& account) -> Result<void, Fault> {
    EXPECT_EQ(account.user_id, user.id);
    if (!may) return refuse(Error::FAILED_TO_UNLINK_LAST_ACCOUNT);
    return {};
  };
  std::vector<std::string> told;
  account_.unlinked = [&told](Context&, User, Account account) { return note(&told, account.account_id); };
  restart();
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  const User ann = *user_of(b);
  const std::string id = accounts_of(ann)[0].id;
  EXPECT_EQ(code_of(b.post("/unlink-account", {{"accountId", id}})), "FAILED_TO_UNLINK_LAST_ACCOUNT");
  EXPECT_EQ(accounts_of(ann).size(), 1u);
  EXPECT_TRUE(told.empty());
  may = true;
  EXPECT_EQ(b.post("/unlink-account", {{"accountId", id}}).status, 200);
  EXPECT_TRUE(accounts_of(ann).empty());
  EXPECT_EQ(told, std::vector<std::string>{"1"});
}

INSTANTIATE_TEST_SUITE_P(Store, SocialTest, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth

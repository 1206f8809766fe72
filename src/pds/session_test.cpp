// Legacy sessions and OAuth credentials on the resource routes.
#include "oauth/jose/jwt.h"
#include "pds/sessions.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;

constexpr const char* k_login = "com.atproto.server.createSession";
constexpr const char* k_refresh = "com.atproto.server.refreshSession";
constexpr const char* k_logout = "com.atproto.server.deleteSession";
constexpr const char* k_session = "/xrpc/com.atproto.server.getSession";

struct SessionWorld : World {
  explicit SessionWorld(store::Engine engine = store::Engine::sqlite)
      : World(engine), alice(sign_up("alice")) {}
  Answered log_in(std::string identifier, std::string password = "correct horse") {
    return post(k_login,
                json::Object{{"identifier", std::move(identifier)}, {"password", std::move(password)}});
  }
  std::string token(json::Object header, json::Object payload,
                    std::string_view secret = "a test secret of more than 32 bytes!") {
    return "Bearer " + oauth::sign_hs256(std::move(header), std::move(payload), as_bytes(secret));
  }
  json::Object access_claims() {
    return {{"scope", "com.atproto.access"},
            {"aud", "did:web:pds.test"},
            {"sub", alice.did.str()},
            {"iat", unix_seconds(clock.now())},
            {"exp", unix_seconds(clock.now()) + 60}};
  }
  SignedIn alice;
};

class Session : public store::EngineTest {};

TEST_P(Session, IsOpenedByHandleDidOrEmail) {
  SessionWorld w(GetParam());
  for (const std::string& identifier :
       {std::string("alice.test"), std::string("Alice.TEST"), w.alice.did.str(),
        std::string("alice@mail.test"), std::string("ALICE@mail.test")}) {
    const auto got = w.log_in(identifier);
    ASSERT_EQ(got.status, 200) << identifier << got.text;
    EXPECT_EQ(got.text_at("did"), w.alice.did.str());
    EXPECT_EQ(got.text_at("handle"), "alice.test");
    EXPECT_EQ(got.text_at("email"), "alice@mail.test");
    EXPECT_EQ(*got.body.find("emailConfirmed")->boolean(), false);
    EXPECT_EQ(*got.body.find("active")->boolean(), true);
    EXPECT_EQ(*got.body.find("didDoc")->string_at("id"), w.alice.did.str());
    EXPECT_EQ(got.headers.get("cache-control"), "no-store");
    EXPECT_EQ(w.get(k_session, "Bearer " + got.text_at("accessJwt")).status, 200);
  }
}

TEST_P(Session, UnknownAccountsAndWrongPasswordsLookTheSame) {  // attack 15
  SessionWorld w(GetParam());
  auto passwordless =
      run(w.pds().accounts().create_account({.handle = Handle::parse("nopass.test").value(),
                                             .email = mail::EmailAddress::parse("np@mail.test").value()}));
  ASSERT_TRUE(passwordless);
  const auto wrong = w.log_in("alice.test", "wrong horse");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.error(), "AuthenticationRequired");
  EXPECT_EQ(wrong.message(), "Invalid identifier or password");
  for (const char* identifier : {"nobody.test", "nobody@mail.test", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "?!",
                                 "@", "nopass.test", "np@mail.test"}) {
    const auto got = w.log_in(identifier);
    EXPECT_EQ(got.status, wrong.status) << identifier;
    EXPECT_EQ(got.text, wrong.text) << identifier;
  }
  EXPECT_EQ(w.log_in("nopass.test", "").text, wrong.text);
}

TEST_P(Session, LongPasswordsAreNotHashed) {
  SessionWorld w(GetParam());
  EXPECT_EQ(w.log_in("alice.test", std::string(1024, 'x')).message(), "Invalid identifier or password");
  EXPECT_EQ(w.log_in("alice.test", std::string(1025, 'x')).message(),
            "Password too long. Consider resetting your password.");
}

TEST_P(Session, RefreshRotatesAndRepeatsInsideTheGrace) {
  SessionWorld w(GetParam());
  const auto first = w.post(k_refresh, std::nullopt, w.alice.refresh);
  ASSERT_EQ(first.status, 200) << first.text;
  EXPECT_EQ(first.text_at("did"), w.alice.did.str());
  EXPECT_EQ(w.get(k_session, "Bearer " + first.text_at("accessJwt")).status, 200);
  const auto id = [](const Answered& got) {
    return *oauth::parse_compact(got.text_at("refreshJwt")).value().string_claim("jti");
  };
  w.clock.advance(std::chrono::hours(2) - std::chrono::seconds(1));
  EXPECT_EQ(id(w.post(k_refresh, std::nullopt, w.alice.refresh)), id(first))
      << "a lost answer can be asked for again";
  w.clock.advance(std::chrono::seconds(1));
  const auto late = w.post(k_refresh, std::nullopt, w.alice.refresh);
  EXPECT_EQ(late.status, 400);
  EXPECT_EQ(late.error(), "ExpiredToken");
  EXPECT_EQ(late.message(), "Token has been revoked");
  EXPECT_EQ(w.post(k_refresh, std::nullopt, "Bearer " + first.text_at("refreshJwt")).status, 200);
}

TEST_P(Session, TokensExpire) {
  SessionWorld w(GetParam());
  w.clock.advance(std::chrono::hours(2) - std::chrono::seconds(1));
  EXPECT_EQ(w.get(k_session, w.alice.access).status, 200);
  w.clock.advance(std::chrono::seconds(1));
  const auto expired = w.get(k_session, w.alice.access);
  EXPECT_EQ(expired.status, 400);
  EXPECT_EQ(expired.error(), "ExpiredToken");
  EXPECT_EQ(expired.message(), "Token has expired");
  w.clock.advance(std::chrono::hours(90 * 24 - 2) - std::chrono::seconds(1));
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).status, 200);
  w.clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).error(), "ExpiredToken");
}

TEST_P(Session, SignOutEndsItAlsoWithAnOldOrExpiredToken) {
  SessionWorld w(GetParam());
  const auto next = w.post(k_refresh, std::nullopt, w.alice.refresh);
  EXPECT_EQ(w.post(k_logout, std::nullopt, w.alice.refresh).status, 200);
  EXPECT_EQ(w.post(k_refresh, std::nullopt, "Bearer " + next.text_at("refreshJwt")).message(),
            "Token has been revoked");
  EXPECT_EQ(w.post(k_logout, std::nullopt, w.alice.refresh).status, 200) << "twice is no problem";
  w.clock.advance(std::chrono::hours(91 * 24));
  EXPECT_EQ(w.post(k_logout, std::nullopt, w.alice.refresh).status, 200);
  EXPECT_EQ(w.post(k_logout, std::nullopt, w.alice.access).error(), "InvalidToken");
}

TEST_P(Session, OfATakenDownAccount) {  // attack 32
  SessionWorld w(GetParam());
  const auto id = w.account(w.alice).id;
  w.write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  const auto refused = w.log_in("alice.test");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.error(), "AccountTakedown");
  EXPECT_EQ(w.log_in("alice.test", "wrong horse").error(), "AuthenticationRequired")
      << "only the owner is told";
  EXPECT_EQ(w.get(k_session, w.alice.access).error(), "AccountTakedown");
  EXPECT_EQ(w.post(k_refresh, std::nullopt, w.alice.refresh).error(), "AccountTakedown");

  const auto limited = w.post(
      k_login,
      json::Object{{"identifier", "alice.test"}, {"password", "correct horse"}, {"allowTakendown", true}});
  ASSERT_EQ(limited.status, 200) << limited.text;
  EXPECT_EQ(limited.text_at("status"), "takendown");
  const auto access = "Bearer " + limited.text_at("accessJwt");
  EXPECT_EQ(w.get(k_session, access).status, 200);
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo?did=" + w.alice.did.str(), access).status, 200);
  const auto write = w.post(
      "com.atproto.repo.createRecord",
      json::Object{{"repo", "alice.test"}, {"collection", "com.example.note"}, {"record", json::Object{}}},
      access);
  EXPECT_EQ(write.error(), "InvalidToken");
  EXPECT_EQ(write.message(), "Bad token scope");
}

INSTANTIATE_TEST_SUITE_P(Store, Session, store::engines(), store::engine_name);

// --- tokens that must not pass (attack 27, and lessons) ---

TEST(SessionToken, MintedElsewhereWithTheSecretWorks) {  // contract section 8
  SessionWorld w;
  EXPECT_EQ(w.get(k_session, w.token({{"typ", "at+jwt"}}, w.access_claims())).status, 200);
}

TEST(SessionToken, IsRefusedUnlessEverythingFits) {
  SessionWorld w;
  const auto refused = [&](json::Object header, json::Object payload, const char* error, const char* why,
                           std::string_view secret = "a test secret of more than 32 bytes!") {
    const auto got = w.get(k_session, w.token(std::move(header), std::move(payload), secret));
    EXPECT_EQ(got.status, 400) << why;
    EXPECT_EQ(got.error(), error) << why;
  };
  const json::Object typ{{"typ", "at+jwt"}};
  const auto with = [&](const char* name, json::Value value) {
    auto claims = w.access_claims();
    claims.set(name, std::move(value));
    return claims;
  };
  const auto without = [&](const char* name) {
    auto claims = w.access_claims();
    claims.erase(name);
    return claims;
  };
  refused(typ, w.access_claims(), "InvalidToken", "another secret", "another secret of more than 32 bytes");
  refused({}, w.access_claims(), "InvalidToken", "no type");
  refused({{"typ", "refresh+jwt"}}, w.access_claims(), "InvalidToken", "a refresh token's type");
  refused({{"typ", "JWT"}}, w.access_claims(), "InvalidToken", "a service token's type");
  refused(typ, with("aud", "did:web:other.test"), "InvalidToken", "for another server");
  refused(typ, with("aud", json::Array{"did:web:pds.test"}), "InvalidToken", "aud is one string");
  refused(typ, with("exp", 0), "ExpiredToken", "exp: 0 is long ago");
  refused(typ, with("exp", "never"), "InvalidToken", "exp is a number");
  refused(typ, without("exp"), "InvalidToken", "a token without an end");
  refused(typ, with("nbf", unix_seconds(w.clock.now()) + 10), "InvalidToken", "not yet");
  refused(typ, with("scope", "com.atproto.refresh"), "InvalidToken", "a refresh token's scope");
  refused(typ, with("scope", "com.atproto.everything"), "InvalidToken", "an unknown scope");
  refused(typ, without("scope"), "InvalidToken", "no scope");
  refused(typ, with("lxm", "com.atproto.server.getSession"), "InvalidToken", "a service token");
  refused(typ, with("cnf", json::Object{{"jkt", "x"}}), "InvalidToken", "a bound token without its proof");
  refused(typ, with("sub", "alice.test"), "InvalidToken", "sub is a DID");
  EXPECT_EQ(w.get(k_session, w.token(typ, with("sub", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"))).error(),
            "AccountNotFound");
}

TEST(SessionToken, RefreshAndAccessAreNotInterchangeable) {
  SessionWorld w;
  EXPECT_EQ(w.get(k_session, w.alice.refresh).error(), "InvalidToken");
  const auto got = w.post(k_refresh, std::nullopt, w.alice.access);
  EXPECT_EQ(got.status, 400);
  EXPECT_EQ(got.error(), "InvalidToken");
  EXPECT_EQ(got.message(), "Token could not be verified");
}

TEST(SessionToken, OfAnAppPasswordHidesTheEmail) {
  SessionWorld w;
  auto claims = w.access_claims();
  claims.set("scope", "com.atproto.appPass");
  const auto got = w.get(k_session, w.token({{"typ", "at+jwt"}}, claims));
  EXPECT_EQ(got.status, 200);
  EXPECT_FALSE(got.body.find("email"));
  EXPECT_FALSE(got.body.find("emailConfirmed"));
}

TEST(Authorization, MalformedHeadersAreRefused) {
  SessionWorld w;
  EXPECT_EQ(w.get(k_session).error(), "AuthMissing");
  EXPECT_EQ(w.get(k_session).status, 401);
  for (const char* header :
       {"Bearer", "Bearer ", "Bearer a b", "token", "Basic YWRtaW46eA==", "Bearer x.y.z"}) {
    const auto got = w.get(k_session, header);
    EXPECT_EQ(got.status, 400) << header;
    EXPECT_EQ(got.error(), "InvalidToken") << header;
  }
  EXPECT_EQ(w.get(k_session, "bearer" + w.alice.access.substr(6)).status, 200) << "the scheme has no case";
}

// --- OAuth ---

constexpr const char* k_create = "com.atproto.repo.createRecord";

struct OauthWorld : SessionWorld {
  void grant(std::string scope) {
    process.oauth.tokens["tok"] = {
        .did = alice.did.str(), .scope = std::move(scope), .client_id = "https://app.test/"};
  }
  Answered create(const char* method = k_create) {
    return post(method,
                json::Object{{"repo", alice.did.str()},
                             {"collection", "com.example.note"},
                             {"rkey", "a"},
                             {"record", json::Object{}}},
                "DPoP tok");
  }
};

TEST(OauthCredentials, GenericScopeWritesRecords) {
  OauthWorld w;
  w.grant("atproto transition:generic");
  const auto got = w.create();
  EXPECT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.headers.get("dpop-nonce"), "nonce-1");
  EXPECT_EQ(w.process.oauth.last.method, "POST");
  EXPECT_EQ(w.process.oauth.last.uri, "https://pds.test/xrpc/com.atproto.repo.createRecord");
  EXPECT_EQ(w.process.oauth.last.token, "tok");
}

TEST(OauthCredentials, AtprotoScopeAloneDoesNotWrite) {
  OauthWorld w;
  w.grant("atproto");
  for (const auto& [method, action] :
       {std::pair{k_create, "create"}, std::pair{"com.atproto.repo.putRecord", "create"},
        std::pair{"com.atproto.repo.deleteRecord", "delete"}}) {
    const auto got = w.create(method);
    EXPECT_EQ(got.status, 403) << method;
    EXPECT_EQ(got.error(), "ScopeMissingError") << method;
    EXPECT_EQ(got.message(),
              std::string("Missing required scope \"repo:com.example.note?action=") + action + "\"");
    EXPECT_EQ(got.headers.get("dpop-nonce"), "nonce-1") << method;
  }
  const auto writes = w.post(
      "com.atproto.repo.applyWrites",
      json::Object{{"repo", w.alice.did.str()},
                   {"writes", json::Array{json::Object{{"$type", "com.atproto.repo.applyWrites#delete"},
                                                       {"collection", "com.example.note"},
                                                       {"rkey", "a"}}}}},
      "DPoP tok");
  EXPECT_EQ(writes.error(), "ScopeMissingError");
}

TEST(OauthCredentials, EmailNeedsItsScope) {
  OauthWorld w;
  w.grant("atproto transition:generic");
  EXPECT_FALSE(w.get(k_session, "DPoP tok").body.find("email"));
  w.grant("atproto transition:email");
  EXPECT_EQ(w.get(k_session, "DPoP tok").text_at("email"), "alice@mail.test");
}

TEST(OauthCredentials, FailuresCarryTheChallengeAndANonce) {
  OauthWorld w;
  const auto got = w.get(k_session, "DPoP unknown");
  EXPECT_EQ(got.status, 401);
  EXPECT_EQ(got.error(), "invalid_token");
  EXPECT_EQ(got.headers.get("www-authenticate"), "DPoP error=\"invalid_token\"");
  EXPECT_EQ(got.headers.get("dpop-nonce"), "nonce-1");
}

TEST(OauthCredentials, TheUriComesFromOurConfigurationNotFromTheRequest) {  // attack 17
  OauthWorld w;
  w.grant("atproto");
  web::Headers headers{{"Authorization", "DPoP tok"}, {"Host", "evil.test"}, {"DPoP", "proof"}};
  w.process.send(
      web::Request::make("GET", "https://evil.test/xrpc/com.atproto.server.getSession?x=y", {}, headers));
  EXPECT_EQ(w.process.oauth.last.uri, "https://pds.test/xrpc/com.atproto.server.getSession");
  EXPECT_EQ(w.process.oauth.last.proofs, std::vector<std::string>{"proof"});
}

TEST(OauthCredentials, AreNotASession) {
  OauthWorld w;
  w.grant("atproto transition:generic");
  EXPECT_EQ(w.post(k_refresh, std::nullopt, "DPoP tok").error(), "InvalidToken");
  EXPECT_EQ(w.post(k_logout, std::nullopt, "DPoP tok").error(), "InvalidToken");
}

TEST(OauthCredentials, OfTakenDownAccountsAreRefused) {
  OauthWorld w;
  w.grant("atproto transition:generic");
  const auto id = w.account(w.alice).id;
  w.write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  EXPECT_EQ(w.create().error(), "AccountTakedown");
}

TEST(OauthCredentials, WithoutTheAtprotoScopeAreMalformed) {
  OauthWorld w;
  w.grant("transition:generic");
  EXPECT_EQ(w.get(k_session, "DPoP tok").error(), "InvalidToken");
}

}  // namespace
}  // namespace latchkey::pds

// com.atproto.server.getServiceAuth
#include "oauth/jose/jwt.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;

constexpr std::string_view k_aud = "did:web:api.example.com%23svc";

struct ServiceAuth : ::testing::Test {
  ServiceAuth() : alice(w.sign_up("alice")) {}

  Answered ask(const std::string& query, const std::string& auth) {
    return w.get("/xrpc/com.atproto.server.getServiceAuth?" + query, auth);
  }
  Answered ask_for(std::string_view lxm, const std::string& auth, std::string_view aud = k_aud) {
    return ask("aud=" + std::string(aud) + "&lxm=" + std::string(lxm), auth);
  }
  std::string session(const std::string& scope) {
    return "Bearer " + oauth::sign_hs256({{"typ", "at+jwt"}},
                                         {{"scope", scope},
                                          {"aud", "did:web:pds.test"},
                                          {"sub", alice.did.str()},
                                          {"iat", now()},
                                          {"exp", now() + 60}},
                                         as_bytes("a test secret of more than 32 bytes!"));
  }
  std::string app(const std::string& scope) { return w.app_of(alice, scope); }
  std::int64_t now() { return unix_seconds(w.clock.now()); }
  crypto::PublicKey published_key() {
    const auto data = w.plc.operations.at(alice.did.str()).data();
    return crypto::PublicKey::from_did_key(data->verification_methods.at("atproto")).value();
  }

  World w;
  SignedIn alice;
};

TEST_F(ServiceAuth, IsSignedWithTheAccountsKey) {
  const auto got = ask_for("com.example.getIt", alice.access);
  ASSERT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.headers.get("cache-control"), "no-store");
  const auto jwt = oauth::parse_compact(got.text_at("token")).value();
  EXPECT_EQ(jwt.alg(), "ES256K");
  EXPECT_EQ(jwt.typ(), "JWT");
  EXPECT_TRUE(oauth::verify(jwt, published_key()));
  EXPECT_EQ(*jwt.string_claim("iss"), alice.did.str());
  EXPECT_EQ(*jwt.string_claim("aud"), "did:web:api.example.com#svc");
  EXPECT_EQ(*jwt.string_claim("lxm"), "com.example.getIt");
  EXPECT_EQ(*jwt.payload.find("iat")->integer(), now());
  EXPECT_EQ(*jwt.payload.find("exp")->integer(), now() + 60);
  EXPECT_GE(jwt.string_claim("jti")->size(), 16u);
  EXPECT_EQ(jwt.payload.size(), 6u);

  const auto again =
      oauth::parse_compact(ask_for("com.example.getIt", alice.access).text_at("token")).value();
  EXPECT_NE(*jwt.string_claim("jti"), *again.string_claim("jti"));
}

TEST_F(ServiceAuth, IsNoSessionToken) {
  const auto token = ask_for("com.example.getIt", alice.access).text_at("token");
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", "Bearer " + token).error(), "InvalidToken");
}

TEST_F(ServiceAuth, WithoutAMethodNamesNone) {
  const auto got = ask("aud=did:web:api.example.com", alice.access);
  ASSERT_EQ(got.status, 200) << got.text;
  const auto jwt = oauth::parse_compact(got.text_at("token")).value();
  EXPECT_FALSE(jwt.payload.find("lxm"));
  EXPECT_EQ(*jwt.string_claim("aud"), "did:web:api.example.com");
}

TEST_F(ServiceAuth, ParametersAreChecked) {
  EXPECT_EQ(ask("lxm=com.example.getIt", alice.access).message(), "Params must have the property \"aud\"");
  for (const auto* query :
       {"aud=", "aud=example.com", "aud=did:web:x.test%23", "aud=did:web:x.test%23a%23b",
        "aud=did:web:x.test%23a%20b", "aud=did:web:x.test&aud=did:web:y.test",
        "aud=did:web:x.test&lxm=", "aud=did:web:x.test&lxm=*", "aud=did:web:x.test&lxm=getIt",
        "aud=did:web:x.test&exp=soon", "aud=did:web:x.test&exp=", "aud=did:web:x.test&exp=1e9"}) {
    const auto got = ask(query, alice.access);
    EXPECT_EQ(got.status, 400) << query;
    EXPECT_EQ(got.error(), "InvalidRequest") << query;
  }
  EXPECT_EQ(ask("aud=did:web:x.test", "").error(), "AuthMissing");
}

TEST_F(ServiceAuth, ExpirationHasItsBounds) {
  const auto until = [&](std::int64_t exp, bool method) {
    return ask("aud=" + std::string(k_aud) + (method ? "&lxm=com.example.getIt" : "") +
                   "&exp=" + std::to_string(exp),
               alice.access);
  };
  for (const bool method : {true, false}) {
    EXPECT_EQ(until(now() - 1, method).error(), "BadExpiration");
    EXPECT_EQ(until(now(), method).status, 200);
    EXPECT_EQ(until(now() + 60, method).status, 200);
  }
  EXPECT_EQ(until(now() + 61, false).error(), "BadExpiration");
  const auto longest = until(now() + 3600, true);
  ASSERT_EQ(longest.status, 200);
  EXPECT_EQ(*oauth::parse_compact(longest.text_at("token")).value().payload.find("exp")->integer(),
            now() + 3600);
  EXPECT_EQ(until(now() + 3601, true).error(), "BadExpiration");
  EXPECT_EQ(until(now() + 3601, true).status, 400);
}

TEST_F(ServiceAuth, AttackExpiration_ZeroAndTheEndsOfTimeAreRefused) {
  for (const auto* exp : {"0", "-1", "9223372036854775807", "-9223372036854775808"})
    EXPECT_EQ(ask("aud=did:web:x.test&lxm=a.b.c&exp=" + std::string(exp), alice.access).error(),
              "BadExpiration")
        << exp;
  EXPECT_EQ(ask("aud=did:web:x.test&lxm=a.b.c&exp=9223372036854775808", alice.access).error(),
            "InvalidRequest");
}

TEST_F(ServiceAuth, NeedsARpcScopeForMethodAndAudience) {
  for (const auto* scope : {"atproto rpc:com.example.getIt?aud=did:web:api.example.com%23svc",
                            "atproto rpc:com.example.getIt?aud=*",
                            "atproto rpc:*?aud=did:web:api.example.com%23svc", "atproto transition:generic"})
    EXPECT_EQ(ask_for("com.example.getIt", app(scope)).status, 200) << scope;
  for (const auto* scope :
       {"atproto", "atproto rpc:com.example.getOther?aud=*", "atproto repo:* account:email?action=manage",
        "atproto rpc:com.example.getIt?aud=did:web:api.example.com%23other",
        "atproto rpc:com.example.getIt?aud=did:web:other.test%23svc", "atproto transition:chat.bsky",
        "atproto rpc:*?aud=*", "atproto include:com.example.authFull?aud=did:web:api.example.com%23svc"}) {
    const auto got = ask_for("com.example.getIt", app(scope));
    EXPECT_EQ(got.status, 403) << scope;
    EXPECT_EQ(got.error(), "ScopeMissingError") << scope;
    EXPECT_EQ(got.message(),
              "Missing required scope \"rpc:com.example.getIt?aud=did:web:api.example.com%23svc\"");
  }
}

TEST_F(ServiceAuth, ForNoParticularMethodNeedsEveryMethod) {
  const auto query = "aud=" + std::string(k_aud);
  EXPECT_EQ(ask(query, app("atproto rpc:*?aud=did:web:api.example.com%23svc")).status, 200);
  EXPECT_EQ(ask(query, app("atproto transition:generic")).status, 200);
  const auto got = ask(query, app("atproto rpc:com.example.getIt?aud=*"));
  EXPECT_EQ(got.error(), "ScopeMissingError");
  EXPECT_EQ(got.message(), "Missing required scope \"rpc:*?aud=did:web:api.example.com%23svc\"");
}

TEST_F(ServiceAuth, AttackScopes_AWholeDidIsMoreThanItsService) {
  const auto got =
      ask_for("com.example.getIt", app("atproto rpc:com.example.getIt?aud=did:web:api.example.com%23svc"),
              "did:web:api.example.com");
  EXPECT_EQ(got.error(), "ScopeMissingError");
  EXPECT_EQ(got.message(), "Missing required scope \"rpc:com.example.getIt?aud=*\"");
}

TEST_F(ServiceAuth, AttackScopes_AnotherCaseOfTheMethodIsAnotherMethod) {
  const auto scope = app("atproto rpc:com.example.getIt?aud=*");
  EXPECT_EQ(ask_for("com.example.getit", scope).error(), "ScopeMissingError");
  EXPECT_EQ(ask_for("com.Example.getIt", scope).error(), "ScopeMissingError");
}

TEST_F(ServiceAuth, AttackProtectedMethods_AreRefusedInAnyCase) {
  for (const auto* lxm :
       {"com.atproto.admin.sendEmail", "com.atproto.identity.requestPlcOperationSignature",
        "com.atproto.identity.signPlcOperation", "com.atproto.identity.updateHandle",
        "com.atproto.server.activateAccount", "com.atproto.server.confirmEmail",
        "com.atproto.server.createAppPassword", "com.atproto.server.deactivateAccount",
        "com.atproto.server.getAccountInviteCodes", "com.atproto.server.getSession",
        "com.atproto.server.listAppPasswords", "com.atproto.server.requestAccountDelete",
        "com.atproto.server.requestEmailConfirmation", "com.atproto.server.requestEmailUpdate",
        "com.atproto.server.revokeAppPassword", "com.atproto.server.updateEmail",
        "com.atproto.server.CREATEAPPPASSWORD", "COM.Atproto.server.updateemail"}) {
    for (const auto& auth : {alice.access, app("atproto transition:generic transition:chat.bsky"),
                             app("atproto rpc:*?aud=did:web:api.example.com%23svc")}) {
      const auto got = ask_for(lxm, auth);
      EXPECT_EQ(got.status, 400) << lxm;
      EXPECT_EQ(got.error(), "InvalidRequest") << lxm;
      EXPECT_EQ(got.message(), "cannot request a service auth token for the following protected method: " +
                                   std::string(lxm));
    }
  }
}

TEST_F(ServiceAuth, ChatAndMovingNeedPrivileges) {
  for (const std::string lxm : {"chat.bsky.convo.getLog", "com.atproto.server.createAccount",
                                "Chat.bsky.convo.getLog", "com.atproto.server.createaccount"}) {
    EXPECT_EQ(ask_for(lxm, alice.access).status, 200) << lxm;
    EXPECT_EQ(ask_for(lxm, session("com.atproto.appPassPrivileged")).status, 200) << lxm;
    const auto got = ask_for(lxm, session("com.atproto.appPass"));
    EXPECT_EQ(got.status, 400) << lxm;
    EXPECT_EQ(got.message(),
              "insufficient access to request a service auth token for the following method: " + lxm);
    EXPECT_EQ(ask_for(lxm, app("atproto transition:generic")).error(), "ScopeMissingError") << lxm;
    EXPECT_EQ(ask_for(lxm, app("atproto transition:chat.bsky")).error(), "ScopeMissingError") << lxm;
    EXPECT_EQ(ask_for(lxm, app("atproto transition:generic transition:chat.bsky")).status, 200) << lxm;
    EXPECT_EQ(ask_for(lxm, app("atproto rpc:" + lxm + "?aud=*")).status, 200) << lxm;
  }
  EXPECT_EQ(ask_for("com.example.getIt", session("com.atproto.appPass")).status, 200);
}

TEST_F(ServiceAuth, OfATakenDownAccountIsForMovingOnly) {
  const auto id = w.account(alice).id;
  w.write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  const auto takendown = session("com.atproto.takendown");
  EXPECT_EQ(ask_for("com.atproto.server.createAccount", takendown).status, 200);
  EXPECT_EQ(ask_for("com.example.getIt", takendown).message(), "Bad token scope");
  EXPECT_EQ(ask("aud=did:web:x.test", takendown).error(), "InvalidToken");
  EXPECT_EQ(ask_for("com.atproto.server.createAccount", alice.access).error(), "AccountTakedown");
  EXPECT_EQ(ask_for("com.atproto.server.createAccount", app("atproto transition:generic")).error(),
            "AccountTakedown");
}

TEST_F(ServiceAuth, IsNotForThoseStillInTheQueue) {
  EXPECT_EQ(ask_for("com.example.getIt", session("com.atproto.signupQueued")).message(), "Bad token scope");
  EXPECT_EQ(ask_for("com.atproto.server.createAccount", session("com.atproto.signupQueued")).message(),
            "Bad token scope");
}

TEST_F(ServiceAuth, OfADeactivatedAccountIsGiven) {  // it is how accounts move
  const auto id = w.account(alice).id;
  w.write([&](Tx& tx) { accounts::set_deactivated(tx, id, w.clock.now()); });
  EXPECT_EQ(ask_for("com.atproto.server.createAccount", alice.access).status, 200);
}

}  // namespace
}  // namespace latchkey::pds

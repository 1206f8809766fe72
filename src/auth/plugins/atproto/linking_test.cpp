#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/atproto/testing.h"
#include "auth/plugins/email_otp/plugin.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using json::Object;
using oauth::client::testing::json_answer;

// --- linking

class AtprotoLinking : public AtprotoTest {};

Task<void> keep_code(std::string* code, OtpMail mail) {
  *code = mail.otp;
  co_return;
}

TEST_P(AtprotoLinking, AddsAnAccountToTheUserWhoIsSignedIn) {
  Browser eve = other_user();
  const auto id = user_id(eve);
  EXPECT_EQ(location(sign_in(eve)), "/dash");
  EXPECT_EQ(user_id(eve), id);
  EXPECT_EQ(user_text(eve, "bskyDid"), k_alice);
  EXPECT_EQ(user_text(eve, "name"), "n") << "a user with an address keeps the name";
  EXPECT_EQ(accounts_of(id).size(), 2u);
  // From then on it is a way in.
  Browser later(*app_);
  sign_in(later);
  EXPECT_EQ(user_id(later), id);
  EXPECT_EQ(user_text(later, "name"), "n");
}

TEST_P(AtprotoLinking, MayTakeNameAndPictureOver) {
  restart([](AtprotoOptions&, Options& o) { o.account.linking.update_user_info_on_link = true; });
  Browser eve = other_user();
  sign_in(eve);
  EXPECT_EQ(user_text(eve, "name"), "Alice");
}

TEST_P(AtprotoLinking, IsRefusedWhereLinkingIsOff) {
  restart([](AtprotoOptions&, Options& o) { o.account.linking.enabled = false; });
  Browser eve = other_user();
  const auto r = sign_in(eve);
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(r.body, R"({"message":"Account linking is not enabled","code":"ACCOUNT_LINKING_DISABLED"})");
  EXPECT_EQ(user_text(eve, "bskyDid"), "");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked.size(), 1u);
  // Signing in with an account of one's own links nothing.
  Browser alice(*app_);
  EXPECT_EQ(location(sign_in(alice)), "/dash");
  EXPECT_EQ(location(sign_in(alice)), "/dash");
}

TEST_P(AtprotoLinking, AUserMayHaveSeveralAccounts) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  EXPECT_EQ(location(sign_in(b, "bob.test")), "/dash");
  EXPECT_EQ(user_id(b), id);
  EXPECT_EQ(user_text(b, "bskyDid"), k_bob) << "the one used last";
  EXPECT_EQ(user_text(b, "bskyBio"), "") << "nothing of the other account stays";
  EXPECT_EQ(accounts_of(id).size(), 2u);
  const auto dids = run(plugin_->accounts_of(id));
  EXPECT_EQ(dids.size(), 2u);
  EXPECT_EQ(run(plugin_->session_of(id))->did().str(), k_bob);
  EXPECT_EQ(run(plugin_->session_of(id, *Did::parse(k_alice)))->did().str(), k_alice);
  Browser alice(*app_), bob(*app_);
  sign_in(alice);
  sign_in(bob, "bob.test");
  EXPECT_EQ(user_id(alice), id);
  EXPECT_EQ(user_id(bob), id);
}

TEST_P(AtprotoLinking, AttackAccountSwitch_AnAccountOfAnotherUserIsRefused) {
  Browser alice(*app_);
  sign_in(alice);
  Browser eve = other_user();
  const auto id = user_id(eve);
  const auto r = sign_in(eve);
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(code_of(r), "SOCIAL_ACCOUNT_ALREADY_LINKED");
  EXPECT_EQ(user_id(eve), id) << "nobody is switched";
  EXPECT_EQ(user_text(alice, "bskyDid"), k_alice);
  EXPECT_NE(stored(), "");
}

TEST_P(AtprotoLinking, AttackForcedLinking_APlantedCallbackLinksNothing) {
  Browser attacker(*app_);
  Browser victim = other_user("victim@example.test");
  server_->sub = k_bob;
  start(attacker, "bob.test");
  const auto r = victim.get(answer());
  EXPECT_EQ(location(r), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
  EXPECT_EQ(accounts_of(user_id(victim)).size(), 1u);
  // Not with a flow of the victim's own on the way either.
  start(victim, "alice.test");
  start(attacker, "bob.test");
  EXPECT_EQ(location(victim.get(answer())), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
}

TEST_P(AtprotoLinking, AttackForcedLinking_AFlowLinksForTheUserWhoBeganItOnly) {
  // Begun signed out, ended signed in.
  Browser b(*app_);
  start(b);
  const auto url = answer();
  b.sign_up("eve@example.test");
  auto r = b.get(url);
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(code_of(r), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(user_text(b, "bskyDid"), "");
  // Begun as one user, ended as another, or as nobody.
  start(b);
  const auto second = answer();
  b.post("/sign-out", Object{});
  Browser other = b;
  other.sign_up("mallory@example.test");
  EXPECT_EQ(code_of(other.get(second)), "SIGNED_IN_USER_CHANGED");
  start(other);
  const auto third = answer();
  other.post("/sign-out", Object{});
  EXPECT_EQ(code_of(other.get(third)), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked.size(), 3u);
}

TEST_P(AtprotoLinking, AttackRevokedSession_WhoWasSignedOutMeanwhileLinksNothing) {
  const auto sign_out_everywhere = [&](const std::string& id) {
    run(app_->db->write([&](store::Tx& tx) { return app_->auth->sessions().remove_all(tx, id); })).value();
  };
  // While the profile is read, and after it.
  Browser eve = other_user();
  const auto id = user_id(eve);
  page("app.bsky.actor.getProfile", [&](const FetchRequest&) {
    sign_out_everywhere(id);
    return json_answer(200, {{"did", k_alice}});
  });
  EXPECT_EQ(code_of(sign_in(eve)), "SIGNED_IN_USER_CHANGED");
  restart([&](AtprotoOptions& o, Options&) {
    o.profile_sync = AtprotoOptions::ProfileSync::off;
    o.map_profile_to_user = [&](const AtprotoProfile&) {
      sign_out_everywhere(id);
      return AtprotoUserFields{};
    };
  });
  eve.post("/sign-in/email", Object{{"email", "eve@example.test"}, {"password", "password-1234"}});
  EXPECT_EQ(user_id(eve), id);
  EXPECT_EQ(code_of(sign_in(eve)), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(accounts_of(id).size(), 1u);
}

TEST_P(AtprotoLinking, AttackAccountSwitch_ASignInThatEndsAsAnotherUserSwitchesNobody) {
  Browser alice(*app_), b(*app_);
  sign_in(alice);
  start(b);
  const auto url = answer();
  b.sign_up("eve@example.test");
  const auto id = user_id(b);
  EXPECT_EQ(b.get(url).status, 409);
  EXPECT_EQ(user_id(b), id);
}

TEST_P(AtprotoLinking, AttackColumns_ClientsDoNotSetTheirDid) {
  Browser eve = other_user();
  const auto r = eve.post("/update-user", Object{{"bskyDid", k_alice}});
  EXPECT_EQ(r.status, 400);
  EXPECT_EQ(code_of(r), "FIELD_NOT_ALLOWED");
  Browser alice(*app_);
  sign_in(alice);
  EXPECT_NE(user_id(alice), user_id(eve));
}

TEST_P(AtprotoLinking, AnAnonymousUserIsReplacedAndNotLinkedTo) {
  restart([](AtprotoOptions&, Options& o) { o.plugins.push_back(anonymous()); });
  const auto anonymous_user = [&](Browser& b) {
    EXPECT_EQ(b.post("/sign-in/anonymous", Object{}).status, 200);
    return user_id(b);
  };
  const auto exists = [&](const std::string& id) {
    return run(app_->db->read([&](store::Tx& tx) { return app_->auth->users().find(tx, id); })).has_value();
  };
  Browser b(*app_), phone(*app_);
  const auto before = anonymous_user(b);
  EXPECT_EQ(location(sign_in(b)), "/dash");
  const auto alice = user_id(b);
  EXPECT_NE(alice, before);
  EXPECT_FALSE(exists(before));
  EXPECT_EQ(code_of(b.post("/delete-anonymous-user", Object{})), "USER_IS_NOT_ANONYMOUS");
  const auto on_the_phone = anonymous_user(phone);
  EXPECT_EQ(location(sign_in(phone)), "/dash") << "somebody known, too";
  EXPECT_EQ(user_id(phone), alice);
  EXPECT_FALSE(exists(on_the_phone));
}

TEST_P(AtprotoLinking, AttackPreHijacking_WhoProvesTheMailboxIsRidOfTheAccountLinkedBefore) {
  std::string code;
  restart([&](AtprotoOptions&, Options& o) {
    o.plugins.push_back(email_otp({.send = [&](OtpMail mail) { return keep_code(&code, std::move(mail)); }}));
  });
  Browser attacker = other_user("victim@example.test"), victim(*app_);
  EXPECT_EQ(location(sign_in(attacker)), "/dash");
  EXPECT_EQ(user_text(attacker, "bskyDid"), k_alice);
  victim.post("/email-otp/send-verification-otp",
              Object{{"email", "victim@example.test"}, {"type", "sign-in"}});
  EXPECT_EQ(victim.post("/sign-in/email-otp", Object{{"email", "victim@example.test"}, {"otp", code}}).status,
            200);
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_TRUE(attacker.session().is_null());
  sign_in(attacker);
  EXPECT_NE(user_id(attacker), user_id(victim));
}

TEST_P(AtprotoLinking, AnAccountUnderTheNameOfAnotherPluginStaysItsUsers) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  constexpr store::Sql k_rename{R"(UPDATE "account" SET "providerId" = 'bsky' WHERE "accountId" = ?1)"};
  run(app_->db->write([&](store::Tx& tx) { tx.exec(k_rename, k_alice); }));
  sign_in(b);
  sign_in(b, "bob.test");
  Browser again(*app_);
  EXPECT_EQ(location(sign_in(again)), "/dash");
  EXPECT_EQ(user_id(again), id);
}

TEST_P(AtprotoLinking, AttackSquatting_APlaceholderThatWasSignedUpKeepsNobodyOut) {
  Browser squatter = other_user("did_plc_ewvi7nxzyoun6zhxrhs64oiz@bsky.placeholder.invalid");
  Browser alice(*app_);
  EXPECT_EQ(location(sign_in(alice)), "/dash");
  EXPECT_NE(user_id(alice), user_id(squatter));
  EXPECT_TRUE(
      user_text(alice, "email").ends_with(".did_plc_ewvi7nxzyoun6zhxrhs64oiz@bsky.placeholder.invalid"));
}

TEST_P(AtprotoLinking, UnlinkingTakesTheSessionWithIt) {
  Browser eve = other_user();
  sign_in(eve);
  const auto accounts = accounts_of(user_id(eve));
  const auto it = std::ranges::find(accounts, "atproto", &Account::provider_id);
  EXPECT_EQ(eve.post("/unlink-account", Object{{"accountId", it->id}}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(states(), 0u);
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  for (const char* name : {"bskyDid", "bskyHandle", "bskyBio", "bskyBanner"})
    EXPECT_EQ(user_text(eve, name), "");
  Browser alice(*app_);
  sign_in(alice);
  EXPECT_NE(user_id(alice), user_id(eve)) << "the account is nobody's again";
}

TEST_P(AtprotoLinking, UnlinkingOneOfTwoLeavesTheOther) {
  Browser b(*app_);
  sign_in(b);
  sign_in(b, "bob.test");
  const auto id = user_id(b);
  for (const auto& account : accounts_of(id))
    if (account.account_id == k_bob) {
      EXPECT_EQ(b.post("/unlink-account", Object{{"accountId", account.id}}).status, 200);
    }
  EXPECT_EQ(user_text(b, "bskyDid"), k_alice);
  EXPECT_EQ(run(plugin_->accounts_of(id)).size(), 1u);
  EXPECT_TRUE(run(plugin_->session_of(id)));
}

TEST_P(AtprotoLinking, AUserWhoIsDeletedTakesTheirSessionsAlong) {
  Browser b(*app_);
  sign_in(b);
  EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
}

TEST_P(AtprotoLinking, AServerThatCannotBeReachedKeepsNobody) {
  Browser b(*app_);
  sign_in(b);
  net_.pages["https://as.test/oauth/revoke"] = [](const FetchRequest&) { return FetchResponse{503, {}, ""}; };
  EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(states(), 0u);
}

// --- attacks on the callback

class AtprotoCallback : public AtprotoTest {};

TEST_P(AtprotoCallback, AttackReplay_AStateIsGoodOnce) {
  Browser b(*app_);
  start(b);
  const auto url = answer();
  EXPECT_EQ(location(b.get(url)), "/dash");
  b.post("/sign-out", Object{});
  server_->code = "code-1";
  EXPECT_EQ(location(b.get(url)), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoCallback, AttackOtherBrowser_BelongsToTheBrowserThatBegan) {
  Browser b(*app_), other(*app_);
  start(b);
  const auto url = answer();
  EXPECT_EQ(location(other.get(url)), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_TRUE(other.session().is_null());
  // With a cookie of its own, or one that is not ours.
  start(b);
  const auto second = answer();
  start(other, "bob.test");
  EXPECT_EQ(location(other.get(second)), "https://app.test/api/auth/error?error=state_mismatch");
  start(b);
  for (auto& [name, value] : b.jar) value = "forged." + value;
  EXPECT_EQ(location(b.get(answer())), "https://app.test/api/auth/error?error=state_mismatch");
}

TEST_P(AtprotoCallback, AttackMixUp_IssIsTheServerTheFlowWentTo) {  // RFC 9207
  for (const FormFields& iss : {FormFields{}, FormFields{{"iss", "https://evil.test"}}}) {
    Browser b(*app_);
    start(b);
    FormFields answer{{"state", state()}, {"code", server_->code}};
    answer.insert(answer.end(), iss.begin(), iss.end());
    EXPECT_EQ(location(b.get("/bsky/callback?" + encode_form(answer))),
              "https://app.test/api/auth/error?error=issuer_mismatch");
    EXPECT_TRUE(b.session().is_null());
  }
  Browser b(*app_);
  start(b);
  EXPECT_EQ(location(b.get(answer() + "&iss=https%3A%2F%2Fevil.test")),
            "https://app.test/api/auth/error?error=invalid_callback")
      << "one parameter twice";
}

TEST_P(AtprotoCallback, AttackWrongSub_AnotherAccountThanTheOneAskedForSignsNobodyIn) {
  Browser b(*app_);
  start(b, "alice.test");
  server_->sub = k_bob;
  const auto r = b.get(answer());
  EXPECT_EQ(r.status, 500);
  EXPECT_EQ(code_of(r), "CALLBACK_FAILED");
  EXPECT_TRUE(b.session().is_null());
  EXPECT_EQ(server_->revoked.size(), 1u);
}

TEST_P(AtprotoCallback, AttackWrongSub_AServerSpeaksForItsOwnAccountsOnly) {
  Server other(net_, app_->clock, "https://other-as.test", "https://other-pds.test");
  net_.account(k_bob, "bob.test", "https://other-pds.test");
  Browser b(*app_);
  start(b, "https://pds.test");
  server_->sub = k_bob;
  EXPECT_EQ(code_of(b.get(answer())), "CALLBACK_FAILED");
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoCallback, AttackFalseHandle_AHandleThatDoesNotPointBackIsNotShown) {
  // mallory.test points at alice, whose document does not claim it.
  net_.pages["https://mallory.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "text/plain"}}, k_alice};
  };
  Browser b(*app_);
  EXPECT_EQ(code_of(start(b, "mallory.test")), "INVALID_HANDLE");
  // bob's document claims a handle that points elsewhere; so does the profile.
  net_.pages["https://bob.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "text/plain"}}, k_alice};
  };
  view({{"did", k_bob}, {"handle", "bob.test"}, {"displayName", "Bob"}});
  server_->sub = k_bob;
  ASSERT_EQ(start(b, k_bob).status, 200);
  EXPECT_EQ(location(b.get(answer())), "/dash");
  EXPECT_EQ(user_text(b, "bskyDid"), k_bob);
  EXPECT_EQ(user_text(b, "bskyHandle"), "");
  EXPECT_EQ(text_of(body_of(b.get("/bsky/session")), "handle"), "handle.invalid");
}

TEST_P(AtprotoCallback, AttackOpenRedirect_ReturnUrlsStayInTheApp) {
  Browser b(*app_);
  for (const char* url : {"https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test",
                          "/%2Fevil.test", "/%5Cevil.test", "/a\tb", "/\n/evil.test", "javascript:alert(1)",
                          "dash", "https://app.test@evil.test/", "/.//evil.test"}) {
    const auto r = start(b, "alice.test", url);
    EXPECT_EQ(r.status, 403) << url;
    EXPECT_EQ(code_of(r), "INVALID_CALLBACK_URL") << url;
  }
  for (const char* url : {"/dash?x=%2F%2Fevil.test#f", "/", "https://app.test/x"})
    EXPECT_EQ(location(sign_in(b, "alice.test", url)), url);
  // Nor one that was in the app when the flow began, and is not any more.
  restart([](AtprotoOptions&, Options& o) { o.trusted_origins = {"https://friend.test"}; });
  start(b, "alice.test", "https://friend.test/x");
  restart();
  EXPECT_EQ(location(b.get(answer())), "/");
}

INSTANTIATE_TEST_SUITE_P(Store, AtprotoLinking, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoCallback, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky

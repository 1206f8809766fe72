// How an account is signed in to, as its pages change it: passkeys, providers, passwords (epds-flows, 4.2 to
// 4.4). Groups 5, 15, 18 and 19 of docs/threat-model.md.
#include "dev/world/account_world.h"

namespace latchkey::dev::world {
namespace {

class Methods : public AccountWorld {
 protected:
  /// As an account that was made by password somewhere: no mailbox opens it.
  void forget_confirmation(const std::string& did) {
    static constexpr store::Sql k_forget{"UPDATE account SET email_confirmed_at = NULL WHERE did = ?1"};
    w.write([&](store::Tx& tx) { tx.exec(k_forget, did); });
  }
  Page create_session(const std::string& did, const std::string& password) {
    return w.send(
        web::Request::make("POST", w.options.pds + "/xrpc/com.atproto.server.createSession",
                           json::Value(json::Object{{"identifier", did}, {"password", password}}).dump(),
                           web::Headers{{"content-type", "application/json"}}));
  }
  Page refresh_session(const std::string& refresh_jwt) {
    return w.send(web::Request::make("POST", w.options.pds + "/xrpc/com.atproto.server.refreshSession", "",
                                     web::Headers{{"authorization", "Bearer " + refresh_jwt}}));
  }
};

// --- Passkeys

TEST_F(Methods, APasskeyIsAddedRenamedAndRemoved) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  SoftAuthenticator a = authenticator();
  Page page = add_passkey(b, a, "Blue key");
  EXPECT_TRUE(page.shows("Blue key"));
  EXPECT_EQ(events(alice.did).front(), "passkey_added Blue key");
  expect_notice(k_alice, "Passkey “Blue key” added");
  EXPECT_EQ(b.submit(page, "/account/passkey/rename", {{"name", ""}}).location(),
            "/account?error=invalid_name");
  EXPECT_EQ(b.submit(page, "/account/passkey/rename", {{"name", std::string(65, 'x')}}).location(),
            "/account?error=invalid_name");
  EXPECT_EQ(b.submit(page, "/account/passkey/rename", {{"name", std::string(64, 'x')}}).location(),
            "/account?success=passkey_renamed");
  EXPECT_EQ(b.submit(page, "/account/passkey/rename", {{"name", "Red <key>"}}).location(),
            "/account?success=passkey_renamed");
  page = b.get(url("/account"));
  EXPECT_TRUE(page.shows("Red &lt;key&gt;"));
  EXPECT_FALSE(page.shows("Red <key>"));
  EXPECT_EQ(b.submit(page, "/account/passkey/remove", {{"passkey", button(page, "passkey")}}).location(),
            "/account?success=passkey_removed");
  EXPECT_EQ(events(alice.did).front(), "passkey_removed Red <key>");
  expect_notice(k_alice, "removed");
  EXPECT_EQ(use_passkey(b, a).status, 401) << "it opens nothing any more";
}

TEST_F(Methods, AttackIds_AnothersPasskeyOrLinkIsAsUnknownAsNone) {
  account(k_alice);
  account(k_bob);
  Browser b(w), bobs(w);
  enter(b, k_alice);
  enter(bobs, k_bob);
  SoftAuthenticator a = authenticator();
  Page page = add_passkey(b, a, "Key");
  page = link_provider(b);
  ASSERT_TRUE(page.shows("name=\"link\" value=")) << page.url << page.body;
  const Page theirs = bobs.get(url("/account"));
  for (const auto& [path, fields] : std::vector<std::pair<const char*, FormFields>>{
           {"/account/passkey/rename", {{"passkey", button(page, "passkey")}, {"name", "Mine"}}},
           {"/account/passkey/remove", {{"passkey", button(page, "passkey")}}},
           {"/account/passkey/remove", {}},
           {"/account/provider/unlink", {{"link", button(page, "link")}}},
           {"/account/provider/unlink", {}}})
    EXPECT_EQ(act(bobs, theirs, path, fields).location(), "/account?success=nothing") << path;
  EXPECT_EQ(use_passkey(b, a).status, 200);
  EXPECT_EQ(links(), 1);
}

TEST_F(Methods, APasskeyConfirmsThatItIsYou) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  SoftAuthenticator a = authenticator();
  add_passkey(b, a, "Key");
  w.clock.advance(61min);
  EXPECT_TRUE(b.get(url("/account/confirm")).shows("data-passkey=\"sign-in\""));
  EXPECT_EQ(use_passkey(b, a).status, 200);
  EXPECT_TRUE(land(b, b.get(url("/account/complete"))).shows("action=\"/account/delete\""));
  // It was remembered before, and a confirmation takes nothing away.
  w.clock.advance(6 * 24h);
  EXPECT_TRUE(signed_in(b));
}

TEST_F(Methods, AttackRenewal_TheSessionAProofOpenedIsNoNewProof) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  Page page = enter(b, k_alice);
  w.clock.advance(5min - 1s);
  b.submit(page, "/account/passkey/add");
  ASSERT_TRUE(has_json_session(b));
  w.clock.advance(2s);
  land(b, b.get(url("/account/complete")));
  EXPECT_FALSE(b.get(url("/account")).shows("action=\"/account/delete\"")) << "five minutes have passed";
  // Nor does it sign in to an app that wants a proof from now.
  const auto login = app.start({{"prompt", "login"}});
  b.get(app.authorize_url(login));
  b.submit(enter(b, k_alice), "/account/passkey/add");
  page = land(b, b.get(url("/auth/complete")));
  EXPECT_TRUE(page.shows("action=\"/auth/email")) << page.url;
}

TEST_F(Methods, TheLastWayInStays) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  SoftAuthenticator a = authenticator(1), second = authenticator(2);
  add_passkey(b, a, "One");
  Page page = add_passkey(b, second, "Two");
  forget_confirmation(alice.did);
  EXPECT_EQ(b.submit(page, "/account/passkey/remove", {{"passkey", button(page, "passkey")}}).location(),
            "/account?success=passkey_removed");
  page = b.get(url("/account"));
  EXPECT_EQ(b.submit(page, "/account/passkey/remove", {{"passkey", button(page, "passkey")}}).location(),
            "/account?error=last_method");
  EXPECT_TRUE(b.get(url("/account")).shows("name=\"passkey\" value="));
}

TEST_F(Methods, AttackRace_TwoRemovalsAtOnceLeaveOneWayIn) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  SoftAuthenticator a = authenticator(1), second = authenticator(2);
  add_passkey(b, a, "One");
  const Page page = add_passkey(b, second, "Two");
  forget_confirmation(alice.did);
  // Of the page's forms with this field the rename form comes first: by name, not by place.
  std::vector<std::string> ids = w.read([&](store::Tx& tx) {
    static constexpr store::Sql k_ids{R"(SELECT "id" FROM "passkey")"};
    std::vector<std::string> out;
    for (const auto& row : tx.query(k_ids)) out.push_back(row.text(0));
    return out;
  });
  ASSERT_EQ(ids.size(), 2u);
  std::vector<web::Request> requests;
  for (const auto& id : ids)
    requests.push_back(b.submission(page, "/account/passkey/remove", {{"passkey", id}}));
  std::vector<std::string> answers;
  for (const auto& answer : w.together(std::move(requests))) answers.push_back(answer.location());
  EXPECT_THAT(answers, ::testing::UnorderedElementsAre("/account?success=passkey_removed",
                                                       "/account?error=last_method"));
}

// --- Providers

TEST_F(Methods, AProviderIsLinkedOpensTheAccountAndIsUnlinked) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  person_at_provider("somebody", "quite.other@example.net");
  Page page = link_provider(b);
  EXPECT_TRUE(page.shows("You can sign in that way from now on.")) << page.url;
  EXPECT_EQ(events(alice.did).front(), "provider_linked Example ID");
  expect_notice(k_alice, "Example ID linked", {"quite.other@example.net"});

  Browser other(w);
  page = land(other, by_provider(other, other.get(url("/account/login"))));
  EXPECT_TRUE(page.shows(alice.did)) << page.url << page.body;

  page = b.get(url("/account"));
  EXPECT_EQ(b.submit(page, "/account/provider/unlink", {{"link", button(page, "link")}}).location(),
            "/account?success=provider_unlinked");
  EXPECT_EQ(events(alice.did).front(), "provider_unlinked Example ID");
  expect_notice(k_alice, "Example ID unlinked");
  Browser late(w);
  page = land(late, by_provider(late, late.get(url("/account/login"))));
  EXPECT_FALSE(page.shows(alice.did));
  EXPECT_FALSE(signed_in(late));
}

TEST_F(Methods, AProviderUnlinkedOverTheRoutesIsRecordedAndToldAndTheLastWayInStays) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  enter(b, k_alice);
  link_provider(b);
  json_sign_in(b, k_alice);
  const auto linked = b.get(url("/api/auth/list-accounts")).json();
  ASSERT_TRUE(linked.array() && linked.array()->size() == 1);
  const std::string id = *linked.array()->at(0).string_at("id");
  forget_confirmation(alice.did);
  EXPECT_EQ(json_post(b, "/unlink-account", {{"accountId", id}}).text("code"),
            "FAILED_TO_UNLINK_LAST_ACCOUNT");
  EXPECT_EQ(links(), 1);
  EXPECT_EQ(events(alice.did).front(), "provider_linked Example ID") << "what did not happen is not recorded";
  SoftAuthenticator a = authenticator();
  add_passkey(b, a, "Key");
  json_sign_in(b, k_alice);
  EXPECT_EQ(json_post(b, "/unlink-account", {{"accountId", id}}).status, 200);
  EXPECT_EQ(links(), 0);
  EXPECT_EQ(events(alice.did).front(), "provider_unlinked Example ID");
  expect_notice(k_alice, "Example ID unlinked");
}

TEST_F(Methods, AttackTheft_AnIdentityOfOneAccountIsNotLinkedToAnother) {
  account(k_alice);
  account(k_bob);
  Browser b(w), bobs(w);
  enter(b, k_alice);
  enter(bobs, k_bob);
  link_provider(b);
  const Page page = link_provider(bobs);
  EXPECT_TRUE(page.shows("It belongs to another account here.")) << page.url;
  EXPECT_EQ(links(), 1);
}

TEST_F(Methods, AttackCsrf_ALinkBegunInOneBrowserDoesNotEndInAnother) {
  account(k_alice);
  account(k_mallory);
  Browser victim(w), mallory(w);
  enter(victim, k_alice);
  enter(mallory, k_mallory);
  victim.submit(victim.get(url("/account")), "/account/passkey/add");  // has a session of /api/auth
  const Page begun =
      mallory.submit(mallory.get(url("/account")), "/account/provider/link", {{"provider", "oidc"}});
  land(victim, say_yes(victim, begun));
  EXPECT_EQ(links(), 0);
}

TEST_F(Methods, AnUnknownProviderOrOneThatIsDownLinksNothing) {
  account(k_alice);
  Browser b(w);
  const Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/provider/link", {{"provider", "nobody"}}).location(),
            "/account?error=link_failed");
  EXPECT_EQ(b.submit(page, "/account/provider/link").location(), "/account?error=link_failed");
  net.broken["https://oidc.test/.well-known/openid-configuration"] = FetchError::Kind::unreachable;
  EXPECT_EQ(b.submit(page, "/account/provider/link", {{"provider", "oidc"}}).location(),
            "/account?error=link_failed");
}

// --- The main password

TEST_F(Methods, APasswordIsSetUsedAndRemoved) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  Page page = enter(b, k_alice);
  EXPECT_EQ(create_session(alice.did, "").status, 401);
  EXPECT_EQ(b.submit(page, "/account/password", {{"password", "1234567"}}).location(),
            "/account?error=invalid_password");
  EXPECT_EQ(b.submit(page, "/account/password", {{"password", std::string(257, 'x')}}).location(),
            "/account?error=invalid_password");
  EXPECT_EQ(b.submit(page, "/account/password", {{"password", "correct horse"}}).location(),
            "/account?success=password_set");
  EXPECT_EQ(create_session(alice.did, "correct horse").status, 200);
  EXPECT_EQ(events(alice.did).front(), "password_set");
  expect_notice(k_alice, "Password set", {"correct horse"});
  page = b.get(url("/account"));
  EXPECT_FALSE(page.shows("correct horse"));
  EXPECT_EQ(b.submit(page, "/account/password/remove").location(), "/account?success=password_removed");
  EXPECT_EQ(create_session(alice.did, "correct horse").status, 401);
  EXPECT_EQ(events(alice.did).front(), "password_removed");
  expect_notice(k_alice, "Password removed");
  EXPECT_EQ(act(b, page, "/account/password/remove").location(), "/account?success=nothing");
}

TEST_F(Methods, AttackForgottenSession_ANewPasswordEndsEverySessionButThisOne) {
  const Tokens alice = account(k_alice), bob = account(k_bob);
  Browser b(w), phone(w);
  phone.submit(enter(phone, k_alice), "/account/passkey/add");
  ASSERT_TRUE(has_json_session(phone));
  const Page page = enter(b, k_alice);
  b.submit(page, "/account/password", {{"password", "correct horse"}});
  EXPECT_TRUE(signed_in(b));
  EXPECT_FALSE(signed_in(phone));
  EXPECT_FALSE(has_json_session(phone));
  EXPECT_FALSE(works(alice)) << "an app's tokens";
  EXPECT_TRUE(works(bob));
  const auto refresh = [&](const Page& session) {
    return refresh_session(session.text("refreshJwt")).status;
  };
  const Page kept = create_session(alice.did, "correct horse");
  EXPECT_EQ(refresh(create_session(alice.did, "correct horse")), 200);
  b.submit(b.get(url("/account")), "/account/password", {{"password", "battery staple"}});
  EXPECT_NE(refresh(kept), 200);
}

// --- App passwords

TEST_F(Methods, AnAppPasswordIsShownOnceAndRevoked) {
  const Tokens alice = account(k_alice);
  Browser b(w);
  Page page = enter(b, k_alice);
  EXPECT_EQ(b.submit(page, "/account/app-password/add", {{"name", ""}}).location(),
            "/account?error=app_password_refused");
  const Page made = b.submit(page, "/account/app-password/add", {{"name", "Old <app>"}});
  EXPECT_EQ(made.status, 200);
  std::string password;
  for (std::size_t i = 0; i + 19 <= made.body.size() && password.empty(); ++i) {
    const std::string_view here = std::string_view(made.body).substr(i, 19);
    bool fits = true;
    for (std::size_t k = 0; k < 19; ++k)
      fits = fits && (k % 5 == 4 ? here[k] == '-'
                                 : (here[k] >= 'a' && here[k] <= 'z') || (here[k] >= '2' && here[k] <= '7'));
    if (fits) password = here;
  }
  ASSERT_FALSE(password.empty()) << made.body;
  EXPECT_FALSE(b.get(url("/account")).shows(password)) << "once";
  EXPECT_TRUE(b.get(url("/account")).shows("Old &lt;app&gt;"));
  EXPECT_EQ(events(alice.did).front(), "app_password_created Old <app>");
  expect_notice(k_alice, "App password", {password});
  EXPECT_EQ(create_session(alice.did, password).status, 200);
  EXPECT_EQ(b.submit(page, "/account/app-password/add", {{"name", "Old <app>"}}).location(),
            "/account?error=app_password_refused")
      << "the name is taken";
  page = b.get(url("/account"));
  EXPECT_EQ(act(b, page, "/account/app-password/revoke", {{"name", "other"}}).location(),
            "/account?success=nothing");
  w.clock.advance(5min);
  EXPECT_EQ(act(b, page, "/account/app-password/revoke", {{"name", "Old <app>"}}).location(),
            "/account?success=app_password_revoked")
      << "ending something takes no new proof";
  EXPECT_EQ(create_session(alice.did, password).status, 401);
  EXPECT_EQ(events(alice.did).front(), "app_password_revoked Old <app>");
}

}  // namespace
}  // namespace latchkey::dev::world

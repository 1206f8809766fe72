// Which method asks for which permission, and that it does.
#include "pds/method_permissions.h"

#include "pds/methods.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using Kind = MethodPermission::Kind;

oauth::Permissions granted(std::string_view scope) {
  return oauth::Permissions::of(oauth::ScopeSet::parse(scope).value());
}

struct Asked {
  std::string nsid;
  Kind kind;
  std::string scope;  // that would do
  std::string why;
};
void PrintTo(const Asked& row, std::ostream* out) { *out << row.nsid << "  (" << row.why << ")"; }

class MethodPermissions : public ::testing::TestWithParam<Asked> {};

TEST_P(MethodPermissions, AskForTheScopeTheyName) {
  const auto& row = GetParam();
  const auto* needed = permission_of(row.nsid);
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->kind, row.kind);
  const auto without = check_permission(*needed, granted("atproto transition:generic transition:chat.bsky"));
  if (row.kind == Kind::refused) {
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().code, xrpc::Error::Forbidden);
    EXPECT_EQ(without.error().status(), 403);
    EXPECT_FALSE(check_permission(*needed, granted("atproto account:email?action=manage identity:* "
                                                   "account:repo?action=manage repo:* blob:*/*")));
  } else if (!row.scope.empty()) {
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().code, xrpc::Error::ScopeMissingError);
    EXPECT_EQ(without.error().status(), 403);
    EXPECT_EQ(without.error().message, "Missing required scope \"" + row.scope + "\"");
    EXPECT_TRUE(check_permission(*needed, granted("atproto " + row.scope)));
  } else {
    EXPECT_TRUE(check_permission(*needed, granted("atproto")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, MethodPermissions,
    ::testing::Values(
        Asked{"com.atproto.server.getSession", Kind::none, "", "every session; the e-mail fields ask more"},
        Asked{"com.atproto.server.checkAccountStatus", Kind::none, "", "session or OAuth"},
        Asked{"com.atproto.identity.getRecommendedDidCredentials", Kind::none, "", "session or OAuth"},
        Asked{"com.atproto.repo.listMissingBlobs", Kind::none, "", "session or OAuth"},
        Asked{"com.atproto.sync.getRepo", Kind::none, "", "public"},
        Asked{"com.atproto.server.createAppPassword", Kind::refused, "", "a password outlives the app"},
        Asked{"com.atproto.server.listAppPasswords", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.revokeAppPassword", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.getAccountInviteCodes", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.requestEmailUpdate", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.updateEmail", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.requestAccountDelete", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.activateAccount", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.server.deactivateAccount", Kind::refused, "", "for the account itself"},
        Asked{"com.atproto.admin.deleteAccount", Kind::refused, "", "for the operator"},
        Asked{"com.atproto.server.createInviteCode", Kind::refused, "", "for the operator"},
        Asked{"com.atproto.server.refreshSession", Kind::refused, "", "for a refresh token"},
        Asked{"com.atproto.server.requestEmailConfirmation", Kind::account, "account:email?action=manage",
              "account management"},
        Asked{"com.atproto.server.confirmEmail", Kind::account, "account:email?action=manage",
              "account management"},
        Asked{"com.atproto.repo.importRepo", Kind::account, "account:repo?action=manage",
              "the whole repository"},
        Asked{"com.atproto.identity.updateHandle", Kind::identity, "identity:handle", "the handle"},
        Asked{"com.atproto.identity.requestPlcOperationSignature", Kind::identity, "identity:*",
              "the DID document"},
        Asked{"com.atproto.identity.signPlcOperation", Kind::identity, "identity:*", "the DID document"},
        Asked{"com.atproto.identity.submitPlcOperation", Kind::identity, "identity:*", "the DID document"},
        Asked{"com.atproto.repo.createRecord", Kind::repo, "", "asked for each write"},
        Asked{"com.atproto.repo.uploadBlob", Kind::blob, "", "asked for the type"},
        Asked{"com.atproto.server.getServiceAuth", Kind::rpc, "", "asked for method and audience"},
        Asked{"com.atproto.moderation.createReport", Kind::rpc, "", "passed on"},
        Asked{"app.bsky.actor.getPreferences", Kind::rpc, "", "as if passed on"}));

TEST(MethodPermissions, KnowNothingOfOtherMethods) {
  EXPECT_FALSE(permission_of("app.example.getFeed"));
  EXPECT_FALSE(permission_of(""));
  EXPECT_FALSE(permission_of("com.atproto.server.createapppassword"));  // another case is another method
}

TEST(MethodPermissions, TheHandleScopeIsNotTheDidDocument) {
  const auto& sign = *permission_of("com.atproto.identity.signPlcOperation");
  EXPECT_FALSE(check_permission(sign, granted("atproto identity:handle")));
  const auto& confirm = *permission_of("com.atproto.server.confirmEmail");
  EXPECT_FALSE(check_permission(confirm, granted("atproto account:email transition:email")));
}

// The routes ask the table before the handler runs, whatever the handler does.
TEST(MethodPermissions, AreAskedForBeforeTheHandlerRuns) {
  static constexpr Method k_served[] = {
      {"com.atproto.server.createAppPassword", Verb::query, Access::session, Input::none, 0, get_session},
      {"com.atproto.server.confirmEmail", Verb::query, Access::session, Input::none, 0, get_session},
      {"com.atproto.identity.updateHandle", Verb::query, Access::optional, Input::none, 0, get_session},
      {"com.example.notInTheTable", Verb::query, Access::session, Input::none, 0, get_session}};
  World w;
  const auto alice = w.sign_up("alice");
  add_methods(w.process.router = web::Router(), w.pds(), k_served);
  const auto call = [&](const std::string& nsid, const std::string& auth) {
    return w.get("/xrpc/" + nsid, auth);
  };

  const std::string everything =
      "atproto transition:generic transition:chat.bsky account:email account:repo?action=manage repo:*";
  const auto refused =
      call("com.atproto.server.createAppPassword", w.app_of(alice, everything + " identity:*"));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.error(), "Forbidden");
  EXPECT_EQ(refused.message(), "OAuth credentials are not supported for this endpoint");

  const auto email = call("com.atproto.server.confirmEmail", w.app_of(alice, everything));
  EXPECT_EQ(email.status, 403);
  EXPECT_EQ(email.error(), "ScopeMissingError");
  EXPECT_EQ(email.message(), "Missing required scope \"account:email?action=manage\"");
  EXPECT_EQ(
      call("com.atproto.server.confirmEmail", w.app_of(alice, "atproto account:email?action=manage")).status,
      200);

  EXPECT_EQ(call("com.atproto.identity.updateHandle", w.app_of(alice, everything)).message(),
            "Missing required scope \"identity:handle\"");
  EXPECT_EQ(call("com.atproto.identity.updateHandle", w.app_of(alice, "atproto identity:*")).status, 200);

  // Without a line in the table a method is closed.
  EXPECT_EQ(call("com.example.notInTheTable", w.app_of(alice, everything)).status, 500);
  EXPECT_EQ(call("com.example.notInTheTable", alice.access).status, 500);

  // The account's own session is not asked for scopes.
  for (const auto& method : k_served)
    if (permission_of(method.nsid))
      EXPECT_EQ(call(std::string(method.nsid), alice.access).status, 200) << method.nsid;
}

// What an app sends that has signed in and was granted nothing more.
TEST(MethodPermissions, AreAskedForByEveryServedMethod) {
  World w;
  const auto alice = w.sign_up("alice");
  const auto app = w.app_of(alice, "atproto");
  const json::Object record{{"repo", alice.did.str()},
                            {"collection", "com.example.note"},
                            {"rkey", "a"},
                            {"record", json::Object{}}};
  const std::map<std::string, json::Object> bodies{
      {"com.atproto.repo.createRecord", record},
      {"com.atproto.repo.putRecord", record},
      {"com.atproto.repo.deleteRecord", record},
      {"com.atproto.repo.applyWrites",
       {{"repo", alice.did.str()},
        {"writes", json::Array{json::Object{{"$type", "com.atproto.repo.applyWrites#create"},
                                            {"collection", "com.example.note"},
                                            {"value", json::Object{}}}}}}}};
  const std::map<std::string, std::string> queries{
      {"com.atproto.server.getServiceAuth", "?aud=did:web:x.test%23svc&lxm=com.example.getIt"}};

  for (const auto& method : methods()) {
    const std::string nsid(method.nsid);
    const auto* needed = permission_of(nsid);
    ASSERT_TRUE(needed) << nsid << " has no line in the table";
    const bool takes_account = method.access != Access::none && method.access != Access::refresh &&
                               method.access != Access::refresh_expired && method.access != Access::admin;
    if (!takes_account) {
      EXPECT_TRUE(needed->kind == Kind::none || needed->kind == Kind::refused) << nsid;
      continue;
    }
    const auto body = bodies.find(nsid);
    const auto query = queries.find(nsid);
    const auto got = method.verb == Verb::query
                         ? w.get("/xrpc/" + nsid + (query == queries.end() ? "" : query->second), app)
                         : w.post(nsid, body == bodies.end() ? json::Object() : body->second, app);
    switch (needed->kind) {
      case Kind::none:
        EXPECT_NE(got.status, 403) << nsid << got.text;
        break;
      case Kind::refused:
        EXPECT_EQ(got.error(), "Forbidden") << nsid << got.text;
        break;
      default:
        EXPECT_EQ(got.status, 403) << nsid << got.text;
        EXPECT_EQ(got.error(), "ScopeMissingError") << nsid << got.text;
        EXPECT_TRUE(got.message().starts_with("Missing required scope \"")) << nsid << got.text;
    }
  }
}

TEST(ProtectedMethods, AreMatchedInAnyCase) {
  EXPECT_TRUE(is_protected_method("com.atproto.server.createAppPassword"));
  EXPECT_TRUE(is_protected_method("com.atproto.server.getSession"));
  EXPECT_TRUE(is_protected_method("COM.atproto.Identity.SignPlcOperation"));
  EXPECT_FALSE(is_protected_method("com.atproto.server.createAccount"));
  EXPECT_FALSE(is_protected_method("com.atproto.repo.uploadBlob"));
  EXPECT_FALSE(is_protected_method(""));
}

// ---- granular scopes at the resource routes --------------------------------------------------------------

struct Granular : ::testing::Test {
  Granular() : alice(w.sign_up("alice")) {}
  Answered write(const std::string& method, const std::string& scope,
                 const std::string& collection = "com.example.note", const std::string& rkey = "a") {
    return w.post("com.atproto.repo." + method,
                  json::Object{{"repo", alice.did.str()},
                               {"collection", collection},
                               {"rkey", rkey},
                               {"record", json::Object{{"n", 1}}}},
                  w.app_of(alice, scope));
  }
  static json::Value op(const std::string& action, const std::string& rkey,
                        const std::string& collection = "com.example.note") {
    json::Object out{
        {"$type", "com.atproto.repo.applyWrites#" + action}, {"collection", collection}, {"rkey", rkey}};
    if (action != "delete") out.append("value", json::Object{{"n", 2}});
    return out;
  }
  Answered apply(const std::string& scope, json::Array ops) {
    return w.post("com.atproto.repo.applyWrites",
                  json::Object{{"repo", alice.did.str()}, {"writes", std::move(ops)}},
                  w.app_of(alice, scope));
  }
  std::size_t records(const std::string& collection = "com.example.note") {
    const auto got =
        w.get("/xrpc/com.atproto.repo.listRecords?repo=" + alice.did.str() + "&collection=" + collection);
    return got.body.find("records")->array()->size();
  }
  World w;
  SignedIn alice;
};

TEST_F(Granular, EachActionNeedsItsOwn) {
  EXPECT_EQ(write("createRecord", "atproto repo:com.example.note?action=create").status, 200);
  const auto remove = write("deleteRecord", "atproto repo:com.example.note?action=create&action=update");
  EXPECT_EQ(remove.status, 403);
  EXPECT_EQ(remove.message(), "Missing required scope \"repo:com.example.note?action=delete\"");
  EXPECT_EQ(records(), 1u);
  EXPECT_EQ(write("deleteRecord", "atproto repo:*?action=delete").status, 200);
  EXPECT_EQ(records(), 0u);
  const auto create = write("createRecord", "atproto repo:*?action=delete");
  EXPECT_EQ(create.message(), "Missing required scope \"repo:com.example.note?action=create\"");
}

TEST_F(Granular, PutNeedsCreateAndUpdate) {
  for (const std::string action : {"create", "update"}) {
    const auto got = write("putRecord", "atproto repo:com.example.note?action=" + action);
    EXPECT_EQ(got.status, 403) << action;
    EXPECT_EQ(got.message(), std::string("Missing required scope \"repo:com.example.note?action=") +
                                 (action == "create" ? "update" : "create") + "\"");
  }
  EXPECT_EQ(records(), 0u);
  EXPECT_EQ(write("putRecord", "atproto repo:com.example.note?action=create&action=update").status, 200);
}

TEST_F(Granular, ApplyWritesNeedsEachActionAndDoesAllOrNothing) {
  EXPECT_EQ(write("createRecord", "atproto repo:*").status, 200);
  const json::Array ops{op("create", "b"), op("update", "a"), op("delete", "a")};
  for (const auto& [scope, missing] : {std::pair{"?action=create&action=update", "delete"},
                                       std::pair{"?action=create&action=delete", "update"},
                                       std::pair{"?action=update&action=delete", "create"}}) {
    const auto got = apply("atproto repo:com.example.note" + std::string(scope), ops);
    EXPECT_EQ(got.status, 403);
    EXPECT_EQ(got.message(),
              "Missing required scope \"repo:com.example.note?action=" + std::string(missing) + "\"");
    EXPECT_EQ(records(), 1u);
  }
  EXPECT_EQ(apply("atproto repo:com.example.note", ops).status, 200);
}

TEST_F(Granular, ScopesAddUp) {
  EXPECT_EQ(write("putRecord", "atproto repo:com.example.note?action=create repo:*?action=update").status,
            200);
}

TEST_F(Granular, EmailIsReadWithItsScope) {
  const auto email = [&](const std::string& scope) {
    const auto got = w.get("/xrpc/com.atproto.server.getSession", w.app_of(alice, scope));
    EXPECT_EQ(got.status, 200) << got.text;
    EXPECT_EQ(got.body.find("email") != nullptr, got.body.find("emailConfirmed") != nullptr);
    return got.text_at("email");
  };
  for (const auto* scope :
       {"atproto account:email", "atproto account:email?action=manage", "atproto transition:email"})
    EXPECT_EQ(email(scope), "alice@mail.test") << scope;
  for (const auto* scope : {"atproto", "atproto transition:generic", "atproto account:repo?action=manage",
                            "atproto identity:*", "atproto account:Email"})
    EXPECT_EQ(email(scope), "") << scope;
}

TEST_F(Granular, AttackScopes_AnotherCollectionIsNotWritten) {
  for (const auto* scope :
       {"atproto repo:com.example.note", "atproto repo:com.example.Like", "atproto repo:com.example.like.x",
        "atproto repo:com.example", "atproto repo:com.example.*", "atproto repo:com.example.like?rkey=a",
        "atproto include:com.example.authFull", "atproto blob:*/* account:repo?action=manage identity:*",
        "atproto rpc:*?aud=did:web:pds.test%23atproto_pds", "atproto rpc:*?aud=*"})
    EXPECT_EQ(write("createRecord", scope, "com.example.like").error(), "ScopeMissingError") << scope;
  EXPECT_EQ(records("com.example.like"), 0u);
}

TEST_F(Granular, AttackScopes_OneForeignCollectionSpoilsTheBatch) {
  const auto got =
      apply("atproto repo:com.example.note", {op("create", "a"), op("create", "b", "com.example.like")});
  EXPECT_EQ(got.message(), "Missing required scope \"repo:com.example.like?action=create\"");
  EXPECT_EQ(records(), 0u);
}

TEST_F(Granular, AttackScopes_AnotherCaseOfTheCollectionIsAnotherCollection) {
  const auto got = write("createRecord", "atproto repo:com.example.note", "com.example.Note");
  EXPECT_EQ(got.error(), "ScopeMissingError");
  EXPECT_EQ(got.message(), "Missing required scope \"repo:com.example.Note?action=create\"");
}

TEST_F(Granular, AttackScopes_WritesAreForTheOwnRepository) {
  const auto bob = w.sign_up("bob");
  const auto got = w.post(
      "com.atproto.repo.createRecord",
      json::Object{{"repo", bob.did.str()}, {"collection", "com.example.note"}, {"record", json::Object{}}},
      w.app_of(alice, "atproto repo:*"));
  EXPECT_EQ(got.status, 401);
}

}  // namespace
}  // namespace latchkey::pds

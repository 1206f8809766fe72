#include "oauth/scopes/permissions.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace latchkey::oauth {
namespace {

ScopeSet set(std::string_view text) { return ScopeSet::parse(text).value(); }
Permissions permissions(std::string_view text) { return Permissions::of(set(text)); }

struct Spelling {
  std::string token, canonical;
  std::string why;
};
void PrintTo(const Spelling& row, std::ostream* out) { *out << row.token << "  (" << row.why << ")"; }

class PermissionSpelling : public ::testing::TestWithParam<Spelling> {};

TEST_P(PermissionSpelling, IsReadAndWrittenInOneWay) {
  const auto& row = GetParam();
  const auto permission = parse_permission(row.token);
  ASSERT_TRUE(permission);
  EXPECT_EQ(str(*permission), row.canonical);
  EXPECT_EQ(parse_permission(row.canonical), permission);  // the canonical form means the same
  EXPECT_TRUE(is_known_scope(row.token));
}

INSTANTIATE_TEST_SUITE_P(
    Spec, PermissionSpelling,
    ::testing::Values(
        // https://atproto.com/specs/permission, its examples
        Spelling{"repo:app.example.profile", "repo:app.example.profile", "every action on one collection"},
        Spelling{"repo:app.example.profile?action=create&action=update&action=delete",
                 "repo:app.example.profile", "every action, spelled out"},
        Spelling{"repo?collection=app.example.profile&collection=app.example.post",
                 "repo?collection=app.example.post&collection=app.example.profile", "lists are sorted"},
        Spelling{"repo:*", "repo:*", "every collection"},
        Spelling{"repo:*?action=delete", "repo:*?action=delete", "one action"},
        Spelling{"rpc:app.example.moderation.createReport?aud=*",
                 "rpc:app.example.moderation.createReport?aud=*", "one method of every service"},
        Spelling{"rpc?lxm=*&aud=did:web:api.example.com%23svc_appview",
                 "rpc:*?aud=did:web:api.example.com%23svc_appview", "every method of one service"},
        Spelling{"blob:*/*", "blob:*/*", "every type"},
        Spelling{"blob?accept=video/*&accept=text/html", "blob?accept=text/html&accept=video/*", "two types"},
        Spelling{"account:email", "account:email", "reading is the default"},
        Spelling{"account:repo?action=manage", "account:repo?action=manage", "managing"},
        Spelling{"account?action=manage&attr=repo", "account:repo?action=manage", "attr by its name"},
        Spelling{"identity:handle", "identity:handle", "the handle"},
        Spelling{"identity:*", "identity:*", "handle and DID document"},
        Spelling{"identity:*?", "identity:*", "a question mark and no parameters"},
        Spelling{"include:app.example.authFull?aud=did:web:api.example.com%23svc_chat",
                 "include:app.example.authFull?aud=did:web:api.example.com%23svc_chat",
                 "a set for a service"},
        Spelling{"include:com.example.authBasicFeatures", "include:com.example.authBasicFeatures", "a set"},
        // what else the syntax allows
        Spelling{"repo?collection=app.example.post", "repo:app.example.post", "one value is positional"},
        Spelling{"repo?collection=*&collection=app.example.post", "repo:*", "\"*\" says it all"},
        Spelling{"repo?collection=a.b.c&collection=a.b.c", "repo:a.b.c", "each value once"},
        Spelling{"repo:a.b.c?action=delete&action=create&action=create",
                 "repo:a.b.c?action=create&action=delete", "actions in their order, each once"},
        Spelling{"repo:a.b.C", "repo:a.b.C", "the case stays"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test#svc", "rpc:a.b.c?aud=did:web:x.test%23svc",
                 "'#' needs no escape to be read"},
        Spelling{"rpc:a.b.c?aud=did%3Aweb%3Ax.test%23svc", "rpc:a.b.c?aud=did:web:x.test%23svc",
                 "escapes that need not be"},
        Spelling{"rpc:a.b.c?&aud=*", "rpc:a.b.c?aud=*", "an empty parameter is none"},
        Spelling{"rpc:a.b.c?aud=did:web:localhost%253A2583%23svc",
                 "rpc:a.b.c?aud=did:web:localhost%253A2583%23svc",
                 "a DID's own escape survives, decoded once"},
        Spelling{"rpc?aud=*&lxm=a.b.d&lxm=a.b.c", "rpc?lxm=a.b.c&lxm=a.b.d&aud=*",
                 "parameters in their order"},
        Spelling{"rpc?lxm=*&lxm=a.b.c&aud=did:plc:ewvi7nxzyoun6zhxrhs64oiz%23s",
                 "rpc:*?aud=did:plc:ewvi7nxzyoun6zhxrhs64oiz%23s", "\"*\" says it all"},
        Spelling{"repo:%2A", "repo:*", "an escaped star is a star, to whoever reads it"},
        Spelling{"repo?%63ollection=a.b.c", "repo:a.b.c", "names may be escaped too"},
        Spelling{"blob:image/PNG", "blob:image/png", "media types have no case"},
        Spelling{"blob?accept=image/png&accept=image/*&accept=video/mp4",
                 "blob?accept=image/*&accept=video/mp4", "image/* holds image/png"},
        Spelling{"blob?accept=image/png&accept=*/*", "blob:*/*", "*/* holds everything"},
        Spelling{"blob:image/svg+xml", "blob:image/svg+xml", "'+' is a plus"},
        Spelling{"blob?accept=image/svg+xml&accept=text/css", "blob?accept=image/svg%2Bxml&accept=text/css",
                 "escaped where some read '+' as a space"},
        Spelling{"include?nsid=a.b.c", "include:a.b.c", "nsid by its name"}));

class NoPermission : public ::testing::TestWithParam<Spelling> {};

TEST_P(NoPermission, IsUnknown) {
  EXPECT_FALSE(parse_permission(GetParam().token));
  EXPECT_FALSE(is_known_scope(GetParam().token));
}

INSTANTIATE_TEST_SUITE_P(
    Spec, NoPermission,
    ::testing::Values(
        // the specification's examples of good syntax without a meaning
        Spelling{"resource", "", "unknown resource"}, Spelling{"resource:positional?key=val", "", "the same"},
        Spelling{"resource:positional&thing?key=val", "", "the same"},
        Spelling{"service:did:web:com.example#type?key=val", "", "the same"},
        Spelling{"resource:", "", "the same"}, Spelling{"resource:?", "", "the same"},
        Spelling{"resource:&", "", "the same"}, Spelling{"resource?", "", "the same"},
        // its examples of bad syntax
        Spelling{"resource:positional?key=qu\xc3\xa9"
                 "bec",
                 "", "not ASCII"},
        Spelling{"emoji:\xe2\x98\xba\xef\xb8\x8f", "", "not ASCII"},
        // resources
        Spelling{"", "", "nothing"}, Spelling{"Repo:a.b.c", "", "the case of a resource"},
        Spelling{"repo", "", "a collection is required"}, Spelling{"repo:", "", "an empty value"},
        Spelling{"repos:a.b.c", "", "unknown resource"}, Spelling{"space:a.b.c", "", "unknown resource"},
        Spelling{"transition:other", "", "unknown transition"},
        Spelling{"transition:generic?x=y", "", "the transition scopes have no parameters"},
        // repo
        Spelling{"repo:a.b.*", "", "partial wildcards are not supported"},
        Spelling{"repo:**", "", "no such wildcard"}, Spelling{"repo:a.b", "", "not an NSID"},
        Spelling{"repo:a.b.c?action=Create", "", "the case of a value"},
        Spelling{"repo:a.b.c?action=read", "", "unknown action"},
        Spelling{"repo:a.b.c?action=*", "", "no wildcard for actions"},
        Spelling{"repo:a.b.c?action=", "", "an empty value"},
        Spelling{"repo:a.b.c?action", "", "a parameter without a value"},
        Spelling{"repo:a.b.c?action=create,update", "", "lists repeat the name"},
        Spelling{"repo:a.b.c?collection=a.b.d", "", "positional and named"},
        Spelling{"repo:a.b.c?collection=a.b.c", "", "positional and named, also when equal"},
        Spelling{"repo:a.b.c?Action=create", "", "the case of a name"},
        Spelling{"repo:a.b.c?rkey=self", "", "unknown parameter: it might have narrowed"},
        Spelling{"repo?collection=a.b.c&collection=d", "", "one bad value"},
        Spelling{"repo:a.b.c:action=create", "", "a colon belongs to the value"},
        Spelling{"repo:a.b.c&action=create", "", "parameters begin with '?'"},
        Spelling{"repo:a.b.c%3Faction=create", "", "an escaped '?' belongs to the value"},
        Spelling{"repo:a.b.c?action%3Dcreate", "", "an escaped '=' belongs to the name"},
        Spelling{"repo:a.b.c?action=create%26action=delete", "", "an escaped '&' belongs to the value"},
        Spelling{"repo:a.b.c%", "", "a broken escape"},
        Spelling{"repo:a.b.c?action=create%2", "", "the same"},
        Spelling{"repo:a.b.c?action%zz=create", "", "the same"},
        Spelling{"repo:a.b.c%00", "", "a hidden NUL"}, Spelling{"repo:%252A", "", "escapes are read once"},
        Spelling{"%72epo:a.b.c", "", "the resource is not escaped"},
        Spelling{"repo%3Aa.b.c", "", "an escaped ':' does not end the resource"},
        // rpc
        Spelling{"rpc:a.b.c", "", "aud is required"}, Spelling{"rpc?aud=*", "", "lxm is required"},
        Spelling{"rpc:*?aud=*", "", "not both"}, Spelling{"rpc?lxm=a.b.c&lxm=*&aud=*", "", "not both"},
        Spelling{"rpc:a.*?aud=did:web:x.test%23s", "", "partial wildcards are not supported"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test", "", "a service type is required"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test%23", "", "an empty service type"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test%23*", "", "no wildcard for services"},
        Spelling{"rpc:a.b.c?aud=did:web:*%23s", "", "no wildcard for hosts"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test%23s%23t", "", "two fragments"},
        Spelling{"rpc:a.b.c?aud=%23s", "", "no DID"}, Spelling{"rpc:a.b.c?aud=x.test%23s", "", "no DID"},
        Spelling{"rpc:a.b.c?aud=did:key:zabc%23s", "", "no DID of this network"},
        Spelling{"rpc:a.b.c?aud=*&aud=*", "", "one audience"},
        Spelling{"rpc:a.b.c?aud=did:web:x.test%23s&inheritAud=true", "", "only inside permission sets"},
        // blob
        Spelling{"blob", "", "accept is required"}, Spelling{"blob:*", "", "a stand-alone wildcard"},
        Spelling{"blob:image", "", "no media type"}, Spelling{"blob:*/png", "", "no such wildcard"},
        Spelling{"blob:image/p*", "", "partial wildcards are not supported"},
        Spelling{"blob:image/png/x", "", "no media type"}, Spelling{"blob:image/", "", "no media type"},
        Spelling{"blob:text/plain;charset=utf-8", "", "a type has no parameters here"},
        Spelling{"blob:image/png?maxSize=5", "", "unknown parameter"},
        // account, identity, include
        Spelling{"account:*", "", "no wildcard for accounts"}, Spelling{"account:status", "", "unknown attr"},
        Spelling{"account:email?action=write", "", "unknown action"},
        Spelling{"account:email?action=read&action=manage", "", "one action"},
        Spelling{"account?attr=email&attr=repo", "", "one attr"},
        Spelling{"account?action=manage", "", "attr is required"},
        Spelling{"identity", "", "attr is required"}, Spelling{"identity:did", "", "unknown attr"},
        Spelling{"identity:handle?attr=*", "", "positional and named"},
        Spelling{"identity:handle?action=manage", "", "unknown parameter"},
        Spelling{"include:*", "", "no wildcard for sets"}, Spelling{"include:a.b.*", "", "the same"},
        Spelling{"include:a.b.c?aud=*", "", "a set is for one service"},
        Spelling{"include:a.b.c?aud=did:web:x.test", "", "a service type is required"},
        Spelling{"include?nsid=a.b.c&nsid=a.b.d", "", "one set"},
        Spelling{"include:a.b.c?lxm=a.b.d", "", "unknown parameter"}));

TEST(Permission, HasItsPartsAsValues) {
  EXPECT_EQ(RepoPermission::parse("repo?collection=a.b.d&collection=a.b.c&action=update").value(),
            (RepoPermission{.collections = {"a.b.c", "a.b.d"}, .actions = {.update = true}}));
  EXPECT_EQ(RpcPermission::parse("rpc:a.b.c?aud=did:web:x.test%23s").value(),
            (RpcPermission{.lxm = {"a.b.c"}, .aud = "did:web:x.test#s"}));
  EXPECT_EQ(BlobPermission::parse("blob:video/*").value().accept, std::vector<std::string>{"video/*"});
  EXPECT_EQ(
      AccountPermission::parse("account:repo").value(),
      (AccountPermission{.attr = AccountPermission::Attr::repo, .action = AccountPermission::Action::read}));
  EXPECT_EQ(IdentityPermission::parse("identity:*").value().attr, IdentityPermission::Attr::everything);
  const auto include = IncludeScope::parse("include:a.b.c?aud=did:web:x.test%23s").value();
  EXPECT_EQ(include.nsid.str(), "a.b.c");
  EXPECT_EQ(include.aud, "did:web:x.test#s");
  EXPECT_FALSE(IncludeScope::parse("include:a.b.c").value().aud);
  EXPECT_FALSE(IncludeScope::parse("repo:a.b.c"));
  EXPECT_FALSE(RepoPermission::parse("rpc:a.b.c?aud=*"));
}

TEST(Permission, ErrorsSayWhatIsWrong) {
  EXPECT_EQ(RpcPermission::parse("rpc:a.b.c").error().detail, "rpc:a.b.c: aud is required");
}

TEST(Permission, TheLengthOfATokenIsBounded) {
  std::string token = "repo?collection=a.b.c";
  while (token.size() + 22 <= k_max_permission_bytes) token += "&collection=a.b.c";
  token.append(k_max_permission_bytes - token.size(), '&');
  EXPECT_TRUE(parse_permission(token));
  EXPECT_FALSE(parse_permission(token + "&"));
}

TEST(Permissions, OfRepositories) {
  const auto p = permissions("atproto repo:a.b.c repo?collection=a.b.d&collection=a.b.e&action=delete");
  EXPECT_TRUE(p.allows_repo("create", "a.b.c"));
  EXPECT_TRUE(p.allows_repo("update", "a.b.c"));
  EXPECT_TRUE(p.allows_repo("delete", "a.b.c"));
  EXPECT_TRUE(p.allows_repo("delete", "a.b.e"));
  EXPECT_FALSE(p.allows_repo("create", "a.b.e"));
  EXPECT_FALSE(p.allows_repo("create", "a.b.c.d"));  // not what is below
  EXPECT_FALSE(p.allows_repo("create", "a.b.C"));
  EXPECT_FALSE(p.allows_repo("CREATE", "a.b.c"));
  EXPECT_FALSE(p.allows_repo("", "a.b.c"));
  EXPECT_FALSE(permissions("atproto").allows_repo("create", "a.b.c"));
  EXPECT_TRUE(permissions("repo:*?action=update").allows_repo("update", "x.y.z"));
  EXPECT_FALSE(permissions("repo:*?action=update").allows_repo("create", "x.y.z"));
}

TEST(Permissions, OfMethodsElsewhere) {
  const auto p = permissions("rpc:a.b.c?aud=did:web:x.test%23s rpc:*?aud=did:web:y.test%23s rpc:a.b.d?aud=*");
  EXPECT_TRUE(p.allows_rpc("a.b.c", "did:web:x.test#s"));
  EXPECT_FALSE(p.allows_rpc("a.b.c", "did:web:x.test#t"));
  EXPECT_FALSE(p.allows_rpc("a.b.c", "did:web:x.test"));  // all services of the DID are more than one
  EXPECT_FALSE(p.allows_rpc("a.b.e", "did:web:x.test#s"));
  EXPECT_TRUE(p.allows_rpc("a.b.e", "did:web:y.test#s"));
  EXPECT_TRUE(p.allows_rpc("chat.bsky.convo.listConvos", "did:web:y.test#s"));  // named, so it is meant
  EXPECT_TRUE(p.allows_rpc("a.b.d", "did:web:anybody.test#s"));
  EXPECT_TRUE(p.allows_rpc("a.b.d", "did:web:anybody.test"));
  // A token for no particular method is good for every method.
  EXPECT_TRUE(p.allows_rpc("*", "did:web:y.test#s"));
  EXPECT_FALSE(p.allows_rpc("*", "did:web:x.test#s"));
}

TEST(Permissions, OfBlobs) {
  const auto p = permissions("blob?accept=image/*&accept=text/html");
  EXPECT_TRUE(p.allows_blob("image/png"));
  EXPECT_TRUE(p.allows_blob("IMAGE/PNG"));
  EXPECT_TRUE(p.allows_blob("text/html; charset=utf-8"));
  EXPECT_TRUE(p.allows_blob("text/html ;charset=utf-8"));
  EXPECT_FALSE(p.allows_blob("text/plain"));
  EXPECT_FALSE(p.allows_blob("text/htmlx"));
  EXPECT_FALSE(p.allows_blob("imagex/png"));
  EXPECT_FALSE(p.allows_blob("image"));
  EXPECT_FALSE(p.allows_blob(""));
  EXPECT_FALSE(p.allows_blob("text/plain;image/png"));
  EXPECT_TRUE(permissions("blob:*/*").allows_blob("video/mp4"));
  EXPECT_FALSE(permissions("atproto").allows_blob("video/mp4"));
}

TEST(Permissions, OfTheAccount) {
  EXPECT_TRUE(permissions("account:email").allows_account("email", "read"));
  EXPECT_FALSE(permissions("account:email").allows_account("email", "manage"));
  EXPECT_TRUE(permissions("account:email?action=manage").allows_account("email", "read"));
  EXPECT_TRUE(permissions("account:email?action=manage").allows_account("email", "manage"));
  EXPECT_FALSE(permissions("account:email?action=manage").allows_account("repo", "manage"));
  EXPECT_TRUE(permissions("account:repo?action=manage").allows_account("repo", "manage"));
  EXPECT_FALSE(permissions("account:email?action=manage").allows_account("email", "delete"));
}

TEST(Permissions, OfTheIdentity) {
  EXPECT_TRUE(permissions("identity:handle").allows_identity("handle"));
  EXPECT_FALSE(permissions("identity:handle").allows_identity("*"));
  EXPECT_TRUE(permissions("identity:*").allows_identity("handle"));
  EXPECT_TRUE(permissions("identity:*").allows_identity("*"));
  EXPECT_FALSE(permissions("atproto").allows_identity("handle"));
}

TEST(Permissions, OfTheTransition) {
  const auto generic = permissions("atproto transition:generic");
  EXPECT_TRUE(generic.allows_repo("delete", "x.y.z"));
  EXPECT_FALSE(generic.allows_repo("purge", "x.y.z"));
  EXPECT_TRUE(generic.allows_blob("video/mp4"));
  EXPECT_TRUE(generic.allows_rpc("app.bsky.actor.putPreferences", "did:web:api.bsky.app#bsky_appview"));
  EXPECT_TRUE(generic.allows_rpc("a.b.c", "did:web:x.test"));
  EXPECT_TRUE(generic.allows_rpc("*", "did:web:x.test"));  // docs/spec-issues.md#methodless-tokens
  EXPECT_FALSE(generic.allows_account("email", "read"));
  EXPECT_FALSE(generic.allows_account("repo", "manage"));
  EXPECT_FALSE(generic.allows_identity("handle"));

  EXPECT_TRUE(permissions("transition:email").allows_account("email", "read"));
  EXPECT_FALSE(permissions("transition:email").allows_account("email", "manage"));
  EXPECT_FALSE(permissions("transition:email").allows_account("repo", "read"));
}

TEST(Permissions, TheChatNeedsBothTransitionScopes) {
  for (const auto* method : {"chat.bsky.convo.sendMessage", "com.atproto.server.createAccount"}) {
    EXPECT_FALSE(permissions("transition:generic").allows_rpc(method, "did:web:api.bsky.chat#bsky_chat"));
    EXPECT_FALSE(permissions("transition:chat.bsky").allows_rpc(method, "did:web:api.bsky.chat#bsky_chat"));
    EXPECT_TRUE(permissions("transition:generic transition:chat.bsky")
                    .allows_rpc(method, "did:web:api.bsky.chat#bsky_chat"));
    EXPECT_TRUE(permissions("rpc:" + std::string(method) + "?aud=*").allows_rpc(method, "did:web:x.test#s"));
  }
  EXPECT_FALSE(permissions("transition:chat.bsky").allows_rpc("a.b.c", "did:web:x.test#s"));
  EXPECT_TRUE(permissions("transition:generic").allows_rpc("chat.bskyx.a", "did:web:x.test#s"));
}

TEST(Permissions, NameWhatIsMissing) {
  EXPECT_EQ(Permissions::missing_repo("create", "a.b.c"), "repo:a.b.c?action=create");
  EXPECT_EQ(Permissions::missing_rpc("a.b.c", "did:web:x.test#s"), "rpc:a.b.c?aud=did:web:x.test%23s");
  EXPECT_EQ(Permissions::missing_rpc("*", "did:web:x.test#s"), "rpc:*?aud=did:web:x.test%23s");
  EXPECT_EQ(Permissions::missing_rpc("a.b.c", "did:web:x.test"), "rpc:a.b.c?aud=*");  // no finer one would do
  EXPECT_EQ(Permissions::missing_rpc("*", "did:web:x.test"), "transition:generic");
  EXPECT_EQ(Permissions::missing_blob("image/png"), "blob:image/png");
  EXPECT_EQ(Permissions::missing_account("email", "read"), "account:email");
  EXPECT_EQ(Permissions::missing_account("email", "manage"), "account:email?action=manage");
  EXPECT_EQ(Permissions::missing_identity("*"), "identity:*");
  // What is named would do.
  EXPECT_TRUE(permissions(Permissions::missing_repo("create", "a.b.c")).allows_repo("create", "a.b.c"));
  EXPECT_TRUE(permissions(Permissions::missing_account("repo", "manage")).allows_account("repo", "manage"));
}

struct Cover {
  std::string have, asked;
  bool covered;
  std::string why;
};
void PrintTo(const Cover& row, std::ostream* out) {
  *out << row.have << " / " << row.asked << "  (" << row.why << ")";
}
class Covers : public ::testing::TestWithParam<Cover> {};

TEST_P(Covers, IsAboutMeaning) {
  EXPECT_EQ(covers(set(GetParam().have), set(GetParam().asked)), GetParam().covered);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Covers,
    ::testing::Values(
        Cover{"atproto", "atproto", true, "itself"},
        Cover{"atproto", "atproto repo:a.b.c", false, "something new"},
        Cover{"repo:*", "repo:a.b.c?action=create", true, "one of all"},
        Cover{"repo:a.b.c?action=create", "repo:a.b.c", false, "more actions"},
        Cover{"repo:a.b.c?action=create repo:a.b.c?action=update repo:a.b.c?action=delete", "repo:a.b.c",
              true, "together they are all"},
        Cover{"repo:a.b.c repo:a.b.d", "repo?collection=a.b.c&collection=a.b.d", true, "together"},
        Cover{"repo:a.b.c", "repo?collection=a.b.c&collection=a.b.d", false, "one more"},
        Cover{"repo:a.b.c", "repo:*", false, "all are more than one"},
        Cover{"repo:a.b.c", "repo?collection=a.b.c&action=update", true, "another spelling"},
        Cover{"transition:generic", "repo:* blob:*/*", true, "writes and blobs"},
        Cover{"transition:generic", "rpc:a.b.c?aud=*", true, "methods elsewhere"},
        Cover{"transition:generic", "rpc:chat.bsky.convo.getLog?aud=*", false, "not the chat"},
        Cover{"transition:generic", "rpc:*?aud=did:web:x.test%23s", false, "every method has the chat in it"},
        Cover{"transition:generic transition:chat.bsky", "rpc:*?aud=did:web:x.test%23s", true,
              "now it is in"},
        Cover{"transition:generic rpc:*?aud=did:web:x.test%23s",
              "rpc:*?aud=did:web:x.test%23s rpc:a.b.c?aud=*", true, "each by another"},
        Cover{"transition:generic", "account:email", false, "not the account"},
        Cover{"transition:generic", "transition:chat.bsky", false, "a scope of its own"},
        Cover{"repo:* blob:*/*", "transition:generic", false, "every method elsewhere is missing"},
        Cover{"rpc:*?aud=did:web:x.test%23s", "rpc:a.b.c?aud=did:web:x.test%23s", true, "one of all"},
        Cover{"rpc:*?aud=did:web:x.test%23s", "rpc:a.b.c?aud=*", false, "every service is more"},
        Cover{"rpc:a.b.c?aud=*", "rpc:a.b.c?aud=did:web:x.test%23s", true, "one service of all"},
        Cover{"rpc:a.b.c?aud=did:web:x.test%23s", "rpc:*?aud=did:web:x.test%23s", false,
              "every method is more"},
        Cover{"blob:*/*", "blob:image/*", true, "one kind of all"},
        Cover{"blob:image/*", "blob:image/png", true, "one of the kind"},
        Cover{"blob:image/png", "blob:image/*", false, "the kind is more"},
        Cover{"blob:image/*", "blob:*/*", false, "all are more"},
        Cover{"account:email?action=manage", "account:email", true, "managing includes reading"},
        Cover{"account:email", "account:email?action=manage", false, "managing is more"},
        Cover{"transition:email", "account:email", true, "the same by an older name"},
        Cover{"account:email", "transition:email", true, "and back"},
        Cover{"identity:*", "identity:handle", true, "the handle is part of it"},
        Cover{"identity:handle", "identity:*", false, "the DID document is not"},
        Cover{"include:a.b.c?aud=did:web:x.test%23s", "include:a.b.c?aud=did:web:x.test#s", true, "spelling"},
        Cover{"include:a.b.c?aud=did:web:x.test%23s", "include:a.b.c", true,
              "without a service it gives less"},
        Cover{"include:a.b.c", "include:a.b.c?aud=did:web:x.test%23s", false, "with a service it gives more"},
        Cover{"include:a.b.c", "include:a.b.d", false, "another set"},
        Cover{"some:unknown", "some:unknown", true, "itself"},
        Cover{"some:unknown", "some:other", false, "of unknown meaning"}));

TEST(PermissionsCache, KnowsTheTextAgain) {
  PermissionsCache cache(2);
  const auto first = cache.get("atproto repo:a.b.c");
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->allows_repo("create", "a.b.c"));
  EXPECT_EQ(cache.get("atproto repo:a.b.c"), first);
  const auto second = cache.get("atproto repo:a.b.d");
  EXPECT_FALSE(second->allows_repo("create", "a.b.c"));
  EXPECT_EQ(cache.size(), 2u);
}

TEST(PermissionsCache, ForgetsTheLeastRecentlyUsed) {
  PermissionsCache cache(2);
  const auto a = cache.get("atproto a"), b = cache.get("atproto b");
  cache.get("atproto a");
  cache.get("atproto c");
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(cache.get("atproto a"), a);
  EXPECT_NE(cache.get("atproto b"), b);
}

TEST(PermissionsCache, HasNothingForWhatIsNoScope) {
  PermissionsCache cache;
  EXPECT_FALSE(cache.get(""));
  EXPECT_FALSE(cache.get("atproto  repo:*"));
  EXPECT_FALSE(cache.get("repo:*"));  // atproto is missing
  EXPECT_EQ(cache.size(), 0u);
}

TEST(PermissionsCache, TakesManyThreads) {
  PermissionsCache cache(3);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string collection = "a.b.c" + std::to_string((i + t) % 6);
        if (!cache.get("atproto repo:" + collection)->allows_repo("create", collection)) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.size(), 3u);
}

// ---- attacks, group 13 -----------------------------------------------------------------------------------

TEST(Attack, Scopes_EveryMethodOfEveryServiceInAnySpelling) {
  for (const std::string token : {"rpc:*?aud=*", "rpc?lxm=*&aud=*", "rpc?aud=*&lxm=*", "rpc:%2A?aud=%2A",
                                  "rpc?%6Cxm=%2a&%61ud=%2a", "rpc?lxm=a.b.c&lxm=*&aud=*"}) {
    EXPECT_FALSE(is_known_scope(token)) << token;
    EXPECT_FALSE(permissions("atproto " + token).allows_rpc("a.b.c", "did:web:x.test#s")) << token;
  }
}

TEST(Attack, Scopes_UnknownResourceParameterOrValueGrantsNothing) {
  for (const std::string token : {"repo:a.b.c?action=create&action=purge", "repo:a.b.c?unless=monday",
                                  "repo:a.b.c?action=create&x=", "repos:a.b.c", "records:*", "repo:a.b.c#x"})
    EXPECT_FALSE(permissions("atproto " + token).allows_repo("create", "a.b.c")) << token;
  EXPECT_EQ(set("atproto repo:a.b.c?unless=monday repo:a.b.d").known().str(), "atproto repo:a.b.d");
}

TEST(Attack, Scopes_PercentEncodingHidesNothing) {
  // What a page explains and what is enforced come from one reading; a second decoding never happens.
  EXPECT_EQ(str(*parse_permission("repo:%2a")), "repo:*");
  EXPECT_EQ(str(*parse_permission("account:%65mail?%61ction=%6Danage")), "account:email?action=manage");
  for (const std::string token :
       {"repo:%252a", "repo:a.b.c%3Faction%3Dcreate", "%72epo:a.b.c", "repo%3aa.b.c", "repo:a.b.c%20repo:*",
        "repo:a.b.c%00", "repo:a.b.c%ff", "repo:a.b.c%", "repo:a.b.c%4", "repo:%E2%93%90.b.c"})
    EXPECT_FALSE(is_known_scope(token)) << token;
  EXPECT_FALSE(permissions("transition%3Ageneric").allows_repo("create", "a.b.c"));
}

TEST(Attack, Scopes_ValueGivenTwiceIsNoneOfThem) {
  for (const std::string token :
       {"repo:a.b.c?collection=*", "repo:a.b.c?collection=a.b.c", "rpc:a.b.c?lxm=a.b.d&aud=*",
        "rpc:a.b.c?aud=*&aud=did:web:x.test%23s", "blob:image/png?accept=*/*", "account:repo?attr=email",
        "account:email?action=read&action=manage", "identity:handle?attr=*", "include:a.b.c?nsid=a.b.d",
        "repo:a.b.c?%63ollection=*"})
    EXPECT_FALSE(is_known_scope(token)) << token;
}

TEST(Attack, Scopes_AnotherCaseIsAnotherName) {
  const auto p = permissions("atproto repo:app.example.Post rpc:app.example.getIt?aud=did:web:x.test%23Svc");
  EXPECT_FALSE(p.allows_repo("create", "app.example.post"));
  EXPECT_FALSE(p.allows_rpc("app.example.getit", "did:web:x.test#Svc"));
  EXPECT_FALSE(p.allows_rpc("app.example.getIt", "did:web:x.test#svc"));
  for (const std::string token :
       {"REPO:*", "repo:a.b.c?ACTION=create", "Transition:generic", "account:Email"})
    EXPECT_FALSE(is_known_scope(token)) << token;
}

TEST(Attack, Scopes_TheChatInAnotherCaseIsStillTheChat) {
  const auto p = permissions("atproto transition:generic");
  for (const auto* method : {"CHAT.bsky.convo.sendMessage", "chat.Bsky.convo.sendMessage",
                             "com.atproto.server.createaccount", "COM.ATPROTO.SERVER.CREATEACCOUNT"})
    EXPECT_FALSE(p.allows_rpc(method, "did:web:api.bsky.chat#bsky_chat")) << method;
}

TEST(Attack, Scopes_AnIncludeGrantsNothingByItself) {
  const auto p = permissions("atproto include:app.example.authFull?aud=did:web:x.test%23s");
  EXPECT_FALSE(p.allows_repo("create", "app.example.post"));
  EXPECT_FALSE(p.allows_rpc("app.example.getFeed", "did:web:x.test#s"));
}

}  // namespace
}  // namespace latchkey::oauth

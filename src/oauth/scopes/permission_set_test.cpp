#include "oauth/scopes/permission_set.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace latchkey::oauth {
namespace {

using Tokens = std::vector<std::string>;
const Nsid k_nsid = Nsid::parse("com.example.feed.authBasic").value();
const std::optional<std::string> k_aud = "did:web:api.example.com#svc";

json::Value document(const std::string& permissions, const std::string& more = {}) {
  return json::parse(
             R"({"lexicon":1,"id":"com.example.feed.authBasic","defs":{"main":{"type":"permission-set",)" +
             more + R"("permissions":[)" + permissions + "]}}}")
      .value();
}
Tokens expand(const std::string& permissions, const std::optional<std::string>& aud = k_aud) {
  return PermissionSet::parse(k_nsid, document(permissions)).value().expand(aud);
}

struct Row {
  std::string permission;
  Tokens with_aud, without_aud;
  std::string why;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.permission << "  (" << row.why << ")"; }

class SetPermission : public ::testing::TestWithParam<Row> {};

TEST_P(SetPermission, ExpandsTo) {
  EXPECT_EQ(expand(GetParam().permission), GetParam().with_aud);
  EXPECT_EQ(expand(GetParam().permission, std::nullopt), GetParam().without_aud);
}

const Tokens k_none;
Row same(std::string permission, Tokens tokens, std::string why) {
  return {std::move(permission), tokens, tokens, std::move(why)};
}
Row ignored(std::string permission, std::string why) {
  return {std::move(permission), k_none, k_none, std::move(why)};
}

INSTANTIATE_TEST_SUITE_P(
    Understood, SetPermission,
    ::testing::Values(
        same(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"]})",
             {"repo:com.example.feed.post"}, "a collection of its group"),
        same(R"({"type":"permission","resource":"repo","collection":["com.example.feed.thread.gate"]})",
             {"repo:com.example.feed.thread.gate"}, "a collection below its group"),
        same(
            R"({"type":"permission","resource":"repo","collection":["com.example.feed.like"],"action":["delete"]})",
            {"repo:com.example.feed.like?action=delete"}, "one action"),
        same(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],)"
             R"("action":["delete","create","update"]})",
             {"repo:com.example.feed.post"}, "all actions"),
        same(
            R"({"type":"permission","resource":"repo","description":"x","collection":["com.example.feed.post"]})",
            {"repo:com.example.feed.post"}, "every schema may have a description"),
        same(R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"aud":"*"})",
             {"rpc:com.example.feed.getFeed?aud=*"}, "every service"),
        same(R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"aud":"*",)"
             R"("inheritAud":false})",
             {"rpc:com.example.feed.getFeed?aud=*"}, "inheritAud: false says nothing"),
        Row{R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"inheritAud":true})",
            {"rpc:com.example.feed.getFeed?aud=did:web:api.example.com%23svc"},
            {},
            "the include's audience, or none and so nothing"}));

INSTANTIATE_TEST_SUITE_P(
    Ignored, SetPermission,
    ::testing::Values(
        ignored(R"({"type":"permission","resource":"repo","collection":[]})", "nothing named"),
        ignored(R"({"type":"permission","resource":"repo"})", "nothing named"),
        ignored(R"({"type":"permission","resource":"repo","collection":"com.example.feed.post"})", "no list"),
        ignored(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post",7]})",
                "no string"),
        ignored(R"({"type":"permission","resource":"repo","collection":["nonsense"]})", "no NSID"),
        ignored(
            R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"action":[]})",
            "no action"),
        ignored(
            R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"action":["read"]})",
            "unknown action"),
        ignored(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],)"
                R"("action":["create","purge"]})",
                "one unknown action spoils the permission, not the action"),
        ignored(
            R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"action":"create"})",
            "no list"),
        ignored(
            R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"action":null})",
            "no list"),
        ignored(R"({"resource":"repo","collection":["com.example.feed.post"]})", "no type"),
        ignored(R"({"type":"grant","resource":"repo","collection":["com.example.feed.post"]})",
                "another type"),
        ignored(R"("repo:com.example.feed.post")", "no object"),
        ignored(R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"]})",
                "no audience"),
        ignored(
            R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"inheritAud":false})",
            "no audience"),
        ignored(R"({"type":"permission","resource":"rpc","lxm":[],"aud":"*"})", "no method"),
        ignored(
            R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"inheritAud":"true"})",
            "no boolean"),
        ignored(
            R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"inheritAud":true,)"
            R"("aud":"*"})",
            "both: invalid"),
        ignored(R"({"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],)"
                R"("aud":"did:web:evil.test#svc"})",
                "a set names no service")));

TEST(PermissionSet, SaysItInFewTokens) {
  EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"]},
                      {"type":"permission","resource":"repo","collection":["com.example.feed.like"]},
                      {"type":"permission","resource":"repo","collection":["com.example.feed.like"]},
                      {"type":"permission","resource":"repo","collection":["com.example.feed.x"],"action":["update"]},
                      {"type":"permission","resource":"rpc","lxm":["com.example.feed.b"],"inheritAud":true},
                      {"type":"permission","resource":"rpc","lxm":["com.example.feed.a"],"inheritAud":true},
                      {"type":"permission","resource":"rpc","lxm":["com.example.feed.c"],"aud":"*"})"),
            (Tokens{"repo:com.example.feed.x?action=update",
                    "repo?collection=com.example.feed.like&collection=com.example.feed.post",
                    "rpc:com.example.feed.c?aud=*",
                    "rpc?lxm=com.example.feed.a&lxm=com.example.feed.b&aud=did:web:api.example.com%23svc"}));
}

TEST(PermissionSet, ExpansionsAreScopes) {
  const auto tokens = expand(
      R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"action":["create"]},
         {"type":"permission","resource":"rpc","lxm":["com.example.feed.getFeed"],"inheritAud":true})");
  const auto p = Permissions::of(ScopeSet::of(tokens));
  EXPECT_TRUE(p.allows_repo("create", "com.example.feed.post"));
  EXPECT_FALSE(p.allows_repo("delete", "com.example.feed.post"));
  EXPECT_TRUE(p.allows_rpc("com.example.feed.getFeed", *k_aud));
  EXPECT_FALSE(p.allows_rpc("com.example.feed.getFeed", "did:web:api.example.com#other"));
}

TEST(PermissionSet, IsALexiconOfItsOwnName) {
  const auto parse = [](const std::string& text) {
    return PermissionSet::parse(k_nsid, json::parse(text).value()).has_value();
  };
  const std::string main = R"("defs":{"main":{"type":"permission-set","permissions":[]}})";
  EXPECT_TRUE(parse(R"({"lexicon":1,"id":"com.example.feed.authBasic",)" + main + "}"));
  EXPECT_TRUE(
      parse(R"({"$type":"com.atproto.lexicon.schema","lexicon":1,"id":"com.example.feed.authBasic",)" + main +
            "}"));  // as it stands in a repository
  EXPECT_FALSE(parse(R"({"lexicon":2,"id":"com.example.feed.authBasic",)" + main + "}"));
  EXPECT_FALSE(parse(R"({"lexicon":"1","id":"com.example.feed.authBasic",)" + main + "}"));
  EXPECT_FALSE(parse(R"({"id":"com.example.feed.authBasic",)" + main + "}"));
  EXPECT_FALSE(parse(R"({"lexicon":1,)" + main + "}"));
  EXPECT_FALSE(parse(R"({"lexicon":1,"id":"com.example.feed.authOther",)" + main + "}"));
  EXPECT_FALSE(parse(R"({"lexicon":1,"id":"com.example.feed.AuthBasic",)" + main + "}"));
  EXPECT_FALSE(parse(R"({"lexicon":1,"id":"com.example.feed.authBasic"})"));
  EXPECT_FALSE(parse(R"({"lexicon":1,"id":"com.example.feed.authBasic","defs":{}})"));
  EXPECT_FALSE(parse(R"({"lexicon":1,"id":"com.example.feed.authBasic","defs":{"main":{"type":"record"}}})"));
  EXPECT_FALSE(
      parse(R"({"lexicon":1,"id":"com.example.feed.authBasic","defs":{"main":{"type":"permission-set"}}})"));
  EXPECT_FALSE(parse(
      R"({"lexicon":1,"id":"com.example.feed.authBasic","defs":{"main":{"type":"permission-set","permissions":{}}}})"));
  EXPECT_FALSE(parse("[]"));
}

TEST(PermissionSet, OfTheInteropCatalogReachesOutsideItsGroup) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES) + "/lexicon/catalog/permission-set.json");
  std::stringstream text;
  text << in.rdbuf();
  const auto nsid = Nsid::parse("example.lexicon.permissionset").value();
  const auto parsed = PermissionSet::parse(nsid, json::parse(text.str()).value());
  ASSERT_TRUE(parsed);  // a good lexicon
  EXPECT_EQ(parsed->expand(k_aud), k_none);
  EXPECT_EQ(parsed->title("fr"), "Example for Mod\u00e9ration");
  EXPECT_EQ(parsed->detail("en"), "Create moderation reports");
}

TEST(PermissionSet, SpeaksTheReadersLanguage) {
  const auto set =
      PermissionSet::parse(
          k_nsid,
          document("", R"("title":"Basics","title:lang":{"pt":"Essencial","ja":"基本","zh-Hant":"基礎"},
          "detail":"Posts","detail:lang":{"pt-BR":"Publicações","not a tag":"x","de":7},)"))
          .value();
  EXPECT_EQ(set.title("en"), "Basics");
  EXPECT_EQ(set.title(""), "Basics");
  EXPECT_EQ(set.title("ja"), "基本");
  EXPECT_EQ(set.title("JA-jp"), "基本");
  EXPECT_EQ(set.title("pt-BR"), "Essencial");
  EXPECT_EQ(set.title("zh-Hant-x-y"), "基礎");
  EXPECT_EQ(set.title("zh"), "Basics");  // the script asked for is not known to be this one
  EXPECT_EQ(set.detail("pt-BR"), "Publicações");
  EXPECT_EQ(set.detail("pt"), "Posts");
  EXPECT_EQ(set.detail("not a tag"), "Posts");
  EXPECT_EQ(set.detail("de"), "Posts");
  const auto silent = PermissionSet::parse(k_nsid, document("")).value();
  EXPECT_EQ(silent.title("en"), "");
  EXPECT_EQ(silent.detail("en"), "");
}

TEST(PermissionSet, TextsAreBounded) {
  const auto titled = [](std::size_t title, std::size_t detail, std::size_t languages) {
    std::string tags;
    for (std::size_t i = 0; i < languages; ++i)
      tags += (i ? "," : "") + std::string(R"("de-x-)") + std::to_string(i) + R"(":"t")";
    return PermissionSet::parse(
               k_nsid, document("", R"("title":")" + std::string(title, 'a') + R"(","detail":")" +
                                        std::string(detail, 'b') + R"(","title:lang":{)" + tags + "},"))
        .value();
  };
  const auto fits = titled(k_max_set_title_bytes, k_max_set_detail_bytes, k_max_set_languages);
  EXPECT_EQ(fits.title("en").size(), k_max_set_title_bytes);
  EXPECT_EQ(fits.detail("en").size(), k_max_set_detail_bytes);
  EXPECT_EQ(fits.title("de-x-7"), "t");
  const auto too_much =
      titled(k_max_set_title_bytes + 1, k_max_set_detail_bytes + 1, k_max_set_languages + 1);
  EXPECT_EQ(too_much.title("en"), "");
  EXPECT_EQ(too_much.detail("en"), "");
  EXPECT_EQ(too_much.title("de-x-7"), "");
}

TEST(PermissionSet, NamesAreBounded) {
  const auto with = [](std::size_t bytes) {
    // Names of 100 bytes, one shorter to fill up.
    std::string list;
    for (std::size_t used = 0, i = 0; used < bytes; ++i) {
      const std::size_t size = std::min<std::size_t>(100, bytes - used);
      std::string name = "com.example.feed.n" + std::to_string(i);
      name.append(size - name.size(), 'x');
      // A name has 63 characters at most; dots make labels of the rest.
      for (std::size_t at = 40; at + 30 < name.size(); at += 30) name[at] = '.';
      list += (list.empty() ? "\"" : ",\"") + name + "\"";
      used += size;
    }
    return PermissionSet::parse(
        k_nsid, document(R"({"type":"permission","resource":"repo","collection":[)" + list + "]}"));
  };
  const auto most = with(k_max_set_names_bytes);
  ASSERT_TRUE(most);
  EXPECT_EQ(most->expand(k_aud).size(), 1u);
  EXPECT_FALSE(with(k_max_set_names_bytes + 1));
}

// ---- attacks, group 13 -----------------------------------------------------------------------------------

TEST(Attack, Scopes_RepoStarInsideASetGrantsNothing) {
  EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":["*"]})"), k_none);
  EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":["com.example.feed.*"]})"), k_none);
  EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post","*"]})"),
            k_none);
  EXPECT_EQ(expand(R"({"type":"permission","resource":"rpc","lxm":["*"],"inheritAud":true})"), k_none);
  EXPECT_EQ(expand(R"({"type":"permission","resource":"rpc","lxm":["*"],"aud":"*"})"), k_none);
}

TEST(Attack, Scopes_SetReachesNoSiblingParentOrForeignNamespace) {
  for (const std::string name :
       {"com.example.actor.profile", "com.example.profile", "com.example.feedx.post", "com.example.feed",
        "app.bsky.feed.post", "com.Example.feed.post", "COM.EXAMPLE.FEED.post", "net.example.feed.post",
        "example.feed.post", "feed.com.example.feed.post"}) {
    EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":[")" + name + R"("]})"), k_none)
        << name;
    EXPECT_EQ(expand(R"({"type":"permission","resource":"rpc","aud":"*","lxm":[")" + name + R"("]})"), k_none)
        << name;
    // Nor in the company of a good one.
    EXPECT_EQ(expand(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post",")" +
                     name + R"("]})"),
              k_none)
        << name;
  }
}

TEST(Attack, Scopes_SetHoldsRepoAndRpcOnly) {
  EXPECT_EQ(expand(R"({"type":"permission","resource":"blob","accept":["*/*"]},
                      {"type":"permission","resource":"account","attr":"email","action":"manage"},
                      {"type":"permission","resource":"identity","attr":"*"},
                      {"type":"permission","resource":"include","nsid":"com.example.feed.authFull"},
                      {"type":"permission","resource":"Repo","collection":["com.example.feed.post"]},
                      {"type":"permission","resource":"records","collection":["com.example.feed.post"]})"),
            k_none);
}

TEST(Attack, Scopes_UnknownFieldInASetIsNotPassedOver) {
  // It may narrow the permission; without it, more would be granted than the set says.
  EXPECT_EQ(
      expand(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"],"rkey":"self"},
                      {"type":"permission","resource":"repo","collection":["com.example.feed.post"],"lxm":[]},
                      {"type":"permission","resource":"rpc","lxm":["com.example.feed.a"],"aud":"*","max":1},
                      {"type":"permission","resource":"rpc","lxm":["com.example.feed.a"],"aud":"*","action":[]})"),
      k_none);
}

TEST(Attack, Scopes_ForgedLexiconOfAnotherNameIsNoSet) {
  auto forged = document(R"({"type":"permission","resource":"repo","collection":["com.example.feed.post"]})");
  EXPECT_TRUE(PermissionSet::parse(k_nsid, forged));
  EXPECT_FALSE(PermissionSet::parse(Nsid::parse("com.example.feed.authOther").value(), forged));
}

TEST(Attack, Scopes_SetCannotDressUpItsWords) {
  for (const std::string text : {R"(Read\nonly)", R"(Read\u0000)", R"(Read \u202eetirw)", R"(\u2066x)",
                                 R"(a\u0085b)", R"(a\u2028b)", R"(a\u007f)"}) {
    const auto set =
        PermissionSet::parse(k_nsid, document("", R"("title":")" + text + R"(","detail":")" + text +
                                                      R"(","title:lang":{"de":")" + text + R"("},)"));
    EXPECT_EQ(set.value().title("en"), "") << text;
    EXPECT_EQ(set.value().detail("en"), "") << text;
    EXPECT_EQ(set.value().title("de"), "") << text;
  }
  // What people write is shown: accents, right-to-left words, joined emoji.
  for (const std::string text : {"Publicações", "שלום", "👩‍💻 tools", "基本 & <b>"}) {
    const auto set = PermissionSet::parse(k_nsid, document("", R"("title":")" + text + R"(",)"));
    EXPECT_EQ(set.value().title("en"), text);
  }
}

}  // namespace
}  // namespace latchkey::oauth

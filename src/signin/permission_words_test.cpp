#include "signin/permission_words.h"

#include <gtest/gtest.h>

namespace latchkey::signin {
namespace {

using oauth::PermissionSet;
using oauth::ScopeSet;

// What the page says about one token: "group / title / detail".
std::string said(std::string_view token) {
  const auto groups = explain_scopes(ScopeSet::parse(token).value(), {}, "en");
  if (groups.size() != 1 || groups[0].items.size() != 1) return "not one item";
  const auto& item = groups[0].items[0];
  EXPECT_EQ(item.token, token);
  return groups[0].title + " / " + item.title + " / " + item.detail;
}

TEST(PermissionWords, SayWhatEachResourceAllows) {
  struct Row {
    const char *token, *words;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"repo:com.example.post",
            "Your public records / Create, change and delete records of one kind / com.example.post"},
           {"repo:com.example.post?action=create",
            "Your public records / Create records of one kind / com.example.post"},
           {"repo?collection=com.example.like&collection=com.example.post&action=delete",
            "Your public records / Delete records of 2 kinds / com.example.like and com.example.post"},
           {"repo:*",
            "Your public records / Create, change and delete every kind of record / Everything public in "
            "your "
            "repository, of this and of other apps."},
           {"rpc:com.example.getFeed?aud=did:web:api.example.com%23svc",
            "Other services / Use api.example.com in your name / com.example.getFeed at "
            "did:web:api.example.com#svc"},
           {"rpc:com.example.getFeed?aud=*",
            "Other services / Use any service in your name / com.example.getFeed"},
           {"rpc:*?aud=did:web:api.example.com%23svc",
            "Other services / Use everything api.example.com offers, in your name / "
            "did:web:api.example.com#svc"},
           {"blob:image/*", "Media / Upload pictures / "},
           {"blob?accept=image/*&accept=video/mp4", "Media / Upload pictures and video/mp4 / "},
           {"account:email", "Your account / See your e-mail address / "},
           {"account:email?action=manage", "Your account / See and change your e-mail address / "},
           {"identity:handle", "Your account / Change your handle / "},
           {"transition:email", "Your account / See your e-mail address / "},
           {"com.example.unheard", "Not known to this server / com.example.unheard / "},
       })
    EXPECT_EQ(said(row.token), row.words);
}

TEST(PermissionWords, OnlyTheIdentityIsLocked) {
  for (const auto& group :
       explain_scopes(ScopeSet::parse("transition:generic repo:com.example.post atproto").value(), {}, "en"))
    for (const auto& item : group.items) EXPECT_EQ(item.locked, item.token == "atproto") << item.token;
}

TEST(PermissionWords, ComeInTheOrderAPersonReads) {
  std::string order;
  for (const auto& group : explain_scopes(
           ScopeSet::parse("account:email blob:*/* repo:com.example.post atproto").value(), {}, "en"))
    order += group.title + "; ";
  EXPECT_EQ(order, "Who you are; Your public records; Media; Your account; ");
}

TEST(PermissionWords, ABundleSpeaksForItselfAndShowsItsNameAndContents) {
  const auto nsid = Nsid::parse("com.example.authBasic").value();
  const auto document = json::parse(R"({"lexicon": 1, "id": "com.example.authBasic", "defs": {"main": {
      "type": "permission-set", "title": "Basics", "title:lang": {"de": "Grundlagen"}, "detail": "Write posts",
      "permissions": [{"type": "permission", "resource": "repo", "collection": ["com.example.post"]},
                      {"type": "permission", "resource": "rpc", "inheritAud": true,
                       "lxm": ["com.example.getFeed"]}]}}})");
  oauth::PermissionSets::Sets sets;
  sets.emplace(nsid.str(), PermissionSet::parse(nsid, *document).value());
  const auto scopes =
      ScopeSet::parse("include:com.example.authBasic?aud=did:web:api.example.com%23svc").value();
  const auto item = explain_scopes(scopes, sets, "de-AT")[0].items[0];
  EXPECT_EQ(item.title, "Grundlagen");
  EXPECT_EQ(item.title_lang, "de");
  EXPECT_EQ(item.detail, "Write posts");
  EXPECT_EQ(item.detail_lang, "");
  EXPECT_EQ(item.name, "com.example.authBasic") << "who owns the name wrote the title";
  EXPECT_EQ(item.parts,
            (std::vector<std::string>{
                "Create, change and delete records of one kind: com.example.post",
                "Use api.example.com in your name: com.example.getFeed at did:web:api.example.com#svc"}));
  const auto gone = explain_scopes(scopes, {}, "de")[0].items[0];
  EXPECT_EQ(gone.title, "com.example.authBasic");
  EXPECT_TRUE(gone.parts.empty());
}

TEST(PermissionWords, TheWantedLanguageIsTheOneOfHighestWeight) {
  EXPECT_EQ(wanted_language(""), "en");
  EXPECT_EQ(wanted_language("de"), "de");
  EXPECT_EQ(wanted_language("en;q=0.5, ja, de;q=0.9"), "ja");
  EXPECT_EQ(wanted_language("fr;q=0, de;q=0.1"), "de") << "q=0 is not wanted";
  EXPECT_EQ(wanted_language("*, x\"><script>"), "en") << "neither is a language tag";
  EXPECT_EQ(wanted_language("pt-BR,pt;q=0.9"), "pt-BR");
}

}  // namespace
}  // namespace latchkey::signin

#include "signin/permission_words.h"

#include <gtest/gtest.h>

#include "ui/embedded.h"

namespace latchkey::signin {
namespace {

using oauth::PermissionSet;
using oauth::ScopeSet;

const web::Messages& messages() {
  static const web::Messages k_messages(ui::messages());
  return k_messages;
}

Reader reader(std::string_view lang, std::string wanted = {}) {
  const auto* words = messages().find(lang);
  return {.words = words, .wanted = wanted.empty() ? words->lang() : wanted, .here = {}};
}

// What the page says about one token: "group / title / detail".
std::string said(std::string_view token, std::string_view lang = "en") {
  const auto groups = explain_scopes(ScopeSet::parse(token).value(), {}, reader(lang));
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

TEST(PermissionWords, AreSentencesOfTheReadersLanguage) {
  struct Row {
    const char *lang, *token, *words;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"de", "repo:com.example.post",
            "Ihre öffentlichen Einträge / Einträge einer Art anlegen, ändern und löschen / com.example.post"},
           {"fr", "repo:com.example.post?action=create&action=delete",
            "Vos enregistrements publics / Créer et supprimer des enregistrements d’un seul type / "
            "com.example.post"},
           {"ja", "repo?collection=com.example.like&collection=com.example.post",
            "公開されているレコード / 2 種類のレコードの作成、変更、削除 / "
            "com.example.like、com.example.post"},
           {"es", "blob?accept=image/*&accept=video/*", "Archivos multimedia / Subir imágenes y vídeos / "},
           {"pt", "rpc:com.example.getFeed?aud=did:web:api.example.com%23svc",
            "Outros serviços / Usar api.example.com em seu nome / com.example.getFeed em "
            "did:web:api.example.com#svc"},
           {"de", "rpc:com.example.getFeed?aud=*",
            "Andere Dienste / Beliebige Dienste in Ihrem Namen nutzen / com.example.getFeed"},
       })
    EXPECT_EQ(said(row.token, row.lang), row.words);
}

TEST(PermissionWords, EveryTokenHasWordsInEveryLanguage) {
  for (const auto& words : messages().all())
    for (const char* token :
         {"atproto", "transition:generic", "transition:chat.bsky", "transition:email", "repo:*", "repo:a.b.c",
          "rpc:*?aud=did:web:a.test%23x", "rpc:a.b.c?aud=*", "blob:*/*", "blob:audio/*", "account:email",
          "account:email?action=manage", "account:repo", "account:repo?action=manage", "identity:handle",
          "identity:*", "include:a.b.c", "x.y.z"})
      EXPECT_NE(said(token, words.lang()), "not one item") << token;
}

TEST(PermissionWords, OnlyTheIdentityIsLocked) {
  for (const auto& group : explain_scopes(
           ScopeSet::parse("transition:generic repo:com.example.post atproto").value(), {}, reader("en")))
    for (const auto& item : group.items) EXPECT_EQ(item.locked, item.token == "atproto") << item.token;
}

TEST(PermissionWords, ComeInTheOrderAPersonReads) {
  std::string order;
  for (const auto& group : explain_scopes(
           ScopeSet::parse("account:email blob:*/* repo:com.example.post atproto").value(), {}, reader("en")))
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
  const auto item = explain_scopes(scopes, sets, reader("en", "de-AT"))[0].items[0];
  EXPECT_EQ(item.title, "Grundlagen");
  EXPECT_EQ(item.title_lang, "de");
  EXPECT_EQ(item.detail, "Write posts");
  EXPECT_EQ(item.detail_lang, "");
  EXPECT_EQ(item.name, "com.example.authBasic") << "who owns the name wrote the title";
  EXPECT_EQ(item.parts,
            (std::vector<std::string>{
                "Create, change and delete records of one kind: com.example.post",
                "Use api.example.com in your name: com.example.getFeed at did:web:api.example.com#svc"}));
  const auto gone = explain_scopes(scopes, {}, reader("de"))[0].items[0];
  EXPECT_EQ(gone.title, "com.example.authBasic");
  EXPECT_TRUE(gone.parts.empty());
}

}  // namespace
}  // namespace latchkey::signin

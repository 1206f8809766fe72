#include "oauth/scopes/scopes.h"

#include <gtest/gtest.h>

namespace latchkey::oauth {
namespace {

ScopeSet set(std::string_view text) { return ScopeSet::parse(text).value(); }

TEST(ScopeSet, ParsesAndKeepsTheOrder) {
  const auto s = set("atproto transition:generic repo:app.bsky.feed.post?action=create");
  EXPECT_EQ(s.tokens().size(), 3u);
  EXPECT_TRUE(s.has("atproto"));
  EXPECT_TRUE(s.has("repo:app.bsky.feed.post?action=create"));
  EXPECT_FALSE(s.has("transition"));
  EXPECT_EQ(s.str(), "atproto transition:generic repo:app.bsky.feed.post?action=create");
}

TEST(ScopeSet, ListsEachTokenOnce) { EXPECT_EQ(set("b a b b a").str(), "b a"); }

TEST(ScopeSet, IsCaseSensitive) {
  EXPECT_FALSE(set("Atproto").has("atproto"));
  EXPECT_EQ(set("a A").tokens().size(), 2u);
}

TEST(ScopeSet, ComparesAsASet) {
  EXPECT_EQ(set("a b"), set("b a"));
  EXPECT_FALSE(set("a b") == set("a"));
  EXPECT_FALSE(set("a b") == set("a c"));
  EXPECT_EQ(ScopeSet(), ScopeSet());
}

TEST(ScopeSet, IntersectsAndIncludes) {
  EXPECT_EQ(set("c a b").intersect(set("b x c")).str(), "c b");
  EXPECT_TRUE(set("a").intersect(set("b")).empty());
  EXPECT_EQ(set("a").intersect(set("b")).str(), "");
  EXPECT_TRUE(set("a b").includes(set("b")));
  EXPECT_TRUE(set("a").includes(ScopeSet()));
  EXPECT_FALSE(set("a").includes(set("a b")));
}

TEST(ScopeSet, KnownLeavesOutTheRest) {
  EXPECT_EQ(set("x atproto transition:email transition:chat.bsky transition:other transition:generic")
                .known()
                .str(),
            "atproto transition:email transition:chat.bsky transition:generic");
  EXPECT_EQ(set("repo:a.b.c repo:nothing rpc:*?aud=* include:a.b.c").known().str(),
            "repo:a.b.c include:a.b.c");
}

TEST(ScopeSet, OfTokensLeavesOutWhatIsNone) {
  EXPECT_EQ(ScopeSet::of({"b", "a", "b", "", "a b", "c\n"}).str(), "b a");
  EXPECT_TRUE(ScopeSet::of({}).empty());
}

TEST(ScopeAttack, MalformedTextIsRefused) {  // RFC 6749 §3.3
  for (const std::string& bad :
       {std::string(), std::string(" "), std::string(" a"), std::string("a "), std::string("a  b"),
        std::string("a\tb"), std::string("a\nb"), std::string("a\"b"), std::string("a\\b"),
        std::string("a\x7f"), std::string("a\x80"), std::string("a\0b", 3), std::string("\xc3\xa9")})
    EXPECT_FALSE(ScopeSet::parse(bad)) << bad;
  EXPECT_TRUE(ScopeSet::parse("!#[]~"));  // the corners of the character set
}

TEST(ScopeAttack, LengthAndNumberAreBounded) {
  EXPECT_TRUE(ScopeSet::parse(std::string(8192, 'a')));
  EXPECT_FALSE(ScopeSet::parse(std::string(8193, 'a')));
  const auto many = [](int n) {
    std::string text = "s0";
    for (int i = 1; i < n; ++i) text += " s" + std::to_string(i);
    return text;
  };
  EXPECT_EQ(set(many(256)).tokens().size(), 256u);
  EXPECT_FALSE(ScopeSet::parse(many(257)));
  std::string repeated = "a";
  for (int i = 1; i < 257; ++i) repeated += " a";
  EXPECT_FALSE(ScopeSet::parse(repeated));  // repeats count

  EXPECT_TRUE(ScopeSet::parse_expanded(std::string(16384, 'a')));
  EXPECT_FALSE(ScopeSet::parse_expanded(std::string(16385, 'a')));
  EXPECT_EQ(ScopeSet::parse_expanded(many(1024)).value().tokens().size(), 1024u);
  EXPECT_FALSE(ScopeSet::parse_expanded(many(1025)));
}

TEST(AtprotoScopes, WantAtprotoAndNoOpenid) {
  EXPECT_TRUE(check_atproto_scopes(set("atproto")));
  EXPECT_TRUE(check_atproto_scopes(set("transition:generic atproto transition:chat.bsky")));
  EXPECT_FALSE(check_atproto_scopes(set("transition:generic")));
  EXPECT_FALSE(check_atproto_scopes(set("ATPROTO")));
  EXPECT_FALSE(check_atproto_scopes(set("atproto openid")));
  EXPECT_FALSE(check_atproto_scopes(ScopeSet()));
}

}  // namespace
}  // namespace latchkey::oauth

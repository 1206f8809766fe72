#include "oauth/client/server_answers.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace latchkey::oauth::client {
namespace {

using Kind = ServerAnswerError::Kind;

json::Object good() {
  return {{"access_token", "abc.DEF-_~+/123=="},
          {"refresh_token", "ref ~!"},
          {"token_type", "DPoP"},
          {"expires_in", 900},
          {"scope", "atproto transition:generic"},
          {"sub", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}};
}
Result<TokenAnswer, ServerAnswerError> read(const json::Object& o) {
  return TokenAnswer::parse(json::Value(o).dump());
}

TEST(TokenAnswer, IsReadWhenItMeetsTheProfile) {
  const auto answer = read(good());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->access_token.reveal(), "abc.DEF-_~+/123==");
  EXPECT_EQ(answer->refresh_token->reveal(), "ref ~!");
  EXPECT_EQ(answer->scope, "atproto transition:generic");
  EXPECT_EQ(answer->expires_in, std::chrono::seconds(900));
  EXPECT_EQ(answer->sub.str(), "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
  auto o = good();
  o.set("token_type", "dpop");  // RFC 6749 §5.1: case does not matter
  o.erase("refresh_token");
  o.erase("expires_in");
  EXPECT_TRUE(read(o));
}

TEST(TokenAnswer, AttackHostileAnswer_MembersThatBreakTheProfile) {
  struct Row {
    const char* member;
    json::Value value;
    const char* why;
  };
  const Row rows[] = {
      {"token_type", "Bearer", "tokens that are not bound"},
      {"token_type", "DPoPx", "only looks like it"},
      {"token_type", 7, "no text"},
      {"access_token", "", "empty"},
      {"access_token", "==", "nothing but padding"},
      {"access_token", "a b", "a space would end the credentials"},
      {"access_token", "a\r\nHost: evil.test", "a header of its own"},
      {"access_token", "a,b", "a list of credentials"},
      {"access_token", "a=b", "padding inside"},
      {"access_token", "t\u00f6ken", "not ASCII"},
      {"access_token", std::string(16 * 1024 + 1, 'a'), "too long"},
      {"access_token", json::Array{"a"}, "a list"},
      {"refresh_token", "", "empty"},
      {"refresh_token", "a\nb", "a line break"},
      {"refresh_token", std::string("a\0b", 3), "NUL"},
      {"refresh_token", std::string(16 * 1024 + 1, 'a'), "too long"},
      {"refresh_token", json::Value(), "null"},
      {"sub", "alice.test", "a handle"},
      {"sub", "did:plc:", "no DID"},
      {"sub", std::string("did:plc:\0x", 10), "NUL"},
      {"scope", "", "empty"},
      {"scope", "transition:generic", "no atproto"},
      {"scope", "atprotox", "only looks like it"},
      {"scope", "ATPROTO", "scopes have case"},
      {"scope", "atproto  x", "two spaces"},
      {"scope", "atproto\nx", "a line break"},
      {"scope", "atproto \"x\"", "quotation marks"},
      {"scope", "atproto " + std::string(8192, 'a'), "too long"},
      {"expires_in", "900", "a text"},
      {"expires_in", -1, "in the past"},
      {"expires_in", 0.5, "a fraction"},
      {"expires_in", 1e300, "beyond every clock"},
  };
  for (const auto& row : rows) {
    auto o = good();
    o.set(row.member, row.value);
    const auto answer = read(o);
    ASSERT_FALSE(answer) << row.member << ": " << row.why;
    EXPECT_EQ(answer.error().kind, Kind::unusable) << row.why;
  }
  for (const auto* member : {"access_token", "token_type", "scope", "sub"}) {
    auto o = good();
    o.erase(member);
    EXPECT_FALSE(read(o)) << "without " << member;
  }
}

TEST(TokenAnswer, LimitsHaveTwoSides) {
  auto o = good();
  o.set("access_token", std::string(16 * 1024, 'a'));
  o.set("refresh_token", std::string(16 * 1024, 'a'));
  EXPECT_TRUE(read(o));
  o.set("expires_in", 0);
  EXPECT_EQ(read(o)->expires_in, std::chrono::seconds(0));
  // Far ahead is no overflow: ten years at most.
  o.set("expires_in", std::int64_t{9'223'372'036'854'775'807});
  EXPECT_EQ(read(o)->expires_in, std::chrono::seconds(10LL * 365 * 86'400));
}

TEST(TokenAnswer, TellsBrokenFromUnusable) {
  const std::string whole = json::Value(good()).dump();
  for (const auto& text : {std::string(), std::string("<html>"), std::string("[]"), std::string("null"),
                           whole.substr(0, whole.size() - 1), whole + "x"}) {
    const auto answer = TokenAnswer::parse(text);
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().kind, Kind::broken) << text;
  }
}

TEST(TokenAnswer, AttackDuplicateKeys_AreNoAnswer) {
  std::string text = json::Value(good()).dump();
  text.insert(1, R"("sub":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",)");
  EXPECT_FALSE(TokenAnswer::parse(text));
}

TEST(TokenAnswer, AttackNesting_IsBounded) {
  const auto nested = [](int depth) {
    std::string text = json::Value(good()).dump();
    text.insert(1, "\"x\":" + std::string(static_cast<std::size_t>(depth), '[') +
                       std::string(static_cast<std::size_t>(depth), ']') + ",");
    return TokenAnswer::parse(text).has_value();
  };
  EXPECT_TRUE(nested(15));
  EXPECT_FALSE(nested(16));
  EXPECT_FALSE(nested(10'000));
}

TEST(PushedAnswer, HasARequestUri) {
  EXPECT_EQ(parse_pushed_answer(R"({"request_uri":"urn:x:1","expires_in":60})"), "urn:x:1");
  const auto of = [](const json::Value& uri) {
    return parse_pushed_answer(json::Value(json::Object{{"request_uri", uri}}).dump());
  };
  EXPECT_TRUE(of(std::string(4096, 'a')));
  EXPECT_FALSE(of(std::string(4097, 'a')));
  const json::Value refused[] = {"",
                                 7,
                                 json::Value(),
                                 json::Array{"urn:x"},
                                 "urn:x\r\nSet-Cookie: a=b",
                                 std::string("urn:\0x", 6),
                                 "urn:\u202e"};
  for (const auto& uri : refused) EXPECT_FALSE(of(uri)) << uri.dump();
  EXPECT_FALSE(parse_pushed_answer("{}"));
  EXPECT_FALSE(parse_pushed_answer("urn:x:1"));
  EXPECT_FALSE(parse_pushed_answer(R"({"request_uri":"urn:x:1","request_uri":"urn:x:2"})"));
}

TEST(ErrorCode, IsWhatTheRfcAllows) {
  EXPECT_EQ(error_code("access_denied"), "access_denied");
  EXPECT_EQ(error_code(std::string(128, 'a')).size(), 128U);
  for (const auto& text : {std::string(129, 'a'), std::string("a\"b"), std::string("a\\b"),
                           std::string("a\nb"), std::string("\xc3\xa4")})
    EXPECT_EQ(error_code(text), "") << text;
}

}  // namespace
}  // namespace latchkey::oauth::client

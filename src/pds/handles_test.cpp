#include "pds/handles.h"

#include <gtest/gtest.h>

#include <set>

namespace latchkey::pds {
namespace {

using xrpc::Error;

struct Row {
  const char* handle;
  const char* answer;
  const char* why;
};

class HandleRule : public ::testing::TestWithParam<Row> {};

TEST_P(HandleRule, Decides) {
  const HandleRules rules({".test", ".pds.example.com"});
  const auto result = rules.check(Handle::parse(GetParam().handle).value());
  EXPECT_EQ(result ? "ok" : result.error().message, GetParam().answer) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    Contract, HandleRule,
    ::testing::Values(Row{"alice.test", "ok", "the common case"}, Row{"abc.test", "ok", "three characters"},
                      Row{"ab.test", "Handle too short", "two"}, Row{"a.test", "Handle too short", "one"},
                      Row{"abcdefghijklmnopqr.test", "ok", "eighteen"},
                      Row{"abcdefghijklmnopqrs.test", "Handle too long", "nineteen"},
                      Row{"a-b-c.test", "ok", "hyphens inside"},
                      Row{"alice.bob.test", "Invalid characters in handle",
                          "no label below another's handle"},
                      Row{"alice.pds.example.com", "ok", "the second domain"},
                      Row{"alice.example.com", "Not a supported handle domain", "above the service domain"},
                      Row{"alice.nottest", "Not a supported handle domain", "ends alike, but not at a label"},
                      Row{"about.test", "Reserved handle", "a common subdomain"},
                      Row{"atp.test", "Reserved handle", "a protocol name"},
                      Row{"xrpc.test", "Reserved handle", "a protocol name"},
                      Row{"ADMIN.test", "Reserved handle", "whatever the case"}));

TEST(HandleRules, TheLongestDomainCounts) {
  const HandleRules rules({".test", ".pds.test"});
  EXPECT_EQ(rules.domain_of("alice.pds.test"), ".pds.test");
  EXPECT_TRUE(rules.check(Handle::parse("alice.pds.test").value()));
}

TEST(HandleRules, KnowWhichHostsAreOurs) {
  const HandleRules rules({".pds.example.com"});
  EXPECT_TRUE(rules.is_ours("alice.pds.example.com"));
  EXPECT_TRUE(rules.is_ours("pds.example.com"));
  EXPECT_FALSE(rules.is_ours("example.com"));
  EXPECT_FALSE(rules.is_ours("evilpds.example.com"));
}

TEST(HandleRules, RefuseDomainsThatCannotWork) {
  EXPECT_THROW(HandleRules({}), std::invalid_argument);
  EXPECT_THROW(HandleRules({"test"}), std::invalid_argument);
  EXPECT_THROW(HandleRules({".te_st"}), std::invalid_argument);
}

TEST(RandomHandles, AreAllowedVariedAndDecent) {
  const HandleRules rules({".test", ".other"});
  SeededRng rng(7);
  std::set<std::string> seen;
  std::set<char> letters;
  for (int i = 0; i < 2000; ++i) {
    const auto handle = rules.random(rng);
    EXPECT_TRUE(rules.check(handle)) << handle.str();
    EXPECT_TRUE(handle.str().ends_with(".test"));
    const auto label = handle.str().substr(0, k_random_label);
    EXPECT_NE(label.find_first_not_of("0123456789"), std::string::npos) << "all digits: " << label;
    EXPECT_FALSE(is_rude(label)) << label;
    seen.insert(label);
    letters.insert(label.begin(), label.end());
  }
  EXPECT_GT(seen.size(), 1990u);
  EXPECT_EQ(letters.size(), 36u);
}

TEST(RudeWords, AreSeenThroughDigits) {
  EXPECT_TRUE(is_rude("xsh1tx"));
  EXPECT_TRUE(is_rude("5ex000"));
  EXPECT_FALSE(is_rude("abc123"));
}

}  // namespace
}  // namespace latchkey::pds

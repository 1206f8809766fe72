#include "web/cookie.h"

#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

Request with_cookies(std::initializer_list<std::string> headers) {
  auto r = Request::make("GET", "/");
  for (const auto& h : headers) r.headers.add("Cookie", h);
  return r;
}

TEST(Cookies, AreReadByName) {
  const auto r = with_cookies({"a=1; b=two;c=\"quoted\" ; d="});
  EXPECT_EQ(r.cookie("a"), "1");
  EXPECT_EQ(r.cookie("b"), "two");
  EXPECT_EQ(r.cookie("c"), "\"quoted\"");
  EXPECT_EQ(r.cookie("d"), "");
  EXPECT_EQ(r.cookie("A"), std::nullopt) << "names are case-sensitive";
  EXPECT_EQ(r.cookie("e"), std::nullopt);
}

TEST(Cookies, AnOddNeighbourDoesNotHideOurs) {
  const auto r = with_cookies({"junk; x y=1; caf\xc3\xa9=1; v=a b; w=a,b; =x; sid=ours"});
  EXPECT_EQ(r.cookie("sid"), "ours");
  EXPECT_EQ(r.cookie("v"), std::nullopt);
  EXPECT_EQ(r.cookie("w"), std::nullopt);
}

TEST(Cookies, APlantedSecondValueIsNotBelieved) {  // attacks.md 21: cookie tossing
  EXPECT_EQ(with_cookies({"sid=mine; sid=planted"}).cookie("sid"), std::nullopt);
  EXPECT_EQ(with_cookies({"sid=mine", "sid=planted"}).cookie("sid"), std::nullopt);
  EXPECT_EQ(with_cookies({"sid=mine; sid=mine"}).cookie("sid"), "mine");
}

TEST(Cookies, SizeAndCountAreBounded) {
  EXPECT_EQ(parse_cookies("a=" + std::string(8190, 'x')).size(), 1u);
  EXPECT_EQ(parse_cookies("a=" + std::string(8191, 'x')).size(), 0u);
  std::string many = "a=1";
  for (int i = 1; i < 64; ++i) many += ";a=1";
  EXPECT_EQ(parse_cookies(many).size(), 64u);
  EXPECT_EQ(parse_cookies(many + ";a=1").size(), 0u);
}

TEST(SetCookie, DefaultsAreTheSafeOnes) {
  EXPECT_EQ((SetCookie{.name = "__Host-sid", .value = "v"}.str()),
            "__Host-sid=v; Path=/; Secure; HttpOnly; SameSite=Lax");
  EXPECT_EQ((SetCookie{.name = "a",
                       .value = "v",
                       .max_age = std::chrono::minutes(10),
                       .path = "/x",
                       .domain = "example.com",
                       .secure = false,
                       .http_only = false,
                       .same_site = SameSite::strict}
                 .str()),
            "a=v; Path=/x; Domain=example.com; Max-Age=600; SameSite=Strict");
}

TEST(SetCookie, HostPrefixIsEnforced) {  // RFC 6265bis §4.1.3.2
  for (const auto* name : {"__Host-a", "__host-a", "__HOST-a"}) {
    EXPECT_THROW((SetCookie{.name = name, .value = "v", .secure = false}.str()), std::invalid_argument);
    EXPECT_THROW((SetCookie{.name = name, .value = "v", .path = "/x"}.str()), std::invalid_argument);
    EXPECT_THROW((SetCookie{.name = name, .value = "v", .domain = "example.com"}.str()),
                 std::invalid_argument);
  }
  EXPECT_THROW((SetCookie{.name = "__Secure-a", .value = "v", .secure = false}.str()), std::invalid_argument);
  EXPECT_THROW((SetCookie{.name = "a", .value = "v", .secure = false, .same_site = SameSite::none}.str()),
               std::invalid_argument);
}

TEST(SetCookie, NothingBreaksOutOfItsPlace) {  // attacks.md 18
  for (const auto* value : {"a;b", "a b", "a\r\nb", "a,b", "a\"b", "a\\b", "\xc3\xa9"})
    EXPECT_THROW((SetCookie{.name = "a", .value = value}.str()), std::invalid_argument) << value;
  for (const auto* name : {"", "a b", "a;", "a=b", "a\n"})
    EXPECT_THROW((SetCookie{.name = name, .value = "v"}.str()), std::invalid_argument) << name;
  EXPECT_THROW((SetCookie{.name = "a", .value = "v", .path = "/;x"}.str()), std::invalid_argument);
  EXPECT_THROW((SetCookie{.name = "a", .value = "v", .path = "x"}.str()), std::invalid_argument);
  EXPECT_THROW((SetCookie{.name = "a", .value = "v", .domain = "a;b"}.str()), std::invalid_argument);
}

TEST(SetCookie, ClearKeepsTheFlagsAndDropsTheValue) {
  Response r;
  clear_cookie(r, {.name = "__Host-sid", .value = "secret"});
  EXPECT_EQ(r.headers.get("set-cookie"), "__Host-sid=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
}

TEST(SetCookie, PartitionedNeedsSecure) {
  EXPECT_TRUE((SetCookie{.name = "a", .value = "v", .partitioned = true}.str()).ends_with("; Partitioned"));
  EXPECT_THROW((SetCookie{.name = "a", .value = "v", .secure = false, .partitioned = true}.str()),
               std::invalid_argument);
}

TEST(SetCookie, NameDependsOnTheScheme) {
  EXPECT_EQ(host_cookie_name("sid", true), "__Host-sid");
  EXPECT_EQ(host_cookie_name("sid", false), "sid");
}

}  // namespace
}  // namespace latchkey::web

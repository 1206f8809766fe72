#include "web/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Headers, CompareNamesWithoutCase) {
  Headers h{{"Content-Type", "a"}, {"x", "1"}, {"X", "2"}};
  EXPECT_EQ(h.get("content-type"), "a");
  EXPECT_EQ(h.count("x"), 2u);
  h.set("x", "3");
  EXPECT_EQ(h.all("X"), std::vector<std::string>{"3"});
  h.erase("X");
  EXPECT_FALSE(h.has("x"));
  EXPECT_EQ(h.get("x"), "");
}

TEST(Headers, RefuseControlCharacters) {  // attacks.md 18: header injection
  Headers h;
  for (const auto& value :
       {std::string("a\r\nb"), std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f")})
    EXPECT_THROW(h.set("x", value), std::invalid_argument);
  for (const auto* name : {"", "a b", "a:", "a\n"}) EXPECT_THROW(h.add(name, "v"), std::invalid_argument);
  EXPECT_NO_THROW(h.set("x", "tab\tand \xc3\xa9"));
}

TEST(Headers, VaryGrowsOnce) {
  Headers h;
  h.vary("Authorization");
  h.vary("Accept-Encoding");
  h.vary("authorization");
  EXPECT_EQ(h.get("vary"), "Authorization, Accept-Encoding");
}

TEST(Request, FormNeedsItsContentType) {
  const auto form = [](Headers headers, std::string body) {
    return Request::make("POST", "/", std::move(body), std::move(headers)).form();
  };
  const auto ok =
      form({{"Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"}}, "a=1&b=%20x+y");
  ASSERT_TRUE(ok.has_value());
  EXPECT_EQ(single(*ok, "b"), " x y");
  EXPECT_EQ(form({{"Content-Type", "text/plain"}}, "a=1").error(), FormError::wrong_content_type);
  EXPECT_EQ(form({}, "a=1").error(), FormError::wrong_content_type);
  EXPECT_EQ(
      form({{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Type", "text/plain"}}, "a=1")
          .error(),
      FormError::wrong_content_type);
  EXPECT_EQ(form({{"Content-Type", "application/x-www-form-urlencoded"}}, "a=%zz").error(),
            FormError::malformed);
}

TEST(Request, FormFieldLimitBothSides) {
  const auto form = [](std::size_t n) {
    std::string body = "a=1";
    for (std::size_t i = 1; i < n; ++i) body += "&a=1";
    return Request::make("POST", "/", body, {{"Content-Type", "application/x-www-form-urlencoded"}}).form();
  };
  EXPECT_TRUE(form(100).has_value());
  EXPECT_FALSE(form(101).has_value());
}

TEST(Request, MakeReadsUrlsAndTargets) {
  const auto r = Request::make("GET", "https://Example.com:8443/a?b=c");
  EXPECT_EQ(r.origin(), "https://example.com:8443");
  EXPECT_EQ(r.hostname(), "example.com");
  EXPECT_EQ(r.path, "/a");
  EXPECT_EQ(r.query_value("b"), "c");
  EXPECT_EQ(Request::make("GET", "/x?y=1&y=2").query_value("y"), std::nullopt);
}

struct Origin {
  Headers headers;
  bool same;
  const char* why;
};

TEST(Request, CrossSitePostsAreSeen) {  // attacks.md 5
  for (const auto& [headers, same, why] : std::initializer_list<Origin>{
           {{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://a.test"}}, true, "a form of ours"},
           {{{"Sec-Fetch-Site", "same-origin"}}, true, "same, Origin left out"},
           {{{"Origin", "https://a.test"}}, true, "a browser without Fetch Metadata, or plain http"},
           {{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://a.test"}}, false, "cross-site"},
           {{{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://b.a.test"}},
            false,
            "a handle's page is same-site"},
           {{{"Sec-Fetch-Site", "none"}}, false, "posts do not come from the address bar"},
           {{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://evil.test"}}, false, "contradiction"},
           {{{"Origin", "https://evil.test"}}, false, "foreign"},
           {{{"Origin", "https://a.test.evil"}}, false, "prefix"},
           {{{"Origin", "http://a.test"}}, false, "other scheme"},
           {{{"Origin", "null"}}, false, "sandboxed frame"},
           {{{"Origin", "https://a.test"}, {"Origin", "https://evil.test"}}, false, "two"},
           {{}, false, "says nothing"},
       })
    EXPECT_EQ(Request::make("POST", "/", "", headers).from_same_origin("https://a.test"), same) << why;
}

TEST(Request, FramesScriptsAndPrefetchesAreNoNavigation) {  // attacks.md 5, 6
  struct Row {
    Headers headers;
    bool navigation;
    const char* why;
  };
  for (const auto& [headers, navigation, why] : std::initializer_list<Row>{
           {{{"Sec-Fetch-Dest", "document"},
             {"Sec-Fetch-Mode", "navigate"},
             {"Sec-Fetch-Site", "cross-site"}},
            true,
            "an app sends somebody here"},
           {{}, true, "an old browser"},
           {{{"Sec-Fetch-Mode", "cors"}}, true, "a program"},
           {{{"Sec-Fetch-Dest", "iframe"}, {"Sec-Fetch-Mode", "navigate"}}, false, "framed"},
           {{{"Sec-Fetch-Dest", "fencedframe"}, {"Sec-Fetch-Mode", "navigate"}}, false, "framed"},
           {{{"Sec-Fetch-Dest", "frame"}}, false, "framed"},
           {{{"Sec-Fetch-Dest", "embed"}}, false, "embedded"},
           {{{"Sec-Fetch-Dest", "object"}}, false, "embedded"},
           {{{"Sec-Fetch-Dest", "image"}, {"Sec-Fetch-Mode", "no-cors"}}, false, "an image"},
           {{{"Sec-Fetch-Dest", "empty"}, {"Sec-Fetch-Mode", "cors"}}, false, "fetch()"},
           {{{"Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Mode", "cors"}}, false, "contradiction"},
           {{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}}, false, "not navigate"},
           {{{"Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Dest", "iframe"}}, false, "two"},
           {{{"Sec-Fetch-Dest", "document"}, {"Sec-Purpose", "prefetch;prerender"}},
            false,
            "nobody went yet"},
       })
    EXPECT_EQ(Request::make("GET", "/", "", headers).may_be_navigation(), navigation) << why;
}

TEST(Page, CarriesTheHeadersOfEveryPage) {  // attacks.md 6
  const auto r = html_page("<p>", {.form_action = {"https://app.example"}});
  const auto csp = r.headers.get("content-security-policy");
  EXPECT_THAT(csp, HasSubstr("default-src 'none'"));
  EXPECT_THAT(csp, HasSubstr("form-action 'self' https://app.example;"));
  EXPECT_THAT(csp, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(csp, HasSubstr("base-uri 'none'"));
  EXPECT_THAT(csp, Not(HasSubstr("unsafe")));
  EXPECT_EQ(r.headers.get("x-frame-options"), "DENY");
  EXPECT_EQ(r.headers.get("x-content-type-options"), "nosniff");
  EXPECT_EQ(r.headers.get("referrer-policy"), "same-origin");
  EXPECT_EQ(r.headers.get("cross-origin-opener-policy"), "same-origin");
  EXPECT_EQ(r.headers.get("cross-origin-resource-policy"), "same-origin");
  EXPECT_EQ(r.headers.get("cache-control"), "no-store");
  EXPECT_TRUE(r.headers.has("strict-transport-security"));
  EXPECT_FALSE(html_page("", {.https = false}).headers.has("strict-transport-security"));
}

TEST(Page, CspSourcesCannotBreakOut) {  // attacks.md 18
  for (const auto* source : {"https://a; script-src *", "https://a https://b", "", "'unsafe-inline'", "a,b"})
    EXPECT_THROW(html_page("", {.form_action = {source}}), std::invalid_argument) << source;
  EXPECT_NO_THROW(html_page("", {.form_action = {"com.example.app:"}}));
}

TEST(Data, IsNeverADocument) {  // attacks.md 6
  auto r = Response::json(json::Object{});
  add_data_headers(r, true);
  EXPECT_EQ(r.headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
  EXPECT_EQ(r.headers.get("x-frame-options"), "DENY");
  EXPECT_EQ(r.headers.get("x-content-type-options"), "nosniff");
  EXPECT_EQ(r.headers.get("referrer-policy"), "no-referrer");
  EXPECT_EQ(r.headers.get("cross-origin-resource-policy"), "same-origin");
  EXPECT_EQ(r.headers.get("cache-control"), "no-store");
  EXPECT_TRUE(r.headers.has("strict-transport-security"));
  // Open to all origins, and with opinions of its own.
  r = Response::json(json::Object{});
  r.header("access-control-allow-origin", "*").header("content-security-policy", "sandbox");
  add_data_headers(r, false);
  EXPECT_EQ(r.headers.get("content-security-policy"), "sandbox");
  EXPECT_EQ(r.headers.get("cross-origin-resource-policy"), "cross-origin");
  EXPECT_FALSE(r.headers.has("cache-control"));
  EXPECT_FALSE(r.headers.has("strict-transport-security"));
}

}  // namespace
}  // namespace latchkey::web

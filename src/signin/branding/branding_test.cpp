#include "signin/branding/branding.h"

#include <gtest/gtest.h>

#include "signin/branding/image_type.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;

const std::string k_png = std::string("\x89PNG\r\n\x1a\n", 8) + "pixels";
constexpr const char* k_logo = "https://cdn.example/logo.png";
constexpr const char* k_template = "https://app.example/mail.html";

class FakeFetch final : public Fetch {
 public:
  std::map<std::string, FetchResponse> documents;
  std::vector<FetchRequest> asked;
  std::optional<FetchError> trouble;
  std::chrono::milliseconds delay{0};
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    asked.push_back(request);
    if (delay.count() > 0) co_await sleep_for(delay);
    if (trouble) co_return fail(*trouble);
    const auto at = documents.find(request.url);
    if (at == documents.end()) co_return fail(FetchError{FetchError::Kind::unreachable, "no such host"});
    co_return at->second;
  }
};

FetchResponse html(std::string body) {
  return {200, {{"content-type", "text/html; charset=utf-8"}}, std::move(body)};
}

class BrandingTest : public ::testing::Test {
 protected:
  BrandingTest() { fetch.documents[k_logo] = {200, {{"content-type", "image/png"}}, k_png}; }

  // Which clients the operator trusts, and which domains may bring templates.
  Branding& make(std::set<std::string> domains = {}) {
    branding.emplace(
        Branding::Options{"https://auth.pds.test", std::move(domains), {"https://app.example/c.json"}},
        [this](std::string id) { return find(std::move(id)); }, fetch, clock);
    return *branding;
  }
  Task<Result<std::shared_ptr<const oauth::Client>, oauth::Fault>> find(std::string id) {
    found.push_back(id);
    co_return client(id);
  }
  std::shared_ptr<const oauth::Client> client(std::string id = "https://app.example/c.json") const {
    auto out = std::make_shared<oauth::Client>(
        oauth::Client{.id = *oauth::ClientId::parse(id, oauth::LocalHosts::refuse), .client_name = "App"});
    out->trusted = id == "https://app.example/c.json";
    out->logo_uri = logo_uri;
    out->branding = wishes;
    return out;
  }
  web::Response get(const std::string& target) {
    web::Router router;
    branding->add_routes(router);
    return run(router.handle(web::Request::make("GET", target)));
  }
  web::Response logo(std::string id = "https://app.example/c.json") {
    return get("/brand/logo?client_id=" + percent_encode(id));
  }
  MailBranding mail(std::string id = "https://app.example/c.json") {
    return run(branding->mail(client(id), {.code = "01234567", .app_name = "App", .email = "a@example.com"}));
  }

  FakeFetch fetch;
  FakeClock clock;
  std::optional<std::string> logo_uri = k_logo;
  oauth::ClientBranding wishes;
  std::optional<Branding> branding;
  std::vector<std::string> found;
};

// --- Logos

TEST_F(BrandingTest, ALogoIsServedFromOurOrigin) {
  make();
  EXPECT_EQ(branding->logo_url(*client()),
            "https://auth.pds.test/brand/logo?client_id=https%3A%2F%2Fapp.example%2Fc.json");
  const auto response = logo();
  EXPECT_EQ(response.status, 200);
  ASSERT_TRUE(response.shared_body);
  EXPECT_EQ(as_text(*response.shared_body), k_png);
  EXPECT_EQ(response.headers.get("content-type"), "image/png");
  EXPECT_EQ(response.headers.get("x-content-type-options"), "nosniff");
  EXPECT_EQ(response.headers.get("content-security-policy"),
            "default-src 'none'; sandbox; frame-ancestors 'none'");
}

TEST_F(BrandingTest, AttackLogo_NoOpenProxyForClientsNobodyTrusts) {
  make();
  const std::string stranger = "https://evil.example/c.json";
  EXPECT_EQ(branding->logo_url(*client(stranger)), "");
  EXPECT_EQ(logo(stranger).status, 404);
  EXPECT_EQ(logo("http://127.0.0.1/").status, 404);
  EXPECT_EQ(get("/brand/logo").status, 404);
  EXPECT_EQ(get("/brand/logo?client_id=a&client_id=b").status, 404);
  EXPECT_TRUE(fetch.asked.empty());
  EXPECT_TRUE(found.empty()) << "not even its metadata is asked for";
}

TEST_F(BrandingTest, AttackLogo_OnlyRasterPicturesByTheirBytes) {
  const struct {
    std::string bytes;
    std::string_view type;
  } rows[] = {{k_png, "image/png"},
              {"\xff\xd8\xff\xe0 JFIF", "image/jpeg"},
              {"GIF89a....", "image/gif"},
              {"GIF87a....", "image/gif"},
              {std::string("RIFF\0\0\0\0WEBPVP8 ", 16), "image/webp"},
              {"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>", ""},
              {"<?xml version=\"1.0\"?><svg/>", ""},
              {"<!doctype html><script>alert(1)</script>", ""},
              {" " + k_png, ""},
              {"GIF88a....", ""},
              {std::string("RIFF\0\0\0\0WAVEfmt ", 16), ""},
              {"\x1f\x8b\x08 gzip", ""},
              {"BM bitmap", ""},
              {"\x89PNG", ""},
              {"", ""}};
  for (const auto& row : rows) EXPECT_EQ(raster_type(row.bytes), row.type) << row.bytes;
  make();
  fetch.documents[k_logo] = {200, {{"content-type", "image/png"}}, "<svg><script>alert(1)</script></svg>"};
  EXPECT_EQ(logo().status, 404) << "whatever the other server calls it";
  clock.advance(1min);
  fetch.documents[k_logo] = {200, {{"content-type", "text/html"}}, k_png};
  EXPECT_EQ(logo().headers.get("content-type"), "image/png");
}

TEST_F(BrandingTest, AttackLogo_TenMegabytesRedirectsAndErrors) {
  make();
  logo();
  ASSERT_EQ(fetch.asked.size(), 1u);
  EXPECT_EQ(fetch.asked[0].max_body, 256u * 1024);
  EXPECT_EQ(fetch.asked[0].timeout, 5s);
  const FetchResponse answers[] = {{302, {{"location", "http://169.254.169.254/"}}, k_png},
                                   {206, {}, k_png},
                                   {404, {}, k_png},
                                   {200, {}, k_png + std::string(10 << 20, 'x')},
                                   {200, {}, k_png + std::string(256 * 1024 + 1 - k_png.size(), 'x')}};
  for (const auto& answer : answers) {
    clock.advance(10min);
    fetch.documents[k_logo] = answer;
    EXPECT_EQ(logo().status, 404) << answer.status;
  }
  clock.advance(1min);
  fetch.documents[k_logo] = {200, {}, k_png + std::string(256 * 1024 - k_png.size(), 'x')};
  EXPECT_EQ(logo().status, 200) << "256 KB";
}

TEST_F(BrandingTest, AttackLogo_PrivateAddressesAreTheGuardsAndRemembered) {
  make();
  fetch.trouble = FetchError{FetchError::Kind::refused_by_guard, "10.0.0.1"};
  EXPECT_NE(branding->logo_url(*client()), "");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(logo().status, 404);
  EXPECT_EQ(fetch.asked.size(), 1u) << "a failure is kept for a minute";
  EXPECT_EQ(branding->logo_url(*client()), "") << "pages show the initial then";
  clock.advance(1min - 1us);
  EXPECT_EQ(branding->logo_url(*client()), "");
  fetch.trouble.reset();
  clock.advance(1us);
  EXPECT_EQ(logo().status, 200);
}

TEST_F(BrandingTest, ALogoIsKeptForTenMinutes) {
  make();
  logo();
  clock.advance(10min - 1us);
  logo();
  EXPECT_EQ(fetch.asked.size(), 1u);
  clock.advance(1us);
  logo();
  EXPECT_EQ(fetch.asked.size(), 2u);
}

Task<void> get_one(RemoteCache<std::string>* cache, std::string url, int* ended) {
  if (co_await cache->get(std::move(url))) ++*ended;
}

TEST_F(BrandingTest, AttackLogo_AThousandReadersMakeOneRequestAndTheCacheIsBounded) {
  RemoteCache<std::string> cache(
      {"test", "*/*", 100, 3},
      [](const FetchResponse& r) { return Result<std::string, std::string>(r.body); }, fetch, clock);
  for (const char* url : {"a", "b", "c", "d"}) fetch.documents[url] = {200, {}, url};
  fetch.delay = 1ms;
  int ended = 0;
  InlineExecutor executor;
  executor.post([&] {
    for (int i = 0; i < 1000; ++i) spawn(get_one(&cache, "a", &ended));
  });
  executor.run_until([&] { return ended == 1000; });
  EXPECT_EQ(fetch.asked.size(), 1u);

  fetch.delay = 0ms;
  for (const char* url : {"b", "c", "a", "d"}) run(cache.get(url));
  EXPECT_EQ(fetch.asked.size(), 4u);
  run(cache.get("a"));
  EXPECT_EQ(fetch.asked.size(), 4u) << "used last, kept";
  run(cache.get("b"));
  EXPECT_EQ(fetch.asked.size(), 5u) << "used least, gone";
}

// --- Colours

TEST_F(BrandingTest, ColorsComeAsASheetOfOurs) {
  make();
  wishes.brand_color = web::Color::parse_hex("#0085ff");
  const BrandColors of_operator{.brand = web::Color::parse_hex("#f00"), .bad = web::Color::parse_hex("#900")};
  EXPECT_EQ(Branding::colors_url(of_operator, client().get()), "/brand/colors.css?brand=0085ff&bad=990000");
  EXPECT_EQ(Branding::colors_url(of_operator, nullptr), "/brand/colors.css?brand=ff0000&bad=990000");
  wishes = {};
  EXPECT_EQ(Branding::colors_url({}, client().get()), "");
  const auto sheet = get("/brand/colors.css?brand=0085ff");
  EXPECT_EQ(sheet.status, 200);
  EXPECT_EQ(sheet.headers.get("content-type"), "text/css; charset=utf-8");
  EXPECT_NE(sheet.body.find("--brand: #"), std::string::npos);
}

TEST_F(BrandingTest, AttackBrandColor_CssInTheAddressOfTheSheet) {
  make();
  for (const char* query :
       {"brand=red%3B%7Dbody%7Bdisplay%3Anone%7D", "brand=%", "x=1", "brand=fff&brand=fff"})
    EXPECT_EQ(get("/brand/colors.css?" + std::string(query)).status, 404) << query;
}

// --- Mails

TEST_F(BrandingTest, ATrustedClientWritesItsOwnMails) {
  make();
  wishes = {.email_template_uri = k_template, .email_subject_template = "{{code}} - {{app_name}}"};
  fetch.documents[k_template] = html("<p>{{code}}</p><img src=\"{{logo_uri}}\">");
  const auto out = mail();
  EXPECT_EQ(out.from_name, "App");
  EXPECT_EQ(out.subject, "01234567 - App");
  ASSERT_TRUE(out.html);
  EXPECT_NE(out.html->find("<p>01234567</p>"), std::string::npos);
  EXPECT_NE(out.html->find("src=\"https://auth.pds.test/brand/logo?client_id="), std::string::npos);
  EXPECT_EQ(fetch.asked[0].max_body, 100u * 1024);
  EXPECT_EQ(fetch.asked[0].timeout, 5s);
  mail();
  EXPECT_EQ(fetch.asked.size(), 1u) << "kept for 10 minutes";
}

TEST_F(BrandingTest, AttackTemplate_AStrangerWritesNoMails) {
  make();
  wishes = {.email_template_uri = "https://evil.example/mail.html", .email_subject_template = "{{code}}"};
  fetch.documents["https://evil.example/mail.html"] = html("{{code}}");
  const auto out = mail("https://evil.example/c.json");
  EXPECT_FALSE(out.html || out.subject);
  EXPECT_EQ(out.from_name, "");
  EXPECT_TRUE(fetch.asked.empty()) << "nobody makes this server fetch";
}

TEST_F(BrandingTest, ADomainOnTheListMayBringItsOwnTemplate) {
  make({"listed.example"});
  wishes = {.email_template_uri = "https://listed.example/mail.html", .email_subject_template = "{{code}}"};
  fetch.documents["https://listed.example/mail.html"] = html("{{code}}");
  const auto out = mail("https://listed.example/c.json");
  EXPECT_TRUE(out.html && out.subject);
  EXPECT_EQ(out.from_name, "") << "a sender's name is for those the operator trusts";
}

TEST_F(BrandingTest, AttackTemplate_TheListBindsEverybodyAndLooksAreNotBorrowed) {
  make({"listed.example", "other.example"});
  const auto trusted = client(), listed = client("https://listed.example/c.json"),
             stranger = client("https://evil.example/c.json"),
             below = client("https://x.listed.example/c.json");
  EXPECT_TRUE(branding->may_fetch_template(*trusted, "https://listed.example/mail.html"));
  EXPECT_FALSE(branding->may_fetch_template(*listed, "https://other.example/mail.html"))
      << "another app's looks";
  EXPECT_FALSE(branding->may_fetch_template(*trusted, k_template)) << "not on the list";
  EXPECT_TRUE(branding->may_fetch_template(*listed, "https://listed.example/mail.html"));
  EXPECT_FALSE(branding->may_fetch_template(*stranger, "https://listed.example/mail.html"))
      << "another app's looks";
  EXPECT_FALSE(branding->may_fetch_template(*stranger, "https://evil.example/mail.html"));
  EXPECT_FALSE(branding->may_fetch_template(*below, "https://x.listed.example/mail.html"));
  EXPECT_FALSE(branding->may_fetch_template(*trusted, "https://listed.example@evil.example/mail.html"));
  EXPECT_FALSE(branding->may_fetch_template(*trusted, "http://listed.example/mail.html"));
}

TEST_F(BrandingTest, AttackTemplate_WhateverGoesWrongLeavesOurMail) {
  make();
  wishes = {.email_template_uri = k_template, .email_subject_template = "{{code"};
  const FetchResponse answers[] = {
      html("<p>no code</p>"),
      html("{{code}}" + std::string(10 << 20, 'x')),
      {302, {{"location", "http://10.0.0.1/"}}, "{{code}}"},
      {200, {{"content-type", "application/json"}}, "{{code}}"},
      {200, {}, "{{code}}"},
      {200, {{"content-type", "text/html"}, {"content-encoding", "gzip"}}, "\x1f\x8b\x08"},
      html("{{code}}{{> ../../etc/passwd}}")};
  for (const auto& answer : answers) {
    clock.advance(10min);
    fetch.documents[k_template] = answer;
    const auto out = mail();
    EXPECT_FALSE(out.html) << answer.status;
    EXPECT_FALSE(out.subject) << "a broken subject is ours as well";
  }
  fetch.trouble = FetchError{FetchError::Kind::refused_by_guard, "127.0.0.1"};
  clock.advance(10min);
  EXPECT_FALSE(mail().html);
  const auto before = fetch.asked.size();
  clock.advance(1min - 1us);
  mail();
  EXPECT_EQ(fetch.asked.size(), before) << "a failure is kept for a minute";
  fetch.trouble.reset();
  fetch.documents[k_template] = html("{{code}}");
  clock.advance(1us);
  EXPECT_TRUE(mail().html);
}

TEST_F(BrandingTest, LoopbackAppsHaveNothingOfTheirOwn) {
  make({"localhost"});
  EXPECT_FALSE(branding->may_brand_mails(*client("http://localhost")));
  EXPECT_EQ(branding->logo_url(*client("http://localhost")), "");
}

}  // namespace
}  // namespace latchkey::signin

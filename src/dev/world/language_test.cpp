// Pages and mails in the reader's language, from the first page to the way back.
#include <fmt/chrono.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"
#include "ui/embedded.h"

namespace latchkey::dev::world {
namespace {

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_choice = "__Host-latchkey_lang";

const web::Messages& messages() {
  static const web::Messages k_messages(ui::messages());
  return k_messages;
}

class Speaker : public Browser {
 public:
  Speaker(World& w, std::string language) : Browser(w), language_(std::move(language)) {}
  Page get(const std::string& url) { return speak(request("GET", url)); }
  Page submit(const Page& page, std::string_view action, FormFields fields = {}) {
    return speak(submission(page, action, std::move(fields)));
  }
  Page follow(Page page) {
    while (page.status == 303)
      page = get(page.location().starts_with("/") ? world().options.auth + page.location() : page.location());
    return page;
  }

 private:
  Page speak(web::Request request) {
    request.headers.set("accept-language", language_);
    return send(std::move(request));
  }
  std::string language_;
};

void expect_language(const Page& page, const std::string& lang) {
  EXPECT_EQ(page.header("content-language"), lang) << page.url;
  EXPECT_TRUE(page.shows("<html lang=\"" + lang + "\" dir=\"ltr\">")) << page.url;
}

TEST(Languages, EveryPageAndTheMailAreInTheReadersLanguage) {
  for (const auto& words : messages().all()) {
    const std::string lang = words.lang();
    World w;
    App app(w, App::Kind::web);
    Speaker b(w, lang + "-XX, xx;q=0.9");
    Page page = b.get(app.authorize_url(app.start()));
    expect_language(page, lang);
    EXPECT_EQ(page.heading(), words.text("email.heading"));
    const Page refused = b.submit(page, "/auth/email", {{"email", "x"}});
    EXPECT_TRUE(refused.shows(web::html_escape(words.text("email.incomplete")))) << refused.body;
    page = b.follow(b.submit(page, "/auth/email", {{"email", k_alice}}));
    expect_language(page, lang);
    EXPECT_EQ(page.heading(), words.text("code.heading"));
    ASSERT_EQ(w.mails().size(), 1u);
    const auto mail = w.mails()[0];
    EXPECT_EQ(mail.subject, words.text("mail.welcome.subject",
                                       {{"code", w.code(k_alice)}, {"service_name", "Example Community"}}))
        << lang;
    EXPECT_NE(mail.html.find("<html lang=\"" + lang + "\" dir=\"ltr\">"), std::string::npos);
    EXPECT_NE(mail.text.find(words.text("mail.welcome.ignore")), std::string::npos) << mail.text;
    page = b.submit(page, "/auth/verify", {{"code", "1"}});
    EXPECT_TRUE(page.shows(web::html_escape(words.text("code.wrong"))));
    page = b.follow(b.submit(page, "/auth/verify", {{"code", w.code(k_alice)}}));
    expect_language(page, lang);
    EXPECT_EQ(page.heading(), words.text("consent.heading_new"));
    EXPECT_TRUE(page.shows(web::html_escape(words.text("permission.atproto"))));
    page = b.get(w.options.auth + "/auth/step?flow_id=unknown");
    expect_language(page, lang);
    EXPECT_EQ(page.heading(), words.text("error.expired"));
    EXPECT_EQ(b.get(w.options.auth + "/account/login").heading(), words.text("account.title"));
  }
}

TEST(Languages, TheAccountPageHasDatesPermissionsAndDevicesInThem) {
  World w;
  App app(w);
  Speaker b(w, "de");
  sign_in(app, b, k_alice);
  Page page =
      b.follow(b.submit(b.get(w.options.auth + "/account/login"), "/account/send-otp", {{"email", k_alice}}));
  expect_language(page, "de");
  auto verify =
      b.request("POST", w.options.auth + "/account/verify-otp",
                {{"csrf", page.form("/account/verify-otp").fields[0].second}, {"code", w.code(k_alice)}});
  verify.headers.set("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
  page = b.follow(b.send(std::move(verify)));
  expect_language(page, "de");
  const auto today = fmt::format("{:%d.%m.%Y}", std::chrono::floor<std::chrono::seconds>(w.clock.now()));
  EXPECT_TRUE(page.shows(">" + today + ", ")) << "an app's session, to the minute";
  EXPECT_TRUE(page.shows(">" + today + "</time>")) << "a device, to the day";
  EXPECT_TRUE(page.shows("Firefox unter Linux"));
  EXPECT_TRUE(page.shows("In Ihrem Namen handeln"));
  EXPECT_TRUE(page.shows("eine App auf diesem Computer"));
  EXPECT_FALSE(page.shows("Last used")) << page.body;
}

TEST(Languages, AChoiceAtTheFootOfThePageHoldsFromThenOn) {
  World w;
  App app(w);
  Speaker b(w, "fr");
  Page page = b.get(app.authorize_url(app.start()));
  const auto link = page.body.find("&amp;lang=ja\"");
  ASSERT_NE(link, std::string::npos);
  const auto from = page.body.rfind("href=\"", link) + 6;
  std::string address = page.body.substr(from, page.body.find('"', from) - from);
  address.replace(address.find("&amp;"), 5, "&");
  page = b.get(w.options.auth + address);
  expect_language(page, "ja");
  EXPECT_EQ(page.heading(), "サインイン") << "the same page";
  EXPECT_EQ(b.jar["auth.pds.test"][k_choice].value, "ja");
  page = b.follow(b.submit(page, "/auth/email", {{"email", k_alice}}));
  expect_language(page, "ja");
  EXPECT_EQ(w.mails()[0].subject.substr(8), " — Example Community へようこそ");
}

TEST(Languages, WhatAnAppAsksForHoldsForItsSignIn) {  // OpenID Connect Core §3.1.2.1
  World w;
  App app(w);
  Speaker b(w, "fr");
  Page page = b.get(app.authorize_url(app.start({{"ui_locales", "sv de-CH es"}})));
  expect_language(page, "de");
  page = b.follow(b.submit(page, "/auth/email", {{"email", k_alice}}));
  expect_language(page, "de");
  expect_language(b.get(app.authorize_url(app.start()) + "&ui_locales=es"), "es");
  expect_language(b.get(app.authorize_url(app.start({{"ui_locales", "pt"}})) + "&ui_locales=es"), "pt");
  w.clock.advance(std::chrono::minutes(11));
  expect_language(b.get(w.options.auth + "/account/login"), "fr");
  expect_language(b.get(w.options.auth + "/account/login?lang=ja"), "ja");
  expect_language(b.get(app.authorize_url(app.start({{"ui_locales", "pt"}}))), "ja");
}

TEST(Languages, UiLocalesOfMoreThan256BytesAreNoWishAndNoError) {
  World w;
  App app(w);
  Speaker b(w, "fr");
  const auto padded = [](std::size_t size) { return std::string(size - 2, ' ') + "de"; };
  expect_language(b.get(app.authorize_url(app.start({{"ui_locales", padded(257)}}))), "fr");
  expect_language(b.get(app.authorize_url(app.start({{"ui_locales", padded(256)}}))), "de");
}

TEST(Languages, WordsOfTheProtocolStayEnglishAndSaySo) {
  World w;
  App app(w);
  Speaker b(w, "de");
  auto login = app.start();
  login.request_uri += "x";
  const Page page = b.get(app.authorize_url(login));
  expect_language(page, "de");
  EXPECT_EQ(page.heading(), messages().find("de")->text("error.fault"));
  EXPECT_TRUE(page.shows(messages().find("de")->text("error.fault.message")));
  EXPECT_TRUE(page.shows("<p class=\"muted small\" lang=\"en\">"));
}

TEST(Languages, AttackUnknownLanguage_IsNoneAndNothingIsKept) {
  World w;
  Speaker b(w, "de");
  for (const char* lang : {"xx", "..%2Fde", "%3Cscript%3E", "de%0d%0aset-cookie:x=y"}) {
    const Page page = b.get(w.options.auth + "/account/login?lang=" + lang);
    expect_language(page, "de");
    EXPECT_FALSE(page.shows("script>alert"));
    EXPECT_FALSE(b.jar["auth.pds.test"].contains(k_choice));
  }
}

}  // namespace
}  // namespace latchkey::dev::world

#include "signin/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ui/embedded.h"
#include "web/cookie.h"

namespace latchkey::signin {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ReaderTest : public ::testing::Test {
 protected:
  Reader of(std::string target, web::Headers headers = {}) {
    return readers_.of(web::Request::make("GET", "https://auth.pds.test" + target, "", std::move(headers)));
  }
  std::string lang(std::string target, web::Headers headers = {}) {
    return of(std::move(target), std::move(headers)).lang();
  }
  web::Messages messages_{ui::messages()};
  Readers readers_{messages_, true};
};

TEST_F(ReaderTest, ThePersonsChoiceGoesBeforeTheAppsAndThatBeforeTheBrowsers) {
  const auto lang = [&](std::string target, const web::Headers& headers, std::string_view ui_locales = {}) {
    return readers_.of(web::Request::make("GET", "https://auth.pds.test" + target, "", headers), ui_locales)
        .lang();
  };
  web::Headers headers{{"accept-language", "ja"}};
  EXPECT_EQ(lang("/", {}), "en");
  EXPECT_EQ(lang("/", headers), "ja");
  EXPECT_EQ(lang("/", {}, "sv"), "en") << "nobody here speaks it";
  headers.set("cookie", "__Host-latchkey_ui_locales=pt");
  EXPECT_EQ(lang("/", headers), "pt");
  EXPECT_EQ(lang("/", headers, "sv es-MX fr"), "es") << "the first that is spoken here";
  headers.set("cookie", "__Host-latchkey_ui_locales=pt; __Host-latchkey_lang=fr");
  EXPECT_EQ(lang("/", headers, "es"), "fr");
  EXPECT_EQ(lang("/?lang=de", headers, "es"), "de");
}

TEST_F(ReaderTest, AttackUnknownLanguage_IsAsIfNothingWasSaid) {
  for (const char* tag : {"x", "en.json", "..%2Fen", "%3Cscript%3E", "", "de&lang=fr"})
    EXPECT_EQ(lang(std::string("/?lang=") + tag, {{"accept-language", "ja"}}), "ja") << tag;
  EXPECT_EQ(lang("/", {{"cookie", "__Host-latchkey_lang=../../x"}}), "en");
}

TEST_F(ReaderTest, WantedMayBeWhatNobodyHereSpeaks) {  // permission sets may have a title in it
  const auto reader = of("/", {{"accept-language", "sv-FI, de;q=0.5"}});
  EXPECT_EQ(reader.lang(), "de");
  EXPECT_EQ(reader.wanted, "sv-fi");
  EXPECT_EQ(of("/?lang=fr", {{"accept-language", "sv-FI"}}).wanted, "fr");
}

TEST_F(ReaderTest, AChoiceIsKeptForAYearAndAnAppsWishForASignIn) {
  web::Response response;
  readers_.remember_choice(response, web::Request::make("GET", "https://auth.pds.test/?lang=DE"));
  EXPECT_THAT(
      std::string(response.headers.get("set-cookie")),
      AllOf(StartsWith("__Host-latchkey_lang=de;"), HasSubstr("Max-Age=31536000"), HasSubstr("HttpOnly")));
  response = {};
  readers_.remember_ui_locales(response, "sv pt-BR");
  EXPECT_THAT(std::string(response.headers.get("set-cookie")),
              AllOf(StartsWith("__Host-latchkey_ui_locales=pt;"), HasSubstr("Max-Age=600")));
  response = {};
  readers_.remember_choice(response, web::Request::make("GET", "https://auth.pds.test/?lang=xx"));
  readers_.remember_ui_locales(response, "sv");
  EXPECT_FALSE(response.headers.has("set-cookie"));
}

TEST_F(ReaderTest, TheLanguagesLeadToThisPage) {
  const auto addresses = [&](const Reader& reader) {
    json::Object view;
    readers_.offer_languages(view, reader);
    std::vector<std::string> out;
    if (const auto* languages = view.find("languages"))
      for (const auto& one : *languages->array()) out.push_back(*one.string_at("language_url"));
    return out;
  };
  EXPECT_THAT(addresses(of("/account?lang=ja")),
              ElementsAre("?lang=en", "?lang=de", "?lang=es", "?lang=fr", "?lang=pt"))
      << "all but its own";
  auto reader = of("/auth/step?flow_id=x&sent=again");
  EXPECT_THAT(addresses(reader), IsEmpty()) << "it says itself what belongs to it";
  reader.here = "/auth/step?flow_id=x";
  EXPECT_EQ(addresses(reader).front(), "/auth/step?flow_id=x&lang=de");
  EXPECT_THAT(addresses(readers_.of(web::Request::make("POST", "https://auth.pds.test/"))), IsEmpty())
      << "what answers a form cannot be had again";
}

TEST_F(ReaderTest, AttackAddressWrittenByOthers_DoesNotComeBackInTheLinks) {
  EXPECT_EQ(of("/?login_hint=%3Cscript%3E").here, "");
  EXPECT_EQ(of("/?lang=de&x=//evil.test").here, "");
  EXPECT_EQ(of("//evil.test/").here, "?") << "\"//evil.test/?lang=de\" would be a link to another host";
}

}  // namespace
}  // namespace latchkey::signin

#include "web/languages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> wanted(std::string_view header) {
  return LanguagePriority::from_accept_language(header).wanted;
}

TEST(AcceptLanguage, IsOrderedByWeightAndThenAsWritten) {  // RFC 9110 §12.5.4
  EXPECT_THAT(wanted("da, en-gb;q=0.8, en;q=0.7"), ElementsAre("da", "en-gb", "en")) << "the RFC's example";
  EXPECT_THAT(wanted("en;q=0.5, ja, de;q=0.9"), ElementsAre("ja", "de", "en"));
  EXPECT_THAT(wanted("fr,de;q=1.000,es"), ElementsAre("fr", "de", "es"));
  EXPECT_THAT(wanted("pt-BR,pt;q=0.9"), ElementsAre("pt-br", "pt"));
  EXPECT_THAT(wanted("de ; q=0.1\t,fr;Q=0.2"), ElementsAre("fr", "de"));
  EXPECT_THAT(wanted(""), IsEmpty());
}

TEST(AcceptLanguage, AttackNoLanguageRange_IsLeftOut) {
  EXPECT_THAT(wanted("*, x\"><script>, de"), ElementsAre("de"));
  EXPECT_THAT(wanted("-de, de-, de--ch, 1de, , ;q=1, d\xc3\xa9"), IsEmpty());
  EXPECT_THAT(wanted("abcdefgh-ij"), ElementsAre("abcdefgh-ij"));
  EXPECT_THAT(wanted("abcdefghi"), IsEmpty()) << "a subtag has at most 8 letters";
  EXPECT_THAT(wanted("de-abcdefgh-abcdefgh-abcdefgh-abcde"), ElementsAre(::testing::_)) << "35 in all";
  EXPECT_THAT(wanted("de-abcdefgh-abcdefgh-abcdefgh-abcdef"), IsEmpty()) << "36";
}

TEST(AcceptLanguage, AttackOddWeight_LeavesItsRangeOut) {  // RFC 9110 §12.4.2
  for (const char* q :
       {"q=", "q=2", "q=1.001", "q=0.1234", "q=-1", "q=.5", "q=0,5x", "q=nan", "q=1e0", "level=1"})
    EXPECT_THAT(wanted(std::string("fr;") + q + ", de"), ElementsAre("de")) << q;
  for (const char* q : {"q=1", "q=1.", "q=1.0", "q=0.001", "q=0.123"})
    EXPECT_EQ(wanted(std::string("fr;") + q).size(), 1u) << q;
}

TEST(AcceptLanguage, WeightZeroIsRefusal) {
  const auto priority = LanguagePriority::from_accept_language("fr;q=0, de;q=0.1, ja;q=0.000");
  EXPECT_THAT(priority.wanted, ElementsAre("de"));
  EXPECT_THAT(priority.refused, ElementsAre("fr", "ja"));
}

TEST(AcceptLanguage, IsReadTo1000Bytes) {
  EXPECT_THAT(wanted(std::string(998, ' ') + "de"), ElementsAre("de"));
  EXPECT_THAT(wanted(std::string(1000, ' ') + "de"), IsEmpty());
}

TEST(UiLocales, AreAListWithoutWeights) {  // OpenID Connect Core §3.1.2.1
  EXPECT_THAT(LanguagePriority::from_list("fr-CA fr  en").wanted, ElementsAre("fr-ca", "fr", "en"));
  EXPECT_THAT(LanguagePriority::from_list("<script> de").wanted, ElementsAre("de"));
}

TEST(Lookup, CutsTheRangeUntilItFits) {  // RFC 4647 §3.4
  const std::vector<std::string_view> available{"en", "de", "pt", "zh-Hant"};
  struct Row {
    const char *ranges, *tag;
  };
  for (const Row& row : std::initializer_list<Row>{{"de", "de"},
                                                   {"DE-ch-1996", "de"},
                                                   {"pt-BR", "pt"},
                                                   {"zh-Hant-CN-x-private1-private2", "zh-Hant"},
                                                   {"zh-hant-x-private1", "zh-Hant"},
                                                   {"zh", ""},
                                                   {"zh-Hans, de", "de"},
                                                   {"deu", ""},
                                                   {"sv, fi;q=0.9", ""},
                                                   {"*", ""},
                                                   {"", ""},
                                                   {"de-CH, de;q=0, pt;q=0.1", "pt"}})
    EXPECT_EQ(lookup_language(LanguagePriority::from_accept_language(row.ranges), available), row.tag)
        << row.ranges;
}

}  // namespace
}  // namespace latchkey::web

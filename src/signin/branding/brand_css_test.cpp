#include "signin/branding/brand_css.h"

#include <gtest/gtest.h>

namespace latchkey::signin {
namespace {

using web::Color;

// The value of a property in the block for light (0) or dark (1).
std::optional<Color> property(const std::string& css, std::string name, int block) {
  auto at = css.find("@media");
  if (block == 1) at = css.find("@media", at + 1);
  const auto end = css.find("@media", at + 1);
  const auto found = css.find("--" + name + ": ", at);
  if (found == std::string::npos || (end != std::string::npos && found > end)) return std::nullopt;
  return Color::parse_hex(css.substr(found + name.size() + 4, 7));
}

TEST(BrandCss, EveryColorBecomesReadableInBothSchemes) {
  const Color surfaces[] = {*Color::parse_hex("#fffdfb"), *Color::parse_hex("#211c18")};
  const Color bad_grounds[] = {*Color::parse_hex("#fcedea"), *Color::parse_hex("#3b1f1a")};
  const Color good_grounds[] = {*Color::parse_hex("#ebf4ec"), *Color::parse_hex("#1c2e23")};
  const Color muted = *Color::parse_hex("#665a51");
  for (const char* text : {"#000000", "#ffffff", "#1a130f", "#ffff00", "#0085ff", "#777777", "#ff0000",
                           "#00ff00", "#fffdfb", "#211c18", "#808000"}) {
    const Color c = *Color::parse_hex(text);
    const std::string css = brand_css({.brand = c, .ground = c, .bad = c, .good = c, .accent = c});
    EXPECT_GE(contrast(*property(css, "ground", 0), muted), 4.5) << text;
    const Color plain = *property(brand_css({.ground = c}), "ground", 0);
    EXPECT_GE(contrast(plain, *Color::parse_hex("#9a4418")), 4.5) << text << ": links keep their colour";
    EXPECT_FALSE(property(css, "ground", 1)) << "the dark scheme keeps its own";
    for (int i = 0; i < 2; ++i) {
      const Color brand = *property(css, "brand", i), on_brand = *property(css, "on-brand", i);
      const Color ground = i == 0 ? *property(css, "ground", 0) : *Color::parse_hex("#13100d");
      EXPECT_GE(contrast(brand, on_brand), 4.5) << text << i;
      EXPECT_GE(contrast(brand.mixed(ground, 0.14), on_brand), 4.5) << text << i << " under the pointer";
      EXPECT_GE(contrast(brand, surfaces[i]), 3) << text << i;
      EXPECT_GE(contrast(*property(css, "bad", i), bad_grounds[i]), 4.5) << text << i;
      EXPECT_GE(contrast(*property(css, "bad", i), surfaces[i]), 4.5) << text << i;
      EXPECT_GE(contrast(*property(css, "good", i), good_grounds[i]), 4.5) << text << i;
      EXPECT_GE(contrast(*property(css, "good", i), surfaces[i]), 4.5) << text << i;
      EXPECT_GE(contrast(*property(css, "accent", i), surfaces[i]), 4.5) << text << i;
      EXPECT_GE(contrast(*property(css, "accent", i), ground), 4.5) << text << i;
    }
  }
}

TEST(BrandCss, AReadableColorStaysAsItIs) {
  const std::string css =
      brand_css({.brand = Color::parse_hex("#1a130f"), .ground = Color::parse_hex("#f2ebe4")});
  EXPECT_EQ(property(css, "brand", 0)->str(), "#1a130f");
  EXPECT_EQ(property(css, "ground", 0)->str(), "#f2ebe4");
  EXPECT_FALSE(property(css, "bad", 0)) << "what was not given is not set";
}

TEST(BrandCss, TheQueryBringsTheColorsBack) {
  const BrandColors colors{.brand = Color::parse_hex("#1a130f"), .accent = Color::parse_hex("#00f")};
  EXPECT_EQ(to_query(colors), "brand=1a130f&accent=0000ff");
  EXPECT_EQ(colors_of(*parse_form(to_query(colors))), colors);
}

TEST(BrandCss, AttackBrandColor_AQueryThatIsNoColor) {
  for (const char* query : {"brand=red", "brand=red%3B%7Dbody%7Bdisplay%3Anone", "brand=fff%3B", "brand=",
                            "brand=%23fff", "other=fff", "brand=fff&brand=000", "ground=fff%7D%2A%7B"})
    EXPECT_FALSE(colors_of(*parse_form(query))) << query;
}

}  // namespace
}  // namespace latchkey::signin

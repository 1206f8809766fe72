#include "web/color.h"

#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

TEST(Color, ReadsHexAndNothingElse) {
  EXPECT_EQ(Color::parse_hex("#1A130F")->str(), "#1a130f");
  EXPECT_EQ(Color::parse_hex("#f0a")->str(), "#ff00aa");
  for (const char* bad :
       {"", "#", "1a130f", "#1a130", "#1a130f0", "#12", "#1234", "#ggg", "# 12", "red", "rgb(1,2,3)",
        "#1a130f ", "red;}body{background:url(https://evil.example)", "#fff;}body{display:none}", "var(--x)",
        "\xef\xbc\x83"
        "fff"})
    EXPECT_FALSE(Color::parse_hex(bad)) << bad;
}

TEST(Color, OperatorsMayWriteRgb) {
  EXPECT_EQ(Color::parse("#0af")->str(), "#00aaff");
  EXPECT_EQ(Color::parse("rgb(0, 133,255)")->str(), "#0085ff");
  for (const char* bad : {"rgb()", "rgb(1,2)", "rgb(1,2,3,4)", "rgb(256,0,0)", "rgb(-1,0,0)", "rgb(1 2 3)",
                          "rgb(1,2,3", "rgba(1,2,3,0.5)", "rgb(1,2,3);"})
    EXPECT_FALSE(Color::parse(bad)) << bad;
}

TEST(Color, ContrastIsThatOfWcag) {
  EXPECT_DOUBLE_EQ(contrast(k_black, k_white), 21);
  EXPECT_DOUBLE_EQ(contrast(k_white, k_white), 1);
  EXPECT_NEAR(contrast(*Color::parse_hex("#767676"), k_white), 4.54, 0.01) << "the well-known lightest grey";
  EXPECT_NEAR(contrast(*Color::parse_hex("#777777"), k_white), 4.48, 0.01);
}

TEST(Color, EveryBackgroundHasReadableText) {
  for (int r = 0; r < 256; r += 15)
    for (int g = 0; g < 256; g += 15)
      for (int b = 0; b < 256; b += 15) {
        const Color c = Color::of(static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
                                  static_cast<std::uint8_t>(b));
        EXPECT_GE(contrast(text_on(c), c), k_text_contrast) << c.str();
        EXPECT_GE(contrast(with_contrast(k_white, c, k_text_contrast), c), k_text_contrast) << c.str();
        EXPECT_GE(contrast(with_contrast(c, k_white, k_part_contrast), k_white), k_part_contrast) << c.str();
      }
}

TEST(Color, WhatIsReadableStaysAsItIs) {
  const Color blue = *Color::parse_hex("#0055cc");
  EXPECT_EQ(with_contrast(blue, k_white, k_text_contrast), blue);
  EXPECT_NE(with_contrast(*Color::parse_hex("#ffff00"), k_white, k_part_contrast).str(), "#ffff00");
}

}  // namespace
}  // namespace latchkey::web

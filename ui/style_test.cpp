// Pages work from right to left, too: nothing in the style sheet is on the left or on the right.

#include <gmock/gmock.h>

#include <regex>

#include "ui/embedded.h"

namespace latchkey {
namespace {

std::string style_sheet() {
  for (const auto& file : ui::static_files())
    if (file.path == "latchkey.css")
      return std::regex_replace(std::string(as_text(file.bytes)), std::regex(R"(/\*[^]*?\*/)"), "");
  return {};
}

// Declarations that mean one side of the screen: "margin-left: …", "text-align: right", and lists of four
// values whose second and fourth differ.
std::vector<std::string> one_sided(const std::string& css) {
  std::vector<std::string> out;
  const std::regex declaration(R"(([a-z-]+)\s*:\s*([^;{}]+);)");
  const std::regex side(R"(\b(left|right)\b)");
  const std::regex four(R"((\S+)\s+(\S+)\s+(\S+)\s+(\S+))");
  const std::regex of_sides("(margin|padding|inset|border-(width|style|color)|scroll-(margin|padding))");
  for (std::sregex_iterator it(css.begin(), css.end(), declaration), end; it != end; ++it) {
    const std::string name = (*it)[1], value = (*it)[2];
    std::smatch values;
    if (std::regex_search(name, side) || std::regex_search(value, side) ||
        (std::regex_match(name, of_sides) && std::regex_match(value, values, four) && values[2] != values[4]))
      out.push_back(name + ": " + value);
  }
  return out;
}

TEST(StyleSheet, HasNoLeftAndRight) {
  const auto css = style_sheet();
  ASSERT_GT(css.size(), 10'000u);
  EXPECT_THAT(one_sided(css), ::testing::IsEmpty())
      << "use inset-inline, margin-inline, text-align: start, …";
}

TEST(StyleSheet, TheSearchFindsWhatIsOneSided) {
  for (const char* text : {"a{left: 0;}", "a{margin-left: 1px;}", "a{text-align: right;}", "a{float:left;}",
                           "a{padding: 0 1px 0 0;}", "a{inset: 0 auto 0 0;}", "a{border-right: 0;}",
                           "a{border-top-left-radius: 1px;}", "a{background: url(x) left;}"})
    EXPECT_EQ(one_sided(text).size(), 1u) << text;
  for (const char* text : {"a{inset-inline-start: 0;}", "a{padding: 0 1px 2px 1px;}", "a{margin: 0 auto;}",
                           "a{text-align: start;}", "a{border-radius: 1px 1px 0 0;}"})
    EXPECT_EQ(one_sided(text).size(), 0u) << text;
}

}  // namespace
}  // namespace latchkey

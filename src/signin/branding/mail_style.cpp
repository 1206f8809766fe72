#include "signin/branding/mail_style.h"

#include <algorithm>
#include <array>

namespace latchkey::signin {
namespace {

constexpr auto k_properties = std::to_array<std::string_view>({"background",
                                                               "background-color",
                                                               "border",
                                                               "border-bottom",
                                                               "border-bottom-color",
                                                               "border-bottom-left-radius",
                                                               "border-bottom-right-radius",
                                                               "border-bottom-style",
                                                               "border-bottom-width",
                                                               "border-collapse",
                                                               "border-color",
                                                               "border-left",
                                                               "border-left-color",
                                                               "border-left-style",
                                                               "border-left-width",
                                                               "border-radius",
                                                               "border-right",
                                                               "border-right-color",
                                                               "border-right-style",
                                                               "border-right-width",
                                                               "border-spacing",
                                                               "border-style",
                                                               "border-top",
                                                               "border-top-color",
                                                               "border-top-left-radius",
                                                               "border-top-right-radius",
                                                               "border-top-style",
                                                               "border-top-width",
                                                               "border-width",
                                                               "box-sizing",
                                                               "clear",
                                                               "color",
                                                               "direction",
                                                               "display",
                                                               "float",
                                                               "font",
                                                               "font-family",
                                                               "font-size",
                                                               "font-style",
                                                               "font-variant",
                                                               "font-weight",
                                                               "height",
                                                               "letter-spacing",
                                                               "line-height",
                                                               "list-style-type",
                                                               "margin",
                                                               "margin-bottom",
                                                               "margin-left",
                                                               "margin-right",
                                                               "margin-top",
                                                               "max-height",
                                                               "max-width",
                                                               "min-height",
                                                               "min-width",
                                                               "opacity",
                                                               "overflow",
                                                               "overflow-wrap",
                                                               "padding",
                                                               "padding-bottom",
                                                               "padding-left",
                                                               "padding-right",
                                                               "padding-top",
                                                               "table-layout",
                                                               "text-align",
                                                               "text-decoration",
                                                               "text-transform",
                                                               "vertical-align",
                                                               "white-space",
                                                               "width",
                                                               "word-break"});
static_assert(std::ranges::is_sorted(k_properties));

std::string_view trim(std::string_view s) {
  constexpr std::string_view k_space = " \t\r\n\f";
  const auto first = s.find_first_not_of(k_space);
  return first == std::string_view::npos ? std::string_view()
                                         : s.substr(first, s.find_last_not_of(k_space) - first + 1);
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || c == '-'; }

bool is_harmless_value(std::string_view value) {
  constexpr std::size_t k_longest = 200;
  const std::string text = lower(value);
  if (text.empty() || text.size() > k_longest) return false;
  char quote = '\0';
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_word = is_letter(c) || (c >= '0' && c <= '9') || c == ' ';
    if (quote) {
      if (c == quote)
        quote = '\0';
      else if (!is_word)
        return false;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(') {
      std::size_t from = i;
      while (from > 0 && is_letter(text[from - 1])) --from;
      const auto function = std::string_view(text).substr(from, i - from);
      if (function != "rgb" && function != "rgba" && function != "hsl" && function != "hsla") return false;
      ++depth;
    } else if (c == ')') {
      if (--depth < 0) return false;
    } else if (!is_word && c != '#' && c != '%' && c != '.' && c != ',' && c != '!' && c != '/') {
      return false;
    }
  }
  return !quote && depth == 0 && text.find("expression") == std::string::npos &&
         text.find("/*") == std::string::npos && text.find("//") == std::string::npos;
}

}  // namespace

std::string clean_style(std::string_view declarations) {
  std::string out;
  while (!declarations.empty()) {
    const auto end = std::min(declarations.find(';'), declarations.size());
    const auto one = declarations.substr(0, end);
    declarations.remove_prefix(std::min(end + 1, declarations.size()));
    const auto colon = one.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string property = lower(trim(one.substr(0, colon)));
    const auto value = trim(one.substr(colon + 1));
    if (!std::ranges::binary_search(k_properties, std::string_view(property)) || !is_harmless_value(value))
      continue;
    if (!out.empty()) out += ';';
    out += property;
    out += ':';
    out += value;
  }
  return out;
}

}  // namespace latchkey::signin

#include "web/color.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace latchkey::web {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view trim(std::string_view s) {
  while (s.starts_with(' ')) s.remove_prefix(1);
  while (s.ends_with(' ')) s.remove_suffix(1);
  return s;
}

}  // namespace

std::optional<Color> Color::parse_hex(std::string_view text) {
  if (!text.starts_with('#') || (text.size() != 4 && text.size() != 7)) return std::nullopt;
  text.remove_prefix(1);
  if (std::ranges::any_of(text, [](char c) { return hex_digit(c) < 0; })) return std::nullopt;
  std::array<std::uint8_t, 3> rgb;
  for (std::size_t i = 0; i < 3; ++i)
    rgb[i] = static_cast<std::uint8_t>(text.size() == 3
                                           ? hex_digit(text[i]) * 17
                                           : hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
  return Color(rgb);
}

std::optional<Color> Color::parse(std::string_view text) {
  if (!text.starts_with("rgb(") || !text.ends_with(')')) return parse_hex(text);
  text = text.substr(4, text.size() - 5);
  std::array<std::uint8_t, 3> rgb;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto comma = text.find(',');
    if ((comma == std::string_view::npos) != (i == 2)) return std::nullopt;
    const auto number = trim(text.substr(0, comma));
    if (number.empty() || number.size() > 3) return std::nullopt;
    int n = 0;
    for (const char c : number) {
      if (c < '0' || c > '9') return std::nullopt;
      n = n * 10 + (c - '0');
    }
    if (n > 255) return std::nullopt;
    rgb[i] = static_cast<std::uint8_t>(n);
    if (i < 2) text.remove_prefix(comma + 1);
  }
  return Color(rgb);
}

std::string Color::str() const { return fmt::format("#{:02x}{:02x}{:02x}", rgb_[0], rgb_[1], rgb_[2]); }

double Color::luminance() const {
  const auto linear = [](std::uint8_t channel) {
    const double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(rgb_[0]) + 0.7152 * linear(rgb_[1]) + 0.0722 * linear(rgb_[2]);
}

Color Color::mixed(Color other, double share) const {
  std::array<std::uint8_t, 3> out;
  for (std::size_t i = 0; i < 3; ++i)
    out[i] = static_cast<std::uint8_t>(std::lround(rgb_[i] * (1 - share) + other.rgb_[i] * share));
  return Color(out);
}

double contrast(Color a, Color b) {
  const double x = a.luminance() + 0.05, y = b.luminance() + 0.05;
  return std::max(x, y) / std::min(x, y);
}

Color text_on(Color background) {
  return contrast(background, k_white) >= contrast(background, k_black) ? k_white : k_black;
}

Color with_contrast(Color color, Color background, double ratio) {
  const Color far = text_on(background);
  constexpr int k_steps = 32;
  for (int i = 0; i < k_steps; ++i) {
    const Color candidate = color.mixed(far, static_cast<double>(i) / k_steps);
    if (contrast(candidate, background) >= ratio) return candidate;
  }
  return far;
}

}  // namespace latchkey::web

#pragma once
// Colours other people choose, made readable by us. Source: WCAG 2.2, "relative luminance" and
// "contrast ratio", success criteria 1.4.3 (text) and 1.4.11 (parts of the interface).

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace latchkey::web {

inline constexpr double k_text_contrast = 4.5;  // WCAG 2.2 §1.4.3
inline constexpr double k_part_contrast = 3.0;  // WCAG 2.2 §1.4.11

/// An opaque sRGB colour.
class Color {
 public:
  /// `#rgb` or `#rrggbb`, digits in either case; nothing else.
  static std::optional<Color> parse_hex(std::string_view text);
  /// The same, or `rgb(r, g, b)` with numbers from 0 to 255.
  static std::optional<Color> parse(std::string_view text);
  static constexpr Color of(std::uint8_t r, std::uint8_t g, std::uint8_t b) { return Color({r, g, b}); }

  std::string str() const;   // "#1a130f"
  double luminance() const;  // 0 (black) to 1 (white)
  /// This colour with a share of the other mixed in, as color-mix(in srgb, …) does.
  Color mixed(Color other, double share) const;
  bool operator==(const Color&) const = default;

 private:
  constexpr explicit Color(std::array<std::uint8_t, 3> rgb) : rgb_(rgb) {}
  std::array<std::uint8_t, 3> rgb_;
};

inline constexpr Color k_black = Color::of(0, 0, 0), k_white = Color::of(255, 255, 255);

/// 1 (the same) to 21 (black on white).
double contrast(Color a, Color b);
/// Black or white, whichever is read better on it; always at least k_text_contrast.
Color text_on(Color background);
/// `color`, or the next towards black or white that stands out from `background` by `ratio`, at most 4.5.
Color with_contrast(Color color, Color background, double ratio);

}  // namespace latchkey::web

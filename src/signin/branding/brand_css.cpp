#include "signin/branding/brand_css.h"

#include <fmt/format.h>

namespace latchkey::signin {
namespace {

using web::Color;

struct Named {
  std::string_view name;
  std::optional<Color> BrandColors::* member;
};
constexpr Named k_named[] = {{"brand", &BrandColors::brand},
                             {"ground", &BrandColors::ground},
                             {"bad", &BrandColors::bad},
                             {"good", &BrandColors::good},
                             {"accent", &BrandColors::accent}};

// The colours of latchkey.css that the ones here stand on or beside.
struct Scheme {
  Color surface, ground, muted, accent, bad_ground, good_ground;
};
constexpr Scheme k_light{.surface = Color::of(0xff, 0xfd, 0xfb),
                         .ground = Color::of(0xf2, 0xeb, 0xe4),
                         .muted = Color::of(0x66, 0x5a, 0x51),
                         .accent = Color::of(0x9a, 0x44, 0x18),
                         .bad_ground = Color::of(0xfc, 0xed, 0xea),
                         .good_ground = Color::of(0xeb, 0xf4, 0xec)};
constexpr Scheme k_dark{.surface = Color::of(0x21, 0x1c, 0x18),
                        .ground = Color::of(0x13, 0x10, 0x0d),
                        .muted = Color::of(0xb8, 0xab, 0xa0),
                        .accent = Color::of(0xf3, 0xa6, 0x73),
                        .bad_ground = Color::of(0x3b, 0x1f, 0x1a),
                        .good_ground = Color::of(0x1c, 0x2e, 0x23)};

// latchkey.css mixes this much of the ground into a button under the pointer.
constexpr double k_hover_share = 0.14;

// The button stands out from the card, and its text from it, under the pointer too.
Color button_of(Color wanted, Color surface, Color ground) {
  const Color far = web::text_on(surface);
  constexpr int k_steps = 32;
  for (int i = 0; i < k_steps; ++i) {
    const Color candidate = wanted.mixed(far, static_cast<double>(i) / k_steps);
    const Color text = web::text_on(candidate);
    if (contrast(candidate, surface) >= web::k_part_contrast &&
        contrast(text, candidate.mixed(ground, k_hover_share)) >= web::k_text_contrast)
      return candidate;
  }
  return far;
}

Color text_of(Color wanted, std::initializer_list<Color> backgrounds) {
  for (const Color background : backgrounds) wanted = with_contrast(wanted, background, web::k_text_contrast);
  return wanted;
}

std::string declarations(const BrandColors& colors, const Scheme& scheme) {
  std::string out;
  const auto set = [&](std::string_view name, Color color) {
    out += fmt::format("    --{}: {};\n", name, color.str());
  };
  Color ground = scheme.ground;
  if (colors.ground && &scheme == &k_light) {
    // The foot of the page is muted text and links on it.
    ground = text_of(*colors.ground, {scheme.muted, scheme.accent});
    set("ground", ground);
  }
  if (colors.brand) {
    const Color brand = button_of(*colors.brand, scheme.surface, ground);
    set("brand", brand);
    set("on-brand", web::text_on(brand));
  }
  // In the order that ends with the background nearest to the text: the step away from it serves all.
  if (colors.bad) set("bad", text_of(*colors.bad, {scheme.surface, scheme.bad_ground}));
  if (colors.good) set("good", text_of(*colors.good, {scheme.surface, scheme.good_ground}));
  if (colors.accent) set("accent", text_of(*colors.accent, {scheme.surface, ground}));
  return out;
}

}  // namespace

std::string to_query(const BrandColors& colors) {
  std::string out;
  for (const auto& [name, member] : k_named)
    if (const auto& color = colors.*member)
      out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, color->str().substr(1));
  return out;
}

std::optional<BrandColors> colors_of(const FormFields& query) {
  BrandColors out;
  for (const auto& [name, value] : query) {
    bool known = false;
    for (const auto& [its_name, member] : k_named) {
      if (name != its_name) continue;
      const auto color = Color::parse_hex("#" + value);
      if (!color || out.*member) return std::nullopt;
      out.*member = color;
      known = true;
    }
    if (!known) return std::nullopt;
  }
  return out;
}

std::string brand_css(const BrandColors& colors) {
  return fmt::format(
      "@media not all and (prefers-color-scheme: dark) {{\n  :root {{\n{}  }}\n}}\n"
      "@media (prefers-color-scheme: dark) {{\n  :root {{\n{}  }}\n}}\n",
      declarations(colors, k_light), declarations(colors, k_dark));
}

}  // namespace latchkey::signin

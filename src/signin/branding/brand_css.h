#pragma once
// Colours of an app or of the operator, as a style sheet of ours that has made sure of the contrast.

#include <optional>
#include <string>

#include "base/url.h"
#include "web/color.h"

namespace latchkey::signin {

struct BrandColors {
  // Of buttons; around the card; of what went wrong, what went well, and links.
  std::optional<web::Color> brand = {}, ground = {}, bad = {}, good = {}, accent = {};
  bool any() const { return brand || ground || bad || good || accent; }
  bool operator==(const BrandColors&) const = default;
};

/// "brand=1a130f&ground=f2ebe4": the colours that are there.
std::string to_query(const BrandColors& colors);
/// std::nullopt for a parameter that is not known, given twice or no colour.
std::optional<BrandColors> colors_of(const FormFields& query);

/// Custom properties of latchkey.css for both schemes. Every pair of text and background has 4.5:1, buttons
/// stand out by 3:1; a colour that does not is moved towards black or white. The dark scheme keeps its
/// ground.
std::string brand_css(const BrandColors& colors);

}  // namespace latchkey::signin

#pragma once
// HTML that a client wrote for its mails, made harmless. A parser reads it; what goes out is written anew
// from lists of elements, attributes and style properties, so its safety does not depend on how the input is
// understood.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace latchkey::signin {

/// A part of a mail: markup as it goes out, or a place for a value.
struct MailPiece {
  enum class Kind { markup, code, app_name, email, logo_uri, if_logo, end_if_logo };
  Kind kind;
  std::string markup = {};
  bool operator==(const MailPiece&) const = default;
};

inline constexpr std::size_t k_max_markup_depth = 100;
inline constexpr std::size_t k_max_markup_elements = 3000;
inline constexpr std::size_t k_max_markup_attributes = 50;  // of one element

/// A whole document. Gone are scripts, style sheets, forms, frames, media, handlers, every image but one
/// whose src is `{{logo_uri}}`, links that are not https: or mailto:, and styles that load, overlay or run
/// something.
/// `{{code}}`, `{{app_name}}` and `{{email}}` in text, and `{{app_name}}` in alt and title, become pieces;
/// nowhere else is a value filled in, so that no link carries the code away. The error says what is wrong
/// with the input.
Result<std::vector<MailPiece>, std::string> clean_mail_markup(std::string_view utf8);

}  // namespace latchkey::signin

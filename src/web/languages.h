#pragma once
// Which language a reader wants: Accept-Language (RFC 9110 §12.5.4) and the lookup of RFC 4647 §3.4.

#include <string>
#include <string_view>
#include <vector>

namespace latchkey::web {

/// Language ranges in lower case, the most wanted first. "*" is not among them: it wants nothing particular.
struct LanguagePriority {
  std::vector<std::string> wanted;
  std::vector<std::string> refused;  // q=0

  /// Never fails: what is no language range, or has no valid weight, is left out. Of the header 1000 bytes
  /// are read.
  static LanguagePriority from_accept_language(std::string_view header);
  /// A list without weights, as OpenID Connect's ui_locales: separated by spaces, most wanted first.
  static LanguagePriority from_list(std::string_view tags);
};

/// The language tag of `available` that fits best; "" when none does. A range fits a tag that equals it after
/// none or some of its subtags are cut off from the end ("de-CH-1996" fits "de").
std::string_view lookup_language(const LanguagePriority& priority,
                                 const std::vector<std::string_view>& available);

}  // namespace latchkey::web

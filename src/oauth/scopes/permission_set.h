#pragma once
// Permission sets: lexicons that bundle permissions of one namespace. Sources:
// https://atproto.com/specs/permission#permission-sets, https://atproto.com/specs/lexicon#permission-set

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atproto/syntax/nsid.h"
#include "base/json.h"
#include "base/result.h"
#include "oauth/scopes/permissions.h"

namespace latchkey::oauth {

/// The names of collections and methods in one set take no more than this, all together.
inline constexpr std::size_t k_max_set_names_bytes = 8192;
/// Longer texts are for nobody to read before consenting; a set that has them shows none.
inline constexpr std::size_t k_max_set_title_bytes = 300;
inline constexpr std::size_t k_max_set_detail_bytes = 3000;
inline constexpr std::size_t k_max_set_languages = 200;

/// A permission set as far as this server understands it: permissions it does not fully understand, or that
/// reach outside the set's own group, are left out (spec: "must ignore").
class PermissionSet {
 public:
  /// `document` is the lexicon `nsid` resolved to. Errors: it is not that lexicon, no permission set, or
  /// too large.
  static Result<PermissionSet, ScopeError> parse(const Nsid& nsid, const json::Value& document);

  /// Scope tokens that say the same as `include:<nsid>?aud=<aud>`, in canonical form, few as can be. Methods
  /// that inherit their audience are left out when there is none.
  std::vector<std::string> expand(const std::optional<std::string>& aud) const;

  // For people, in the language asked for or its nearest relative ("pt" for "pt-BR"), else in the set's own
  // words. "" when the set has none, or none that is fit to be shown.
  std::string title(std::string_view lang) const { return title_.in(lang).second; }
  std::string detail(std::string_view lang) const { return detail_.in(lang).second; }
  /// The tag these are written in; "" when the set does not say.
  std::string title_language(std::string_view lang) const { return title_.in(lang).first; }
  std::string detail_language(std::string_view lang) const { return detail_.in(lang).first; }

 private:
  struct Rpc {
    std::vector<std::string> lxm;
    bool inherit_aud;  // else for every audience
  };
  struct Text {
    std::string own;
    std::vector<std::pair<std::string, std::string>> by_language;         // tag in lower case, text
    std::pair<std::string, std::string> in(std::string_view lang) const;  // the same
  };
  PermissionSet() = default;
  static Text read_text(const json::Value& main, std::string_view name, std::size_t max_bytes);

  std::vector<RepoPermission> repo_;
  std::vector<Rpc> rpc_;
  Text title_, detail_;
};

}  // namespace latchkey::oauth

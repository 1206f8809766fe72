#pragma once
// What scopes mean, in the words of the consent page and of the account pages.

#include <string>
#include <string_view>
#include <vector>

#include "oauth/server/permission_sets.h"
#include "signin/reader.h"

namespace latchkey::signin {

struct ScopeWords {
  std::string token;                              // as asked for
  std::string title, detail = {};                 // "" when the title says it all
  std::string title_lang = {}, detail_lang = {};  // "" : the page's own language
  std::string name = {};                          // of a permission set: whose word the title is
  std::vector<std::string> parts = {};            // of a permission set: what is in it
  bool locked = false;                            // nothing works without it
};

/// Scopes of one kind, under one heading. A group without items is not there.
struct ScopeGroup {
  std::string title;
  std::vector<ScopeWords> items;
};

/// Every token of `scopes`, in the order a person should read them: who you are, bundles, records, media,
/// other services, the account. `sets` are the permission sets the scopes include.
std::vector<ScopeGroup> explain_scopes(const oauth::ScopeSet& scopes, const oauth::PermissionSets::Sets& sets,
                                       const Reader& reader);

}  // namespace latchkey::signin

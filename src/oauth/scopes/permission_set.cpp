#include "oauth/scopes/permission_set.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "atproto/syntax/chars.h"
#include "atproto/syntax/language.h"
#include "base/url.h"

namespace latchkey::oauth {
namespace {

using Values = std::vector<std::string>;

/// "Namespace Authority": the set's group and what is below it. Compared as written, so that another case is
/// another namespace.
bool is_under(const Nsid& set, const Nsid& name) {
  const auto group = set.group(), other = name.group();
  return other == group || (other.starts_with(group) && other[group.size()] == '.');
}

/// The names of a permission; std::nullopt when one of them is none of this set's, or a wildcard.
std::optional<Values> read_names(const Nsid& set, const json::Value* value) {
  const auto* list = value ? value->array() : nullptr;
  if (!list || list->empty()) return std::nullopt;
  Values out;
  for (const auto& item : *list) {
    const auto* text = item.string();
    const auto nsid = text ? Nsid::parse(*text) : Nsid::parse("");
    if (!nsid || !is_under(set, *nsid)) return std::nullopt;
    out.push_back(*text);
  }
  return out;
}

/// Absent: all of them.
std::optional<RepoActions> read_actions(const json::Value* value) {
  if (!value) return RepoActions::all();
  if (!value->array() || value->array()->empty()) return std::nullopt;
  RepoActions out;
  for (const auto& item : *value->array()) {
    const auto* action = item.string();
    if (!action || !RepoActions::all().has(*action)) return std::nullopt;
    if (*action == "create") out.create = true;
    if (*action == "update") out.update = true;
    if (*action == "delete") out.remove = true;
  }
  return out;
}

bool has_only(const json::Object& object, std::initializer_list<std::string_view> names) {
  return std::ranges::all_of(
      object, [&](const auto& member) { return std::ranges::find(names, member.key) != names.end(); });
}

/// Fit to stand on a page where people decide: no control characters, no line breaks, and nothing that turns
/// the direction of the words around it.
bool is_plain_text(std::string_view text) {
  if (!is_valid_utf8(text)) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto at = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    if (at(0) < 0x20 || at(0) == 0x7f) return false;
    if (at(0) == 0xc2 && at(1) < 0xa0) return false;                                     // U+0080 - U+009F
    if (at(0) == 0xe2 && at(1) == 0x80 && at(2) >= 0xa8 && at(2) <= 0xae) return false;  // U+2028 - U+202E
    if (at(0) == 0xe2 && at(1) == 0x81 && at(2) >= 0xa6 && at(2) <= 0xa9) return false;  // U+2066 - U+2069
  }
  return true;
}

void add(Values& to, const Values& names) {
  to.insert(to.end(), names.begin(), names.end());
  std::ranges::sort(to);
  const auto rest = std::ranges::unique(to);
  to.erase(rest.begin(), rest.end());
}

}  // namespace

Result<PermissionSet, ScopeError> PermissionSet::parse(const Nsid& nsid, const json::Value& document) {
  const auto refuse = [&](std::string why) { return fail(ScopeError{nsid.str() + ": " + std::move(why)}); };
  const auto* version = document.find("lexicon");
  if (!version || !version->integer() || *version->integer() != 1)
    return refuse("not a lexicon of version 1");
  const auto* id = document.string_at("id");
  if (!id || *id != nsid.str()) return refuse("the lexicon of something else");
  const auto* defs = document.find("defs");
  const auto* main = defs ? defs->find("main") : nullptr;
  const auto* type = main ? main->string_at("type") : nullptr;
  if (!type || *type != "permission-set") return refuse("not a permission set");
  const auto* permissions = main->find("permissions");
  if (!permissions || !permissions->array()) return refuse("a permission set without permissions");

  PermissionSet out;
  out.title_ = read_text(*main, "title", k_max_set_title_bytes);
  out.detail_ = read_text(*main, "detail", k_max_set_detail_bytes);
  // Of the same kind, one permission each: an expansion travels in every access token.
  std::map<std::array<bool, 3>, Values> repo;
  std::map<bool, Values> rpc;
  for (const auto& item : *permissions->array()) {
    const auto* permission = item.object();
    const auto* kind = item.string_at("type");
    const auto* resource = item.string_at("resource");
    if (!permission || !kind || *kind != "permission" || !resource) continue;
    if (*resource == "repo") {
      if (!has_only(*permission, {"type", "description", "resource", "collection", "action"})) continue;
      const auto collections = read_names(nsid, permission->find("collection"));
      const auto actions = read_actions(permission->find("action"));
      if (collections && actions)
        add(repo[{actions->create, actions->update, actions->remove}], *collections);
    } else if (*resource == "rpc") {
      if (!has_only(*permission, {"type", "description", "resource", "lxm", "aud", "inheritAud"})) continue;
      const auto methods = read_names(nsid, permission->find("lxm"));
      const auto* aud = permission->find("aud");
      const auto* inherit = permission->find("inheritAud");
      if (!methods || (inherit && !inherit->boolean())) continue;
      const bool inherits = inherit && *inherit->boolean();
      // Exactly one of the two, and a set names no service by itself.
      if (inherits == (aud != nullptr)) continue;
      if (aud && (!aud->string() || *aud->string() != "*")) continue;
      add(rpc[inherits], *methods);
    }
  }
  std::size_t bytes = 0;
  for (auto& [actions, collections] : repo) {
    for (const auto& name : collections) bytes += name.size();
    out.repo_.push_back({.collections = std::move(collections),
                         .actions = {.create = actions[0], .update = actions[1], .remove = actions[2]}});
  }
  for (auto& [inherits, methods] : rpc) {
    for (const auto& name : methods) bytes += name.size();
    out.rpc_.push_back({.lxm = std::move(methods), .inherit_aud = inherits});
  }
  if (bytes > k_max_set_names_bytes) return refuse("too large");
  return out;
}

std::vector<std::string> PermissionSet::expand(const std::optional<std::string>& aud) const {
  std::vector<std::string> out;
  for (const auto& permission : repo_) out.push_back(permission.str());
  for (const auto& permission : rpc_) {
    if (permission.inherit_aud && !aud) continue;
    out.push_back(RpcPermission{.lxm = permission.lxm, .aud = permission.inherit_aud ? *aud : "*"}.str());
  }
  return out;
}

PermissionSet::Text PermissionSet::read_text(const json::Value& main, std::string_view name,
                                             std::size_t max_bytes) {
  const auto fit = [&](const std::string* text) {
    return text && text->size() <= max_bytes && is_plain_text(*text);
  };
  Text out;
  if (const auto* own = main.string_at(name); fit(own)) out.own = *own;
  const auto* translations = main.find(std::string(name) + ":lang");
  if (!translations || !translations->object() || translations->object()->size() > k_max_set_languages)
    return out;
  for (const auto& [tag, text] : *translations->object())
    if (Language::parse(tag) && fit(text.string()))
      out.by_language.emplace_back(syntax::lower(tag), *text.string());
  return out;
}

/// RFC 4647 §3.4, "Lookup": the tag asked for, then with less and less at its end.
std::pair<std::string, std::string> PermissionSet::Text::in(std::string_view lang) const {
  for (std::string range = syntax::lower(lang); !range.empty();) {
    for (const auto& [tag, text] : by_language)
      if (tag == range) return {tag, text};
    const auto dash = range.rfind('-');
    range.resize(dash == std::string::npos ? 0 : dash);
    if (range.size() >= 2 && range[range.size() - 2] == '-') range.resize(range.size() - 2);
  }
  return {"", own};
}

}  // namespace latchkey::oauth

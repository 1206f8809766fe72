#include "signin/permission_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace latchkey::signin {
namespace {

using namespace oauth;

enum Group { k_you, k_bundles, k_broad, k_records, k_media, k_services, k_account, k_unknown, k_groups };
constexpr std::array<const char*, k_groups> k_group_titles{
    "permission.group.you",     "permission.group.bundles", "permission.group.broad",
    "permission.group.records", "permission.group.media",   "permission.group.services",
    "permission.group.account", "permission.group.unknown"};

struct Said {
  Group group;
  std::string title, detail = {};
};

// did:web:api.example.com#svc → api.example.com: what a person may recognise. Other DIDs are shown whole.
std::string service_name(std::string_view aud) {
  constexpr std::string_view k_web = "did:web:";
  const auto did = aud.substr(0, aud.find('#'));
  return std::string(did.starts_with(k_web) ? did.substr(k_web.size()) : did);
}

// Languages that write verbs first begin with a small letter here.
std::string as_title(std::string text) {
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// Says in one language what permissions allow.
class Explainer {
 public:
  explicit Explainer(const Reader& reader) : reader_(reader) {}

  std::string text(std::string_view key, web::Catalogue::Values values = {}) const {
    return reader_.text(fmt::format("permission.{}", key), values);
  }

  Said say_token(std::string_view token) const {
    if (token == k_scope_atproto) return {k_you, text("atproto"), text("atproto_detail")};
    if (token == k_scope_generic) return {k_broad, text("generic"), text("generic_detail")};
    if (token == k_scope_chat) return {k_broad, text("chat")};
    if (token == k_scope_email) return {k_account, text("email.read")};
    if (const auto permission = parse_permission(token))
      return std::visit([this](const auto& p) { return say(p); }, *permission);
    return {k_unknown, std::string(token)};
  }

 private:
  Said say(const RepoPermission& p) const {
    const std::string actions = verbs(p.actions);
    if (p.collections == std::vector<std::string>{"*"})
      return {k_records, as_title(text("repo.every", {{"actions", actions}})), text("repo.every_detail")};
    if (p.collections.size() == 1)
      return {k_records, as_title(text("repo.one", {{"actions", actions}})), p.collections[0]};
    const auto count = std::to_string(p.collections.size());
    return {k_records, as_title(text("repo.many", {{"actions", actions}, {"count", count}})),
            joined(p.collections)};
  }

  Said say(const RpcPermission& p) const {
    const bool all = p.lxm == std::vector<std::string>{"*"};
    if (p.aud == "*")
      return {k_services, text(all ? "rpc.all_any" : "rpc.some_any"), all ? p.aud : joined(p.lxm)};
    const std::string service = service_name(p.aud);
    return {k_services, text(all ? "rpc.all" : "rpc.some", {{"service", service}}),
            all ? p.aud : text("rpc.at", {{"methods", joined(p.lxm)}, {"audience", p.aud}})};
  }

  Said say(const BlobPermission& p) const {
    std::vector<std::string> kinds;
    for (const auto& pattern : p.accept) kinds.push_back(media(pattern));
    return {k_media, text("blob", {{"kinds", joined(kinds)}})};
  }

  Said say(const AccountPermission& p) const {
    const bool manage = p.action == AccountPermission::Action::manage;
    if (p.attr == AccountPermission::Attr::email)
      return {k_account, text(manage ? "email.manage" : "email.read")};
    return manage ? Said{k_account, text("repository.manage"), text("repository.manage_detail")}
                  : Said{k_account, text("repository.read"), text("repository.read_detail")};
  }

  Said say(const IdentityPermission& p) const {
    if (p.attr == IdentityPermission::Attr::handle) return {k_account, text("identity.handle")};
    return {k_account, text("identity.all"), text("identity.all_detail")};
  }

  Said say(const IncludeScope& p) const { return {k_bundles, p.nsid.str()}; }

  std::string verbs(const RepoActions& actions) const {
    std::vector<std::string> words;
    if (actions.create) words.push_back(text("repo.create"));
    if (actions.update) words.push_back(text("repo.update"));
    if (actions.remove) words.push_back(text("repo.delete"));
    return joined(words);
  }

  std::string media(std::string_view pattern) const {
    if (pattern == "*/*") return text("blob.any");
    if (pattern == "image/*") return text("blob.image");
    if (pattern == "video/*") return text("blob.video");
    if (pattern == "audio/*") return text("blob.audio");
    return std::string(pattern);
  }

  std::string joined(const std::vector<std::string>& items) const {
    std::string out = items.front();
    for (std::size_t i = 1; i < items.size(); ++i)
      out = i + 1 == items.size() ? reader_.text("common.list_last", {{"first", out}, {"last", items[i]}})
                                  : reader_.text("common.list_more", {{"first", out}, {"next", items[i]}});
    return out;
  }

  const Reader& reader_;
};

void describe_set(ScopeWords& words, const IncludeScope& include, const PermissionSets::Sets& sets,
                  const Reader& reader) {
  const Explainer explainer(reader);
  const auto set = sets.find(include.nsid.str());
  if (set == sets.end()) {
    words.detail = explainer.text("bundle_missing");
    return;
  }
  if (auto title = set->second.title(reader.wanted); !title.empty()) {
    words.title = std::move(title);
    words.title_lang = set->second.title_language(reader.wanted);
    words.name = include.nsid.str();
  }
  words.detail = set->second.detail(reader.wanted);
  words.detail_lang = set->second.detail_language(reader.wanted);
  for (const auto& token : set->second.expand(include.aud)) {
    const Said said = explainer.say_token(token);
    words.parts.push_back(said.detail.empty()
                              ? said.title
                              : explainer.text("part", {{"title", said.title}, {"detail", said.detail}}));
  }
}

}  // namespace

std::vector<ScopeGroup> explain_scopes(const ScopeSet& scopes, const PermissionSets::Sets& sets,
                                       const Reader& reader) {
  const Explainer explainer(reader);
  std::array<ScopeGroup, k_groups> groups;
  for (const auto& token : scopes.tokens()) {
    Said said = explainer.say_token(token);
    ScopeWords words{.token = token,
                     .title = std::move(said.title),
                     .detail = std::move(said.detail),
                     .locked = token == k_scope_atproto};
    if (said.group == k_bundles)
      if (const auto include = IncludeScope::parse(token)) describe_set(words, *include, sets, reader);
    groups[said.group].items.push_back(std::move(words));
  }
  std::vector<ScopeGroup> out;
  for (std::size_t i = 0; i < k_groups; ++i)
    if (!groups[i].items.empty()) {
      groups[i].title = reader.text(k_group_titles[i]);
      out.push_back(std::move(groups[i]));
    }
  return out;
}

}  // namespace latchkey::signin

#include "signin/permission_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace latchkey::signin {
namespace {

using namespace oauth;

enum Group { k_you, k_bundles, k_broad, k_records, k_media, k_services, k_account, k_unknown, k_groups };
constexpr std::array<std::string_view, k_groups> k_group_titles{
    "Who you are", "Bundles",        "Most of your account", "Your public records",
    "Media",       "Other services", "Your account",         "Not known to this server"};

std::string joined(const std::vector<std::string>& words, std::string_view last = " and ") {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? last : ", ";
    out += words[i];
  }
  return out;
}

std::string verbs(const RepoActions& actions) {
  std::vector<std::string> words;
  if (actions.create) words.emplace_back("create");
  if (actions.update) words.emplace_back("change");
  if (actions.remove) words.emplace_back("delete");
  std::string out = joined(words);
  out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// did:web:api.example.com#svc → api.example.com: what a person may recognise. Other DIDs are shown whole.
std::string service_name(std::string_view aud) {
  if (aud == "*") return "any service";
  constexpr std::string_view k_web = "did:web:";
  const auto did = aud.substr(0, aud.find('#'));
  return std::string(did.starts_with(k_web) ? did.substr(k_web.size()) : did);
}

std::string media(std::string_view pattern) {
  if (pattern == "*/*") return "files of any kind";
  if (pattern == "image/*") return "pictures";
  if (pattern == "video/*") return "videos";
  if (pattern == "audio/*") return "sound";
  return std::string(pattern);
}

struct Said {
  Group group;
  std::string title, detail;
};

Said say(const RepoPermission& p) {
  if (p.collections == std::vector<std::string>{"*"})
    return {k_records, fmt::format("{} every kind of record", verbs(p.actions)),
            "Everything public in your repository, of this and of other apps."};
  if (p.collections.size() == 1)
    return {k_records, fmt::format("{} records of one kind", verbs(p.actions)), p.collections[0]};
  return {k_records, fmt::format("{} records of {} kinds", verbs(p.actions), p.collections.size()),
          joined(p.collections)};
}

Said say(const RpcPermission& p) {
  const std::string at = service_name(p.aud);
  if (p.lxm == std::vector<std::string>{"*"})
    return {k_services, fmt::format("Use everything {} offers, in your name", at), p.aud};
  return {k_services, fmt::format("Use {} in your name", at),
          fmt::format("{}{}", joined(p.lxm), p.aud == "*" ? "" : fmt::format(" at {}", p.aud))};
}

Said say(const BlobPermission& p) {
  std::vector<std::string> kinds;
  for (const auto& pattern : p.accept) kinds.push_back(media(pattern));
  return {k_media, fmt::format("Upload {}", joined(kinds)), ""};
}

Said say(const AccountPermission& p) {
  const bool manage = p.action == AccountPermission::Action::manage;
  if (p.attr == AccountPermission::Attr::email)
    return manage ? Said{k_account, "See and change your e-mail address", ""}
                  : Said{k_account, "See your e-mail address", ""};
  return manage ? Said{k_account, "Replace your whole repository", "As it is done when an account moves."}
                : Said{k_account, "See your repository", "It is public anyway."};
}

Said say(const IdentityPermission& p) {
  if (p.attr == IdentityPermission::Attr::handle) return {k_account, "Change your handle", ""};
  return {k_account, "Change your identity",
          "Your handle, your keys and where your account lives. Allow this only when you are moving."};
}

Said say(const IncludeScope& p) { return {k_bundles, p.nsid.str(), ""}; }

Said say_token(std::string_view token) {
  if (token == k_scope_atproto)
    return {k_you, "Know who you are", "Your handle and your permanent identifier (DID)."};
  if (token == k_scope_generic)
    return {k_broad, "Act on your behalf",
            "Read and write everything in your repository, such as posts, likes and follows, and your "
            "preferences. It cannot read direct messages or change your account."};
  if (token == k_scope_chat) return {k_broad, "Read and send your direct messages", ""};
  if (token == k_scope_email) return {k_account, "See your e-mail address", ""};
  if (const auto permission = parse_permission(token))
    return std::visit([](const auto& p) { return say(p); }, *permission);
  return {k_unknown, std::string(token), ""};
}

void describe_set(ScopeWords& words, const IncludeScope& include, const PermissionSets::Sets& sets,
                  std::string_view lang) {
  const auto set = sets.find(include.nsid.str());
  if (set == sets.end()) {
    words.detail = "This bundle is not available at the moment, so it allows nothing now.";
    return;
  }
  if (auto title = set->second.title(lang); !title.empty()) {
    words.title = std::move(title);
    words.title_lang = set->second.title_language(lang);
    words.name = include.nsid.str();
  }
  words.detail = set->second.detail(lang);
  words.detail_lang = set->second.detail_language(lang);
  for (const auto& token : set->second.expand(include.aud)) {
    const Said said = say_token(token);
    words.parts.push_back(said.detail.empty() ? said.title : fmt::format("{}: {}", said.title, said.detail));
  }
}

}  // namespace

std::vector<ScopeGroup> explain_scopes(const ScopeSet& scopes, const PermissionSets::Sets& sets,
                                       std::string_view lang) {
  std::array<ScopeGroup, k_groups> groups;
  for (const auto& token : scopes.tokens()) {
    Said said = say_token(token);
    ScopeWords words{.token = token,
                     .title = std::move(said.title),
                     .detail = std::move(said.detail),
                     .locked = token == k_scope_atproto};
    if (said.group == k_bundles)
      if (const auto include = IncludeScope::parse(token)) describe_set(words, *include, sets, lang);
    groups[said.group].items.push_back(std::move(words));
  }
  std::vector<ScopeGroup> out;
  for (std::size_t i = 0; i < k_groups; ++i)
    if (!groups[i].items.empty()) {
      groups[i].title = k_group_titles[i];
      out.push_back(std::move(groups[i]));
    }
  return out;
}

std::string wanted_language(std::string_view header) {
  std::string best = "en";
  double best_weight = 0;
  header = header.substr(0, 1000);
  while (!header.empty()) {
    const auto comma = header.find(',');
    std::string_view item = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    const auto semicolon = item.find(';');
    std::string_view tag = item.substr(0, semicolon);
    while (tag.starts_with(' ')) tag.remove_prefix(1);
    while (tag.ends_with(' ')) tag.remove_suffix(1);
    double weight = 1;
    if (semicolon != std::string_view::npos)
      if (const auto q = item.find("q=", semicolon); q != std::string_view::npos)
        weight = std::strtod(std::string(item.substr(q + 2)).c_str(), nullptr);
    const bool is_tag = !tag.empty() && tag.size() <= 35 && std::ranges::all_of(tag, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (is_tag && weight > best_weight && weight <= 1) {
      best = tag;
      best_weight = weight;
    }
  }
  return best;
}

}  // namespace latchkey::signin

#include "sign_in_providers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "auth/plugins/social/github.h"
#include "auth/plugins/social/oidc.h"
#include "base/url.h"

namespace latchkey::app {
namespace {

constexpr std::string_view k_oidc = "OIDC_";
constexpr std::array<std::string_view, 4> k_oidc_parts = {"_ISSUER", "_CLIENT_ID", "_CLIENT_SECRET",
                                                          "_LABEL"};
constexpr std::size_t k_max_name = 32;
// Ids of account rows that are no OIDC provider.
constexpr std::array<std::string_view, 3> k_taken = {"google", "github", "credential"};

class Reader {
 public:
  Reader(const Environment& environment, PlainHttpProviders plain, Problems& problems)
      : environment_(environment), plain_(plain), problems_(problems) {}

  void problem(std::string text) { problems_.push_back(std::move(text)); }
  /// "" when not set or empty.
  std::string text(std::string_view name) const { return environment_(name).value_or(""); }

  /// The values of variables that make sense together only; std::nullopt when none of `asked` is set, or a
  /// problem was found.
  std::optional<std::vector<std::string>> together(const std::vector<std::string>& needed,
                                                   const std::vector<std::string>& optional = {}) {
    const auto is_set = [&](const std::string& name) { return !text(name).empty(); };
    std::string witness;
    for (const auto* list : {&needed, &optional})
      for (const auto& name : *list)
        if (witness.empty() && is_set(name)) witness = name;
    if (witness.empty()) return std::nullopt;
    bool complete = true;
    std::vector<std::string> values;
    for (const auto& name : needed) {
      if (!is_set(name)) {
        problem(fmt::format("{} is missing, but {} is set", name, witness));
        complete = false;
      }
      values.push_back(text(name));
    }
    return complete ? std::optional(std::move(values)) : std::nullopt;
  }

  /// Of a server people are sent to and secrets go to.
  bool is_server(const std::string& name, const std::string& url) {
    const auto parsed = Url::parse(url);
    const bool good =
        parsed && parsed->userinfo.empty() && !parsed->query && !parsed->fragment &&
        (parsed->scheme == "https" || (parsed->scheme == "http" && plain_ == PlainHttpProviders::allow));
    if (!good) problem(fmt::format("{} must be an https URL without query: {}", name, url));
    return good;
  }

 private:
  const Environment& environment_;
  PlainHttpProviders plain_;
  Problems& problems_;
};

/// The <NAME>s of OIDC_<NAME>_…, sorted: the order of the buttons.
std::set<std::string> oidc_names(const EnvironmentNames& names) {
  std::set<std::string> out;
  for (std::string_view name : names(k_oidc)) {
    name.remove_prefix(std::min(k_oidc.size(), name.size()));
    for (const auto part : k_oidc_parts)
      if (name.size() > part.size() && name.ends_with(part)) {
        out.emplace(name.substr(0, name.size() - part.size()));
        break;
      }
  }
  return out;
}

bool is_provider_name(std::string_view name) {
  return name.size() <= k_max_name && name.front() != '_' && name.back() != '_' &&
         std::ranges::all_of(
             name, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
}

/// "MY_COMPANY" is my-company in URLs.
std::string id_of(std::string_view name) {
  std::string id(name);
  for (char& c : id) c = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return id;
}

void read_oidc(Reader& in, const std::string& name, std::vector<SignInProvider>& out) {
  const std::string prefix = std::string(k_oidc) + name;
  const auto values = in.together({prefix + "_ISSUER", prefix + "_CLIENT_ID", prefix + "_CLIENT_SECRET"},
                                  {prefix + "_LABEL"});
  if (!values) return;
  std::string id = id_of(name);
  if (!is_provider_name(name) || std::ranges::find(k_taken, id) != k_taken.end())
    return in.problem(
        fmt::format("{}_ISSUER: \"{}\" cannot be the name of a provider; use up to {} of A-Z, 0-9 and _",
                    prefix, name, k_max_name));
  if (!in.is_server(prefix + "_ISSUER", (*values)[0])) return;
  std::string label = in.text(prefix + "_LABEL");
  out.push_back({.kind = SignInProvider::Kind::oidc,
                 .id = std::move(id),
                 .label = label.empty() ? name : std::move(label),
                 .url = (*values)[0],
                 .client_id = (*values)[1],
                 .client_secret = Secret<std::string>((*values)[2])});
}

}  // namespace

std::vector<SignInProvider> read_sign_in_providers(const Environment& environment,
                                                   const EnvironmentNames& names, PlainHttpProviders plain,
                                                   Problems& problems) {
  Reader in(environment, plain, problems);
  std::vector<SignInProvider> out;
  if (const auto google = in.together({"GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"}))
    out.push_back({.kind = SignInProvider::Kind::google,
                   .id = "google",
                   .label = "Google",
                   .url = "https://accounts.google.com",
                   .client_id = (*google)[0],
                   .client_secret = Secret<std::string>((*google)[1])});
  if (const auto github = in.together({"GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"}, {"GITHUB_BASE_URL"})) {
    std::string base = in.text("GITHUB_BASE_URL");
    if (base.empty()) base = "https://github.com";
    if (in.is_server("GITHUB_BASE_URL", base))
      out.push_back({.kind = SignInProvider::Kind::github,
                     .id = "github",
                     .label = "GitHub",
                     .url = std::move(base),
                     .client_id = (*github)[0],
                     .client_secret = Secret<std::string>((*github)[1])});
  }
  for (const auto& name : oidc_names(names)) read_oidc(in, name, out);
  return out;
}

std::vector<std::shared_ptr<auth::SocialProvider>> social_providers(const std::vector<SignInProvider>& list,
                                                                    Fetch& net, const Clock& clock) {
  std::vector<std::shared_ptr<auth::SocialProvider>> out;
  for (const auto& p : list) {
    auth::ClientCredentials credentials{p.client_id, p.client_secret};
    switch (p.kind) {
      case SignInProvider::Kind::google:
        out.push_back(auth::google({.credentials = std::move(credentials), .issuer = p.url}, net, clock));
        break;
      case SignInProvider::Kind::github:
        out.push_back(auth::github({.credentials = std::move(credentials), .base_url = p.url}, net, clock));
        break;
      case SignInProvider::Kind::oidc:
        out.push_back(auth::oidc(
            {.id = p.id,
             .label = p.label,
             .issuer = p.url,
             .credentials = std::move(credentials),
             .account_provider_id = p.url,
             .plain_http = p.url.starts_with("http:") ? auth::PlainHttp::allow : auth::PlainHttp::refuse},
            net, clock));
        break;
    }
  }
  return out;
}

}  // namespace latchkey::app

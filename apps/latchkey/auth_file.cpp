#include "auth_file.h"

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1  // the packaged library throws
#include <toml++/toml.h>

#include <algorithm>
#include <array>

namespace latchkey::app {
namespace {

using enum AuthKeyType;

constexpr auto k_keys = std::to_array<AuthKey>({
    {"baseURL", "BETTER_AUTH_URL", text},
    {"secret", "BETTER_AUTH_SECRET", text},
    {"oldSecrets", "LATCHKEY_AUTH_OLD_SECRETS", list},
    {"trustedOrigins", "BETTER_AUTH_TRUSTED_ORIGINS", list},
    {"cors", "LATCHKEY_AUTH_CORS", flag},
    {"appName", "LATCHKEY_AUTH_APP_NAME", text},
    {"listen", "LATCHKEY_AUTH_LISTEN", text},
    {"trustedProxies", "LATCHKEY_TRUSTED_PROXIES", list},
    {"dataDirectory", "LATCHKEY_AUTH_DATA_DIRECTORY", text},
    {"database", "LATCHKEY_AUTH_DATABASE", text},
    {"forwardAuth", "LATCHKEY_AUTH_FORWARD_AUTH", flag},
    {"signInPage", "LATCHKEY_AUTH_SIGN_IN_PAGE", flag},
    {"typeahead", "LATCHKEY_AUTH_TYPEAHEAD", text},
    {"templateDirectory", "LATCHKEY_TEMPLATE_DIRECTORY", text},
    {"privateNetwork", "LATCHKEY_AUTH_PRIVATE_NETWORK", flag},
    {"caFile", "SSL_CERT_FILE", text},
    {"logLevel", "LOG_LEVEL", text},
    {"session.expiresIn", "SESSION_EXPIRES_IN", number},
    {"session.updateAge", "SESSION_UPDATE_AGE", number},
    {"session.freshAge", "SESSION_FRESH_AGE", number},
    {"cookies.prefix", "LATCHKEY_AUTH_COOKIE_PREFIX", text},
    {"cookies.secure", "LATCHKEY_AUTH_COOKIE_SECURE", text},
    {"cookies.namePrefix", "LATCHKEY_AUTH_COOKIE_NAME_PREFIX", text},
    {"cookies.domain", "LATCHKEY_AUTH_COOKIE_DOMAIN", text},
    {"cookies.sameSite", "LATCHKEY_AUTH_COOKIE_SAME_SITE", text},
    {"rateLimit.enabled", "LATCHKEY_AUTH_RATE_LIMIT", flag},
    {"rateLimit.window", "LATCHKEY_AUTH_RATE_LIMIT_WINDOW", number},
    {"rateLimit.max", "LATCHKEY_AUTH_RATE_LIMIT_MAX", number},
    {"rateLimit.storage", "LATCHKEY_AUTH_RATE_LIMIT_STORAGE", text},
    {"emailOtp.enabled", "LATCHKEY_AUTH_EMAIL_OTP", flag},
    {"emailOtp.otpLength", "LATCHKEY_AUTH_EMAIL_OTP_LENGTH", number},
    {"emailOtp.expiresIn", "LATCHKEY_AUTH_EMAIL_OTP_EXPIRES_IN", number},
    {"emailOtp.allowedAttempts", "LATCHKEY_AUTH_EMAIL_OTP_ATTEMPTS", number},
    {"emailOtp.disableSignUp", "LATCHKEY_AUTH_EMAIL_OTP_DISABLE_SIGN_UP", flag},
    {"emailOtp.codesPerMinute", "LATCHKEY_CODES_PER_MINUTE", number},
    {"magicLink.enabled", "LATCHKEY_AUTH_MAGIC_LINK", flag},
    {"magicLink.expiresIn", "LATCHKEY_AUTH_MAGIC_LINK_EXPIRES_IN", number},
    {"magicLink.disableSignUp", "LATCHKEY_AUTH_MAGIC_LINK_DISABLE_SIGN_UP", flag},
    {"emailAndPassword.enabled", "LATCHKEY_AUTH_PASSWORD", flag},
    {"emailAndPassword.disableSignUp", "LATCHKEY_AUTH_PASSWORD_DISABLE_SIGN_UP", flag},
    {"emailAndPassword.requireEmailVerification", "LATCHKEY_AUTH_PASSWORD_REQUIRE_VERIFICATION", flag},
    {"emailAndPassword.minPasswordLength", "LATCHKEY_AUTH_PASSWORD_MIN_LENGTH", number},
    {"emailAndPassword.maxPasswordLength", "LATCHKEY_AUTH_PASSWORD_MAX_LENGTH", number},
    {"passkey.enabled", "LATCHKEY_AUTH_PASSKEY", flag},
    {"passkey.rpID", "LATCHKEY_PASSKEY_RP_ID", text},
    {"bearer.enabled", "LATCHKEY_AUTH_BEARER", flag},
    {"jwt.enabled", "LATCHKEY_AUTH_JWT", flag},
    {"jwt.audience", "LATCHKEY_AUTH_JWT_AUDIENCE", text},
    {"jwt.expiresIn", "LATCHKEY_AUTH_JWT_EXPIRES_IN", number},
    {"anonymous.enabled", "LATCHKEY_AUTH_ANONYMOUS", flag},
    {"user.deleteUser", "LATCHKEY_AUTH_DELETE_USER", flag},
    {"accountLinking.enabled", "LATCHKEY_AUTH_LINKING", flag},
    {"accountLinking.trustedProviders", "LATCHKEY_AUTH_LINKING_TRUSTED_PROVIDERS", list},
    {"accountLinking.allowDifferentEmails", "LATCHKEY_AUTH_LINKING_DIFFERENT_EMAILS", flag},
    {"atproto.enabled", "LATCHKEY_AUTH_ATPROTO", flag},
    {"atproto.privateKeyFile", "LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_FILE", text},
    {"atproto.oldPrivateKeyFiles", "LATCHKEY_AUTH_ATPROTO_OLD_PRIVATE_KEY_FILES", list},
    {"atproto.clientName", "LATCHKEY_AUTH_ATPROTO_CLIENT_NAME", text},
    {"atproto.clientURI", "LATCHKEY_AUTH_ATPROTO_CLIENT_URI", text},
    {"atproto.logoURI", "LATCHKEY_AUTH_ATPROTO_LOGO_URI", text},
    {"atproto.tosURI", "LATCHKEY_AUTH_ATPROTO_TOS_URI", text},
    {"atproto.policyURI", "LATCHKEY_AUTH_ATPROTO_POLICY_URI", text},
    {"atproto.scope", "LATCHKEY_AUTH_ATPROTO_SCOPE", text},
    {"atproto.disableSignUp", "LATCHKEY_AUTH_ATPROTO_DISABLE_SIGN_UP", flag},
    {"atproto.profileSync", "LATCHKEY_AUTH_ATPROTO_PROFILE_SYNC", text},
    {"atproto.allowedCalls", "LATCHKEY_AUTH_ATPROTO_ALLOWED_CALLS", list},
    {"atproto.plcDirectory", "LATCHKEY_AUTH_ATPROTO_PLC_URL", text},
    {"atproto.handleHost", "LATCHKEY_AUTH_ATPROTO_HANDLE_HOST", text},
    {"google.clientId", "GOOGLE_CLIENT_ID", text},
    {"google.clientSecret", "GOOGLE_CLIENT_SECRET", text},
    {"github.clientId", "GITHUB_CLIENT_ID", text},
    {"github.clientSecret", "GITHUB_CLIENT_SECRET", text},
    {"github.baseURL", "GITHUB_BASE_URL", text},
    {"mail.provider", "EMAIL_PROVIDER", text},
    {"mail.from", "SMTP_FROM", text},
    {"mail.fromName", "SMTP_FROM_NAME", text},
    {"mail.host", "SMTP_HOST", text},
    {"mail.port", "SMTP_PORT", number},
    {"mail.user", "SMTP_USER", text},
    {"mail.password", "SMTP_PASS", text},
    {"mail.sendgridApiKey", "SENDGRID_API_KEY", text},
    {"mail.postmarkServerToken", "POSTMARK_SERVER_TOKEN", text},
    {"mail.awsRegion", "AWS_REGION", text},
    {"mail.awsSmtpUser", "AWS_SES_SMTP_USER", text},
    {"mail.awsSmtpPassword", "AWS_SES_SMTP_PASS", text},
    {"mail.dkimDomain", "LATCHKEY_DKIM_DOMAIN", text},
    {"mail.dkimSelector", "LATCHKEY_DKIM_SELECTOR", text},
    {"mail.dkimPrivateKeyFile", "LATCHKEY_DKIM_PRIVATE_KEY_FILE", text},
});

constexpr std::pair<std::string_view, std::string_view> k_oidc_members[] = {
    {"issuer", "_ISSUER"},
    {"clientId", "_CLIENT_ID"},
    {"clientSecret", "_CLIENT_SECRET"},
    {"label", "_LABEL"}};

std::string_view words(AuthKeyType type) {
  switch (type) {
    case text:
      return "a text in quotes";
    case flag:
      return "true or false";
    case number:
      return "a whole number";
    case list:
      return "a list of texts, such as [\"one\", \"two\"]";
  }
  std::abort();
}

/// "my-company" is MY_COMPANY in a variable.
std::string variable_part(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

/// How many letters have to be changed, added or taken away.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string suggestion(std::string_view path) {
  const auto best =
      std::ranges::min_element(k_keys, {}, [&](const AuthKey& key) { return distance(path, key.path); });
  return distance(path, best->path) <= 3 ? fmt::format("; did you mean {}?", best->path) : std::string();
}

/// A value as the text of a variable; std::nullopt when it has another type.
std::optional<std::string> text_of(const toml::node& node, AuthKeyType type) {
  switch (type) {
    case text:
      if (const auto* s = node.as_string()) return s->get();
      return std::nullopt;
    case flag:
      if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
      return std::nullopt;
    case number:
      if (const auto* n = node.as_integer()) return std::to_string(n->get());
      return std::nullopt;
    case list: {
      const auto* items = node.as_array();
      if (!items) return std::nullopt;
      std::string out;
      for (const toml::node& item : *items) {
        const auto* s = item.as_string();
        // Variables are split at commas.
        if (!s || s->get().find(',') != std::string::npos) return std::nullopt;
        out += (out.empty() ? "" : ",") + s->get();
      }
      return out;
    }
  }
  std::abort();
}

}  // namespace

std::span<const AuthKey> auth_keys() { return k_keys; }

class Flattener {
 public:
  Flattener(AuthFile& file, Problems& problems) : file_(file), problems_(problems) {}

  void table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string path = prefix + std::string(key.str());
      const unsigned line = key.source().begin.line;
      if (path == "oidc" && node.is_table())
        providers(*node.as_table());
      else if (const auto known = std::ranges::find(k_keys, path, &AuthKey::path); known != k_keys.end())
        take(std::string(known->variable), path, node, known->type, line);
      else if (const bool section = std::ranges::any_of(
                   k_keys, [&](const AuthKey& k) { return k.path.starts_with(path + "."); });
               section && node.is_table())
        this->table(*node.as_table(), path + ".");
      else if (section)
        complain(line, fmt::format("{0} is a section: [{0}] on a line of its own, its keys below", path));
      else
        complain(line, fmt::format("there is no key {}{}", path, suggestion(path)));
    }
  }

 private:
  void complain(unsigned line, std::string_view what) {
    problems_.push_back(fmt::format("{}, line {}: {}", file_.name_, line, what));
  }

  void take(std::string variable, const std::string& path, const toml::node& node, AuthKeyType type,
            unsigned line) {
    auto value = text_of(node, type);
    if (!value) return complain(line, fmt::format("{} must be {}", path, words(type)));
    file_.entries_.emplace(std::move(variable), AuthFile::Entry{*std::move(value), path, line});
  }

  // [oidc.my-company]
  void providers(const toml::table& all) {
    for (const auto& [name, node] : all) {
      const std::string path = "oidc." + std::string(name.str());
      const unsigned line = name.source().begin.line;
      const auto* provider = node.as_table();
      if (!provider) {
        complain(line,
                 fmt::format("{0} must be a section: [{0}], with issuer, clientId and clientSecret", path));
        continue;
      }
      for (const auto& [member, value] : *provider) {
        const auto known = std::ranges::find(k_oidc_members, member.str(),
                                             &std::pair<std::string_view, std::string_view>::first);
        if (known == std::end(k_oidc_members))
          complain(member.source().begin.line, fmt::format("there is no key {}.{}", path, member.str()));
        else
          take(fmt::format("OIDC_{}{}", variable_part(name.str()), known->second),
               fmt::format("{}.{}", path, member.str()), value, text, member.source().begin.line);
      }
    }
  }

  AuthFile& file_;
  Problems& problems_;
};

Result<AuthFile, Problems> AuthFile::parse(std::string_view text, std::string name) {
  AuthFile file;
  file.name_ = std::move(name);
  const auto parsed = toml::parse(text);
  if (!parsed) {
    const auto& e = parsed.error();
    return fail(Problems{fmt::format("{}, line {}: not TOML: {}", file.name_, e.source().begin.line,
                                     std::string_view(e.description()))});
  }
  Problems problems;
  Flattener(file, problems).table(parsed.table(), "");
  if (!problems.empty()) return fail(std::move(problems));
  return file;
}

Environment AuthFile::over(Environment environment) const {
  return [this, environment = std::move(environment)](std::string_view name) -> std::optional<std::string> {
    if (auto set = environment(name)) return set;
    const auto entry = entries_.find(name);
    return entry == entries_.end() ? std::nullopt : std::optional(entry->second.value);
  };
}

EnvironmentNames AuthFile::over(EnvironmentNames names) const {
  return [this, names = std::move(names)](std::string_view prefix) {
    auto out = names(prefix);
    for (const auto& [name, _] : entries_)
      if (name.starts_with(prefix) && std::ranges::find(out, name) == out.end()) out.push_back(name);
    return out;
  };
}

std::string AuthFile::in_place(std::string problem, const Environment& environment) const {
  const auto end = std::min(problem.find_first_of(" :"), problem.size());
  const std::string variable = problem.substr(0, end), rest = problem.substr(end);
  if (const auto entry = entries_.find(variable); entry != entries_.end() && !environment(variable))
    return fmt::format("{}, line {}: {}{}", name_, entry->second.line, entry->second.path, rest);
  const auto known = std::ranges::find(k_keys, variable, &AuthKey::variable);
  if (known == k_keys.end() || environment(variable)) return problem;
  return fmt::format("{} ({} in the file){}", variable, known->path, rest);
}

}  // namespace latchkey::app

#include "auth/core/origins.h"

#include <algorithm>
#include <stdexcept>

#include "base/url.h"
#include "web/address.h"

namespace latchkey::auth {
namespace {

/// * any number of characters, ? one; neither matches '/'. In linear space and without backtracking over more
/// than the last star.
bool glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == text[t] || (pattern[p] == '?' && text[t] != '/'))) {
      ++p, ++t;
    } else if (star != pattern.npos && text[resume] != '/') {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool has_wildcard(std::string_view s) { return s.find_first_of("*?") != s.npos; }
bool is_web(std::string_view scheme) { return scheme == "http" || scheme == "https"; }

/// scheme "://" authority path, for schemes of apps, which need no host.
struct Parts {
  std::string scheme, authority, path;
};
std::optional<Parts> split(std::string_view url) {
  const auto colon = url.find("://");
  if (colon == url.npos || colon == 0) return std::nullopt;
  Parts parts;
  for (const char c : url.substr(0, colon)) {
    const char l = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!((l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '+' || l == '-' || l == '.'))
      return std::nullopt;
    parts.scheme += l;
  }
  if (parts.scheme[0] < 'a' || parts.scheme[0] > 'z') return std::nullopt;
  const auto rest = url.substr(colon + 3);
  const auto end = rest.find_first_of("/?#");
  parts.authority = std::string(rest.substr(0, end));
  if (end != rest.npos && rest[end] == '/') {
    const auto path = rest.substr(end);
    parts.path = std::string(path.substr(0, path.find_first_of("?#")));
  }
  return parts;
}

/// The path after its dot segments (RFC 3986 §5.2.4); a path that climbs out ends at "/".
std::string resolved(std::string_view path) {
  std::vector<std::string_view> kept;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    path = slash == path.npos ? std::string_view() : path.substr(slash);
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (const auto s : kept) out.append("/").append(s);
  return out;
}

bool has_encoded_slash(std::string_view path) {
  for (std::size_t i = 0; i + 2 < path.size(); ++i) {
    if (path[i] != '%') continue;
    const char a = path[i + 1], b = path[i + 2];
    if ((a == '2' && (b == 'f' || b == 'F')) || (a == '5' && (b == 'c' || b == 'C'))) return true;
  }
  return false;
}

bool plain_text(std::string_view s) {
  return std::ranges::all_of(
      s, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '\\'; });
}

bool matches(std::string_view pattern, const std::optional<Url>& url, const Parts& parts) {
  if (has_wildcard(pattern)) {
    if (pattern.find("://") != pattern.npos) return url && glob(pattern, url->origin());
    if (!url) return false;
    const bool numeric = pattern.find_first_not_of("0123456789.*?:") == pattern.npos;
    if (numeric) {
      const auto address = web::IpAddress::parse(url->host);
      if (!address || !address->is_v4()) return false;
    }
    return glob(pattern, url->authority());
  }
  const auto wanted = split(pattern);
  if (!wanted || parts.scheme != wanted->scheme) return false;
  if (is_web(wanted->scheme)) {
    const auto origin = Url::parse(pattern);
    return url && origin && url->origin() == origin->origin();
  }
  if (!wanted->authority.empty() && wanted->authority != parts.authority) return false;
  const std::string under = resolved(wanted->path), path = resolved(parts.path);
  if (under.empty() || under == "/") return true;
  if (has_encoded_slash(parts.path) || parts.path.find("%2e") != std::string::npos ||
      parts.path.find("%2E") != std::string::npos)
    return false;
  return path == under || path.starts_with(under + "/");
}

}  // namespace

TrustedOrigins::TrustedOrigins(std::string_view base_url, std::vector<std::string> patterns)
    : patterns_(std::move(patterns)) {
  const auto base = Url::parse(base_url);
  if (!base || !is_web(base->scheme))
    throw std::invalid_argument("base_url is no http(s) URL: " + std::string(base_url));
  for (const std::string& p : patterns_) {
    const bool everything = p.find_first_not_of("*?./:") == p.npos;
    const bool web = p.starts_with("http://") || p.starts_with("https://");
    if (everything || (!has_wildcard(p) && (web ? !Url::parse(p).has_value() : !split(p).has_value())))
      throw std::invalid_argument("not a trusted origin: \"" + p + "\"");
  }
  patterns_.insert(patterns_.begin(), base->origin());
}

bool TrustedOrigins::trusts(std::string_view text) const {
  if (text.size() > 2048 || !plain_text(text)) return false;
  const auto parts = split(text);
  if (!parts || parts->authority.find('@') != std::string::npos) return false;
  const auto url = is_web(parts->scheme) ? Url::parse(text) : std::nullopt;
  if (is_web(parts->scheme) && !url) return false;
  return std::ranges::any_of(patterns_, [&](const std::string& p) { return matches(p, url, *parts); });
}

bool is_relative_target(std::string_view t) {
  if (t.empty() || t.size() > 2048 || t[0] != '/' || t.starts_with("//") || !plain_text(t)) return false;
  const auto path = t.substr(0, t.find_first_of("?#"));
  return !has_encoded_slash(path) && !resolved(path).starts_with("//");  // "/.//host" is "//host" to some
}

bool TrustedOrigins::allows_redirect(std::string_view target) const {
  return is_relative_target(target) || trusts(target);
}

Result<void, Fault> TrustedOrigins::check_origin(const web::Request& request) const {
  std::string origin(request.headers.get("origin"));
  if (origin.empty()) origin = std::string(request.headers.get("referer"));
  if (origin == "null" && request.headers.get("sec-fetch-site") == "same-origin") origin = request.origin();
  if (origin.empty() || origin == "null") return refuse(Error::MISSING_OR_NULL_ORIGIN);
  if (!trusts(origin)) return refuse(Error::INVALID_ORIGIN);
  return {};
}

Result<void, Fault> TrustedOrigins::check_any(const web::Request& request) const {
  if (!request.headers.has("cookie")) return {};
  return check_origin(request);
}

Result<void, Fault> TrustedOrigins::check_form(const web::Request& request) const {
  if (request.headers.has("cookie")) return check_origin(request);
  const auto site = request.headers.get("sec-fetch-site"), mode = request.headers.get("sec-fetch-mode"),
             dest = request.headers.get("sec-fetch-dest");
  if (site == "cross-site" && mode == "navigate") return refuse(Error::CROSS_SITE_NAVIGATION_LOGIN_BLOCKED);
  const bool says_something = !site.empty() || !mode.empty() || !dest.empty();
  if (says_something || !request.headers.get("origin").empty() || !request.headers.get("referer").empty())
    return check_origin(request);
  return {};
}

}  // namespace latchkey::auth

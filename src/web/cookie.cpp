#include "web/cookie.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace latchkey::web {
namespace {

bool is_token(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?={}").find(c) == std::string_view::npos;
  });
}

bool is_cookie_octets(std::string_view s) {  // RFC 6265 §4.1.1
  return std::ranges::all_of(
      s, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'; });
}

bool is_attribute_value(std::string_view s) {
  return std::ranges::all_of(s, [](char c) { return c >= 0x20 && c < 0x7f && c != ';'; });
}

}  // namespace

Cookies parse_cookies(std::string_view header) {
  Cookies out;
  if (header.size() > 8192) return out;
  if (std::ranges::count(header, ';') >= 64) return out;
  while (!header.empty()) {
    const auto semicolon = header.find(';');
    auto pair = header.substr(0, semicolon);
    header = semicolon == std::string_view::npos ? std::string_view() : header.substr(semicolon + 1);
    while (!pair.empty() && (pair.front() == ' ' || pair.front() == '\t')) pair.remove_prefix(1);
    while (!pair.empty() && (pair.back() == ' ' || pair.back() == '\t')) pair.remove_suffix(1);
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const auto name = pair.substr(0, equals);
    auto value = pair.substr(equals + 1);
    // cookie-value may stand in double quotes, which belong to it (RFC 6265 §4.1.1, §5.2 keeps them).
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    if (!is_token(name) || !is_cookie_octets(quoted ? value.substr(1, value.size() - 2) : value)) continue;
    out.emplace_back(name, value);
  }
  return out;
}

std::string SetCookie::str() const {
  if (!is_token(name)) throw std::invalid_argument("not a cookie name");
  if (!is_cookie_octets(value)) throw std::invalid_argument(fmt::format("cookie {}: bad value", name));
  if (path.empty() || path.front() != '/' || !is_attribute_value(path) || !is_attribute_value(domain))
    throw std::invalid_argument(fmt::format("cookie {}: bad path or domain", name));
  // RFC 6265bis §4.1.3: browsers compare the prefixes without case.
  const std::string_view n = name;
  if (equal_no_case(n.substr(0, 7), "__Host-") && (!secure || path != "/" || !domain.empty()))
    throw std::invalid_argument(fmt::format("cookie {}: __Host- needs Secure, Path=/ and no Domain", name));
  if (equal_no_case(n.substr(0, 9), "__Secure-") && !secure)
    throw std::invalid_argument(fmt::format("cookie {}: __Secure- needs Secure", name));
  if (same_site == SameSite::none && !secure)
    throw std::invalid_argument(fmt::format("cookie {}: SameSite=None needs Secure", name));
  if (partitioned && !secure)
    throw std::invalid_argument(fmt::format("cookie {}: Partitioned needs Secure", name));

  std::string out = fmt::format("{}={}; Path={}", name, value, path);
  if (!domain.empty()) out += "; Domain=" + domain;
  if (max_age) out += fmt::format("; Max-Age={}", max_age->count());
  if (secure) out += "; Secure";
  if (http_only) out += "; HttpOnly";
  switch (same_site) {
    case SameSite::strict:
      out += "; SameSite=Strict";
      break;
    case SameSite::lax:
      out += "; SameSite=Lax";
      break;
    case SameSite::none:
      out += "; SameSite=None";
      break;
  }
  if (partitioned) out += "; Partitioned";
  return out;
}

void set_cookie(Response& response, const SetCookie& cookie) {
  response.headers.add("set-cookie", cookie.str());
}

void clear_cookie(Response& response, SetCookie cookie) {
  cookie.value.clear();
  cookie.max_age = std::chrono::seconds(0);
  set_cookie(response, cookie);
}

std::string host_cookie_name(std::string_view name, bool https) {
  return https ? fmt::format("__Host-{}", name) : std::string(name);
}

}  // namespace latchkey::web

#include "auth/core/cookies.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/encoding.h"
#include "base/url.h"
#include "crypto/hash.h"

namespace latchkey::auth {
namespace {

// RFC 6265bis §5.6.1: browsers cap cookies at 400 days, and Better Auth refuses more.
constexpr std::chrono::seconds k_max_age{34'560'000};

std::string mac(std::string_view secret, std::string_view value) {
  return base64(crypto::hmac_sha256(as_bytes(secret), as_bytes(value)));
}

const CookieOverride* override_of(const CookieOptions& options, std::string_view key) {
  const auto it = std::ranges::find(options.overrides, key, &CookieOverride::key);
  return it == options.overrides.end() ? nullptr : &*it;
}

}  // namespace

std::string encode_uri_component(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("-_.!~*'()").find(c) != std::string_view::npos;
    if (kept)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Cookies::Cookies(CookieOptions options, bool https, std::vector<Secret<std::string>> secrets)
    : options_(std::move(options)),
      secure_(options_.secure == CookieOptions::Secure::always ||
              (options_.secure == CookieOptions::Secure::by_base_url && https)),
      secrets_(std::move(secrets)) {
  const bool host = options_.name_prefix == CookieOptions::NamePrefix::host;
  if (host && !options_.cross_subdomain.empty())
    throw std::invalid_argument("cookies: __Host- names cannot have a Domain");
  for (const CookieOverride& o : options_.overrides) {
    if (host && (o.domain.value_or("") != "" || o.path.value_or("/") != "/"))
      throw std::invalid_argument(fmt::format("cookies: {}: __Host- names have no Domain and Path=/", o.key));
    if (o.max_age && *o.max_age > k_max_age)
      throw std::invalid_argument(fmt::format("cookies: {}: Max-Age above 400 days", o.key));
  }
  plain("session_token", "", std::nullopt).str();  // throws when name or attributes cannot be sent
}

std::string Cookies::name(std::string_view key) const {
  const CookieOverride* o = override_of(options_, key);
  const std::string_view prefix = !secure_                                                  ? ""
                                  : options_.name_prefix == CookieOptions::NamePrefix::host ? "__Host-"
                                                                                            : "__Secure-";
  if (o && !o->name.empty()) return fmt::format("{}{}", prefix, o->name);
  return fmt::format("{}{}.{}", prefix, options_.prefix, key);
}

web::SetCookie Cookies::plain(std::string_view key, std::string_view value,
                              std::optional<std::chrono::seconds> max_age) const {
  if (max_age && *max_age > k_max_age) throw std::invalid_argument("a cookie's Max-Age above 400 days");
  web::SetCookie cookie{.name = name(key),
                        .value = encode_uri_component(value),
                        .max_age = max_age,
                        .domain = options_.cross_subdomain,
                        .secure = secure_,
                        .same_site = options_.same_site,
                        .partitioned = options_.partitioned};
  if (const CookieOverride* o = override_of(options_, key)) {
    if (o->same_site) cookie.same_site = *o->same_site;
    if (o->path) cookie.path = *o->path;
    if (o->domain) cookie.domain = *o->domain;
    if (o->max_age && max_age) cookie.max_age = *o->max_age;
  }
  return cookie;
}

web::SetCookie Cookies::signed_cookie(std::string_view key, std::string_view value,
                                      std::optional<std::chrono::seconds> max_age) const {
  return plain(key, sign(value), max_age);
}

web::SetCookie Cookies::cleared(std::string_view key) const {
  web::SetCookie cookie = plain(key, "", std::nullopt);
  cookie.max_age = std::chrono::seconds(0);
  return cookie;
}

std::string Cookies::sign(std::string_view value) const {
  return fmt::format("{}.{}", value, mac(secrets_.front().reveal(), value));
}

std::optional<std::string> Cookies::verify(std::string_view text) const {
  const auto dot = text.rfind('.');
  if (dot == text.npos) return std::nullopt;
  const auto value = text.substr(0, dot), signature = text.substr(dot + 1);
  if (signature.size() != 44 || signature.back() != '=') return std::nullopt;
  for (const auto& secret : secrets_)
    if (crypto::equal(signature, mac(secret.reveal(), value))) return std::string(value);
  return std::nullopt;
}

std::optional<std::string> Cookies::read(const web::Request& request, std::string_view key) const {
  const auto raw = request.cookie(name(key));
  return raw ? percent_decode(*raw) : std::nullopt;
}

std::optional<std::string> Cookies::read_signed(const web::Request& request, std::string_view key) const {
  const auto text = read(request, key);
  return text ? verify(*text) : std::nullopt;
}

}  // namespace latchkey::auth

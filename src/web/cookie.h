#pragma once
// Cookies, RFC 6265 (and the prefixes of RFC 6265bis §4.1.3).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "web/http.h"

namespace latchkey::web {

using Cookies = std::vector<std::pair<std::string, std::string>>;

/// Reads a Cookie header. Pairs that are not cookie-name "=" cookie-value are left out, so that a neighbour's
/// odd cookie does not lock the user out of ours. At most 8 KiB and 64 pairs; beyond that nothing is read.
Cookies parse_cookies(std::string_view header);

enum class SameSite { strict, lax, none };

/// One Set-Cookie header. Defaults are the safe ones.
struct SetCookie {
  std::string name;
  std::string value;                            // cookie-octets only: tokens, base64url
  std::optional<std::chrono::seconds> max_age;  // none: until the browser closes; 0 deletes
  std::string path = "/";
  std::string domain;  // "" is host-only
  bool secure = true;
  bool http_only = true;
  SameSite same_site = SameSite::lax;
  bool partitioned = false;  // CHIPS: a jar per top-level site

  /// Throws std::invalid_argument on characters that do not belong, on `__Host-` without Secure and Path=/ or
  /// with a domain, on `__Secure-` without Secure, and on SameSite=None or Partitioned without Secure.
  std::string str() const;
};

void set_cookie(Response& response, const SetCookie& cookie);
/// Deletes: same name, path, domain and flags, Max-Age=0.
void clear_cookie(Response& response, SetCookie cookie);

/// The name a cookie has on this deployment: `__Host-<name>` over https, `<name>` over plain http (dev),
/// where browsers refuse the prefix.
std::string host_cookie_name(std::string_view name, bool https);

}  // namespace latchkey::web

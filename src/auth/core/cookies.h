#pragma once
// Cookies in Better Auth's format: value "." base64(HMAC-SHA256(secret, value)), percent-encoded as
// encodeURIComponent does; names with a prefix that says Secure.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "web/cookie.h"
#include "web/http.h"

namespace latchkey::auth {

struct CookieOverride {
  std::string key;        // "session_token"
  std::string name = {};  // instead of <prefix>.<key>
  std::optional<web::SameSite> same_site = {};
  std::optional<std::string> path = {}, domain = {};
  std::optional<std::chrono::seconds> max_age = {};
};

struct CookieOptions {
  std::string prefix = "better-auth";
  enum class Secure { by_base_url, always, never } secure = Secure::by_base_url;
  /// What secure names begin with. `__Host-` binds a cookie to this host and path / and forbids a Domain; no
  /// other subdomain can plant one.
  enum class NamePrefix { secure, host } name_prefix = NamePrefix::secure;
  /// Domain= of all cookies, so that other subdomains get them: "" is host-only. Not with `host`.
  std::string cross_subdomain = {};
  web::SameSite same_site = web::SameSite::lax;
  bool partitioned = false;
  std::vector<CookieOverride> overrides = {};
};

class Cookies {
 public:
  /// The first secret signs, all of them verify. Throws std::invalid_argument for options that contradict
  /// each other.
  Cookies(CookieOptions options, bool https, std::vector<Secret<std::string>> secrets);

  bool secure() const { return secure_; }
  /// "__Secure-better-auth.session_token"
  std::string name(std::string_view key) const;
  /// A cookie with this deployment's attributes; the value only percent-encoded.
  web::SetCookie plain(std::string_view key, std::string_view value,
                       std::optional<std::chrono::seconds> max_age) const;
  web::SetCookie signed_cookie(std::string_view key, std::string_view value,
                               std::optional<std::chrono::seconds> max_age) const;
  /// Empty, Max-Age=0.
  web::SetCookie cleared(std::string_view key) const;

  /// value.signature
  std::string sign(std::string_view value) const;
  /// The value, when the signature is ours.
  std::optional<std::string> verify(std::string_view signed_value) const;
  std::optional<std::string> read(const web::Request& request, std::string_view key) const;
  std::optional<std::string> read_signed(const web::Request& request, std::string_view key) const;

 private:
  const CookieOptions options_;
  bool secure_;
  std::vector<Secret<std::string>> secrets_;
};

/// encodeURIComponent (ECMA-262 §19.2.6.4).
std::string encode_uri_component(std::string_view);

}  // namespace latchkey::auth

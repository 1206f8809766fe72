#pragma once
// Whose pages may send requests, and where answers may send people (better-auth contract, section 3).

#include <string>
#include <string_view>
#include <vector>

#include "auth/core/error.h"
#include "web/http.h"

namespace latchkey::auth {

class TrustedOrigins {
 public:
  /// `base_url`'s origin is always trusted. Patterns:
  ///   https://app.test         exactly that origin
  ///   https://*.a.test         a glob over the origin: * and ? never match '/', * crosses dots
  ///   *.a.test, 192.168.*.*    a glob over host[:port]; of digits, dots and wildcards only: IPv4 literals
  ///   myapp://, myapp://x/y    that scheme; with that authority; with that path or below
  /// Throws std::invalid_argument for one that matches everything or is no pattern.
  TrustedOrigins(std::string_view base_url, std::vector<std::string> patterns);

  bool trusts(std::string_view url) const;
  /// A trusted URL, or a path of this origin: one '/' first, no backslash, no control character, no %2f or
  /// %5c in the path.
  bool allows_redirect(std::string_view target) const;

  /// The table of section 3. `any`: what every request that is no GET has to pass. `form`: routes a form of
  /// another site could post to (login CSRF).
  Result<void, Fault> check_any(const web::Request& request) const;
  Result<void, Fault> check_form(const web::Request& request) const;

 private:
  Result<void, Fault> check_origin(const web::Request& request) const;
  std::vector<std::string> patterns_;
};

/// A path of the own origin, as allows_redirect says.
bool is_relative_target(std::string_view target);

}  // namespace latchkey::auth

#pragma once
// Tokens that other services verify offline: EdDSA JWTs (RFC 8037) about the signed-in user, with their keys
// at /jwks (better-auth contract, section 9).

#include <functional>

#include "auth/core/plugin.h"

namespace latchkey::auth {

struct JwtOptions {
  std::string issuer, audience;  // "": the origin
  std::chrono::seconds expires_in{900};
  /// A new key after this long (0: one key for good); the old one stays at /jwks for `grace_period` more.
  std::chrono::seconds rotation_interval{0};
  std::chrono::seconds grace_period{30 * 86'400};
  /// /get-session answers with a token in `set-auth-jwt`.
  enum class Header { on, off } get_session_header = Header::on;
  /// Claims about the session; the user as clients see it when empty. sub, iss, aud, iat and exp are ours.
  std::function<json::Object(const SessionAndUser&)> payload = {};
};

/// Throws std::invalid_argument when tokens would outlive their key's place at /jwks.
Plugin jwt(JwtOptions options = {});

}  // namespace latchkey::auth

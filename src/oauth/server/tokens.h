#pragma once
// Access tokens: HS256 JWTs that only this deployment reads (RFC 9068's claims, bound to a key by cnf.jkt,
// RFC 9449 §6.1).

#include "base/rng.h"
#include "oauth/server/error.h"
#include "oauth/server/sessions.h"

namespace latchkey::oauth {

inline constexpr std::chrono::minutes k_access_lifetime{15};

struct AccessClaims {
  std::string session_id, did, client_id, scope, jkt;
  Time issued_at, expires_at;
};

class AccessTokens {
 public:
  AccessTokens(std::string issuer, Secret<Bytes> key, Rng& rng)
      : issuer_(std::move(issuer)), key_(std::move(key)), rng_(rng) {}
  struct Issued {
    std::string token;
    std::chrono::seconds expires_in;
  };
  /// Never outlives the session.
  Issued issue(const Session& session, std::string_view scope, Time now) const;
  /// Signature, issuer, type and time; whether the session lives is the caller's question.
  Result<AccessClaims, Fault> verify(std::string_view token, Time now) const;

 private:
  std::string issuer_;
  Secret<Bytes> key_;
  Rng& rng_;
};

}  // namespace latchkey::oauth

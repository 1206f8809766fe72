#pragma once
// private_key_jwt client authentication (RFC 7523 §2.2 and §3, OpenID Connect Core §9): making and checking.

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/key.h"
#include "oauth/jose/jwk.h"

namespace latchkey::oauth {

inline constexpr std::string_view k_client_assertion_type =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct AssertionPolicy {
  std::chrono::seconds max_age{300};       // how old `iat` may be
  std::chrono::seconds max_lifetime{600};  // how far ahead `exp` may be
  std::chrono::seconds max_skew{30};       // clocks that run apart
};

/// What a verified assertion says. The caller remembers (client_id, jti) until `remember_until` and refuses
/// repeats; it pins kid, alg and jkt for the session, and refuses a DPoP key with the same jkt.
struct ClientAssertion {
  std::string jti, kid, alg, jkt;
  Time iat;
  Time remember_until;
};

/// `jwks` is the client's current key set; `issuer` the authorization server's.
Result<ClientAssertion, JoseError> check_client_assertion(std::string_view assertion,
                                                          std::string_view client_id, std::string_view issuer,
                                                          const Jwks& jwks, const AssertionPolicy&, Time now);

std::string make_client_assertion(const crypto::PrivateKey&, std::string_view kid, std::string_view client_id,
                                  std::string_view issuer, Rng&, Time now);

}  // namespace latchkey::oauth

#pragma once
// Service JWTs: an account's word to another service, or brought to us by one. Source:
// https://atproto.com/specs/xrpc#inter-service-authentication-jwt

#include <optional>
#include <string>

#include "atproto/syntax/did.h"
#include "atproto/syntax/nsid.h"
#include "atproto/xrpc/error.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/key.h"
#include "oauth/jose/jwt.h"

namespace latchkey::pds {

struct ServiceJwt {
  Did iss;                  // the account
  std::string aud;          // the service: a DID, or one with a fragment
  std::optional<Nsid> lxm;  // the one method it is for; absent: any
  Time iat, exp;
};

/// Signed with the account's repository key.
std::string sign_service_jwt(const ServiceJwt& jwt, const crypto::PrivateKey& key, Rng& rng);

/// Whether a bearer token is one rather than a session's: those name no method.
bool is_service_jwt(const oauth::Jwt& token);
/// Everything but the signature. Who speaks. Errors: BadJwt, BadJwtType, JwtExpired, BadJwtAudience,
/// BadJwtLexiconMethod, BadJwtIss.
Result<Did, xrpc::Fault> check_service_jwt(const oauth::Jwt& token, std::string_view aud,
                                           std::string_view lxm, Time now);

}  // namespace latchkey::pds

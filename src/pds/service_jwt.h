#pragma once
// Service JWTs: an account's word to another service. Source:
// https://atproto.com/specs/xrpc#inter-service-authentication-jwt

#include <optional>
#include <string>

#include "atproto/syntax/did.h"
#include "atproto/syntax/nsid.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/key.h"

namespace latchkey::pds {

struct ServiceJwt {
  Did iss;                  // the account
  std::string aud;          // the service: a DID, or one with a fragment
  std::optional<Nsid> lxm;  // the one method it is for; absent: any
  Time iat, exp;
};

/// Signed with the account's repository key.
std::string sign_service_jwt(const ServiceJwt& jwt, const crypto::PrivateKey& key, Rng& rng);

}  // namespace latchkey::pds

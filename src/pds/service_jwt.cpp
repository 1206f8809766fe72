#include "pds/service_jwt.h"

#include "base/json.h"
#include "oauth/jose/jwt.h"

namespace latchkey::pds {

std::string sign_service_jwt(const ServiceJwt& jwt, const crypto::PrivateKey& key, Rng& rng) {
  json::Object claims{{"iat", unix_seconds(jwt.iat)},
                      {"iss", jwt.iss.str()},
                      {"aud", jwt.aud},
                      {"exp", unix_seconds(jwt.exp)},
                      {"jti", rng.token(16)}};
  if (jwt.lxm) claims.append("lxm", jwt.lxm->str());
  return oauth::sign_jwt({{"typ", "JWT"}}, std::move(claims), key);
}

}  // namespace latchkey::pds

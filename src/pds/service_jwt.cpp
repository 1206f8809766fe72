#include "pds/service_jwt.h"

#include "base/json.h"
#include "pds/call.h"

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

bool is_service_jwt(const oauth::Jwt& token) { return token.payload.find("lxm") != nullptr; }

Result<Did, xrpc::Fault> check_service_jwt(const oauth::Jwt& token, std::string_view aud,
                                           std::string_view lxm, Time now) {
  using xrpc::Error;
  for (const std::string_view other : {"at+jwt", "refresh+jwt", "dpop+jwt"})
    if (web::equal_no_case(token.typ(), other))
      return refuse(Error::BadJwtType, "Invalid jwt type \"" + std::string(token.typ()) + "\"");
  const auto exp = token.time_claim("exp");
  const auto* iss = token.string_claim("iss");
  const auto* audience = token.string_claim("aud");
  const auto* method = token.string_claim("lxm");
  if (!exp || !iss || !audience || !method) return refuse(Error::BadJwt, "poorly formatted jwt");
  if (now > *exp) return refuse(Error::JwtExpired, "jwt expired");
  if (*audience != aud) return refuse(Error::BadJwtAudience, "jwt audience does not match service did");
  if (*method != lxm)
    return refuse(Error::BadJwtLexiconMethod,
                  "bad jwt lexicon method (\"lxm\"). must match: " + std::string(lxm));
  auto did = Did::parse(*iss);
  if (!did) return refuse(Error::BadJwtIss, "jwt iss is not a valid did");
  return *std::move(did);
}

}  // namespace latchkey::pds

#include "oauth/server/tokens.h"

#include "base/rng.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth {
namespace {
// Not "at+jwt": a token of the legacy sessions must never pass for one of these, nor the other way round,
// even if an operator gave both the same secret.
constexpr std::string_view k_typ = "oauth-at+jwt";
}  // namespace

AccessTokens::Issued AccessTokens::issue(const Session& session, std::string_view scope, Time now) const {
  using std::chrono::floor, std::chrono::seconds;
  const seconds life = std::min<seconds>(k_access_lifetime, floor<seconds>(session.expires_at - now));
  const std::int64_t iat = unix_seconds(now);
  json::Object payload{{"iss", issuer_},
                       {"aud", issuer_},
                       {"sub", session.did},
                       {"sid", session.id},
                       {"client_id", session.client_id},
                       {"scope", scope},
                       {"iat", iat},
                       {"exp", iat + life.count()},
                       {"jti", rng_.token(12)},
                       {"cnf", json::Object{{"jkt", session.dpop_jkt}}}};
  return {sign_hs256({{"typ", k_typ}}, std::move(payload), key_.reveal()), life};
}

Result<AccessClaims, Fault> AccessTokens::verify(std::string_view token, Time now) const {
  const auto bad = [](std::string detail) {
    return fault(Error::invalid_token, "Invalid access token", detail);
  };
  const auto jwt = parse_compact(token);
  if (!jwt) return bad(jwt.error().detail);
  if (jwt->typ() != k_typ || !verify_hs256(*jwt, key_.reveal())) return bad("signature");
  const std::string* iss = jwt->string_claim("iss");
  if (!iss || *iss != issuer_ || !jwt->has_audience(issuer_)) return bad("issuer");
  const auto iat = jwt->time_claim("iat"), exp = jwt->time_claim("exp");
  const json::Value* cnf = jwt->payload.find("cnf");
  const std::string* jkt = cnf ? cnf->string_at("jkt") : nullptr;
  const std::string *sub = jwt->string_claim("sub"), *sid = jwt->string_claim("sid"),
                    *client_id = jwt->string_claim("client_id"), *scope = jwt->string_claim("scope");
  if (!iat || !exp || !jkt || !sub || !sid || !client_id || !scope) return bad("claims");
  if (now >= *exp) return fault(Error::invalid_token, "The access token expired");
  return AccessClaims{*sid, *sub, *client_id, *scope, *jkt, *iat, *exp};
}

}  // namespace latchkey::oauth

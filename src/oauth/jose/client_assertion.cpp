#include "oauth/jose/client_assertion.h"

#include <algorithm>

#include "oauth/jose/jwt.h"

namespace latchkey::oauth {
namespace {

JoseError bad(std::string_view detail) { return JoseError{"client assertion: " + std::string(detail)}; }

constexpr std::size_t k_max_jti = 256;
constexpr std::chrono::seconds k_own_lifetime{60};

// at+jwt, refresh+jwt and dpop+jwt are made for other purposes, some with keys a client also holds.
bool is_plain_jwt(std::string_view typ) { return typ.empty() || typ == "JWT" || typ == "jwt"; }

}  // namespace

// RFC 7523 §3, RFC's numbers, with the narrower rules of atproto (https://atproto.com/specs/oauth,
// "Confidential Client Authentication") where they differ.
Result<ClientAssertion, JoseError> check_client_assertion(std::string_view assertion,
                                                          std::string_view client_id, std::string_view issuer,
                                                          const Jwks& jwks, const AssertionPolicy& policy,
                                                          Time now) {
  TRY(const auto jwt, parse_compact(assertion));
  if (!is_plain_jwt(jwt.typ())) return fail(bad("typ"));
  // 1., 2. Issuer and subject are both the client.
  const auto* iss = jwt.string_claim("iss");
  if (!iss || *iss != client_id) return fail(bad("iss"));
  const auto* sub = jwt.string_claim("sub");
  if (!sub || *sub != client_id) return fail(bad("sub"));
  // 3. Meant for this server, and for it alone: an assertion with several audiences could be taken to another
  // server by the first that sees it. The token endpoint's URL, which RFC 7523 would allow, is not our name.
  const auto* aud = jwt.payload.find("aud");
  const bool only_us = aud && (aud->string() || (aud->array() && aud->array()->size() == 1));
  if (!only_us || !jwt.has_audience(issuer)) return fail(bad("aud"));
  // 6. Freshly made. (OPTIONAL in the RFC, required by atproto.)
  const auto iat = jwt.time_claim("iat");
  if (!iat || *iat - now > policy.max_skew || now - *iat > policy.max_age) return fail(bad("iat"));
  // 4. Not expired; "far in the future" is refused, else jti would have to be remembered as long. Clients
  // may leave exp out (contract: iss, sub, aud, iat, jti): iat then bounds the life.
  Time until = *iat + policy.max_age;
  if (jwt.payload.find("exp")) {
    const auto exp = jwt.time_claim("exp");
    if (!exp || *exp + policy.max_skew <= now || *exp - now > policy.max_lifetime) return fail(bad("exp"));
    until = std::min(until, *exp + policy.max_skew);
  }
  // 5. Not before.
  if (jwt.payload.find("nbf")) {
    const auto nbf = jwt.time_claim("nbf");
    if (!nbf || *nbf - now > policy.max_skew) return fail(bad("nbf"));
  }
  // 7. An identifier, so that a repeat can be recognised.
  const auto* jti = jwt.string_claim("jti");
  if (!jti || jti->empty() || jti->size() > k_max_jti) return fail(bad("jti"));
  // 9. Signed by the key the client names. Never "the first key of the set", never a key from the token.
  const auto* kid = jwt.header.find("kid");
  if (!kid || !kid->string() || kid->string()->empty()) return fail(bad("kid"));
  const Jwk* key = jwks.find(*kid->string(), jwt.alg());
  if (!key) return fail(bad("kid and alg name no key of this client"));
  if (!verify(jwt, key->key)) return fail(bad("signature"));
  return ClientAssertion{.jti = *jti,
                         .kid = key->kid,
                         .alg = std::string(jwt.alg()),
                         .jkt = key->thumbprint(),
                         .iat = *iat,
                         // One tick more: at the boundary itself the assertion still holds.
                         .remember_until = until + Time::duration(1)};
}

std::string make_client_assertion(const crypto::PrivateKey& key, std::string_view kid,
                                  std::string_view client_id, std::string_view issuer, Rng& rng, Time now) {
  const auto seconds = unix_seconds(now);
  return sign_jwt({{"typ", "JWT"}, {"kid", kid}},
                  {{"iss", client_id},
                   {"sub", client_id},
                   {"aud", issuer},
                   {"jti", rng.token(16)},
                   {"iat", seconds},
                   {"exp", seconds + k_own_lifetime.count()}},
                  key);
}

}  // namespace latchkey::oauth

#include "auth/plugins/social/id_token.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::auth {
namespace {

std::unexpected<ProviderError> bad(std::string_view what) {
  return fail(ProviderError{ProviderError::Kind::invalid, "id token: " + std::string(what)});
}

bool has_other_audience(const oauth::Jwt& token, const IdTokenPolicy& policy) {
  const auto* aud = token.payload.find("aud");
  const auto* list = aud ? aud->array() : nullptr;
  return list && std::ranges::any_of(*list, [&](const json::Value& v) {
           return !v.string() || (*v.string() != policy.client_id &&
                                  std::ranges::find(policy.trusted_audiences, *v.string()) ==
                                      policy.trusted_audiences.end());
         });
}

// §3.1.3.6: the left half of the hash that belongs to alg. EdDSA names none.
bool matches_at_hash(const oauth::Jwt& token, std::string_view access_token) {
  const auto* claim = token.payload.find("at_hash");
  if (!claim || access_token.empty() || token.alg() == "EdDSA") return true;
  const auto digest = crypto::sha256(as_bytes(access_token));
  return claim->string() && *claim->string() == base64url(BytesView(digest).first(16));
}

}  // namespace

Result<void, ProviderError> check_id_token(const oauth::Jwt& token, const oauth::VerificationKey& key,
                                           const IdTokenPolicy& policy, std::string_view access_token,
                                           Time now) {
  // 1. Encryption: none was negotiated, and what parse_compact reads is not encrypted.
  // 2. The issuer is the one the token was asked from, to the letter.
  const auto* iss = token.string_claim("iss");
  if (!iss || (*iss != policy.issuer &&
               std::ranges::find(policy.issuer_aliases, *iss) == policy.issuer_aliases.end()))
    return bad("iss");
  // 3. Meant for this client, and for nobody it does not trust.
  if (!token.has_audience(policy.client_id) || has_other_audience(token, policy)) return bad("aud");
  // 4, 5. Who asked for it: this client.
  if (const auto* azp = token.payload.find("azp");
      azp && (!azp->string() || *azp->string() != policy.client_id))
    return bad("azp");
  // 6, 7, 8. Signed with the issuer's key under an algorithm the key is for; MACs are not among them.
  if (!oauth::verify(token, key)) return bad("signature");
  // 9. Not expired.
  const auto exp = token.time_claim("exp");
  if (!exp || now >= *exp + policy.max_skew) return bad("exp");
  // 10. Made just now.
  const auto iat = token.time_claim("iat");
  if (!iat || now - *iat > policy.max_age || *iat - now > policy.max_skew) return bad("iat");
  // 11. Made for this sign-in in this browser. A nonce nobody asked for belongs to another sign-in.
  const auto* nonce = token.string_claim("nonce");
  if (policy.nonce ? !nonce || !crypto::equal(*nonce, *policy.nonce) : token.payload.find("nonce") != nullptr)
    return bad("nonce");
  // 12, 13. Neither acr nor max_age was asked for.
  if (!matches_at_hash(token, access_token)) return bad("at_hash");
  return {};
}

}  // namespace latchkey::auth

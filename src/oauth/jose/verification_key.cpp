#include "oauth/jose/verification_key.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "oauth/jose/members.h"

namespace latchkey::oauth {
namespace {

constexpr std::array<std::string_view, 4> k_algs = {"RS256", "PS256", "ES256", "EdDSA"};
constexpr std::size_t k_max_number = 1400;  // base64url of 8192 bits, and a little

JoseError bad(std::string detail) { return JoseError{std::move(detail)}; }

Result<Bytes, JoseError> number(const json::Value& v, std::string_view name) {
  const auto* text = v.string_at(name);
  auto bytes = text && text->size() <= k_max_number ? from_base64url(*text) : std::nullopt;
  if (!bytes) return fail(bad("jwk: " + std::string(name) + " is missing or no number"));
  return std::move(*bytes);
}

// RFC 7517 §4.3: an array; a key for signatures names "verify".
bool may_verify(const json::Value& v) {
  const auto* ops = v.find("key_ops");
  if (!ops) return true;
  return ops->array() && std::ranges::any_of(*ops->array(), [](const json::Value& op) {
           return op.string() && *op.string() == "verify";
         });
}

template <class Key>
Result<VerificationKey, JoseError> named(Result<Key, crypto::KeyError> key, std::string kid,
                                         std::string alg) {
  if (!key) return fail(bad("jwk: " + key.error().detail));
  VerificationKey out{std::move(*key), std::move(kid), std::move(alg)};
  if (!out.alg.empty() && !out.fits(out.alg)) return fail(bad("jwk: alg does not belong to the key"));
  return out;
}

}  // namespace

bool is_verifiable_alg(std::string_view alg) { return std::ranges::find(k_algs, alg) != k_algs.end(); }

Result<VerificationKey, JoseError> VerificationKey::parse(const json::Value& v) {
  const auto* o = v.object();
  if (!o) return fail(bad("jwk: not an object"));
  if (has_private_members(*o)) return fail(bad("jwk: holds private members"));
  TRY(auto kid, optional_text(v, "kid"));
  TRY(auto alg, optional_text(v, "alg"));
  TRY(const auto use, optional_text(v, "use"));
  if ((!use.empty() && use != "sig") || !may_verify(v)) return fail(bad("jwk: not for signatures"));
  const auto* kty = v.string_at("kty");
  const auto* crv = v.string_at("crv");
  if (kty && *kty == "RSA") {  // RFC 7518 §6.3.1
    TRY(const auto n, number(v, "n"));
    TRY(const auto e, number(v, "e"));
    return named(crypto::RsaPublicKey::from_numbers(n, e), std::move(kid), std::move(alg));
  }
  if (kty && *kty == "EC" && crv && *crv == "P-256") {  // RFC 7518 §6.2.1
    TRY(const auto x, number(v, "x"));
    TRY(const auto y, number(v, "y"));
    return named(crypto::PublicKey::from_coordinates(crypto::Curve::p256, x, y), std::move(kid),
                 std::move(alg));
  }
  if (kty && *kty == "OKP" && crv && *crv == "Ed25519") {  // RFC 8037 §2
    TRY(const auto x, number(v, "x"));
    return named(crypto::Ed25519PublicKey::from_bytes(x), std::move(kid), std::move(alg));
  }
  return fail(bad("jwk: neither RSA nor P-256 nor Ed25519"));
}

bool VerificationKey::fits(std::string_view wanted) const {
  if (!alg.empty() && alg != wanted) return false;
  if (std::holds_alternative<crypto::RsaPublicKey>(key)) return wanted == "RS256" || wanted == "PS256";
  if (std::holds_alternative<crypto::Ed25519PublicKey>(key)) return wanted == "EdDSA";
  return wanted == "ES256";
}

bool verify(const Jwt& jwt, const VerificationKey& key) {
  if (!is_verifiable_alg(jwt.alg()) || !key.fits(jwt.alg())) return false;
  const BytesView message = as_bytes(jwt.signing_input);
  if (const auto* rsa = std::get_if<crypto::RsaPublicKey>(&key.key))
    return rsa->verify(message, jwt.signature,
                       jwt.alg() == "PS256" ? crypto::RsaPadding::pss : crypto::RsaPadding::pkcs1_v1_5);
  if (const auto* ed = std::get_if<crypto::Ed25519PublicKey>(&key.key))
    return ed->verify(message, jwt.signature);
  return std::get<crypto::PublicKey>(key.key).verify(message, jwt.signature, crypto::HighS::accept);
}

Result<VerificationKeys, JoseError> VerificationKeys::parse(const json::Value& v) {
  const auto* list = v.find("keys");
  if (!list || !list->array()) return fail(bad("jwks: no array of keys"));
  if (list->array()->size() > k_max_jwks_keys) return fail(bad("jwks: too many keys"));
  VerificationKeys out{.keys = {}, .published = list->array()->size()};
  for (const auto& member : *list->array()) {
    const auto* o = member.object();
    if (!o) return fail(bad("jwks: a key is not an object"));
    // Whoever publishes a private key has lost it; no key of theirs proves anything.
    if (has_private_members(*o)) return fail(bad("jwks: holds a private key"));
    if (auto key = VerificationKey::parse(member)) out.keys.push_back(std::move(*key));
  }
  return out;
}

const VerificationKey* VerificationKeys::find(std::string_view kid, std::string_view alg) const {
  if (kid.empty())
    return published == 1 && keys.size() == 1 && keys.front().fits(alg) ? &keys.front() : nullptr;
  const VerificationKey* found = nullptr;
  for (const auto& key : keys) {
    if (key.kid != kid || !key.fits(alg)) continue;
    if (found) return nullptr;  // two keys of one name: which was meant is a guess
    found = &key;
  }
  return found;
}

}  // namespace latchkey::oauth

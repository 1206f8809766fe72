#include "oauth/jose/jwk.h"

#include "base/encoding.h"
#include "crypto/hash.h"
#include "oauth/jose/members.h"

namespace latchkey::oauth {
namespace {

JoseError bad(std::string detail) { return JoseError{std::move(detail)}; }

Result<crypto::Curve, JoseError> curve_of(const json::Value& v) {
  const auto* kty = v.string_at("kty");
  const auto* crv = v.string_at("crv");
  if (!kty || *kty != "EC" || !crv) return fail(bad("jwk: not an EC key"));
  if (*crv == "P-256") return crypto::Curve::p256;
  if (*crv == "secp256k1") return crypto::Curve::k256;
  return fail(bad("jwk: curve is neither P-256 nor secp256k1"));
}

std::string_view crv_of(crypto::Curve curve) { return curve == crypto::Curve::p256 ? "P-256" : "secp256k1"; }

// RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros included.
Result<Bytes, JoseError> field_element(const json::Value& v, std::string_view name) {
  const auto* text = v.string_at(name);
  if (!text || text->size() != 43) return fail(bad("jwk: a coordinate is not 32 bytes of base64url"));
  auto bytes = from_base64url(*text);
  if (!bytes) return fail(bad("jwk: a coordinate is not 32 bytes of base64url"));
  return std::move(*bytes);
}

Result<Jwk, JoseError> parse_public_part(const json::Value& v, KeyCache* cache) {
  TRY(const auto curve, curve_of(v));
  TRY(const auto x, field_element(v, "x"));
  TRY(const auto y, field_element(v, "y"));
  TRY(auto kid, optional_text(v, "kid"));
  TRY(auto alg, optional_text(v, "alg"));
  TRY(auto use, optional_text(v, "use"));
  if (!alg.empty() && alg != alg_of(curve)) return fail(bad("jwk: alg does not belong to the curve"));
  if (cache) {
    auto known = cache->from_coordinates(curve, x, y);
    if (!known) return fail(bad("jwk: " + known.error().detail));
    return Jwk{std::move(known->key), std::move(kid), std::move(alg), std::move(use),
               std::move(known->thumbprint)};
  }
  auto key = crypto::PublicKey::from_coordinates(curve, x, y);
  if (!key) return fail(bad("jwk: " + key.error().detail));
  return Jwk{std::move(*key), std::move(kid), std::move(alg), std::move(use)};
}

json::Object public_members(const crypto::PublicKey& key) {
  return {{"kty", "EC"}, {"crv", crv_of(key.curve())}, {"x", base64url(key.x())}, {"y", base64url(key.y())}};
}

}  // namespace

std::string_view alg_of(crypto::Curve curve) { return curve == crypto::Curve::p256 ? "ES256" : "ES256K"; }

Result<Jwk, JoseError> Jwk::parse(const json::Value& v, KeyCache* cache) {
  const auto* o = v.object();
  if (!o) return fail(bad("jwk: not an object"));
  if (has_private_members(*o)) return fail(bad("jwk: holds private members"));
  return parse_public_part(v, cache);
}

json::Object Jwk::to_json() const {
  json::Object out = public_members(key);
  if (!kid.empty()) out.set("kid", kid);
  if (!alg.empty()) out.set("alg", alg);
  if (!use.empty()) out.set("use", use);
  return out;
}

std::string Jwk::thumbprint() const {
  return known_thumbprint.empty() ? oauth::thumbprint(key) : known_thumbprint;
}

std::string thumbprint(const crypto::PublicKey& key) {
  // RFC 7638 §3.2, §3.3: the required members in lexicographic order, no white space.
  std::string text = "{\"crv\":\"";
  text += crv_of(key.curve());
  text += "\",\"kty\":\"EC\",\"x\":\"";
  text += base64url(key.x());
  text += "\",\"y\":\"";
  text += base64url(key.y());
  text += "\"}";
  return base64url(crypto::sha256(as_bytes(text)));
}

Result<Jwks, JoseError> Jwks::parse(const json::Value& v) {
  const auto* list = v.find("keys");
  if (!list || !list->array()) return fail(bad("jwks: no array of keys"));
  if (list->array()->size() > k_max_jwks_keys) return fail(bad("jwks: too many keys"));
  Jwks out;
  for (const auto& member : *list->array()) {
    const auto* o = member.object();
    if (!o) return fail(bad("jwks: a key is not an object"));
    // Whoever publishes a private key has lost it; no key of theirs proves anything.
    if (has_private_members(*o)) return fail(bad("jwks: holds a private key"));
    if (auto key = Jwk::parse(member)) out.keys.push_back(std::move(*key));
  }
  return out;
}

json::Object Jwks::to_json() const {
  json::Array list;
  for (const auto& key : keys) list.push_back(key.to_json());
  return {{"keys", std::move(list)}};
}

const Jwk* Jwks::find(std::string_view kid, std::string_view alg) const {
  const Jwk* found = nullptr;
  for (const auto& key : keys) {
    if (key.kid != kid || alg_of(key.key.curve()) != alg || (!key.use.empty() && key.use != "sig")) continue;
    if (found) return nullptr;  // two keys of one name: which was meant is a guess
    found = &key;
  }
  return found;
}

json::Object private_jwk(const crypto::PrivateKey& key, std::string_view kid) {
  json::Object out = public_members(key.public_key());
  out.set("d", base64url(key.bytes().reveal()));
  if (!kid.empty()) out.set("kid", kid);
  return out;
}

Result<PrivateJwk, JoseError> parse_private_jwk(const json::Value& v) {
  if (!v.object()) return fail(bad("jwk: not an object"));
  TRY(auto jwk, parse_public_part(v, nullptr));
  TRY(auto d, field_element(v, "d"));
  const Secret<Bytes> scalar(std::move(d));
  auto key = crypto::PrivateKey::from_bytes(jwk.key.curve(), scalar.reveal());
  if (!key) return fail(bad("jwk: " + key.error().detail));
  if (!(key->public_key() == jwk.key)) return fail(bad("jwk: d does not belong to x and y"));
  return PrivateJwk{std::move(*key), std::move(jwk.kid)};
}

}  // namespace latchkey::oauth

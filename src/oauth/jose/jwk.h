#pragma once
// JSON Web Keys (RFC 7517, RFC 7518 §6.2, RFC 8812 for secp256k1) and their thumbprints (RFC 7638).

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "crypto/key.h"
#include "oauth/jose/key_cache.h"

namespace latchkey::oauth {

struct JoseError {
  std::string detail;  // what is wrong; holds no token and no key
};

std::string_view alg_of(crypto::Curve);  // "ES256", "ES256K"

/// A public EC key. `kid`, `alg` and `use` are "" when absent.
struct Jwk {
  crypto::PublicKey key;
  std::string kid, alg, use;
  std::string known_thumbprint = {};  // of a key from the cache

  /// Refuses other key types and curves, private members, coordinates that are not 32 bytes or not on the
  /// curve, and an `alg` that does not belong to the curve. With a cache, a key seen lately is not parsed
  /// again.
  static Result<Jwk, JoseError> parse(const json::Value&, KeyCache* cache = nullptr);
  json::Object to_json() const;
  std::string thumbprint() const;  // RFC 7638 with SHA-256, base64url: the `jkt` of RFC 9449 §6.1
};

std::string thumbprint(const crypto::PublicKey&);

/// RFC 7517 §5. Keys of kinds we do not use are left out; a private or symmetric key refuses the whole set.
struct Jwks {
  std::vector<Jwk> keys;  // at most 100 members are read, more is an error

  static Result<Jwks, JoseError> parse(const json::Value&);
  json::Object to_json() const;
  /// The one signature key with this kid; nullptr when there is none or more than one for this alg.
  const Jwk* find(std::string_view kid, std::string_view alg) const;
};

struct PrivateJwk {
  crypto::PrivateKey key;
  std::string kid;  // "" when absent
};

/// The private form (with `d`); `kid` is left out when empty.
json::Object private_jwk(const crypto::PrivateKey&, std::string_view kid = {});
/// Refuses a `d` that does not belong to x and y.
Result<PrivateJwk, JoseError> parse_private_jwk(const json::Value&);

}  // namespace latchkey::oauth

#pragma once
// Keys of every kind OpenID providers sign ID tokens with, and the sets they publish (RFC 7517 §5). Wider
// than Jwk, which knows the curves of the AT Protocol only; nothing here signs.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/key.h"
#include "crypto/rsa.h"
#include "oauth/jose/jwk.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth {

/// "RS256", "PS256", "ES256", "EdDSA". Not "none" and no HMAC: a client secret is shared with whoever else
/// can read it.
bool is_verifiable_alg(std::string_view alg);

struct VerificationKey {
  std::variant<crypto::PublicKey, crypto::RsaPublicKey, crypto::Ed25519PublicKey> key;
  std::string kid, alg;  // "" when absent

  /// RSA of 2048 to 8192 bits, P-256 or Ed25519, for signatures (`use`, `key_ops`); no private members, and
  /// no `alg` that is not the key's own.
  static Result<VerificationKey, JoseError> parse(const json::Value&);
  /// The key can check this algorithm, and is not meant for another.
  bool fits(std::string_view alg) const;
};

/// The header's alg decides how an RSA key is used, and must fit the key.
bool verify(const Jwt&, const VerificationKey&);

/// What a provider publishes. Keys of kinds we do not use are left out; a private or symmetric key refuses
/// the whole set.
struct VerificationKeys {
  std::vector<VerificationKey> keys;
  std::size_t published = 0;  // all of them, those left out included; at most 100

  static Result<VerificationKeys, JoseError> parse(const json::Value&);
  /// The one key of that name; nullptr when there is none, or more than one for this alg. Without a name
  /// only the key of a set of one is meant (OpenID Connect Core §10.1).
  const VerificationKey* find(std::string_view kid, std::string_view alg) const;
};

}  // namespace latchkey::oauth

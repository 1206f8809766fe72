#pragma once
// JSON Web Tokens in compact form (RFC 7515 §3.1, RFC 7519): ES256, ES256K (RFC 8812) and HS256.
// The algorithm is decided by the key the caller brings; a token can only agree (RFC 8725 §3.1).

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/key.h"
#include "oauth/jose/jwk.h"

namespace latchkey::oauth {

inline constexpr std::size_t k_max_jwt_bytes = 16 * 1024;

/// A well-formed token. Nothing in it is verified yet.
struct Jwt {
  json::Object header, payload;
  std::string signing_input;  // as received: header "." payload
  Bytes signature;

  std::string_view alg() const;
  std::string_view typ() const;                             // "" when absent
  const std::string* string_claim(std::string_view) const;  // nullptr when absent or no string
  std::optional<Time> time_claim(std::string_view) const;   // a NumericDate; nullopt when absent or unusable
  bool has_audience(std::string_view) const;                // `aud` is this string or an array holding it
};

/// Strict: three parts of unpadded base64url, header and payload JSON objects without duplicate members,
/// `alg` there and not "none", no `crit` (we understand no extension, RFC 7515 §4.1.11), 16 KiB at most.
Result<Jwt, JoseError> parse_compact(std::string_view);

/// Sets the header's `alg` to what the key signs with. `typ` and `kid` are the caller's.
std::string sign_jwt(json::Object header, json::Object payload, const crypto::PrivateKey&);
std::string sign_hs256(json::Object header, json::Object payload, BytesView secret);

/// The header's alg must be the key's own (ES256 or ES256K). High-S is accepted: JOSE signers emit it.
bool verify(const Jwt&, const crypto::PublicKey&);
/// The header's alg must be HS256. A secret of fewer than 32 bytes throws (RFC 7518 §3.2).
bool verify_hs256(const Jwt&, BytesView secret);

}  // namespace latchkey::oauth

#pragma once
// DPoP proofs (RFC 9449): checking on the server's side, making on the client's.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/key.h"
#include "oauth/jose/key_cache.h"

namespace latchkey::oauth {

struct DpopError {
  std::string detail;  // which check failed; fit for error_description
};

/// The request a proof came with. `proof` is the value of the one DPoP header; more than one header is the
/// caller's to refuse (RFC 9449 §4.3, check 1; joined by a comma they do not parse here either).
struct DpopInput {
  std::string proof, method, uri;           // uri: absolute, as the client addressed it
  std::optional<std::string> access_token;  // `ath` is required when set and refused when not
};

struct DpopPolicy {
  std::chrono::seconds max_age{300};   // iat behind now
  std::chrono::seconds max_skew{180};  // iat ahead of now; also the grace on exp and nbf
  KeyCache* keys = nullptr;            // optional
};

/// A proof that holds. Still the caller's: the nonce (Nonces), the jti (ReplayCache, until
/// `remember_until`), and that jkt is the key the token or grant is bound to (§4.3, checks 10 to 12).
struct DpopProof {
  std::string jkt, jti;
  std::optional<std::string> nonce;
  Time iat;
  Time remember_until;  // from then on the proof is too old anyway
};

Result<DpopProof, DpopError> check_dpop_proof(const DpopInput&, const DpopPolicy&, Time now);

/// `url` may carry query and fragment; htu is made without them.
std::string make_dpop_proof(const crypto::PrivateKey&, std::string_view method, std::string_view url,
                            const std::optional<std::string>& nonce,
                            const std::optional<std::string>& access_token, Rng&, Time now);

/// Same scheme, host, port and path after the normalisation of RFC 3986 §6.2.2 and §6.2.3; query and fragment
/// ignored. False when either is no http(s) URL or carries user information.
bool same_htu(std::string_view a, std::string_view b);

}  // namespace latchkey::oauth

#pragma once
// What libfido2 does for us: signatures of credentials and attestation statements. The one file that knows
// it.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "auth/plugins/passkey/authenticator_data.h"
#include "crypto/hash.h"

namespace latchkey::auth::webauthn {

/// COSEAlgorithmIdentifier, WebAuthn §5.8.5. The ones we ask for, in our order of preference.
enum class Algorithm : int { EdDSA = -8, ES256 = -7, RS256 = -257 };
inline constexpr Algorithm k_algorithms[] = {Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256};

/// A credential public key that one of our algorithms can use: on its curve, or RSA with 2048 bits.
class CredentialPublicKey {
 public:
  /// A COSE_Key (RFC 9052 §7, RFC 9053 §7, RFC 8230 §4) that names its algorithm; a point is not compressed.
  static std::optional<CredentialPublicKey> parse(BytesView cose_key);
  Algorithm algorithm() const { return algorithm_; }

  /// The signature of an assertion. libfido2 holds the RP ID and the flags against the authenticator data
  /// once more.
  enum class UserVerified { required, not_required };
  bool verify(std::string_view rp_id, BytesView authenticator_data, const crypto::Digest& client_data_hash,
              BytesView signature, UserVerified) const;

 private:
  CredentialPublicKey(Algorithm algorithm, Bytes key) : algorithm_(algorithm), key_(std::move(key)) {}
  Algorithm algorithm_;
  Bytes key_;  // as libfido2's *_pk_from_ptr takes it: x and y; the 32 bytes of Ed25519; n and e
};

struct Attestation {
  std::string_view fmt;
  const CborItem& att_stmt;
  BytesView auth_data;
  const AuthenticatorData& parsed;
};

/// §7.1 steps 21 and 22: the statement is correct for its format. "none" is empty (§8.7); "packed" (§8.2) and
/// "fido-u2f" (§8.6) carry a good signature, by the credential's own key or by a certificate's. Other formats
/// are not correct: browsers take statements away, as we ask them to (§5.4.7), and libfido2 knows no other
/// but "tpm" with SHA-1. No certificate is traced to a root: nothing is concluded from an attestation.
bool attestation_is_correct(const Attestation&, Algorithm credential_algorithm, std::string_view rp_id,
                            const crypto::Digest& client_data_hash);

}  // namespace latchkey::auth::webauthn

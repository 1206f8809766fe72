#pragma once
// The two ceremonies of a relying party, bytes in, values out. Source: WebAuthn Level 3 §7.1 "Registering a
// New Credential" and §7.2 "Verifying an Authentication Assertion".

#include <string>
#include <vector>

#include "auth/plugins/passkey/authenticator_data.h"
#include "auth/plugins/passkey/fido.h"
#include "base/result.h"

namespace latchkey::auth::webauthn {

enum class UserVerification { required, preferred };  // §5.8.6

/// What this site is to authenticators. Fixed for the life of its credentials: other values orphan them all.
struct RelyingParty {
  std::string id;                    // RP ID: a host name, the origins' or a registrable suffix of it
  std::vector<std::string> origins;  // https://host[:port], compared exactly
  UserVerification user_verification = UserVerification::required;
};

/// The check that refused. For logs and tests; clients are told only that it failed.
enum class Check {
  client_data,         // not the JSON of a CollectedClientData
  type,                // webauthn.create where webauthn.get belongs, or the other way round
  challenge,           // not the one this ceremony began with
  origin,              // another site
  cross_origin,        // used within a frame of another site
  attestation_object,  // malformed
  authenticator_data,  // malformed, or with parts that do not belong
  rp_id,               // scoped to another relying party
  user_present,
  user_verified,
  backup,         // backed up without being eligible, or no longer as eligible as it was
  credential_id,  // the response's is not the authenticator's
  algorithm,      // a key that was not asked for, or is none
  attestation,    // its statement is not correct
  user_handle,    // missing, or another account's
  signature,
  sign_count,  // did not grow: a copy of the authenticator may be in use
};
std::string_view name(Check);

inline constexpr std::size_t k_max_client_data = 8 * 1024;
inline constexpr std::size_t k_max_attestation_object = 32 * 1024;
inline constexpr std::size_t k_max_authenticator_data = 4 * 1024;
inline constexpr std::size_t k_max_signature = 1024;

/// AuthenticatorAttestationResponse, §5.2.1, with the credential's rawId.
struct AttestationResponse {
  Bytes raw_id;
  Bytes client_data_json;
  Bytes attestation_object;
};

/// What registration proves, to be kept as the credential record of §4.
struct Registration {
  Bytes credential_id;
  Bytes public_key;  // COSE_Key; CredentialPublicKey::parse reads it
  std::uint32_t sign_count;
  bool backup_eligible, backed_up;
  Aaguid aaguid;
};

Result<Registration, Check> verify_registration(const RelyingParty&, BytesView challenge,
                                                const AttestationResponse&);

/// AuthenticatorAssertionResponse, §5.2.2, with the credential's rawId.
struct AssertionResponse {
  Bytes raw_id;
  Bytes client_data_json;
  Bytes authenticator_data;
  Bytes signature;
  std::optional<Bytes> user_handle;
};

/// The parts of a credential record that an assertion is held against.
struct CredentialRecord {
  Bytes credential_id;
  Bytes public_key;
  std::uint32_t sign_count;
  bool backup_eligible;
  std::optional<Bytes> user_handle;  // none: not known, for records another program wrote
};

struct Assertion {
  std::uint32_t sign_count;  // to be stored
  bool backed_up;            // to be stored
  bool user_verified;
};

/// Whether the caller knew who signs in before it asked (§7.2 step 6). Unknown users must name themselves.
enum class UserIdentified { before, by_the_credential };

Result<Assertion, Check> verify_assertion(const RelyingParty&, BytesView challenge, const AssertionResponse&,
                                          const CredentialRecord&, UserIdentified);

}  // namespace latchkey::auth::webauthn

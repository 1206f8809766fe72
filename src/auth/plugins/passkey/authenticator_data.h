#pragma once
// What an authenticator says and signs. Source: WebAuthn Level 3 §6.1, "Authenticator Data".

#include <array>
#include <optional>
#include <string>

#include "auth/plugins/passkey/cbor.h"

namespace latchkey::auth::webauthn {

using Aaguid = std::array<std::uint8_t, 16>;
std::string str(const Aaguid&);  // 8-4-4-4-12 hexadecimal digits, lower-case

inline constexpr std::size_t k_max_credential_id = 1023;  // bytes; §7.1 step 25

/// §6.5.1. Points into the authenticator data.
struct AttestedCredentialData {
  Aaguid aaguid;
  BytesView credential_id;          // 1 to k_max_credential_id bytes
  BytesView credential_public_key;  // a COSE_Key, as CBOR
};

/// Points into what it was parsed from.
struct AuthenticatorData {
  BytesView rp_id_hash;  // 32 bytes
  bool up, uv, be, bs;   // user present, user verified, backup eligible, backed up
  std::uint32_t sign_count;
  std::optional<AttestedCredentialData> attested;
  std::optional<CborMap> extensions;

  /// nullopt when it ends early, goes on behind its parts, or a part is malformed.
  static std::optional<AuthenticatorData> parse(BytesView);
};

}  // namespace latchkey::auth::webauthn

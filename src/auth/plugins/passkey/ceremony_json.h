#pragma once
// The ceremonies as the browser's script sends and receives them: RegistrationResponseJSON and
// AuthenticationResponseJSON (WebAuthn Level 3 §5.1), and the options of §5.4 and §5.5 for
// parseCreationOptionsFromJSON and parseRequestOptionsFromJSON. Binary members are base64url.

#include <optional>
#include <string>
#include <vector>

#include "auth/plugins/passkey/webauthn.h"
#include "base/json.h"

namespace latchkey::auth::webauthn {

inline constexpr std::size_t k_max_transports = 8;

struct RegistrationResponse {
  AttestationResponse attestation;
  std::vector<std::string> transports;  // hints for later; what is no plain word is left out
};

/// nullopt when a member is missing, of another type, not base64url or too long; `type` is "public-key" and
/// `id` and `rawId` agree.
std::optional<RegistrationResponse> parse_registration_response(const json::Value&);
std::optional<AssertionResponse> parse_authentication_response(const json::Value&);

/// PublicKeyCredentialDescriptor, §5.8.3.
struct Descriptor {
  std::string id;  // base64url
  std::vector<std::string> transports;
};

enum class ResidentKey { required, preferred };                   // §5.4.6
enum class AuthenticatorAttachment { platform, cross_platform };  // §5.4.5

struct CreationOptions {
  std::string challenge;
  std::string rp_id, rp_name;
  std::string user_id;  // base64url of the user handle
  std::string user_name, user_display_name;
  std::vector<Descriptor> exclude_credentials;
  ResidentKey resident_key = ResidentKey::required;
  UserVerification user_verification = UserVerification::required;
  std::optional<AuthenticatorAttachment> attachment;
};
json::Object to_json(const CreationOptions&);

struct RequestOptions {
  std::string challenge;
  std::string rp_id;
  std::vector<Descriptor> allow_credentials;  // empty: whichever the authenticator knows for this site
  UserVerification user_verification = UserVerification::required;
};
json::Object to_json(const RequestOptions&);

}  // namespace latchkey::auth::webauthn

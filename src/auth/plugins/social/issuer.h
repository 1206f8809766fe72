#pragma once
// An OpenID provider as it describes itself: OpenID Connect Discovery 1.0, and the keys it signs with.

#include "auth/plugins/social/oauth_http.h"
#include "auth/plugins/social/refreshed.h"
#include "oauth/jose/verification_key.h"

namespace latchkey::auth {

struct IssuerMetadata {
  std::string issuer, authorization_endpoint, token_endpoint, jwks_uri;
  std::string userinfo_endpoint;          // "" when absent
  std::vector<std::string> signing_algs;  // of ID tokens, those we can check
  ClientAuthentication authentication;
  bool sends_iss = false;  // RFC 9207 §3: authorization_response_iss_parameter_supported

  /// Discovery §4.3: the issuer must be the one that was asked. Endpoints must be https.
  static Result<IssuerMetadata, ProviderError> parse(const json::Object& document, const std::string& issuer,
                                                     PlainHttp plain);
};

inline constexpr std::chrono::hours k_issuer_document_lifetime{1};
inline constexpr std::chrono::seconds k_metadata_pause{10};
inline constexpr std::chrono::minutes k_keys_pause{1};

/// Documents and keys are kept for an hour. A key that is not known is looked for again, at most once a
/// minute.
class Issuer {
 public:
  Issuer(std::string issuer, PlainHttp plain, Fetch& net, const Clock& clock);
  Task<Result<std::shared_ptr<const IssuerMetadata>, ProviderError>> metadata();
  Task<Result<oauth::VerificationKey, ProviderError>> key(std::string kid, std::string alg);

 private:
  Task<Result<IssuerMetadata, ProviderError>> load_metadata();
  Task<Result<oauth::VerificationKeys, ProviderError>> load_keys();

  std::string issuer_;
  PlainHttp plain_;
  Fetch& net_;
  Refreshed<IssuerMetadata> metadata_;
  Refreshed<oauth::VerificationKeys> keys_;
};

}  // namespace latchkey::auth

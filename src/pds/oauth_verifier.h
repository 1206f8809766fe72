#pragma once
// What the PDS asks of the authorization server. Plain types, so that neither folder includes the other's
// insides; the server's side is wired in by apps/ and dev.

#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace latchkey::pds {

/// A resource request that came with `Authorization: DPoP <token>`.
struct OauthRequest {
  std::string method;
  std::string uri;  // our public URL and the path; never built from the Host header
  std::string token;
  std::vector<std::string> proofs;  // values of every DPoP header: RFC 9449 §4.3 step 1 wants exactly one
};

struct OauthCredentials {
  std::string did;
  std::string scope;  // space separated, with permission sets expanded
  std::string client_id;
};

struct OauthFault {
  int status = 401;
  std::string error;             // "invalid_token", "use_dpop_nonce", "invalid_dpop_proof"
  std::string description;       // for the client
  std::string www_authenticate;  // RFC 9449 §7.1: DPoP error="…"
};

class OauthVerifier {
 public:
  virtual ~OauthVerifier() = default;
  virtual Task<Result<OauthCredentials, OauthFault>> verify(OauthRequest request) = 0;
  /// For the DPoP-Nonce header of every answer to a DPoP request (RFC 9449 §8.2).
  virtual std::string current_nonce() = 0;
};

}  // namespace latchkey::pds

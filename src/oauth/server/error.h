#pragma once
// Errors of the authorization server. Enumerators are the wire names; wire() is the one place with their
// status.

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/result.h"

namespace latchkey::oauth {

enum class Error {
  invalid_request,
  invalid_client,
  invalid_client_metadata,
  invalid_redirect_uri,
  invalid_grant,
  invalid_scope,
  unauthorized_client,
  unsupported_response_type,
  unsupported_grant_type,
  invalid_dpop_proof,
  use_dpop_nonce,
  invalid_token,
  access_denied,
  login_required,
  account_selection_required,
  consent_required,
  interaction_required,
  server_error,
  temporarily_unavailable,
};

struct Wire {
  int status;
  std::string_view name;
};

constexpr Wire wire(Error e) {
  switch (e) {
    case Error::invalid_request:
      return {400, "invalid_request"};  // RFC 6749 §5.2
    case Error::invalid_client:
      return {401, "invalid_client"};  // RFC 6749 §5.2
    case Error::invalid_client_metadata:
      return {400, "invalid_client_metadata"};  // RFC 7591 §3.2.2
    case Error::invalid_redirect_uri:
      return {400, "invalid_redirect_uri"};  // RFC 7591 §3.2.2
    case Error::invalid_grant:
      return {400, "invalid_grant"};  // RFC 6749 §5.2
    case Error::invalid_scope:
      return {400, "invalid_scope"};  // RFC 6749 §5.2
    case Error::unauthorized_client:
      return {400, "unauthorized_client"};  // RFC 6749 §5.2
    case Error::unsupported_response_type:
      return {400, "unsupported_response_type"};  // RFC 6749 §4.1.2.1
    case Error::unsupported_grant_type:
      return {400, "unsupported_grant_type"};  // RFC 6749 §5.2
    case Error::invalid_dpop_proof:
      return {400, "invalid_dpop_proof"};  // RFC 9449 §5
    case Error::use_dpop_nonce:
      return {400, "use_dpop_nonce"};  // RFC 9449 §8
    case Error::invalid_token:
      return {401, "invalid_token"};  // RFC 6750 §3.1
    case Error::access_denied:
      return {403, "access_denied"};  // RFC 6749 §4.1.2.1
    case Error::login_required:
      return {400, "login_required"};  // OpenID Connect Core §3.1.2.6, like the next three
    case Error::account_selection_required:
      return {400, "account_selection_required"};
    case Error::consent_required:
      return {400, "consent_required"};
    case Error::interaction_required:
      return {400, "interaction_required"};
    case Error::server_error:
      return {500, "server_error"};  // RFC 6749 §4.1.2.1
    case Error::temporarily_unavailable:
      return {503, "temporarily_unavailable"};  // RFC 6749 §4.1.2.1
  }
  std::abort();
}

struct Fault {
  Error code;
  std::string description;  // shown to the client: no secrets, no "user not found"
  std::string detail = {};  // logs only
};

inline auto fault(Error code, std::string description, std::string detail = {}) {
  return std::unexpected(Fault{code, std::move(description), std::move(detail)});
}

}  // namespace latchkey::oauth

#pragma once
// The codes of this plugin; those of sign-in as the contract has them (section 11).

#include "auth/core/error.h"

namespace latchkey::auth {

enum class AtprotoError {
  INVALID_HANDLE,
  AUTHORIZATION_FAILED,
  CALLBACK_FAILED,
  ACCOUNT_LINKING_DISABLED,
  SIGNUP_DISABLED,
  SIGNED_IN_USER_CHANGED,  // between leaving for the PDS and coming back
  SESSION_NOT_FOUND,
  BSKY_SESSION_ENDED,
  CALL_NOT_ALLOWED,
  CROSS_SITE_CALL_BLOCKED,
  PDS_UNREACHABLE,
};

constexpr ErrorCode wire(AtprotoError e) {
  switch (e) {
    case AtprotoError::INVALID_HANDLE:
      return {400, "INVALID_HANDLE", "Invalid handle"};
    case AtprotoError::AUTHORIZATION_FAILED:
      return {500, "AUTHORIZATION_FAILED", "Failed to start the authorization"};
    case AtprotoError::CALLBACK_FAILED:
      return {500, "CALLBACK_FAILED", "Failed to complete the sign-in"};
    case AtprotoError::ACCOUNT_LINKING_DISABLED:
      return {403, "ACCOUNT_LINKING_DISABLED", "Account linking is not enabled"};
    case AtprotoError::SIGNUP_DISABLED:
      return {403, "SIGNUP_DISABLED", "Sign up is disabled"};
    case AtprotoError::SIGNED_IN_USER_CHANGED:
      return {403, "SIGNED_IN_USER_CHANGED", "Somebody else is signed in now. Start again."};
    case AtprotoError::SESSION_NOT_FOUND:
      return {404, "SESSION_NOT_FOUND", "No atproto session"};
    case AtprotoError::BSKY_SESSION_ENDED:
      return {401, "BSKY_SESSION_ENDED", "The atproto session has ended. Sign in with Bluesky again."};
    case AtprotoError::CALL_NOT_ALLOWED:
      return {403, "CALL_NOT_ALLOWED", "This app may not make this call"};
    case AtprotoError::CROSS_SITE_CALL_BLOCKED:
      return {403, "CROSS_SITE_CALL_BLOCKED", "Another site may not make this call"};
    case AtprotoError::PDS_UNREACHABLE:
      return {502, "PDS_UNREACHABLE", "The account's server does not answer as it should"};
  }
  std::abort();
}

}  // namespace latchkey::auth

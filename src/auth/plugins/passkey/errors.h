#pragma once
#include "auth/core/error.h"

namespace latchkey::auth {

/// The codes of @better-auth/passkey that a server gives, and TOO_MANY_PASSKEYS.
enum class PasskeyError {
  CHALLENGE_NOT_FOUND,
  YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY,
  FAILED_TO_VERIFY_REGISTRATION,
  PREVIOUSLY_REGISTERED,
  TOO_MANY_PASSKEYS,
  PASSKEY_NOT_FOUND,
  AUTHENTICATION_FAILED,
  USER_NOT_FOUND,
};

constexpr ErrorCode wire(PasskeyError e) {
  switch (e) {
    case PasskeyError::CHALLENGE_NOT_FOUND:
      return {400, "CHALLENGE_NOT_FOUND", "Challenge not found"};
    case PasskeyError::YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY:
      return {401, "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY",
              "You are not allowed to register this passkey"};
    case PasskeyError::FAILED_TO_VERIFY_REGISTRATION:
      return {400, "FAILED_TO_VERIFY_REGISTRATION", "Failed to verify registration"};
    case PasskeyError::PREVIOUSLY_REGISTERED:
      return {400, "PREVIOUSLY_REGISTERED", "Previously registered"};
    case PasskeyError::TOO_MANY_PASSKEYS:
      return {400, "TOO_MANY_PASSKEYS", "Too many passkeys"};
    case PasskeyError::PASSKEY_NOT_FOUND:
      return {404, "PASSKEY_NOT_FOUND", "Passkey not found"};  // 401 where one signs in
    case PasskeyError::AUTHENTICATION_FAILED:
      return {400, "AUTHENTICATION_FAILED", "Authentication failed"};  // 401 for a wrong signature
    case PasskeyError::USER_NOT_FOUND:
      return {500, "USER_NOT_FOUND", "User not found"};
  }
  std::abort();
}

}  // namespace latchkey::auth

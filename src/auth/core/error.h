#pragma once
// What a client is told when something is refused: {"message", "code"} and a status.

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "web/http.h"

namespace latchkey::auth {

struct ErrorCode {
  int status;
  std::string_view code;
  std::string_view message;
};

/// The codes of the core, spelled as on the wire. Plugins have an enum and a wire() of their own.
enum class Error {
  UNAUTHORIZED,
  INVALID_EMAIL_OR_PASSWORD,
  INVALID_TOKEN,  // 400; verify-email and others say it with another status: with_status()
  TOKEN_EXPIRED,
  FAILED_TO_GET_SESSION,
  INVALID_EMAIL,
  INVALID_PASSWORD,
  PASSWORD_TOO_SHORT,
  PASSWORD_TOO_LONG,
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL,
  USER_NOT_FOUND,
  EMAIL_NOT_VERIFIED,
  EMAIL_PASSWORD_DISABLED,
  EMAIL_PASSWORD_SIGN_UP_DISABLED,
  EMAIL_CAN_NOT_BE_UPDATED,
  CHANGE_EMAIL_DISABLED,
  EMAIL_MISMATCH,
  EMAIL_ALREADY_VERIFIED,
  VERIFICATION_EMAIL_NOT_ENABLED,
  RESET_PASSWORD_DISABLED,
  CREDENTIAL_ACCOUNT_NOT_FOUND,
  SESSION_EXPIRED,
  SESSION_NOT_FRESH,
  FAILED_TO_UNLINK_LAST_ACCOUNT,
  ACCOUNT_NOT_FOUND,
  SOCIAL_ACCOUNT_ALREADY_LINKED,
  FAILED_TO_GET_USER_INFO,
  INVALID_ORIGIN,
  MISSING_OR_NULL_ORIGIN,
  CROSS_SITE_NAVIGATION_LOGIN_BLOCKED,
  INVALID_CALLBACK_URL,
  INVALID_REDIRECT_URL,
  INVALID_ERROR_CALLBACK_URL,
  INVALID_NEW_USER_CALLBACK_URL,
  BAD_REQUEST,
  METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED,
};

constexpr ErrorCode wire(Error e) {
  switch (e) {
    case Error::UNAUTHORIZED:
      return {401, "UNAUTHORIZED", "Unauthorized"};
    case Error::INVALID_EMAIL_OR_PASSWORD:
      return {401, "INVALID_EMAIL_OR_PASSWORD", "Invalid email or password"};
    case Error::INVALID_TOKEN:
      return {400, "INVALID_TOKEN", "Invalid token"};
    case Error::TOKEN_EXPIRED:
      return {401, "TOKEN_EXPIRED", "Token expired"};
    case Error::FAILED_TO_GET_SESSION:
      return {401, "FAILED_TO_GET_SESSION", "Failed to get session"};
    case Error::INVALID_EMAIL:
      return {400, "INVALID_EMAIL", "Invalid email"};
    case Error::INVALID_PASSWORD:
      return {400, "INVALID_PASSWORD", "Invalid password"};
    case Error::PASSWORD_TOO_SHORT:
      return {400, "PASSWORD_TOO_SHORT", "Password too short"};
    case Error::PASSWORD_TOO_LONG:
      return {400, "PASSWORD_TOO_LONG", "Password too long"};
    case Error::USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL:
      return {422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL", "User already exists. Use another email."};
    case Error::USER_NOT_FOUND:
      return {400, "USER_NOT_FOUND", "User not found"};
    case Error::EMAIL_NOT_VERIFIED:
      return {403, "EMAIL_NOT_VERIFIED", "Email not verified"};
    case Error::EMAIL_PASSWORD_DISABLED:
      return {400, "EMAIL_PASSWORD_DISABLED", "Email and password is not enabled"};
    case Error::EMAIL_PASSWORD_SIGN_UP_DISABLED:
      return {400, "EMAIL_PASSWORD_SIGN_UP_DISABLED", "Email and password sign up is not enabled"};
    case Error::EMAIL_CAN_NOT_BE_UPDATED:
      return {400, "EMAIL_CAN_NOT_BE_UPDATED", "Email can not be updated"};
    case Error::CHANGE_EMAIL_DISABLED:
      return {400, "CHANGE_EMAIL_DISABLED", "Change email is disabled"};
    case Error::EMAIL_MISMATCH:
      return {400, "EMAIL_MISMATCH", "Email mismatch"};
    case Error::EMAIL_ALREADY_VERIFIED:
      return {400, "EMAIL_ALREADY_VERIFIED", "Email is already verified"};
    case Error::VERIFICATION_EMAIL_NOT_ENABLED:
      return {400, "VERIFICATION_EMAIL_NOT_ENABLED", "Verification email isn't enabled"};
    case Error::RESET_PASSWORD_DISABLED:
      return {400, "RESET_PASSWORD_DISABLED", "Reset password isn't enabled"};
    case Error::CREDENTIAL_ACCOUNT_NOT_FOUND:
      return {400, "CREDENTIAL_ACCOUNT_NOT_FOUND", "Credential account not found"};
    case Error::SESSION_EXPIRED:
      return {400, "SESSION_EXPIRED", "Session expired. Re-authenticate to perform this action."};
    case Error::SESSION_NOT_FRESH:
      return {403, "SESSION_NOT_FRESH", "Session is not fresh"};
    case Error::FAILED_TO_UNLINK_LAST_ACCOUNT:
      return {400, "FAILED_TO_UNLINK_LAST_ACCOUNT", "You can't unlink your last account"};
    case Error::ACCOUNT_NOT_FOUND:
      return {400, "ACCOUNT_NOT_FOUND", "Account not found"};
    case Error::SOCIAL_ACCOUNT_ALREADY_LINKED:
      return {409, "SOCIAL_ACCOUNT_ALREADY_LINKED", "Social account already linked"};
    case Error::FAILED_TO_GET_USER_INFO:
      return {401, "FAILED_TO_GET_USER_INFO", "Failed to get user info"};
    case Error::INVALID_ORIGIN:
      return {403, "INVALID_ORIGIN", "Invalid origin"};
    case Error::MISSING_OR_NULL_ORIGIN:
      return {403, "MISSING_OR_NULL_ORIGIN", "Missing or null Origin"};
    case Error::CROSS_SITE_NAVIGATION_LOGIN_BLOCKED:
      return {403, "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
              "Cross-site navigation login blocked. This request appears to be a CSRF attack."};
    case Error::INVALID_CALLBACK_URL:
      return {403, "INVALID_CALLBACK_URL", "Invalid callbackURL"};
    case Error::INVALID_REDIRECT_URL:
      return {403, "INVALID_REDIRECT_URL", "Invalid redirectURL"};
    case Error::INVALID_ERROR_CALLBACK_URL:
      return {403, "INVALID_ERROR_CALLBACK_URL", "Invalid errorCallbackURL"};
    case Error::INVALID_NEW_USER_CALLBACK_URL:
      return {403, "INVALID_NEW_USER_CALLBACK_URL", "Invalid newUserCallbackURL"};
    case Error::BAD_REQUEST:
      return {400, "BAD_REQUEST", "Invalid JSON in request body"};
    case Error::METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED:
      return {405, "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED",
              "POST method requires deferSessionRefresh to be enabled in session config"};
  }
  std::abort();
}

struct Fault {
  int status = 400;
  std::string code;     // "" when the answer has none
  std::string message;  // "" as well: an empty body
  std::string detail;   // logs only

  Fault() = default;
  Fault(int status_, std::string code_, std::string message_)
      : status(status_), code(std::move(code_)), message(std::move(message_)) {}
  explicit Fault(const ErrorCode& e) : Fault(e.status, std::string(e.code), std::string(e.message)) {}

  Fault with_status(int other) && {
    status = other;
    return std::move(*this);
  }
};

/// Any enum with a wire() is a fault: `co_return refuse(Error::INVALID_EMAIL);`
template <class E>
  requires requires(E e) {
    { wire(e) } -> std::same_as<ErrorCode>;
  }
std::unexpected<Fault> refuse(E e) {
  return std::unexpected(Fault(wire(e)));
}
template <class E>
  requires requires(E e) {
    { wire(e) } -> std::same_as<ErrorCode>;
  }
std::unexpected<Fault> refuse(E e, int status) {
  return std::unexpected(Fault(wire(e)).with_status(status));
}
/// Errors without a code: message only, or a bare status.
inline std::unexpected<Fault> refuse(int status, std::string message = {}) {
  return std::unexpected(Fault(status, "", std::move(message)));
}

/// 200 with `Content-Type: application/json`, which has no charset on this surface.
web::Response json_answer(const json::Value& value, int status = 200);
/// 302 without a body.
web::Response redirect_answer(std::string location);
web::Response render(const Fault& fault);

}  // namespace latchkey::auth

#pragma once
// One-time codes by e-mail over the routes of Better Auth's email-otp plugin (better-auth contract, section
// 8). Codes rest in `verification` as "<code or what rests of it>:<attempts>" under "<type>-otp-<address>".

#include <functional>
#include <string>

#include "auth/core/plugin.h"
#include "auth/plugins/email_otp/email_otp.h"

namespace latchkey::auth {

struct OtpMail {
  std::string email, otp;
  std::string type;             // "sign-in", "email-verification", "forget-password", "change-email"
  std::string accept_language;  // of the request
  bool withheld = false;        // do the work of sending it, and do not send it (EmailOtpOptions::feign)
};

struct EmailOtpOptions {
  std::size_t otp_length = 6;
  std::chrono::seconds expires_in{300};
  int allowed_attempts = 3;
  /// hashed: base64url(SHA-256(code)); encrypted: under the secret (core/symmetric.h).
  enum class Store { plain, hashed, encrypted } store = Store::plain;
  /// reuse: a code that is still good is sent again, unless it rests as a hash. Its attempts stay counted.
  enum class Resend { rotate, reuse } resend = Resend::rotate;
  bool disable_sign_up = false;
  /// A code for the new user's address goes out with each sign-up by password.
  bool send_verification_on_sign_up = false;
  /// Users change their address by a code that goes to the new one; with `verify_current`, after one
  /// ("email-verification") that went to the old one.
  struct {
    bool enabled = false;
    bool verify_current = false;
  } change_email = {};
  /// Limits in the database, the same as for codes of the pages; codes rest under a server key; whatever is
  /// wrong with a code is INVALID_OTP, and digits may come with spaces and dashes. Outlives the plugin.
  EmailOtp* strict = nullptr;
  /// Returns when the mail is queued. A failure is logged, and does not show.
  std::function<Task<void>(OtpMail)> send;
  /// on: `send` is also called for addresses that get no mail because of who they are or are not, with
  /// `withheld` set, so that what a mail costs does not tell.
  enum class Feign { off, on } feign = Feign::off;
};

/// Throws std::invalid_argument for a length outside of 4 to 12, no attempts, or without `send`.
Plugin email_otp(EmailOtpOptions options);

}  // namespace latchkey::auth

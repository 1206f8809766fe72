#pragma once
// What the links in verification mails carry: a JWT signed with the secret (HS256), not stored and so good
// more than once until it expires.

#include <optional>
#include <string>

#include "auth/core/auth.h"

namespace latchkey::auth {

struct EmailToken {
  std::string email;    // the address as it was when the link was made
  std::string user_id;  // "" in links of older Better Auth programs
  /// A change of address: the new one, and whether the link went there (change-email-verification) or to the
  /// old one first (change-email-confirmation).
  std::string update_to = {}, request_type = {};
};
inline constexpr const char* k_change_confirmation = "change-email-confirmation";
inline constexpr const char* k_change_verification = "change-email-verification";

std::string sign_email_token(const Auth& auth, const EmailToken& token, Time now);
/// TOKEN_EXPIRED, or INVALID_TOKEN with 401. Signed with the secret or one before it.
Result<EmailToken, Fault> read_email_token(const Auth& auth, std::string_view text, Time now);

/// Mails the link that proves an address, to that address.
Task<void> send_verification_mail(Context& context, User user, std::optional<std::string> callback_url);
/// {base}/verify-email?token=…&callbackURL=…
std::string verification_url(const Auth& auth, std::string_view token,
                             const std::optional<std::string>& callback_url);

}  // namespace latchkey::auth

#pragma once
// What the social plugin says when it refuses: as JSON (better-auth contract, section 2), and in the query of
// the page people come back to (section 10).

#include <algorithm>
#include <cstdlib>

#include "auth/core/error.h"

namespace latchkey::auth {

enum class SocialError {
  PROVIDER_NOT_FOUND,
  PROVIDER_NOT_CONFIGURED,
  PROVIDER_UNAVAILABLE,
  ID_TOKEN_NOT_SUPPORTED,
  USER_EMAIL_NOT_FOUND,
  OAUTH_LINK_ERROR,
  LINKING_NOT_ALLOWED,
  LINKING_DIFFERENT_EMAILS_NOT_ALLOWED,
  ACCESS_TOKEN_NOT_FOUND,
  REFRESH_TOKEN_NOT_FOUND,
  FAILED_TO_GET_ACCESS_TOKEN,
  FAILED_TO_REFRESH_ACCESS_TOKEN,
};

constexpr ErrorCode wire(SocialError e) {
  switch (e) {
    case SocialError::PROVIDER_NOT_FOUND:
      return {404, "PROVIDER_NOT_FOUND", "Provider not found"};
    case SocialError::PROVIDER_NOT_CONFIGURED:
      return {400, "PROVIDER_NOT_CONFIGURED", "Account is not associated with a configured social provider."};
    case SocialError::PROVIDER_UNAVAILABLE:
      return {503, "PROVIDER_UNAVAILABLE", "The provider does not answer as it should"};
    case SocialError::ID_TOKEN_NOT_SUPPORTED:
      return {404, "ID_TOKEN_NOT_SUPPORTED", "id_token not supported"};
    case SocialError::USER_EMAIL_NOT_FOUND:
      return {401, "USER_EMAIL_NOT_FOUND", "User email not found"};
    case SocialError::OAUTH_LINK_ERROR:
      return {401, "OAUTH_LINK_ERROR", "Account not linked"};
    case SocialError::LINKING_NOT_ALLOWED:
      return {401, "LINKING_NOT_ALLOWED", "Account not linked - linking not allowed"};
    case SocialError::LINKING_DIFFERENT_EMAILS_NOT_ALLOWED:
      return {401, "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED",
              "Account not linked - different emails not allowed"};
    case SocialError::ACCESS_TOKEN_NOT_FOUND:
      return {400, "ACCESS_TOKEN_NOT_FOUND", "Access token not found"};
    case SocialError::REFRESH_TOKEN_NOT_FOUND:
      return {400, "REFRESH_TOKEN_NOT_FOUND", "Refresh token not found"};
    case SocialError::FAILED_TO_GET_ACCESS_TOKEN:
      return {400, "FAILED_TO_GET_ACCESS_TOKEN", "Failed to get a valid access token"};
    case SocialError::FAILED_TO_REFRESH_ACCESS_TOKEN:
      return {400, "FAILED_TO_REFRESH_ACCESS_TOKEN", "Failed to refresh access token"};
  }
  std::abort();
}

/// Why an identity does not get in; the words of the `error` parameter.
enum class Refusal {
  signup_disabled,
  email_not_found,
  email_not_verified,
  account_not_linked,
  unable_to_link_account,
  email_does_not_match,
  account_already_linked_to_different_user,
};

constexpr std::string_view word(Refusal r) {
  switch (r) {
    case Refusal::signup_disabled:
      return "signup_disabled";
    case Refusal::email_not_found:
      return "email_not_found";
    case Refusal::email_not_verified:
      return "email_not_verified";
    case Refusal::account_not_linked:
      return "account_not_linked";
    case Refusal::unable_to_link_account:
      return "unable_to_link_account";
    case Refusal::email_does_not_match:
      return "email_does_not_match";
    case Refusal::account_already_linked_to_different_user:
      return "account_already_linked_to_different_user";
  }
  std::abort();
}

/// The same refusals where the answer is JSON.
inline Fault fault_of(Refusal r) {
  switch (r) {
    case Refusal::email_not_found:
      return Fault(wire(SocialError::USER_EMAIL_NOT_FOUND));
    case Refusal::unable_to_link_account:
      return Fault(wire(SocialError::LINKING_NOT_ALLOWED));
    case Refusal::email_does_not_match:
      return Fault(wire(SocialError::LINKING_DIFFERENT_EMAILS_NOT_ALLOWED));
    case Refusal::account_already_linked_to_different_user:
      return Fault(wire(Error::SOCIAL_ACCOUNT_ALREADY_LINKED));
    case Refusal::signup_disabled:
    case Refusal::email_not_verified:
    case Refusal::account_not_linked: {
      Fault fault(wire(SocialError::OAUTH_LINK_ERROR));
      fault.message = word(r);
      std::ranges::replace(fault.message, '_', ' ');
      return fault;
    }
  }
  std::abort();
}

}  // namespace latchkey::auth

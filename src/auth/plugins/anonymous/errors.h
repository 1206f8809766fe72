#pragma once
#include "auth/core/error.h"

namespace latchkey::auth {

enum class AnonymousError {
  ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY,
  USER_IS_NOT_ANONYMOUS,
  DELETE_ANONYMOUS_USER_DISABLED,
};

constexpr ErrorCode wire(AnonymousError e) {
  switch (e) {
    case AnonymousError::ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY:
      return {400, "ANONYMOUS_USERS_CANNOT_SIGN_IN_AGAIN_ANONYMOUSLY",
              "Anonymous users cannot sign in again anonymously"};
    case AnonymousError::USER_IS_NOT_ANONYMOUS:
      return {403, "USER_IS_NOT_ANONYMOUS", "User is not anonymous"};
    case AnonymousError::DELETE_ANONYMOUS_USER_DISABLED:
      return {400, "DELETE_ANONYMOUS_USER_DISABLED", "Deleting anonymous users is disabled"};
  }
  std::abort();
}

}  // namespace latchkey::auth

#pragma once
#include "auth/core/error.h"

namespace latchkey::auth {

enum class OtpError {
  INVALID_OTP,
  OTP_EXPIRED,
  TOO_MANY_ATTEMPTS,
};

constexpr ErrorCode wire(OtpError e) {
  switch (e) {
    case OtpError::INVALID_OTP:
      return {400, "INVALID_OTP", "Invalid OTP"};
    case OtpError::OTP_EXPIRED:
      return {400, "OTP_EXPIRED", "OTP expired"};
    case OtpError::TOO_MANY_ATTEMPTS:
      return {403, "TOO_MANY_ATTEMPTS", "Too many attempts"};
  }
  std::abort();
}

}  // namespace latchkey::auth

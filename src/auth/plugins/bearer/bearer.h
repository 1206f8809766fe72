#pragma once
// Session tokens in the Authorization header (RFC 6750 §2.1), for native apps and other back ends
// (better-auth contract, section 9).

#include "auth/core/plugin.h"

namespace latchkey::auth {

struct BearerOptions {
  /// accepted: the bare token, as a sign-in answers it. required: only with the signature that set-auth-token
  /// carries.
  enum class Signature { accepted, required } signature = Signature::accepted;
};

Plugin bearer(BearerOptions options = {});

}  // namespace latchkey::auth

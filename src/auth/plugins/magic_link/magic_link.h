#pragma once
// Signing in by a link in a mail: good once, for five minutes (better-auth contract, section 9).

#include "auth/core/options.h"
#include "auth/core/plugin.h"

namespace latchkey::auth {

struct MagicLinkOptions {
  std::chrono::seconds expires_in{300};
  bool disable_sign_up = false;
  /// How the token rests; hashed: base64url(SHA-256(token)).
  enum class Store { plain, hashed } store = Store::plain;
  /// `LinkMail::user` has the address and, when one was given, the name; nobody was looked up for it.
  SendLink send;
};

/// Throws std::invalid_argument without `send`.
Plugin magic_link(MagicLinkOptions options);

}  // namespace latchkey::auth

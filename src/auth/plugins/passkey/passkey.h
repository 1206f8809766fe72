#pragma once
// Passkeys: the routes, rows and cookie of @better-auth/passkey. Discoverable credentials, several per user,
// named. README.md beside this file says where it differs.

#include <functional>
#include <string>
#include <vector>

#include "auth/core/plugin.h"
#include "auth/plugins/passkey/ceremony_json.h"
#include "auth/plugins/passkey/passkeys.h"

namespace latchkey::auth {

inline constexpr std::chrono::minutes k_challenge_lifetime{5};

enum class PasskeyChange { added, removed };

struct PasskeyOptions {
  /// Host name passkeys are scoped to, fixed for good; "": the host of the base URL.
  std::string rp_id = {};
  std::string rp_name = {};  // "": the rp_id
  /// Origins of the pages that use passkeys, at the rp_id (which is then given) or below; empty: the base
  /// URL's.
  std::vector<std::string> origins = {};
  webauthn::ResidentKey resident_key = webauthn::ResidentKey::required;
  webauthn::UserVerification user_verification = webauthn::UserVerification::required;
  std::size_t max_per_user = 32;

  /// What a browser is called, from its User-Agent: names of passkeys whose authenticator does not tell its
  /// maker. None: "Passkey".
  std::function<std::string(std::string_view user_agent)> agent_words = {};
  /// In the transaction that removes a passkey; a fault keeps it. `others`: passkeys the user has besides.
  std::function<Result<void, Fault>(store::Tx&, const Passkey&, std::size_t others)> before_remove = {};
  /// After a change is on disk, to tell the user. Returns when a mail is queued.
  std::function<Task<void>(User, Passkey, PasskeyChange)> changed = {};
};

/// Throws std::invalid_argument when an origin is not https (or http on localhost) at the rp_id or below it.
Plugin passkey(PasskeyOptions options);

}  // namespace latchkey::auth

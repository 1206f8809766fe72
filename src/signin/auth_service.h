#pragma once
// The auth framework as an ePDS runs it, at /api/auth beside its pages: codes by mail, passkeys and
// providers; no passwords (an account's password is the PDS's), identities recognised by who issued them and
// never by their address alone.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/auth.h"
#include "auth/plugins/email_otp/plugin.h"
#include "auth/plugins/passkey/passkey.h"
#include "auth/plugins/social/social.h"

namespace latchkey::signin {

struct AuthServiceOptions {
  std::string origin;  // of the pages
  std::string rp_id;   // of passkeys
  std::string service_name;
  Secret<std::string> secret;
  std::vector<std::shared_ptr<auth::SocialProvider>> providers;
  std::chrono::seconds session_expires_in{7 * 86'400}, session_update_age{86'400};
  bool rate_limits = true;
};

/// What the rest of the ePDS does for it. Called after everything is built.
struct AuthServiceHooks {
  std::function<Task<void>(auth::OtpMail)> send_code;
  /// Where a browser proves control of an address that is somebody's: see SocialOptions.
  std::function<Task<std::optional<std::string>>(auth::Context&, auth::PendingLink)> prove_control;
  std::function<Task<void>(auth::User, auth::Passkey, auth::PasskeyChange)> passkey_changed;
  std::function<Task<void>(auth::Context&, auth::User, std::string provider_label)> provider_linked;
  std::function<Result<void, auth::Fault>(store::Tx&, const auth::Context&, const auth::User&,
                                          const auth::Account&)>
      before_provider_unlinked;
  std::function<Task<void>(auth::Context&, auth::User, auth::Account)> provider_unlinked;
  std::function<Result<void, auth::Fault>(store::Tx&, const auth::Passkey&, std::size_t others)>
      before_passkey_removed;
};

auth::Options auth_options(AuthServiceOptions options, store::Database& db, const Clock& clock, Rng& rng,
                           auth::EmailOtp& otp, AuthServiceHooks hooks);

}  // namespace latchkey::signin

#pragma once
// Sign-in with Google, GitHub and any OpenID or OAuth provider (better-auth contract, sections 7 and 10; ePDS
// flows, 4.2).
//
//   auth::social({.providers = {auth::google({…}, fetch, clock), auth::oidc({…}, fetch, clock)}})

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/auth.h"
#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

/// An identity that nobody here has yet, whose address belongs to somebody.
struct PendingLink {
  std::string provider_label;  // "Google"
  std::string email;           // verified by the provider; whose control is to be proven
  std::string callback_url;    // where the sign-in was to end
};

struct SocialOptions {
  std::vector<std::shared_ptr<SocialProvider>> providers;

  /// by_email: Better Auth's rules, as Options::account.linking sets them.
  /// by_identity: people are recognised by provider and subject only. An address makes a new account, when
  /// the provider has verified it; one that is somebody's already is linked after its owner proved control
  /// here.
  enum class Match { by_email, by_identity } match = Match::by_email;

  // --- by_identity only ---

  /// Whether the host knows the address beyond the table of users.
  std::function<bool(store::Tx&, std::string_view email)> address_taken = {};
  /// Where the browser goes to prove control of the address, usually by a code. Then the host finds the
  /// identity with pending_link() and links it with link_pending(). Without this, or when it gives nothing:
  /// `account_not_linked`.
  std::function<Task<std::optional<std::string>>(Context&, PendingLink)> prove_control = {};

  /// GET /sign-in/social?provider=…&callbackURL=… redirects to the provider: a link on a page that works
  /// without JavaScript. callbackURL and errorCallbackURL are paths of this origin.
  enum class GetSignIn { off, on } get_sign_in = GetSignIn::off;

  /// Whether the provider's tokens are kept, for get-access-token and account-info.
  enum class Tokens { kept, dropped } tokens = Tokens::kept;

  /// Told when somebody who is signed in linked what was nobody's before.
  std::function<Task<void>(Context&, User, std::string provider_label)> linked = {};
};

/// Throws std::invalid_argument for two providers of one id.
Plugin social(SocialOptions options);

inline constexpr std::chrono::minutes k_pending_link_lifetime{10};

/// The identity this browser brought from a provider and has yet to prove an address for. Where that was to
/// end is not kept.
Task<std::optional<PendingLink>> pending_link(Auth* auth, web::Request request);
/// Links it to `user`, who has just proven control of user.email. std::nullopt when there is none, it has
/// expired, was linked before, or its address is another one.
Result<std::optional<Account>, Fault> link_pending(const Auth& auth, store::Tx& tx,
                                                   const web::Request& request, const User& user, Time now);

}  // namespace latchkey::auth

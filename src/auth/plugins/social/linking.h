#pragma once
// Whose account an identity opens: the rules of section 10 of the better-auth contract, and the stricter ones
// of the ePDS. Functions of one transaction.

#include <variant>

#include "auth/plugins/social/errors.h"
#include "auth/plugins/social/social.h"

namespace latchkey::auth {

struct SocialIdentity {
  SocialProvider::Description provider;
  SocialProfile profile;
  ProviderTokens tokens;
};

struct SignedIn {
  User user;
  enum class Kind { known, created } kind;
};
/// The address is somebody's: control is to be proven first.
struct ControlNeeded {};

using SignInOutcome = std::variant<SignedIn, Refusal, ControlNeeded>;

enum class SignUpRequest { no, yes };

Result<SignInOutcome, Fault> sign_in_with(const Auth& auth, const SocialOptions& options, store::Tx& tx,
                                          const SocialIdentity& identity, SignUpRequest sign_up, Time now);

struct Linked {
  User user;
  enum class Kind { known, fresh } kind;
};

/// For somebody who is signed in and asked for it.
Result<std::variant<Linked, Refusal>, Fault> link_to(const Auth& auth, const SocialOptions& options,
                                                     store::Tx& tx, const SocialIdentity& identity,
                                                     std::string_view user_id, Time now);

/// The row of an identity, without id and user.
Account account_of(const Auth& auth, const SocialOptions& options, const SocialIdentity& identity);
/// Takes over what a token answer brought; what it left out stays.
void take_tokens(const Auth& auth, Account& account, const ProviderTokens& tokens);
std::string join_scopes(const std::vector<std::string>& scopes);

}  // namespace latchkey::auth

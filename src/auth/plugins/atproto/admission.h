#pragma once
// Whose user an account is that has just signed in at its PDS: the order of section 11 of the better-auth
// contract. Functions of one transaction.

#include "auth/core/auth.h"
#include "auth/plugins/atproto/atproto.h"

namespace latchkey::auth::bsky {

/// `account.providerId` of these accounts; `accountId` is the DID.
inline constexpr const char* k_provider = "atproto";

/// Who was signed in here when the flow began, and who is when it ends: user ids.
struct Visitor {
  std::optional<std::string> at_start, now;
};

struct Arrival {
  Did did;
  std::optional<Handle> handle;
  Visitor visitor = {};
  std::optional<AtprotoProfile> profile = {};  // absent: not read, or nobody answered
  AtprotoUserFields shown = {};                // the profile, mapped
  std::string name_of_new_user;                // without a mapped one
};

struct Admitted {
  User user;
  enum class Kind { known, linked, created } kind;
};

struct AdmissionRules {
  bool disable_sign_up;
  bool profile_on_sign_in;
};

/// SOCIAL_ACCOUNT_ALREADY_LINKED, SIGNED_IN_USER_CHANGED, ACCOUNT_LINKING_DISABLED, SIGNUP_DISABLED.
Result<Admitted, Fault> admit(const Auth& auth, store::Tx& tx, const Arrival& arrival, AdmissionRules rules,
                              Time now);

/// The user an account belongs to.
Result<std::optional<User>, Fault> owner_of(const Auth& auth, store::Tx& tx, const Did& did);

/// An account leaves its user: the columns show the next one, or none.
Result<void, Fault> forget(const Auth& auth, store::Tx& tx, const Account& account, Time now);
/// Whether an account row is one of these, whatever its provider is called.
bool is_ours(const Account& account, const User& user);

/// The address of users without one: nobody can have it, and it is the account's own.
std::string placeholder_email(const Did& did);
bool is_placeholder(std::string_view email);

}  // namespace latchkey::auth::bsky

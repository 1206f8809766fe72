#pragma once
// Joins the users of the auth framework (/api/auth) with the accounts of the PDS. A user is whoever proved a
// mailbox, a passkey or an identity elsewhere; an account has a DID. They are one person when the user's
// field `did` says so. Where the account's own pages or a sign-in to an app need to know who a browser proved
// to be by those routes, they ask here.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/auth.h"
#include "auth/core/idle_users.h"
#include "auth/plugins/passkey/passkeys.h"
#include "pds/accounts.h"
#include "web/http.h"

namespace latchkey::signin {

inline constexpr const char* k_did_field = "did";  // of users
inline constexpr const char* k_proven_by_field =
    "provenBy";  // of sessions: "email", "passkey", a provider's id

inline constexpr std::chrono::hours k_user_without_account_life{24};

class People {
 public:
  explicit People(auth::Auth& auth) : auth_(auth), idle_(auth.options().tables, k_did_field) {}

  /// Who a browser proved to be.
  struct Proof {
    std::optional<std::string> did;  // an account …
    std::string email;               // … or an address it can read
    std::string by;
  };
  /// By the session this request carries, when it began at or after `since`: an older one proves nothing
  /// about what is going on now, and one of open() nothing at all. A code by mail proves an address only.
  Task<std::optional<Proof>> proof(web::Request request, Time since) const;
  /// `answer`, after which the proof cannot be used again.
  Task<web::Response> spend(web::Request request, web::Response answer) const;

  /// The user of an account, made when there is none. Nothing for an account whose address nobody confirmed:
  /// the user of that address may be somebody else.
  std::optional<auth::User> user_of(store::Tx&, const pds::Account&, Time now) const;
  /// The user who proved this account's address, if there is one, is the account's from now on.
  Task<void> claim(pds::Account account) const;
  /// The account has another address now, which was confirmed. Sessions of /api/auth end.
  void email_changed(store::Tx&, const pds::Account&, Time now) const;
  /// The account is gone, and with it how it signed in.
  void forget(store::Tx&, const Did&) const;
  /// Every session of /api/auth of this account ends.
  void end_sessions(store::Tx&, const Did&) const;

  /// Links what this browser brought from a provider and whose address was proven since. Its label, when
  /// there was something to link.
  Task<std::optional<std::string>> link_pending(pds::Account account, web::Request request) const;

  struct Methods {
    std::vector<auth::Passkey> passkeys;
    std::vector<auth::Account> links;
  };
  Methods methods(store::Tx&, const Did&) const;

  /// Refuses the last way in: no other passkey, no identity elsewhere, no mailbox that was confirmed.
  Result<void, auth::Fault> may_remove_passkey(store::Tx&, const auth::Passkey&, std::size_t others) const;

  /// A session of /api/auth for an account whose owner was proven just now, and `answer` with its cookies.
  struct Opened {
    web::Response answer;
    std::string cookie;  // "name=value", to act for it at once
  };
  Task<std::optional<Opened>> open(pds::Account account, web::Request request, web::Response answer) const;

  /// Deletes users who proved something and never got an account, a day after they were last here.
  Task<void> clean() const;

  auth::Auth& auth() const { return auth_; }

 private:
  auth::Auth& auth_;
  const auth::IdleUsers idle_;
};

}  // namespace latchkey::signin

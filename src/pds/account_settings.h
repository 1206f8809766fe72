#pragma once
// What a person changes about an account here: address, password, app passwords. Who asks was proved before.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "atproto/xrpc/error.h"
#include "base/secret.h"
#include "base/task.h"
#include "mail/address.h"
#include "pds/account_service.h"
#include "pds/app_passwords.h"
#include "pds/config.h"
#include "pds/repo_service.h"

namespace latchkey::pds {

struct NewAppPassword {
  AppPassword app_password;
  Secret<std::string> password;  // shown once, kept nowhere
};

/// Tells another part of the address an account has now, in the transaction that confirms it. May run more
/// than once.
using OnEmailConfirmed = std::function<void(store::Tx& tx, const Account& account)>;

class AccountSettings {
 public:
  AccountSettings(Shared shared, const Config& config) : shared_(shared), config_(config) {}

  /// While the parts are put together, before the first request.
  void on_email_confirmed(OnEmailConfirmed tell) { on_email_confirmed_.push_back(std::move(tell)); }

  /// Another address. Errors: InvalidRequest (taken), AccountNotFound.
  Task<Result<void, xrpc::Fault>> change_email(Account account, mail::EmailAddress email, EmailProof proof);
  /// The mailbox was shown to be theirs. Errors: InvalidEmail (the account has another address by now).
  Task<Result<void, xrpc::Fault>> confirm_email(Account account, mail::EmailAddress email);

  Task<bool> has_password(Account account);
  /// Whether it is the account's main password; false when it has none.
  Task<bool> is_password(Account account, Secret<std::string> password);
  /// Sets or changes it. Every session of com.atproto.server.createSession ends; app passwords stay. Sessions
  /// of OAuth are the authorization server's to end. Errors: InvalidPassword, AccountNotFound.
  Task<Result<void, xrpc::Fault>> set_password(Account account, Secret<std::string> password);
  /// The account has no password any more; the sessions end as well. Errors: AccountNotFound.
  Task<Result<void, xrpc::Fault>> remove_password(Account account);

  /// Errors: InvalidRequest (name taken or unfit, too many), AccountNotFound.
  Task<Result<NewAppPassword, xrpc::Fault>> create_app_password(Account account, std::string name,
                                                                Privileged privileged);
  Task<std::vector<AppPassword>> app_passwords(Account account);
  /// Its sessions end. Nothing happens when there is none of this name.
  Task<void> revoke_app_password(Account account, std::string name);

 private:
  Task<Result<void, xrpc::Fault>> store_password(Account account, std::optional<std::string> scrypt);
  void email_confirmed(store::Tx& tx, const Did& did) const;

  Shared shared_;
  const Config& config_;
  std::vector<OnEmailConfirmed> on_email_confirmed_;
};

}  // namespace latchkey::pds

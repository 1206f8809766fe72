#pragma once
// Rest and end of an account: deactivate, activate, delete.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "atproto/xrpc/error.h"
#include "base/task.h"
#include "pds/account_mailer.h"
#include "pds/account_settings.h"
#include "pds/identity_service.h"
#include "pds/repo_service.h"

namespace latchkey::pds {

/// Whether the person has just signed in with the pages of the account. Asked inside of a transaction.
using RecentSignIn = std::function<bool(store::Tx& tx, const Did& did, Time now)>;
/// Removes what another part keeps of an account, in the transaction that deletes it. May run more than once.
using OnDeleted = std::function<void(store::Tx& tx, const Did& did)>;

class AccountLifecycle {
 public:
  /// `mailer` may be null: no mails then. So may `recent_sign_in`: nobody did.
  AccountLifecycle(Shared shared, RepoService& repos, BlobService& blobs, AccountSettings& settings,
                   IdentityService& identity, DidDocs& did_docs, AccountMailer* mailer,
                   RecentSignIn recent_sign_in);

  /// While the parts are put together, before the first request.
  void on_deleted(OnDeleted remove) { on_deleted_.push_back(std::move(remove)); }

  /// Hides the account until it is activated again; emits #account. `delete_after` is kept for the operator.
  /// Errors: AccountNotFound.
  Task<Result<void, xrpc::Fault>> deactivate(Account account, std::optional<Time> delete_after);
  /// Checks that the DID document names this server, key and handle; emits #account, #identity and #sync.
  /// Errors: InvalidRequest, UpstreamFailure, AccountNotFound.
  Task<Result<void, xrpc::Fault>> activate(Account account);

  /// Mails the token delete_with_token() takes. Errors: InvalidRequest (no address), RateLimitExceeded,
  /// UpstreamFailure (the mail was not taken).
  Task<Result<void, xrpc::Fault>> request_delete(Account account);
  /// By the main password and a mailed token; an account without password has to have signed in to its pages
  /// just now instead. Errors: AuthenticationRequired, InvalidToken, ExpiredToken, AccountNotFound.
  Task<Result<void, xrpc::Fault>> delete_with_token(Account account, Secret<std::string> password,
                                                    std::string token);
  /// The caller has seen to it that this is wanted. Everything of the account goes in one transaction; what
  /// is left to be told is "#account: deleted". Handle and e-mail are free. The DID stays its owner's in the
  /// PLC directory. Errors: AccountNotFound.
  Task<Result<void, xrpc::Fault>> delete_account(Account account);

  /// Takes events of deleted accounts out of the log. Now and then.
  Task<void> sweep_events();

 private:
  /// Judges inside of the deleting transaction.
  using Permit = std::function<Result<void, xrpc::Fault>(store::Tx& tx)>;
  Task<Result<void, xrpc::Fault>> delete_if(Account account, Permit permit);

  Shared shared_;
  RepoService& repos_;
  BlobService& blobs_;
  AccountSettings& settings_;
  IdentityService& identity_;
  DidDocs& did_docs_;
  AccountMailer* const mailer_;
  const RecentSignIn recent_sign_in_;
  std::vector<OnDeleted> on_deleted_;
};

}  // namespace latchkey::pds

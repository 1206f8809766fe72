#pragma once
// Who may read a repository.

#include "pds/call.h"
#include "pds/repo_export.h"

namespace latchkey::pds {

/// The account of that name for com.atproto.sync and describeRepo. Errors: RepoNotFound, and RepoTakendown or
/// RepoDeactivated unless the caller is the account itself.
Task<Result<Account, xrpc::Fault>> readable_repo(Pds* pds, AtIdentifier repo,
                                                 std::optional<Credentials> caller);

/// The whole repository as a CAR; nullptr when there is none. For getRepo, and for a page that offers it: see
/// car_response in repo_export.h.
Task<std::shared_ptr<Spool>> download_repo(Pds* pds, Account account);

/// For getRecord and listRecords: an active account.
Task<std::optional<Account>> active_repo(Pds* pds, AtIdentifier repo);

}  // namespace latchkey::pds

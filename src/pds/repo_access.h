#pragma once
// Who may read a repository.

#include "pds/call.h"

namespace latchkey::pds {

/// The account of that name for com.atproto.sync and describeRepo. Errors: RepoNotFound, and RepoTakendown or
/// RepoDeactivated unless the caller is the account itself.
Task<Result<Account, xrpc::Fault>> readable_repo(Pds* pds, AtIdentifier repo,
                                                 std::optional<Credentials> caller);

/// For getRecord and listRecords: an active account.
Task<std::optional<Account>> active_repo(Pds* pds, AtIdentifier repo);

}  // namespace latchkey::pds

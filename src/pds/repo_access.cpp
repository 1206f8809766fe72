#include "pds/repo_access.h"

#include "pds/pds.h"

namespace latchkey::pds {

Task<Result<Account, xrpc::Fault>> readable_repo(Pds* pds, AtIdentifier repo,
                                                 std::optional<Credentials> caller) {
  using xrpc::Error;
  auto account = co_await pds->accounts().find(repo);
  if (!account) co_return refuse(Error::RepoNotFound, "Could not find repo for DID: " + repo.str());
  const bool self = caller && caller->account.did == account->did;
  if (!self && account->taken_down())
    co_return refuse(Error::RepoTakendown, "Repo has been takendown: " + repo.str());
  if (!self && account->deactivated_at)
    co_return refuse(Error::RepoDeactivated, "Repo has been deactivated: " + repo.str());
  co_return *std::move(account);
}

Task<std::shared_ptr<Spool>> download_repo(Pds* pds, Account account) {
  co_return co_await run_task_on(
      &pds->shared().reads,
      export_repo(&pds->db(), &pds->repos().cache(), std::move(account), pds->config().export_memory_bytes));
}

Task<std::optional<Account>> active_repo(Pds* pds, AtIdentifier repo) {
  auto account = co_await pds->accounts().find(std::move(repo));
  if (!account || !account->active()) co_return std::nullopt;
  co_return account;
}

}  // namespace latchkey::pds

#pragma once
// What createRecord, putRecord, deleteRecord and applyWrites have in common.

#include "pds/call.h"
#include "pds/repo_service.h"

namespace latchkey::pds {

/// The caller's own, active account. Errors: AuthenticationRequired for anybody else's repository,
/// AccountDeactivated.
Result<Account, xrpc::Fault> own_repo(const Call& call);
Result<Validate, xrpc::Fault> validate_input(const Call& call);
/// The record member of `object`, which must be an object.
Result<PreparedRecord, xrpc::Fault> record_member(const json::Value& object, std::string_view name,
                                                  const Nsid& collection, Validate validate);
std::string record_uri(const Account& account, const RecordWrite& write);
json::Object commit_json(const CommitRef& commit);
/// uri, cid, commit when there is one, and the validationStatus when validation was not skipped.
json::Object write_result(const Account& account, const RecordWrite& write,
                          const std::optional<CommitRef>& commit, Validate validate);

}  // namespace latchkey::pds

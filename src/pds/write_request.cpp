#include "pds/write_request.h"

namespace latchkey::pds {

using xrpc::Error;
using xrpc::Fault;

Result<Account, Fault> own_repo(const Call& call) {
  TRY(auto repo, call.required<AtIdentifier>("repo"));
  const Account& account = call.who().account;
  const bool own =
      repo.did() ? *repo.did() == account.did : account.handle && *repo.handle() == *account.handle;
  if (!own) return refuse(Error::AuthenticationRequired, "Authentication Required");
  if (account.deactivated_at) return refuse(Error::AccountDeactivated, "Account is deactivated");
  return account;
}

Result<Validate, Fault> validate_input(const Call& call) {
  TRY(auto validate, call.bool_input("validate"));
  if (!validate) return Validate::if_known;
  return *validate ? Validate::required : Validate::skip;
}

Result<PreparedRecord, Fault> record_member(const json::Value& object, std::string_view name,
                                            const Nsid& collection, Validate validate) {
  const auto* record = object.find(name);
  if (!record) return Call::missing("Input", name);
  if (!record->object()) return invalid("Input/" + std::string(name) + " must be an object");
  return prepare_record(collection, *record, validate);
}

std::string record_uri(const Account& account, const RecordWrite& write) {
  return "at://" + account.did.str() + "/" + write.path();
}

json::Object commit_json(const CommitRef& commit) { return {{"cid", commit.cid.str()}, {"rev", commit.rev}}; }

json::Object write_result(const Account& account, const RecordWrite& write,
                          const std::optional<CommitRef>& commit, Validate validate) {
  json::Object out{{"uri", record_uri(account, write)}, {"cid", write.record->cid.str()}};
  if (commit) out.append("commit", commit_json(*commit));
  if (validate != Validate::skip) out.append("validationStatus", "unknown");
  return out;
}

}  // namespace latchkey::pds

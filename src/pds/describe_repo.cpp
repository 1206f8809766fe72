// com.atproto.repo.describeRepo
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/records.h"
#include "pds/repo_access.h"

namespace latchkey::pds {

Task<Answer> describe_repo(Pds& pds, Call call) {
  CO_TRY(auto repo, call.param<AtIdentifier>("repo"));
  CO_TRY(auto account, co_await readable_repo(&pds, repo, std::nullopt));
  auto document = co_await pds.did_docs().get(account.did.str());
  if (!document) co_return invalid("Could not resolve DID: " + account.did.str());
  const auto names =
      co_await pds.db().read([id = account.id](store::Tx& tx) { return records::collections(tx, id); });
  json::Array collections(names.begin(), names.end());
  const bool handle_is_correct = account.handle && handle_in(*document) == account.handle->str();
  co_return web::Response::json(json::Object{{"handle", account.handle_text()},
                                             {"did", account.did.str()},
                                             {"didDoc", *std::move(document)},
                                             {"collections", std::move(collections)},
                                             {"handleIsCorrect", handle_is_correct}});
}

}  // namespace latchkey::pds

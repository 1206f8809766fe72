// com.atproto.sync.getRepo
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/repo_access.h"

namespace latchkey::pds {

Task<Answer> get_repo(Pds& pds, Call call) {
  CO_TRY(auto did, call.param<Did>("did"));
  // Records are not kept by revision, so a request for the changes since one gets them all: a superset.
  CO_TRY(auto since, call.text_param("since"));
  if (since && !Tid::parse(*since)) co_return Call::malformed("Params", "since", "tid");
  CO_TRY(auto account, co_await readable_repo(&pds, did, call.caller.account));
  auto spool = co_await download_repo(&pds, account);
  if (!spool) co_return refuse(xrpc::Error::RepoNotFound, "Could not find repo for DID: " + did.str());
  co_return car_response(std::move(spool));
}

}  // namespace latchkey::pds

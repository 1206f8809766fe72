// com.atproto.identity.resolveHandle
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> resolve_handle(Pds& pds, Call call) {
  CO_TRY(auto handle, call.param<Handle>("handle"));
  if (auto account = co_await pds.accounts().find(handle); account && !account->taken_down())
    co_return web::Response::json(json::Object{{"did", account->did.str()}});
  // We are the authority for our own domains: nobody else is asked about them.
  if (pds.resolver() && !pds.handles().is_ours(handle.str()) && !handle.has_disallowed_tld())
    if (auto did = co_await pds.resolver()->resolve_handle(handle))
      co_return web::Response::json(json::Object{{"did", did->str()}});
  co_return refuse(xrpc::Error::HandleNotFound, "Unable to resolve handle");
}

}  // namespace latchkey::pds

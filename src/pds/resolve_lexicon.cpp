// com.atproto.lexicon.resolveLexicon
#include "base/log.h"
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> resolve_lexicon(Pds& pds, Call call) {
  CO_TRY(auto nsid, call.param<Nsid>("nsid"));
  if (!pds.lexicons()) co_return refuse(xrpc::Error::LexiconNotFound, "Lexicon not found");
  auto resolved = co_await pds.lexicons()->resolve(nsid);
  if (resolved)
    co_return web::Response::json(json::Object{
        {"cid", resolved->cid.str()}, {"schema", std::move(resolved->document)}, {"uri", resolved->uri}});
  log::info("lexicon not resolved", {{"nsid", nsid.str()}, {"detail", resolved.error().detail}});
  if (resolved.error().code == lexicon::Error::unreachable)
    co_return refuse(xrpc::Error::UpstreamFailure, "The authority of this lexicon does not answer");
  co_return refuse(xrpc::Error::LexiconNotFound, "Lexicon not found");
}

}  // namespace latchkey::pds

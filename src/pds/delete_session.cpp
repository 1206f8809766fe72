// com.atproto.server.deleteSession
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> delete_session(Pds& pds, Call call) {
  co_await pds.sessions().end(*call.caller.refresh);
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

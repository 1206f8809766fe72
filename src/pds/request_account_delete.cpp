// com.atproto.server.requestAccountDelete
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> request_account_delete(Pds& pds, Call call) {
  CO_TRY_VOID(co_await pds.lifecycle().request_delete(call.who().account));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

// com.atproto.server.activateAccount
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> activate_account(Pds& pds, Call call) {
  CO_TRY_VOID(co_await pds.lifecycle().activate(call.who().account));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

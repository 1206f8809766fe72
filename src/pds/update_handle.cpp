// com.atproto.identity.updateHandle
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> update_handle(Pds& pds, Call call) {
  CO_TRY(auto handle, call.required<Handle>("handle"));
  CO_TRY_VOID(co_await pds.identity().change_handle(call.who().account, std::move(handle)));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

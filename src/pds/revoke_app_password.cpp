// com.atproto.server.revokeAppPassword
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> revoke_app_password(Pds& pds, Call call) {
  CO_TRY(auto name, call.required_text("name"));
  co_await pds.settings().revoke_app_password(call.who().account, std::move(name));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

// com.atproto.server.getSession
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/session_answer.h"

namespace latchkey::pds {

Task<Answer> get_session(Pds& pds, Call call) {
  const auto email = call.who().may_read_email() ? EmailFields::show : EmailFields::hide;
  co_return web::Response::json(co_await session_fields(&pds, call.who().account, email));
}

}  // namespace latchkey::pds

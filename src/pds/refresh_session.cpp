// com.atproto.server.refreshSession
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/session_answer.h"

namespace latchkey::pds {

Task<Answer> refresh_session(Pds& pds, Call call) {
  CO_TRY(auto session, co_await pds.sessions().refresh(*std::move(call.caller.refresh)));
  co_return co_await session_response(&pds, std::move(session.account), std::move(session.tokens),
                                      email_fields(session.scope));
}

}  // namespace latchkey::pds

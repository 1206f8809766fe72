// com.atproto.server.createSession
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/session_answer.h"

namespace latchkey::pds {

Task<Answer> create_session(Pds& pds, Call call) {
  CO_TRY(auto identifier, call.required_text("identifier"));
  CO_TRY(auto password, call.required_text("password"));
  CO_TRY(auto allow_takendown, call.bool_input("allowTakendown"));
  CO_TRY(auto log_in,
         co_await pds.sessions().log_in(std::move(identifier), Secret<std::string>(std::move(password))));
  if (log_in.account.taken_down() && !allow_takendown.value_or(false))
    co_return refuse(xrpc::Error::AccountTakedown, "Account has been taken down");
  CO_TRY(auto tokens, co_await pds.sessions().begin(log_in));
  co_return co_await session_response(&pds, log_in.account, std::move(tokens), email_fields(log_in.scope()));
}

}  // namespace latchkey::pds

// com.atproto.server.deactivateAccount
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> deactivate_account(Pds& pds, Call call) {
  CO_TRY(const auto text, call.text_input("deleteAfter"));
  const auto delete_after = text ? parse_rfc3339(*text) : std::nullopt;
  if (text && !delete_after) co_return Call::malformed("Input", "deleteAfter", "datetime");
  CO_TRY_VOID(co_await pds.lifecycle().deactivate(call.who().account, delete_after));
  co_return web::Response::empty();
}

}  // namespace latchkey::pds

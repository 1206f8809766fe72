// com.atproto.server.createAppPassword
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> create_app_password(Pds& pds, Call call) {
  CO_TRY(auto name, call.required_text("name"));
  CO_TRY(const auto privileged, call.bool_input("privileged"));
  CO_TRY(auto made, co_await pds.settings().create_app_password(
                        call.who().account, std::move(name),
                        privileged.value_or(false) ? Privileged::yes : Privileged::no));
  auto response =
      web::Response::json(json::Object{{"name", made.app_password.name},
                                       {"password", made.password.reveal()},
                                       {"createdAt", rfc3339(made.app_password.created_at)},
                                       {"privileged", made.app_password.privileged == Privileged::yes}});
  response.header("Cache-Control", "no-store");
  co_return response;
}

}  // namespace latchkey::pds

// com.atproto.server.listAppPasswords
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> list_app_passwords(Pds& pds, Call call) {
  json::Array passwords;
  for (const auto& each : co_await pds.settings().app_passwords(call.who().account))
    passwords.push_back(json::Object{{"name", each.name},
                                     {"createdAt", rfc3339(each.created_at)},
                                     {"privileged", each.privileged == Privileged::yes}});
  co_return web::Response::json(json::Object{{"passwords", std::move(passwords)}});
}

}  // namespace latchkey::pds

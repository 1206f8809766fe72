#include "auth/core/error.h"

namespace latchkey::auth {

web::Response json_answer(const json::Value& value, int status) {
  web::Response r = web::Response::empty(status);
  value.dump_to(r.body);
  r.header("content-type", "application/json");
  return r;
}

web::Response redirect_answer(std::string location) {
  web::Response r = web::Response::empty(302);
  r.header("location", std::move(location));
  r.header("content-type", "application/json");  // of the body that is not there, as Better Auth says it
  return r;
}

web::Response render(const Fault& fault) {
  if (fault.message.empty() && fault.code.empty()) return web::Response::empty(fault.status);
  json::Object body{{"message", fault.message}};
  if (!fault.code.empty()) body.append("code", fault.code);
  return json_answer(std::move(body), fault.status);
}

}  // namespace latchkey::auth

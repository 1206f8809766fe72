#include "oauth/server/authorization_response.h"

namespace latchkey::oauth {

web::Response redirect_response(const AuthorizationResponse& response) {
  const std::string encoded = encode_form(response.parameters);
  std::string target = response.redirect_uri;
  if (response.response_mode == "fragment")
    target += "#" + encoded;
  else
    target += (target.find('?') == std::string::npos ? "?" : "&") + encoded;
  auto out = web::Response::redirect(303, std::move(target));
  out.header("cache-control", "no-store");
  out.header("referrer-policy", "no-referrer");
  return out;
}

}  // namespace latchkey::oauth

#pragma once
// What goes back to the client through the browser: RFC 6749 §4.1.2, RFC 9207, OAuth 2.0 Multiple Response
// Type Encoding Practices, OAuth 2.0 Form Post Response Mode.

#include <string>

#include "base/url.h"
#include "web/http.h"

namespace latchkey::oauth {

/// `code` or `error`, with `iss` and `state`. `redirect_uri` was proven to be the client's.
struct AuthorizationResponse {
  std::string redirect_uri;
  std::string response_mode;  // "query", "fragment" or "form_post"
  FormFields parameters;
};

/// For query and fragment: 303, so that after a form post the browser turns it into a GET (RFC 9700 §4.12);
/// never stored, and the target is not told where it came from. form_post is a page (signin).
web::Response redirect_response(const AuthorizationResponse& response);

}  // namespace latchkey::oauth

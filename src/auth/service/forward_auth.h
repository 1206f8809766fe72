#pragma once
// Answers a reverse proxy that asks who somebody is before it hands a request on (nginx's auth_request,
// Caddy's forward_auth). docs/auth-service.md says what to configure there.
//
//   200  X-Auth-User: <user id>, X-Auth-Did, X-Auth-Handle and X-Auth-Email (only a verified address); empty
//        where there is none, so that a proxy that copies them always replaces what a client sent
//   302  to the sign-in page, for a browser that goes somewhere; it comes back to where it wanted to
//   401  for everything else
//
// nginx knows 2xx, 401 and 403 only: for `/forward-auth?redirect=header` the 302 is a 401, too, and its
// Location is in X-Auth-Sign-In.
//
// Header values are printable ASCII. Other bytes and '%' are percent-encoded (RFC 3986 §2.1), so that
// decodeURIComponent gives back what the user's row has, and nothing in it can begin another header.

#include <string>
#include <string_view>

#include "auth/core/auth.h"

namespace latchkey::service {

std::string header_value(std::string_view utf8);

class ForwardAuth {
 public:
  /// `sign_in_url`: where people sign in; "": nowhere, they get a 401.
  ForwardAuth(auth::Auth& auth, std::string sign_in_url)
      : auth_(auth), sign_in_url_(std::move(sign_in_url)) {}

  /// The proxy says what was asked for in X-Forwarded-Proto, -Host, -Uri and -Method. web::Server drops them
  /// when they come from anybody else.
  Task<web::Response> answer(web::Request request);

 private:
  web::Response stranger(const web::Request& request) const;

  auth::Auth& auth_;
  const std::string sign_in_url_;
};

}  // namespace latchkey::service

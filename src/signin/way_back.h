#pragma once
// What ends a sign-in: the browser goes back to the app.

#include <string>

#include "oauth/server/authorization_response.h"
#include "signin/pages.h"

namespace latchkey::signin {

/// For people: where they go next.
std::string redirect_target(const std::string& redirect_uri);

/// For CSP form-action. Browsers apply it to every redirect that answers a form, also to those of the app's
/// own callback to its next page, which may be on another host: so the scheme, and no host.
std::string redirect_scheme(std::string_view redirect_uri);

/// The redirect, or the form, that the request's response mode asks for; a page for a fault.
web::Response way_back(const Pages& pages, Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                       const web::Request& request);

}  // namespace latchkey::signin

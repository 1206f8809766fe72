#pragma once
// What the steps of a sign-in share. Only sign_in*.cpp include this.

#include <optional>
#include <string>
#include <string_view>

#include "mail/address.h"
#include "oauth/server/server.h"
#include "signin/devices.h"
#include "signin/way_back.h"
#include "web/http.h"

namespace latchkey::signin {

/// "" when there is no address.
inline std::string masked(std::string_view email) {
  const auto address = mail::EmailAddress::parse(email);
  return address ? address->masked() : std::string();
}

inline oauth::ScopeSet asked_scopes(const oauth::OpenRequest& open) {
  const auto asked = oauth::ScopeSet::parse(open.request.scope);
  return asked ? *asked : oauth::ScopeSet();
}

inline oauth::Approval approval_of(std::string did, oauth::ScopeSet scope, const web::Request& request,
                                   const std::optional<Visit>& visit) {
  return {.did = std::move(did),
          .scope = std::move(scope),
          .ip = request.remote_ip,
          .device = visit ? visit->device : std::string()};
}

}  // namespace latchkey::signin

#pragma once
// What the files of AccountPages share. Only account_*.cpp include this.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/log.h"
#include "signin/account_pages.h"
#include "signin/agent.h"
#include "signin/arrivals.h"
#include "signin/dates.h"
#include "web/cookie.h"

namespace latchkey::signin {

inline constexpr std::string_view k_by_email = "email", k_by_passkey = "passkey", k_by_backup = "backup";

inline constexpr std::string_view k_login_purpose = "account";  // of codes that open these pages
inline constexpr std::int64_t k_shown_events = 50;

inline web::Response to_account() { return web::Response::redirect(303, "/account"); }
inline web::Response to_login() { return web::Response::redirect(303, "/account/login"); }
inline web::Response to_login(std::string_view problem) {
  return web::Response::redirect(303, fmt::format("/account/login?error={}", problem));
}
inline web::Response to_confirm() { return web::Response::redirect(303, "/account/confirm"); }
/// Back to the page of the account, which says "success.<what>" or "problem.<what>".
inline web::Response done(std::string_view what) {
  return web::Response::redirect(303, fmt::format("/account?success={}", what));
}
inline web::Response failed(std::string_view what) {
  return web::Response::redirect(303, fmt::format("/account?error={}", what));
}

inline void log_failure(std::string_view what, const web::Request& request, const xrpc::Fault& fault) {
  log::error(what, {{"request_id", request.id}, {"error", fault.message}, {"detail", fault.detail}});
}

}  // namespace latchkey::signin

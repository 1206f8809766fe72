#include "auth/service/forward_auth.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/url.h"

namespace latchkey::service {
namespace {

// Of the `atproto` plugin.
constexpr const char *k_did = "bskyDid", *k_handle = "bskyHandle";

/// The only value of a header; "" when it is absent or somebody added one.
std::string_view only(const web::Request& request, std::string_view name) {
  return request.headers.count(name) == 1 ? request.headers.get(name) : std::string_view();
}

/// Whether a browser goes to a page. Where it does not say (Fetch Metadata is younger than some), by what it
/// takes.
bool goes_to_a_page(const web::Request& request) {
  const auto method = only(request, "x-forwarded-method");
  if (!method.empty() && method != "GET" && method != "HEAD") return false;
  if (request.headers.has("x-requested-with")) return false;
  const auto mode = request.headers.get("sec-fetch-mode");
  if (!mode.empty()) return mode == "navigate" && request.may_be_navigation();
  return request.headers.get("accept").find("text/html") != std::string_view::npos;
}

/// Placeholders of users without an address are no addresses (RFC 2606 §2), whoever called them verified.
bool is_reachable(const auth::User& user) { return user.email_verified && !user.email.ends_with(".invalid"); }

std::string field(const auth::User& user, std::string_view name) {
  const json::Value* value = user.fields.find(name);
  return value && value->string() ? *value->string() : std::string();
}

}  // namespace

std::string header_value(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  for (const char c : utf8)
    if (c > 0x20 && c < 0x7f && c != '%')
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

Task<web::Response> ForwardAuth::answer(web::Request request) {
  const auto who = co_await auth_.session_of(request);
  if (!who) co_return stranger(request);
  const auth::User& user = who->user;
  web::Response response = web::Response::empty(200);
  response.header("x-auth-user", header_value(user.id));
  response.header("x-auth-did", header_value(field(user, k_did)));
  response.header("x-auth-handle", header_value(field(user, k_handle)));
  response.header("x-auth-email", is_reachable(user) ? header_value(user.email) : std::string());
  co_return response;
}

web::Response ForwardAuth::stranger(const web::Request& request) const {
  auto refused =
      web::Response::json(json::Object{{"message", "Unauthorized"}, {"code", "UNAUTHORIZED"}}, 401);
  if (sign_in_url_.empty() || !goes_to_a_page(request)) return refused;

  std::string to = sign_in_url_;
  const auto host = only(request, "x-forwarded-host"), uri = only(request, "x-forwarded-uri");
  if (request.headers.has("x-forwarded-host") || request.headers.has("x-forwarded-uri")) {
    const std::string wanted = fmt::format("{}://{}{}", request.scheme, host, uri);
    // With the path in its place the host ends where it should.
    if (host.empty() || !uri.starts_with('/') || !auth_.origins().trusts(wanted)) {
      log::info("forward-auth: not a trusted origin", {{"request", request.id}, {"host", std::string(host)}});
      return refused;
    }
    to = auth::with_query(to, "callbackURL", wanted);
  }
  if (request.query_value("redirect") != "header") return web::Response::redirect(302, to);
  refused.header("x-auth-sign-in", to);
  return refused;
}

}  // namespace latchkey::service

// The order of checks for one request (contract, section 1): rate limit, body, origin and redirect targets,
// hooks, shape, form guard and session, handler.
#include <fmt/format.h>

#include <algorithm>

#include "auth/core/auth.h"
#include "base/log.h"
#include "base/url.h"
#include "web/address.h"

namespace latchkey::auth {
namespace {

/// '*' is any number of characters; nothing else is special.
bool matches(std::string_view pattern, std::string_view path) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return pattern == path;
  const auto head = pattern.substr(0, star), rest = pattern.substr(star + 1);
  if (!path.starts_with(head)) return false;
  for (std::size_t i = head.size(); i <= path.size(); ++i)
    if (matches(rest, path.substr(i))) return true;
  return false;
}

bool reads(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

web::Response not_found() { return web::Response::empty(404); }

web::Response too_many(std::chrono::seconds wait) {
  web::Response r = render(Fault(429, "", "Too many requests. Please try again later."));
  r.header("x-retry-after", std::to_string(wait.count()));
  return r;
}

}  // namespace

Auth::Limit Auth::limit_of(std::string_view path) const {
  using namespace std::chrono_literals;
  const RateLimitOptions& o = options_.rate_limit;
  Limit limit{RateLimitRule{o.window, o.max}, {}};
  for (const auto* guarded : {"/sign-in", "/sign-up", "/change-password", "/change-email"})
    if (path.starts_with(guarded)) limit.rule = RateLimitRule{10s, 3};
  for (const auto* sending : {"/request-password-reset", "/send-verification-email"})
    if (path == sending) limit.rule = RateLimitRule{60s, 3};
  if (path.starts_with("/forget-password")) limit.rule = RateLimitRule{60s, 3};
  for (const auto* rules : {&plugin_limits_, &o.custom_rules})
    for (const PathLimit& other : *rules)
      if (matches(other.path, path)) limit = {other.rule, other.counter};
  return limit;
}

Task<web::Response> Auth::handle(web::Request request) {
  const Time now = clock().now();
  std::string_view below = request.path;
  if (!below.starts_with(base_path_)) co_return not_found();
  below.remove_prefix(base_path_.size());
  const std::string path(below);
  if (std::ranges::find(options_.disabled_paths, path) != options_.disabled_paths.end())
    co_return web::Response::text("Not Found", 404);
  auto [route, params] = find_route(path);
  if (!route) co_return not_found();

  const bool cors = options_.cors == Cors::trusted_origins;
  if (cors && request.method == "OPTIONS" && request.headers.has("access-control-request-method")) {
    web::Response preflight = web::Response::empty(204);
    add_cors(request, preflight);
    co_return preflight;
  }

  web::Response response;
  std::optional<std::chrono::seconds> wait;
  if (const Limit limit = options_.rate_limit.enabled ? limit_of(path) : Limit(); limit.rule) {
    // By the route's path: a parameter that is guessed at does not make a counter of its own.
    const std::string_view counter = limit.counter.empty() ? route->path : limit.counter;
    const std::string client = request.remote_ip.empty() ? "" : web::client_network(request.remote_ip);
    wait = co_await rate_limits_->take(fmt::format("{}|{}", client, counter), *limit.rule, now);
  }
  const auto endpoint = std::ranges::find(route->endpoints, request.method, &Endpoint::method);
  if (wait) {
    response = too_many(*wait);
    if (cors) add_cors(request, response);
  } else if (endpoint == route->endpoints.end()) {
    response = not_found();
  } else {
    Context context(*this, std::move(request), path, now);
    context.params = std::move(params);
    response = co_await answer(context, *endpoint);
    if (cors) add_cors(context.request, response);
  }
  if (route->path != path) response.log_path = base_path_ + route->path;  // a parameter may be a secret
  co_return response;
}

Task<web::Response> Auth::answer(Context& context, const Endpoint* endpoint) {
  web::Response response;
  std::string trouble;
  try {
    auto result = co_await run(context, endpoint);
    if (!result && !result.error().detail.empty())
      log::info("auth refused", {{"request", context.request.id},
                                 {"path", endpoint->path},
                                 {"code", result.error().code},
                                 {"detail", result.error().detail}});
    response = result ? std::move(*result) : render(result.error());
    for (const AfterHook& hook : after_)
      if (!hook.matches || hook.matches(context)) co_await hook.run(context, response);
  } catch (const Overloaded&) {
    throw;  // the server says that it is busy
  } catch (const std::exception& e) {
    trouble = e.what();
    if (trouble.empty()) trouble = "exception";
  }
  if (!trouble.empty()) {
    log::error("auth request failed",
               {{"request", context.request.id}, {"path", endpoint->path}, {"error", trouble}});
    co_return web::Response::empty(500);
  }
  for (const web::SetCookie& cookie : context.cookies()) web::set_cookie(response, cookie);
  co_return response;
}

Task<Answer> Auth::run(Context& context, const Endpoint* endpoint) {
  const EndpointOptions& o = endpoint->options;
  // Query and body.
  const auto fields = context.request.query_fields();
  if (!fields) co_return fail(Fault(400, "BAD_REQUEST", "Invalid query"));
  context.query = object_of(*fields);
  std::optional<json::Value> sent;
  if (!reads(context.request.method)) {
    if (o.content == EndpointOptions::Body::json) {
      CO_TRY(sent, parse_body(context.request, o.forms, o.body ? &*o.body : nullptr));
    }
    if (sent && sent->object()) {
      context.body = std::move(*sent->object());
      context.has_body = true;
    }
    CO_TRY_VOID(origins_.check_any(context.request));
  }
  CO_TRY_VOID(check_targets(context, *endpoint));
  CO_TRY_VOID(co_await run_before(context));
  if (o.query) CO_TRY_VOID(check(*o.query, context.query, "query"));
  if (o.body)
    CO_TRY_VOID(context.has_body ? check(*o.body, context.body, "body")
                                 : check_other(*o.body, sent ? &*sent : nullptr, "body"));
  if (o.form_guard == FormGuard::on) CO_TRY_VOID(origins_.check_form(context.request));
  if (o.needs != Needs::nothing) {
    const SessionAndUser* who = co_await context.session();
    if (!who) co_return refuse(Error::UNAUTHORIZED);
    if (o.needs == Needs::fresh_session && !context.is_fresh()) co_return refuse(Error::SESSION_NOT_FRESH);
  }
  co_return co_await endpoint->handler(context);
}

Task<Result<void, Fault>> Auth::run_before(Context& context) {
  for (const BeforeHook& hook : before_)
    if (!hook.matches || hook.matches(context)) CO_TRY_VOID(co_await hook.run(context));
  co_return Result<void, Fault>();
}

// Section 3, "Redirect targets".
Result<void, Fault> Auth::check_targets(const Context& context, const Endpoint& endpoint) const {
  struct Target {
    const char* member;
    const char* label;
    Error refused;
  };
  constexpr Target targets[] = {
      {"callbackURL", "callbackURL", Error::INVALID_CALLBACK_URL},
      {"redirectTo", "redirectURL", Error::INVALID_REDIRECT_URL},
      {"errorCallbackURL", "errorCallbackURL", Error::INVALID_ERROR_CALLBACK_URL},
      {"newUserCallbackURL", "newUserCallbackURL", Error::INVALID_NEW_USER_CALLBACK_URL}};
  const bool get = reads(context.request.method);
  if (get && endpoint.options.callback == CallbackQuery::unchecked) return {};
  for (const Target& t : targets) {
    const json::Value* v = context.body.find(t.member);
    if (!v && (get || t.refused == Error::INVALID_CALLBACK_URL)) v = context.query.find(t.member);
    if (!v || v->is_null()) continue;
    if (!v->string()) return refuse(400, fmt::format("Invalid {}: expected a string", t.label));
    if (!v->string()->empty() && !origins_.allows_redirect(*v->string())) return refuse(t.refused);
  }
  return {};
}

// Fetch, "CORS protocol". Credentials are part of every request the client library sends.
void Auth::add_cors(const web::Request& request, web::Response& response) const {
  response.headers.vary("Origin");
  const auto origin = request.headers.get("origin");
  if (origin.empty() || !origins_.trusts(origin)) return;
  response.header("access-control-allow-origin", std::string(origin));
  response.header("access-control-allow-credentials", "true");
  response.header("access-control-expose-headers", cors_response_headers_);
  if (request.method == "OPTIONS") {
    response.header("access-control-allow-methods", "GET, POST");
    response.header("access-control-allow-headers", cors_request_headers_);
    response.header("access-control-max-age", "86400");
  }
}

}  // namespace latchkey::auth

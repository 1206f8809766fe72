#include "signin/edge.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;
using web::RateLimiter;

// The words are RFC 6749's (§4.1.2.1); the status is RFC 6585 §4's, which every client library knows.
web::Response oauth_refusal(oauth::Server* oauth, const web::Request&) {
  auto response = web::Response::json(
      json::Object{{"error", "temporarily_unavailable"},
                   {"error_description", "Too many requests. Try again when retry-after has passed."}},
      429);
  response.header("dpop-nonce", oauth->current_nonce());
  response.header("cache-control", "no-store");
  web::add_cors_headers(response);
  return response;
}

web::Response xrpc_refusal(const web::Request&) {
  auto response = web::Response::error(429, "RateLimitExceeded", "Rate Limit Exceeded");
  web::add_cors_headers(response);
  return response;
}

// Who signs in from where. A name that cannot be one counts for the address.
std::string account_and_address(const web::Request& request) {
  constexpr std::size_t k_longest_did = 2048;
  std::string out = web::client_network(request.remote_ip) + " ";
  const auto body = json::parse(request.body);
  const std::string* typed = body ? body->string_at("identifier") : nullptr;
  if (!typed || typed->size() > k_longest_did) return out;
  for (const char c : *typed) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

bool begins(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  for (const auto prefix : prefixes)
    if (text.starts_with(prefix)) return true;
  return false;
}

}  // namespace

void add_limits(web::Router& router, std::shared_ptr<web::RateLimits> limits, const Pages& pages,
                oauth::Server& oauth) {
  const auto rule = [&](const char* name, std::vector<web::Rate> rates) {
    return RateLimiter{.limits = limits, .name = name, .rates = std::move(rates), .refusal = xrpc_refusal};
  };
  const auto oauth_rule = [&](const char* name, std::vector<web::Rate> rates) {
    auto out = rule(name, std::move(rates));
    out.refusal = [&oauth](const web::Request& r) { return oauth_refusal(&oauth, r); };
    return out;
  };
  const auto page_rule = [&](const char* name, std::vector<web::Rate> rates) {
    auto out = rule(name, std::move(rates));
    out.refusal = [&pages](const web::Request& r) { return pages.error_page(429, "too_fast", r); };
    return out;
  };
  const auto shared = [](RateLimiter limiter) {
    return std::make_shared<const RateLimiter>(std::move(limiter));
  };
  auto by_account = rule("createSession", {{30, 5min}, {300, 24h}});
  by_account.client = account_and_address;

  const auto global = shared(rule("global", {{3000, 5min}}));
  const auto get_repo = shared(rule("getRepo", {{6000, 5min}}));
  const auto create_session = shared(std::move(by_account));
  const auto create_account = shared(rule("createAccount", {{100, 5min}}));
  const auto delete_account = shared(rule("deleteAccount", {{50, 5min}}));
  const auto update_handle = shared(rule("updateHandle", {{10, 5min}, {50, 24h}}));
  const auto par = shared(oauth_rule("par", {{60, 1min}}));
  const auto token = shared(oauth_rule("token", {{120, 1min}}));
  const auto revoke = shared(oauth_rule("revoke", {{120, 1min}}));
  const auto authorize = shared(page_rule("authorize", {{60, 1min}}));
  const auto page = shared(page_rule("page", {{60, 1min}}));

  router.wrap([=](const web::Router::RouteName& route, web::Handler inner) -> web::Handler {
    const std::string_view path = route.pattern;
    const auto with = [&](const auto& limiter) { return web::limited(limiter, inner); };
    const auto choose = [&]() -> web::Handler {
      if (path == "/xrpc/com.atproto.sync.getRepo") return with(get_repo);
      if (path == "/xrpc/com.atproto.server.createSession") return web::limited(global, with(create_session));
      if (path == "/xrpc/com.atproto.server.createAccount") return web::limited(global, with(create_account));
      if (path == "/xrpc/com.atproto.server.deleteAccount") return web::limited(global, with(delete_account));
      if (path == "/xrpc/com.atproto.identity.updateHandle") return web::limited(global, with(update_handle));
      if (path == "/oauth/par") return with(par);
      if (path == "/oauth/token") return with(token);
      if (path == "/oauth/revoke" || path == "/oauth/introspect") return with(revoke);
      if (path == "/oauth/authorize") return with(authorize);
      if (begins(path, {"/auth/", "/account", "/api/auth/", "/oauth/magic-callback"})) return with(page);
      return with(global);
    };
    if (route.method == "OPTIONS" || path == "/health" || path == "/xrpc/_health" ||
        path.starts_with("/static/"))
      return inner;
    if (route.method != "*") return choose();
    return [inner, counted = choose()](web::Request r) {
      return r.method == "OPTIONS" ? inner(std::move(r)) : counted(std::move(r));
    };
  });
}

void add_headers(web::Router& router, const Pages& pages) {
  router.finish([https = pages.https()](web::Response& r) { web::add_data_headers(r, https); });
}

}  // namespace latchkey::signin

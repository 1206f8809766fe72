#pragma once
// Which handler answers a request.
//
//   Router router;
//   router.get("/xrpc/_health", [this](Request r) { return health(std::move(r)); });
//   router.post("/oauth/par", …);
//   router.get("/static/{file*}", …);            // {x} is one segment, {x*} is the rest
//   router.host("auth.example.com", auth_router);
//
// Handlers are plain functions that return a Task; what they capture must outlive the server.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "web/http.h"

namespace latchkey::web {

class Router {
 public:
  Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  ~Router();

  /// Patterns begin with '/'. Captures match one non-empty segment and arrive percent-decoded in
  /// request.params; a segment that does not decode to UTF-8 without NUL does not match. Throws
  /// std::logic_error when the same method and pattern are there already. `max_body` 0: the server's default.
  /// Method "*" matches every method that has no route of its own.
  void add(std::string method, std::string pattern, Handler handler, std::size_t max_body = 0);
  void get(std::string pattern, Handler handler) { add("GET", std::move(pattern), std::move(handler)); }
  void post(std::string pattern, Handler handler, std::size_t max_body = 0) {
    add("POST", std::move(pattern), std::move(handler), max_body);
  }
  /// A route whose handler reads the body itself, as it comes, and can refuse it unread: BodyReader.
  void add_streamed(std::string method, std::string pattern, Handler handler, std::size_t max_body);

  /// A route any origin may read: the handler with_cors(), and OPTIONS for its preflight.
  void add_cors(std::string method, const std::string& pattern, Handler handler, std::size_t max_body = 0);

  /// Requests for this host go to this router first, and on to the routes of this one when it has no route
  /// for the path. "example.com" matches any port, "example.com:8080" that port, "*.example.com" one more
  /// label.
  void host(std::string host, Router router);
  /// Adds every route of `router` below `prefix` ("/api/auth"). Handlers see the whole path.
  void mount(std::string prefix, Router router);
  /// Sends everything at or below `prefix` to one handler.
  void mount(std::string prefix, Handler handler);
  /// What answers when no route matches (instead of the JSON 404).
  void fallback(Handler handler);

  /// A route as it was added; `host` is "" for those of every host.
  struct RouteName {
    std::string host, method, pattern;
  };
  /// Every route, those of host routers too, ordered by host, pattern and method.
  std::vector<RouteName> list() const;
  /// Puts `around(name, handler)` in the place of every handler there is by now, host routers included. For
  /// what must not be forgotten at a new route.
  void wrap(const std::function<Handler(const RouteName&, Handler)>& around);
  /// Sees every answer last, also 404, 405 and those of fallbacks. Of host routers it is not asked.
  void finish(std::function<void(Response&)> last);

  /// 404 and 405 (with Allow) are answered here; HEAD runs the GET route (the server sends no body).
  Task<Response> handle(Request request) const;

  /// The body limit of the route that would answer; 0 for the server's default.
  std::size_t max_body(const Request& head) const;
  /// Whether it was added by add_streamed().
  bool streams_body(const Request& head) const;

 private:
  Task<Response> route(Request request) const;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Access-Control-* for routes any origin may read (XRPC, metadata): allow-origin *, the exposed headers of
/// the protocol, preflights answered with 200 and max-age 86400. Errors get them too. Credentials are never
/// allowed.
Handler with_cors(Handler inner);
/// The same for responses made elsewhere.
void add_cors_headers(Response& response);

}  // namespace latchkey::web

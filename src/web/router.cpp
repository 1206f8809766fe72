#include "web/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <unordered_map>

namespace latchkey::web {
namespace {

struct Action {
  std::string method;
  Handler handler;
  std::size_t max_body;
  enum class Body { whole, streamed } body = Body::whole;
};

struct Segment {
  enum class Kind { literal, capture, rest } kind;
  std::string text;  // the literal, or the capture's name
};

struct Route {
  std::string pattern;
  std::vector<Segment> segments;
  std::vector<Action> actions;

  const Action* find(std::string_view method) const {
    const Action* any = nullptr;
    const Action* get = nullptr;
    for (const auto& a : actions) {
      if (a.method == method) return &a;
      if (a.method == "*") any = &a;
      if (a.method == "GET") get = &a;
    }
    if (method == "HEAD" && get) return get;  // RFC 9110 §9.3.2
    return any;
  }
};

std::vector<std::string_view> split(std::string_view path) {  // of "/a/b": a, b; of "/": one empty segment
  std::vector<std::string_view> out;
  path.remove_prefix(1);
  for (;;) {
    const auto slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

std::vector<Segment> parse_pattern(std::string_view pattern) {
  if (pattern.empty() || pattern.front() != '/') throw std::logic_error("route pattern must begin with '/'");
  std::vector<Segment> out;
  const auto parts = split(pattern);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto part = parts[i];
    if (part.size() < 3 || part.front() != '{' || part.back() != '}') {
      if (part.find_first_of("{}") != std::string_view::npos)
        throw std::logic_error(fmt::format("route pattern {}: a capture is a whole segment", pattern));
      out.push_back({Segment::Kind::literal, std::string(part)});
      continue;
    }
    part = part.substr(1, part.size() - 2);
    if (part.back() != '*') {
      out.push_back({Segment::Kind::capture, std::string(part)});
    } else if (i + 1 == parts.size()) {
      out.push_back({Segment::Kind::rest, std::string(part.substr(0, part.size() - 1))});
    } else {
      throw std::logic_error(fmt::format("route pattern {}: the rest comes last", pattern));
    }
  }
  return out;
}

bool decode(std::string_view raw, std::string& out) {
  auto text = percent_decode(raw);
  if (!text || text->empty() || text->find('\0') != std::string::npos || !is_valid_utf8(*text)) return false;
  out = std::move(*text);
  return true;
}

using Params = std::map<std::string, std::string, std::less<>>;

bool match(const Route& route, std::string_view path, const std::vector<std::string_view>& parts,
           Params& params) {
  params.clear();
  std::string value;
  for (std::size_t i = 0; i < route.segments.size(); ++i) {
    const auto& s = route.segments[i];
    if (i >= parts.size()) return false;
    switch (s.kind) {
      case Segment::Kind::literal:
        if (parts[i] != s.text) return false;
        break;
      case Segment::Kind::capture:
        if (!decode(parts[i], value)) return false;
        params[s.text] = std::move(value);
        break;
      case Segment::Kind::rest:
        if (!decode(path.substr(static_cast<std::size_t>(parts[i].data() - path.data())), value))
          return false;
        params[s.text] = std::move(value);
        return true;
    }
  }
  return route.segments.size() == parts.size();
}

Response not_found() { return Response::error(404, "NotFound", "No such page"); }

Response method_not_allowed(const Route& route) {
  std::string allow;
  for (const auto& a : route.actions) {
    if (!allow.empty()) allow += ", ";
    allow += a.method;
    if (a.method == "GET") allow += ", HEAD";
  }
  auto r = Response::error(405, "InvalidRequest", "Wrong method");
  r.headers.set("allow", allow);
  return r;
}

}  // namespace

struct Router::Impl {
  std::unordered_map<std::string, Route> exact;  // patterns without captures
  std::vector<Route> patterns;                   // in the order they were added
  std::vector<std::pair<std::string, Router>> hosts;
  Handler fallback;
  std::function<void(Response&)> last;

  template <class F>  // of every action, host routers included
  void each(const std::string& host, F&& visit) {
    const auto visit_route = [&](Route& route) {
      for (auto& a : route.actions) visit(RouteName{host, a.method, route.pattern}, a.handler);
    };
    for (auto& [_, route] : exact) visit_route(route);
    for (auto& route : patterns) visit_route(route);
    for (auto& [name, router] : hosts) router.impl_->each(name, visit);
  }

  struct Found {
    const Route* route = nullptr;
    const Router::Impl* router = nullptr;
    Params params;
  };

  static bool host_matches(std::string_view rule, const Request& r) {
    if (rule == r.host) return true;
    const auto name = r.hostname();
    if (rule == name) return true;
    if (!rule.starts_with("*.")) return false;
    const auto dot = name.find('.');
    return dot != std::string::npos && dot != 0 && std::string_view(name).substr(dot) == rule.substr(1);
  }

  // A route of the wrong method does not hide a later one that fits; only when none fits it stands for the
  // 405.
  void find_here(const Request& r, Found& found) const {
    if (r.path.empty() || r.path.front() != '/') return;
    if (const auto it = exact.find(r.path); it != exact.end()) {
      if (it->second.find(r.method)) {
        found = {&it->second, this, {}};
        return;
      }
      if (!found.route) found = {&it->second, this, {}};
    }
    if (patterns.empty()) return;
    const auto parts = split(r.path);
    Params params;
    for (const auto& route : patterns) {
      if (!match(route, r.path, parts, params)) continue;
      if (route.find(r.method)) {
        found = {&route, this, std::move(params)};
        return;
      }
      if (!found.route) found = {&route, this, {}};
    }
  }

  Found find(const Request& r) const {
    Found found;
    for (const auto& [rule, router] : hosts) {
      if (!host_matches(rule, r)) continue;
      router.impl_->find_here(r, found);
      if (found.route) return found;
      if (router.impl_->fallback) return {nullptr, router.impl_.get(), {}};
    }
    find_here(r, found);
    return found;
  }

  void add(const std::string& pattern, Action action) {
    auto& there = route(pattern);
    for (const auto& a : there.actions)
      if (a.method == action.method)
        throw std::logic_error(fmt::format("duplicate route {} {}", a.method, pattern));
    there.actions.push_back(std::move(action));
  }

  const Action* action(const Request& head) const {
    const auto found = find(head);
    return found.route ? found.route->find(head.method) : nullptr;
  }

  Route& route(const std::string& pattern) {
    auto segments = parse_pattern(pattern);
    const bool plain =
        std::ranges::all_of(segments, [](const Segment& s) { return s.kind == Segment::Kind::literal; });
    if (plain) {
      auto& r = exact[pattern];
      r.pattern = pattern;
      return r;
    }
    for (auto& r : patterns)
      if (r.pattern == pattern) return r;
    patterns.push_back({pattern, std::move(segments), {}});
    return patterns.back();
  }
};

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;
Router::~Router() = default;

void Router::add(std::string method, std::string pattern, Handler handler, std::size_t max_body) {
  impl_->add(pattern, {std::move(method), std::move(handler), max_body});
}

void Router::add_streamed(std::string method, std::string pattern, Handler handler, std::size_t max_body) {
  impl_->add(pattern, {std::move(method), std::move(handler), max_body, Action::Body::streamed});
}

void Router::add_cors(std::string method, const std::string& pattern, Handler handler, std::size_t max_body) {
  const auto& actions = impl_->route(pattern).actions;
  if (std::ranges::none_of(actions, [](const Action& a) { return a.method == "OPTIONS"; }))
    add("OPTIONS", pattern, with_cors(nullptr));  // the preflight never reaches the inner handler
  add(std::move(method), pattern, with_cors(std::move(handler)), max_body);
}

void Router::host(std::string host, Router router) {
  if (!router.impl_->hosts.empty()) throw std::logic_error("host routers do not nest");
  impl_->hosts.emplace_back(std::move(host), std::move(router));
}

void Router::mount(std::string prefix, Router router) {
  if (!router.impl_->hosts.empty() || router.impl_->fallback)
    throw std::logic_error("a mounted router has neither hosts nor a fallback");
  const auto take = [&](Route& route) {
    for (auto& a : route.actions)
      impl_->add(route.pattern == "/" ? prefix : prefix + route.pattern, std::move(a));
  };
  for (auto& [_, route] : router.impl_->exact) take(route);
  for (auto& route : router.impl_->patterns) take(route);
}

void Router::mount(std::string prefix, Handler handler) {
  add("*", prefix, handler);
  add("*", prefix + "/{rest*}", std::move(handler));
}

void Router::fallback(Handler handler) { impl_->fallback = std::move(handler); }

std::vector<Router::RouteName> Router::list() const {
  std::vector<RouteName> out;
  impl_->each("", [&](RouteName name, Handler&) { out.push_back(std::move(name)); });
  std::ranges::sort(out, {}, [](const RouteName& r) { return std::tie(r.host, r.pattern, r.method); });
  return out;
}

void Router::wrap(const std::function<Handler(const RouteName&, Handler)>& around) {
  impl_->each("",
              [&](const RouteName& name, Handler& handler) { handler = around(name, std::move(handler)); });
}

void Router::finish(std::function<void(Response&)> last) { impl_->last = std::move(last); }

namespace {
using LastWord = std::function<void(Response&)>;
Task<Response> finished(const LastWord* last, Task<Response> answer) {
  Response response = co_await std::move(answer);
  (*last)(response);
  co_return response;
}
}  // namespace

Task<Response> Router::handle(Request request) const {
  if (!impl_->last) return route(std::move(request));
  return finished(&impl_->last, route(std::move(request)));
}

Task<Response> Router::route(Request request) const {
  auto found = impl_->find(request);
  if (!found.route) {
    const auto* from = found.router ? found.router : impl_.get();
    return from->fallback ? from->fallback(std::move(request)) : ready(not_found());
  }
  const auto* action = found.route->find(request.method);
  if (!action) return ready(method_not_allowed(*found.route));
  request.params = std::move(found.params);
  return action->handler(std::move(request));
}

std::size_t Router::max_body(const Request& head) const {
  const auto* action = impl_->action(head);
  return action ? action->max_body : 0;
}

bool Router::streams_body(const Request& head) const {
  const auto* action = impl_->action(head);
  return action && action->body == Action::Body::streamed;
}

void add_cors_headers(Response& response) {
  response.headers.set("access-control-allow-origin", "*");
  response.headers.set(
      "access-control-expose-headers",
      "DPoP-Nonce, WWW-Authenticate, ratelimit-limit, ratelimit-policy, ratelimit-remaining, "
      "ratelimit-reset, retry-after, atproto-repo-rev, atproto-content-labelers");
}

namespace {

Task<Response> cors_coroutine(std::shared_ptr<const Handler> inner, Request request) {
  if (request.method == "OPTIONS") {
    Response r;
    add_cors_headers(r);
    r.headers.set("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    // "*" does not cover Authorization (Fetch §3.3.3), and DPoP travels beside it: give back what was asked
    // for.
    const auto asked = request.headers.get("access-control-request-headers");
    r.headers.set("access-control-allow-headers", asked.empty() ? "*" : std::string(asked));
    r.headers.vary("access-control-request-headers");
    r.headers.set("access-control-max-age", "86400");
    co_return r;
  }
  Response r = co_await (*inner)(std::move(request));
  add_cors_headers(r);
  co_return r;
}

}  // namespace

Handler with_cors(Handler inner) {
  auto shared = std::make_shared<const Handler>(std::move(inner));
  return [shared](Request request) { return cors_coroutine(shared, std::move(request)); };
}

}  // namespace latchkey::web

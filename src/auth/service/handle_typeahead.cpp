#include "auth/service/handle_typeahead.h"

#include <fmt/format.h>

#include <algorithm>

#include "atproto/syntax/handle.h"
#include "auth/core/users.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "web/rate_limit.h"

namespace latchkey::service {
namespace {
using namespace std::chrono_literals;

constexpr std::size_t k_shortest = 2, k_longest = 253;  // bytes; a handle has no more
constexpr std::size_t k_shown = 8;
constexpr std::size_t k_max_known = 500;
constexpr auto k_known_for = 60s;
constexpr web::Rate k_rate{60, 1min};

/// Into the field people also paste addresses, DIDs and what is none of anybody's business: it stays here.
bool may_begin_a_handle(std::string_view q) {
  return q.size() >= k_shortest && q.size() <= k_longest && std::ranges::all_of(q, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

/// Of {"actors": [{"handle": …}, …]}. Names and pictures are left out: anybody may take another's.
std::optional<std::vector<std::string>> handles_in(std::string_view body) {
  const auto answer = json::parse(body);
  const json::Value* const actors = answer ? answer->find("actors") : nullptr;
  if (!actors || !actors->array()) return std::nullopt;
  std::vector<std::string> out;
  for (const json::Value& actor : *actors->array()) {
    const std::string* const text = actor.string_at("handle");
    if (!text) continue;
    const auto handle = Handle::parse(*text);
    if (!handle || handle->has_disallowed_tld()) continue;  // handle.invalid, too
    if (std::ranges::find(out, handle->str()) == out.end()) out.push_back(handle->str());
    if (out.size() == k_shown) break;
  }
  return out;
}

}  // namespace

HandleTypeahead::HandleTypeahead(std::string app_view, std::string own_origin, Fetch& fetch,
                                 const Clock& clock)
    : app_view_(std::move(app_view)), own_origin_(std::move(own_origin)), fetch_(fetch), clock_(clock) {}

void HandleTypeahead::add_routes(web::Router& router) {
  const auto limiter = std::make_shared<const web::RateLimiter>(
      web::RateLimiter{.limits = std::make_shared<web::RateLimits>(web::RateLimitOptions{}, clock_),
                       .name = "handles",
                       .rates = {k_rate}});
  auto counted = web::limited(limiter, [this](web::Request r) { return answer(std::move(r)); });
  // Requests that other sites make a browser send do not count against it.
  router.get("/sign-in/handles", [this, counted = std::move(counted)](web::Request r) {
    const bool says_where = r.headers.has("sec-fetch-site") || r.headers.has("origin");
    if (says_where && !r.from_same_origin(own_origin_))
      return web::ready(web::Response::error(403, "Forbidden", "This is for the sign-in page"));
    return counted(std::move(r));
  });
}

Task<web::Response> HandleTypeahead::answer(web::Request request) {
  json::Array handles;
  for (auto& handle : co_await begin_with(auth::lower_case(request.query_value("q").value_or(""))))
    handles.emplace_back(std::move(handle));
  co_return web::Response::json(json::Object{{"handles", std::move(handles)}});
}

Task<HandleTypeahead::Handles> HandleTypeahead::begin_with(std::string q) {
  if (!may_begin_a_handle(q)) co_return Handles();
  if (auto handles = known(q)) co_return *std::move(handles);
  FetchRequest ask{.url = fmt::format("{}/xrpc/app.bsky.actor.searchActorsTypeahead?q={}&limit={}", app_view_,
                                      percent_encode(q), k_shown),
                   .headers = {{"accept", "application/json"}},
                   .max_body = 128 << 10,
                   .timeout = 2s};
  const auto got = co_await fetch_.fetch(std::move(ask));
  const auto handles = got && got->status == 200 ? handles_in(got->body) : std::nullopt;
  if (!handles) {
    log::warn("no handles from the AppView",
              {{"detail", got ? fmt::format("status {}", got->status) : got.error().detail}});
    co_return Handles();
  }
  keep(q, *handles);
  co_return *handles;
}

std::optional<HandleTypeahead::Handles> HandleTypeahead::known(const std::string& q) const {
  std::lock_guard lock(mutex_);
  const auto it = known_.find(q);
  if (it == known_.end() || it->second.until <= clock_.now()) return std::nullopt;
  return it->second.handles;
}

void HandleTypeahead::keep(const std::string& q, const Handles& handles) {
  const Time now = clock_.now();
  std::lock_guard lock(mutex_);
  if (known_.size() >= k_max_known)
    std::erase_if(known_, [&](const auto& entry) { return entry.second.until <= now; });
  if (known_.size() < k_max_known) known_.insert_or_assign(q, Known{now + k_known_for, handles});
}

}  // namespace latchkey::service

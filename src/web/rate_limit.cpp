#include "web/rate_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace latchkey::web {
namespace {

using std::chrono::ceil;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The time does not tell how much of a guess was right.
bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::int64_t unix_ceil(Time t) { return ceil<seconds>(t).time_since_epoch().count(); }

// An inner rule may have spoken already; the tighter one is what the client has to know.
void add_headers(Response& response, const RateLimits::Outcome& outcome) {
  auto& h = response.headers;
  if (const auto* told = h.find("ratelimit-remaining")) {
    std::int64_t remaining = 0;
    std::from_chars(told->data(), told->data() + told->size(), remaining);
    if (remaining <= outcome.remaining) return;
  }
  h.set("ratelimit-limit", fmt::to_string(outcome.rate.max));
  h.set("ratelimit-remaining", fmt::to_string(outcome.remaining));
  h.set("ratelimit-reset", fmt::to_string(unix_ceil(outcome.reset)));
  h.set("ratelimit-policy", fmt::format("{};w={}", outcome.rate.max, outcome.rate.window.count()));
}

Task<Response> with_headers(Task<Response> answer, RateLimits::Outcome outcome) {
  Response response = co_await std::move(answer);
  add_headers(response, outcome);
  co_return response;
}

}  // namespace

// --- One window

void RateLimits::Window::roll(Time now) {
  if (now < start) start = now;  // the clock was set back
  if (now - start < rate.window) return;
  if (now - start < 2 * rate.window) {
    start += rate.window;
    before = count;
  } else {
    start = now;
    before = 0;
  }
  count = 0;
}

std::int64_t RateLimits::Window::used(Time now) const {
  const std::int64_t window = duration_cast<milliseconds>(rate.window).count();
  const std::int64_t left = window - duration_cast<milliseconds>(now - start).count();
  return count + (before * left + window - 1) / window;
}

// When used() will be below the limit, for a window that has no room now.
Time RateLimits::Window::room_at() const {
  const std::int64_t window = duration_cast<milliseconds>(rate.window).count();
  const bool next = count >= rate.max;  // not within this window
  const std::int64_t old = next ? count : before, may_stay = rate.max - 1 - (next ? 0 : count);
  // old * (window - t) / window <= may_stay
  const std::int64_t t = window - may_stay * window / old;
  return start + (next ? rate.window : seconds(0)) + milliseconds(t);
}

// --- All of them

RateLimits::RateLimits(RateLimitOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
  for (const auto& text : options_.bypass_addresses) {
    const auto network = Network::parse(text);
    if (!network) throw std::invalid_argument(fmt::format("not an address or network: {}", text));
    bypass_.push_back(*network);
  }
}

RateLimits::Outcome RateLimits::take(std::string_view name, std::string_view client,
                                     std::span<const Rate> rates) {
  const Time now = clock_.now();
  std::lock_guard lock(mutex_);
  if (windows_.size() + rates.size() > options_.max_keys) sweep(now);
  Outcome out{.allowed = true, .rate = {}, .remaining = -1, .reset = now};
  std::vector<Window*> windows;
  windows.reserve(rates.size());
  for (const auto& rate : rates) {
    auto& window =
        windows_.try_emplace(fmt::format("{}\n{}\n{}", name, rate.window.count(), client), Window{rate, now})
            .first->second;
    window.roll(now);
    windows.push_back(&window);
    const std::int64_t room = std::max<std::int64_t>(rate.max - window.used(now), 0);
    if (room == 0) out.reset = std::max(out.allowed ? now : out.reset, window.room_at());
    if (room == 0 || (out.allowed && (out.remaining < 0 || room < out.remaining))) {
      out.rate = rate;
      out.remaining = room;
      if (room > 0) out.reset = window.start + rate.window;
    }
    out.allowed = out.allowed && room > 0;
  }
  if (out.allowed) {
    for (auto* window : windows) ++window->count;
    --out.remaining;
  }
  return out;
}

void RateLimits::sweep(Time now) {
  for (auto& [_, window] : windows_) window.roll(now);
  std::erase_if(windows_, [now](const auto& entry) { return entry.second.used(now) == 0; });
  const std::size_t keep = options_.max_keys - options_.max_keys / 4;
  if (windows_.size() <= keep) return;
  struct Candidate {
    double used;
    Time start;
    decltype(windows_)::iterator at;
  };
  std::vector<Candidate> all;
  all.reserve(windows_.size());
  for (auto it = windows_.begin(); it != windows_.end(); ++it)
    all.push_back({static_cast<double>(it->second.used(now)) / static_cast<double>(it->second.rate.max),
                   it->second.start, it});
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(all.size() - keep);
  std::nth_element(all.begin(), end, all.end(), [](const Candidate& a, const Candidate& b) {
    return a.used != b.used ? a.used < b.used : a.start < b.start;
  });
  for (auto it = all.begin(); it != end; ++it) windows_.erase(it->at);
}

bool RateLimits::bypassed(const Request& request) const {
  const std::string& key = options_.bypass_key.reveal();
  if (!key.empty() && request.headers.count("x-ratelimit-bypass") == 1 &&
      same_secret(request.headers.get("x-ratelimit-bypass"), key))
    return true;
  if (bypass_.empty()) return false;
  const auto address = IpAddress::parse(request.remote_ip);
  return address && std::ranges::any_of(bypass_, [&](const Network& n) { return n.contains(*address); });
}

std::size_t RateLimits::size() const {
  std::lock_guard lock(mutex_);
  return windows_.size();
}

// --- Around a handler

Handler limited(std::shared_ptr<const RateLimiter> limiter, Handler inner) {
  return [limiter = std::move(limiter), inner = std::move(inner)](Request request) {
    auto& limits = *limiter->limits;
    if (limits.bypassed(request)) return inner(std::move(request));
    const auto client = limiter->client ? limiter->client(request) : client_network(request.remote_ip);
    const auto outcome = limits.take(limiter->name, client, limiter->rates);
    if (outcome.allowed) return with_headers(inner(std::move(request)), outcome);
    auto refused = limiter->refusal ? limiter->refusal(request)
                                    : Response::error(429, "RateLimitExceeded", "Rate Limit Exceeded");
    add_headers(refused, outcome);
    refused.headers.set("retry-after", fmt::to_string(std::max<std::int64_t>(
                                           ceil<seconds>(outcome.reset - limits.now()).count(), 1)));
    return ready(std::move(refused));
  };
}

}  // namespace latchkey::web

#include "oauth/server/clients.h"

#include <fmt/format.h>

#include <algorithm>

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
constexpr auto k_cache_life = 10min;
constexpr auto k_failure_life = 1min;
constexpr auto k_min_refetch = 10s;

// The media type, without its parameters and in lower case (RFC 9110 §8.3.1).
std::string media_type(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  std::string out(type);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
  return out;
}
}  // namespace

Task<Result<std::shared_ptr<const Client>, Fault>> Clients::load(std::string client_id, Freshness freshness) {
  {
    std::lock_guard lock(mutex_);
    if (const auto at = loopbacks_.find(client_id); at != loopbacks_.end()) co_return at->second;
  }
  CO_TRY(auto id, ClientId::parse(client_id, local_));
  if (id.kind() == ClientId::Kind::loopback) {
    CO_TRY(auto parsed, loopback_client(id));
    const auto client = std::make_shared<const Client>(std::move(parsed));
    std::lock_guard lock(mutex_);
    if (loopbacks_.size() == k_max_loopbacks) loopbacks_.clear();
    loopbacks_.emplace(std::move(client_id), client);
    co_return client;
  }
  if (auto known = cached(client_id, freshness)) co_return *std::move(known);
  const auto turn = co_await fetching_.lock(client_id);
  if (auto known = cached(client_id, freshness)) co_return *std::move(known);  // fetched while we waited
  auto outcome = co_await fetch_client(std::move(id));
  co_return remember(client_id, std::move(outcome), clock_.now());
}

std::optional<Clients::Outcome> Clients::cached(const std::string& id, Freshness freshness) {
  std::lock_guard lock(mutex_);
  const auto at = cache_.find(id);
  if (at == cache_.end()) return std::nullopt;
  const Time now = clock_.now();
  const bool good = now - at->second.fetched_at < (at->second.outcome ? k_cache_life : k_failure_life);
  const bool fresh = freshness == Freshness::cached || now - at->second.tried_at < k_min_refetch;
  if (!good || !fresh) return std::nullopt;
  recent_.splice(recent_.begin(), recent_, at->second.recent);
  return at->second.outcome;
}

Clients::Outcome Clients::remember(const std::string& id, Outcome outcome, Time now) {
  std::lock_guard lock(mutex_);
  if (auto at = cache_.find(id); at != cache_.end()) {
    Entry& entry = at->second;
    recent_.splice(recent_.begin(), recent_, entry.recent);
    entry.tried_at = now;
    // Anybody can cause a refetch by naming a key that is not there: with the document's server down for a
    // moment, that must not lock the client out.
    if (!outcome && entry.outcome && now - entry.fetched_at < k_cache_life) return entry.outcome;
    entry.outcome = outcome;
    entry.fetched_at = now;
    return outcome;
  }
  if (cache_.size() == k_max_cached) {
    cache_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(id);
  cache_.emplace(id, Entry{outcome, now, now, recent_.begin()});
  return outcome;
}

Task<Result<json::Value, Fault>> Clients::fetch_json(std::string url, std::string what, std::string also) {
  const auto bad = [&](std::string why, std::string detail = {}) {
    return fault(Error::invalid_client_metadata, fmt::format("{} {}", what, why), std::move(detail));
  };
  FetchRequest request{.url = url,
                       .headers = {{"accept", "application/json"}},
                       .max_body = k_max_document,
                       .timeout = k_fetch_timeout};
  auto answer = co_await fetch_.fetch(std::move(request));
  if (!answer) co_return bad("could not be fetched", answer.error().detail);
  if (answer->status != 200) co_return bad(fmt::format("answered {}", answer->status));
  const std::string type = media_type(answer->header("content-type"));
  if (type != "application/json" && (also.empty() || type != also)) co_return bad("is not application/json");
  auto document = json::parse(answer->body, {.max_depth = 16});
  if (!document) co_return bad("is not valid JSON", document.error().message);
  co_return std::move(*document);
}

Task<Clients::Outcome> Clients::fetch_client(ClientId id) {
  CO_TRY(auto document, co_await fetch_json(id.str(), "the client metadata document"));
  CO_TRY(auto client, parse_client_metadata(id, document, local_));
  if (client.jwks_uri && client.is_confidential()) {
    CO_TRY(auto set, co_await fetch_json(*client.jwks_uri, "jwks_uri", "application/jwk-set+json"));
    CO_TRY(client.jwks, parse_jwks(set));
  }
  client.trusted = trusted_.contains(id.str());
  co_return std::make_shared<const Client>(std::move(client));
}

}  // namespace latchkey::oauth

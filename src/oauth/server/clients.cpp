#include "oauth/server/clients.h"

#include <fmt/format.h>

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
constexpr auto k_cache_life = 10min;
constexpr auto k_failure_life = 1min;
constexpr auto k_min_refetch = 10s;

bool is_json(std::string_view content_type) {
  return content_type.substr(0, content_type.find(';')).starts_with("application/json");
}
}  // namespace

Task<Result<std::shared_ptr<const Client>, Fault>> Clients::load(std::string client_id, Freshness freshness) {
  CO_TRY(auto id, ClientId::parse(client_id, local_));
  if (id.kind() == ClientId::Kind::loopback) {
    CO_TRY(auto client, loopback_client(id));
    co_return std::make_shared<const Client>(std::move(client));
  }
  const Time now = clock_.now();
  {
    std::lock_guard lock(mutex_);
    if (auto at = cache_.find(client_id); at != cache_.end()) {
      const auto age = now - at->second.fetched_at;
      const auto life = at->second.outcome ? k_cache_life : k_failure_life;
      if (age < (freshness == Freshness::refetch ? k_min_refetch : life)) {
        recent_.splice(recent_.begin(), recent_, at->second.recent);
        co_return at->second.outcome;
      }
    }
  }
  auto outcome = co_await fetch_client(std::move(id));
  remember(client_id, outcome, clock_.now());
  co_return outcome;
}

void Clients::remember(const std::string& id, Outcome outcome, Time now) {
  std::lock_guard lock(mutex_);
  if (auto at = cache_.find(id); at != cache_.end()) {
    at->second.outcome = std::move(outcome);
    at->second.fetched_at = now;
    recent_.splice(recent_.begin(), recent_, at->second.recent);
    return;
  }
  if (cache_.size() == k_max_cached) {
    cache_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(id);
  cache_.emplace(id, Entry{std::move(outcome), now, recent_.begin()});
}

Task<Result<json::Value, Fault>> Clients::fetch_json(std::string url, std::string what) {
  const auto bad = [&](std::string why, std::string detail = {}) {
    return fault(Error::invalid_client_metadata, fmt::format("{} {}", what, why), std::move(detail));
  };
  FetchRequest request{.url = url, .headers = {{"accept", "application/json"}}, .max_body = k_max_document};
  auto answer = co_await fetch_.fetch(std::move(request));
  if (!answer) co_return bad("could not be fetched", answer.error().detail);
  if (answer->status != 200) co_return bad(fmt::format("answered {}", answer->status));
  if (!is_json(answer->header("content-type"))) co_return bad("is not application/json");
  auto document = json::parse(answer->body, {.max_depth = 16});
  if (!document) co_return bad("is not valid JSON", document.error().message);
  co_return std::move(*document);
}

Task<Clients::Outcome> Clients::fetch_client(ClientId id) {
  CO_TRY(auto document, co_await fetch_json(id.str(), "the client metadata document"));
  CO_TRY(auto client, parse_client_metadata(id, document, local_));
  if (client.jwks_uri && client.is_confidential()) {
    CO_TRY(auto set, co_await fetch_json(*client.jwks_uri, "jwks_uri"));
    CO_TRY(client.jwks, parse_jwks(set));
  }
  co_return std::make_shared<const Client>(std::move(client));
}

}  // namespace latchkey::oauth

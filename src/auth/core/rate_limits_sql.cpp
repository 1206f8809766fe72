#include <fmt/format.h>

#include <algorithm>

#include "auth/core/rate_limits.h"
#include "auth/core/users.h"

namespace latchkey::auth {
namespace {

constexpr std::chrono::hours k_kept{24};  // longer than any window

store::Sql statement(const Models& models, std::string_view text) {
  return store::Sql::at_start(
      fmt::format(fmt::runtime(text), fmt::arg("rate_limit", quoted(models.names.rate_limit))));
}

// `lastRequest` is in milliseconds, as Date.now() says.
std::int64_t millis(Time t) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
}

}  // namespace

DatabaseRateLimits::DatabaseRateLimits(store::Database& db, const Models& models, Rng& rng)
    : db_(db),
      rng_(rng),
      find_(statement(models, "SELECT \"count\", \"lastRequest\" FROM {rate_limit} WHERE \"key\" = ?1")),
      put_(statement(models,
                     "INSERT INTO {rate_limit} (\"id\", \"key\", \"count\", \"lastRequest\") "
                     "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (\"key\") DO UPDATE SET "
                     "\"count\" = excluded.\"count\", \"lastRequest\" = excluded.\"lastRequest\"")),
      clean_(statement(models, "DELETE FROM {rate_limit} WHERE \"lastRequest\" < ?1")) {}

Task<std::optional<std::chrono::seconds>> DatabaseRateLimits::take(std::string key, RateLimitRule rule,
                                                                   Time now) {
  const std::string id = random_id(rng_);
  co_return co_await db_.write([&](store::Tx& tx) -> std::optional<std::chrono::seconds> {
    const auto row = tx.one(find_, key);
    const std::int64_t window = std::chrono::milliseconds(rule.window).count();
    const std::int64_t idle = row ? millis(now) - row->int64(1) : window;
    std::int64_t count = row ? row->int64(0) : 0;
    if (idle >= window) count = 0;
    if (count >= rule.max)
      return std::max(std::chrono::seconds((window - idle + 999) / 1000), std::chrono::seconds(1));
    tx.exec(put_, id, key, count + 1, millis(now));
    return std::nullopt;
  });
}

Task<void> DatabaseRateLimits::clean(Time now) {
  co_await db_.write([&](store::Tx& tx) { tx.exec(clean_, millis(now - k_kept)); });
}

}  // namespace latchkey::auth

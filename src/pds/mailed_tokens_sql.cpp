#include "crypto/hash.h"
#include "pds/mailed_tokens.h"

namespace latchkey::pds::mailed_tokens {
namespace {

using store::Sql;
using store::Tx;

constexpr Sql k_put{
    "INSERT INTO mailed_token (account_id, purpose, token_hash, expires_at, hour_began, hour_count, "
    "day_began, "
    "day_count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
    "ON CONFLICT (account_id, purpose) DO UPDATE SET token_hash = excluded.token_hash, "
    "expires_at = excluded.expires_at, hour_began = excluded.hour_began, hour_count = excluded.hour_count, "
    "day_began = excluded.day_began, day_count = excluded.day_count"};
constexpr Sql k_counts{
    "SELECT hour_began, hour_count, day_began, day_count FROM mailed_token WHERE account_id = ?1 AND "
    "purpose = ?2"};
constexpr Sql k_get{"SELECT token_hash, expires_at FROM mailed_token WHERE account_id = ?1 AND purpose = ?2"};
constexpr Sql k_spend{"DELETE FROM mailed_token WHERE account_id = ?1 AND purpose = ?2 AND token_hash = ?3"};
constexpr Sql k_remove_all{"DELETE FROM mailed_token WHERE account_id = ?1"};

/// A window of time that begins with the first token in it.
struct Window {
  Time began;
  std::int64_t count;
  void add(Time now, std::chrono::hours length) {
    if (now - began >= length) *this = {.began = now, .count = 0};
    ++count;
  }
};

}  // namespace

bool put(Tx& tx, std::int64_t account_id, TokenPurpose purpose, BytesView hash, Time now) {
  Window hour{.began = now, .count = 0}, day = hour;
  if (const auto row = tx.one(k_counts, account_id, static_cast<std::int64_t>(purpose))) {
    hour = {.began = row->time(0), .count = row->int64(1)};
    day = {.began = row->time(2), .count = row->int64(3)};
  }
  hour.add(now, std::chrono::hours(1));
  day.add(now, std::chrono::hours(24));
  if (hour.count > k_mailed_tokens_an_hour || day.count > k_mailed_tokens_a_day) return false;
  tx.exec(k_put, account_id, static_cast<std::int64_t>(purpose), hash, now + k_mailed_token_lifetime,
          hour.began, hour.count, day.began, day.count);
  return true;
}

Result<void, Bad> spend(Tx& tx, std::int64_t account_id, TokenPurpose purpose, BytesView hash, Time now) {
  const auto row = tx.one(k_get, account_id, static_cast<std::int64_t>(purpose));
  if (!row || !crypto::equal(row->blob(0), hash)) return fail(Bad::unknown);
  if (row->time(1) <= now) return fail(Bad::expired);
  if (tx.exec(k_spend, account_id, static_cast<std::int64_t>(purpose), hash) == 0) return fail(Bad::unknown);
  return {};
}

void remove_all(Tx& tx, std::int64_t account_id) { tx.exec(k_remove_all, account_id); }

}  // namespace latchkey::pds::mailed_tokens

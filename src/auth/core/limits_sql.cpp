#include <algorithm>

#include "auth/core/limits.h"

namespace latchkey::auth::limits {
namespace {
constexpr store::Sql k_count{"SELECT count(*) FROM auth_event WHERE bucket = ?1 AND at > ?2"};
constexpr store::Sql k_add{"INSERT INTO auth_event (bucket, at) VALUES (?1, ?2)"};
constexpr store::Sql k_forget{"DELETE FROM auth_event WHERE bucket = ?1"};
constexpr store::Sql k_clean{"DELETE FROM auth_event WHERE at < ?1"};
}  // namespace

bool has_room(store::Tx& tx, std::string_view bucket, std::span<const Limit> limits, Time now) {
  return std::all_of(limits.begin(), limits.end(), [&](const Limit& limit) {
    return tx.one(k_count, bucket, now - limit.window)->int64(0) < limit.max;
  });
}

void count(store::Tx& tx, std::string_view bucket, Time now) { tx.exec(k_add, bucket, now); }
void forget(store::Tx& tx, std::string_view bucket) { tx.exec(k_forget, bucket); }
std::int64_t clean(store::Tx& tx, Time now) { return tx.exec(k_clean, now - std::chrono::hours(24)); }

}  // namespace latchkey::auth::limits

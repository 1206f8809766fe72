#pragma once
// Rate limits that survive a restart and hold for all processes of a deployment: events counted in the
// database.

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "store/database.h"

namespace latchkey::auth {

struct Limit {
  std::int64_t max;
  std::chrono::seconds window;
};

namespace limits {
/// True when every limit still has room for one more event in this bucket.
bool has_room(store::Tx& tx, std::string_view bucket, std::span<const Limit> limits, Time now);
void count(store::Tx& tx, std::string_view bucket, Time now);
void forget(store::Tx& tx, std::string_view bucket);
/// Drops what is older than any window: 24 hours.
std::int64_t clean(store::Tx& tx, Time now);
}  // namespace limits

}  // namespace latchkey::auth

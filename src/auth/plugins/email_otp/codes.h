#pragma once
// Rows of auth_code. Every statement on it is in codes_sql.cpp.

#include "store/database.h"

namespace latchkey::auth::codes {

struct Stored {
  Bytes hash;
  std::int64_t tries;
};

/// Replaces what was there: a new code kills the old one.
void put(store::Tx& tx, std::string_view subject, const Bytes& hash, Time expires_at);
std::optional<Stored> find(store::Tx& tx, std::string_view subject, Time now);
void count_try(store::Tx& tx, std::string_view subject);
void remove(store::Tx& tx, std::string_view subject);
std::int64_t clean(store::Tx& tx, Time now);

}  // namespace latchkey::auth::codes

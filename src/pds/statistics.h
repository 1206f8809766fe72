#pragma once
// Numbers for monitoring.

#include "store/database.h"

namespace latchkey::pds::accounts {

/// Finished ones, whatever their status. In accounts_sql.cpp.
std::int64_t count(store::Tx&);

}  // namespace latchkey::pds::accounts

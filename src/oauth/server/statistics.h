#pragma once
// Numbers for monitoring.

#include "base/time.h"
#include "store/database.h"

namespace latchkey::oauth::requests {

/// How many a browser has opened that are neither expired nor finished. In requests_sql.cpp.
std::int64_t opened(store::Tx&, Time now);

}  // namespace latchkey::oauth::requests

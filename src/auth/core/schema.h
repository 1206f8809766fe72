#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::auth {

/// Tables of the auth framework, component "auth".
std::span<const store::Migration> migrations();

}  // namespace latchkey::auth

#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::signin {

/// Tables of the sign-in pages, component "signin".
std::span<const store::Migration> migrations();

}  // namespace latchkey::signin

#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::oauth {

/// Tables of the authorization server, component "oauth".
std::span<const store::Migration> migrations();

}  // namespace latchkey::oauth

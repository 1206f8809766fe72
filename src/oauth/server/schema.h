#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::oauth {

/// Tables of the authorization server, components "oauth" and "oauth_sets".
std::span<const store::Migration> migrations();

}  // namespace latchkey::oauth

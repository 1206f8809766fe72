#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::pds {

/// Tables account, account_creation, record, repo_head, repo_event, repo_event_pending, refresh_token.
std::span<const store::Migration> migrations();

}  // namespace latchkey::pds

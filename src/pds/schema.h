#pragma once
#include <span>

#include "store/migrate.h"

namespace latchkey::pds {

/// Tables account, account_creation, app_password, event_removal, invite, invite_use, mailed_token,
/// plc_update, record, refresh_token, repo_event, repo_event_pending, repo_head.
std::span<const store::Migration> migrations();

}  // namespace latchkey::pds

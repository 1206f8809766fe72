#pragma once
// How an account of this server stands. The accounts are somebody else's tables; the authorization server
// asks inside of its own transactions, so that no code or token is made for an account that was just taken
// down.

#include <functional>
#include <string>

#include "store/database.h"

namespace latchkey::oauth {

enum class Standing {
  active,
  deactivated,  // by its owner: nothing new is granted, what was granted sleeps
  takendown,    // its sessions end
  missing,      // deleted, or never here: the same
};

/// Called inside of transactions, possibly more than once: reads through `tx` and has no other effect.
using StandingOf = std::function<Standing(store::Tx& tx, const std::string& did)>;

}  // namespace latchkey::oauth

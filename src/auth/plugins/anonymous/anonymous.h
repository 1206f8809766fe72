#pragma once
// Users without an address, who may become somebody later (better-auth contract, section 9).

#include <functional>

#include "auth/core/plugin.h"

namespace latchkey::auth {

struct AnonymousOptions {
  std::string name = "Anonymous";
  bool disable_delete_anonymous_user = false;
  /// An anonymous user signed in as somebody: the time to move what they have. The anonymous user is deleted
  /// when this returns, and stays when it throws.
  std::function<Task<void>(SessionAndUser anonymous, SessionAndUser user)> on_link = {};
};

Plugin anonymous(AnonymousOptions options = {});

/// Also where the plugin is not: nobody is, then.
bool is_anonymous(const User& user);

}  // namespace latchkey::auth

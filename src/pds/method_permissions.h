#pragma once
// Which permission each method asks of its caller: of an app with OAuth credentials, and of a session that
// was begun with an app password. One table, also for methods that are not served here yet, so that none is
// ever served without one.

#include <string>
#include <string_view>

#include "atproto/xrpc/error.h"
#include "base/result.h"
#include "oauth/scopes/permissions.h"
#include "pds/session_service.h"

namespace latchkey::pds {

struct MethodPermission {
  enum class Kind {
    none,      // nothing: public, or every session may
    refused,   // OAuth credentials do not do: it is for the account's own sign-in, the operator or a service
    account,   // account:<attr>?action=<action>
    identity,  // identity:<attr>
    // These depend on more than the method. They are asked for where the rest is known.
    repo,  // by the method, for each write
    blob,  // by the method, for the type of the upload
    rpc,   // for method and audience: by getServiceAuth, and where calls are passed on
  };
  Kind kind;
  std::string_view attr = {}, action = {};
  /// Of legacy sessions. main_password: what an app password was not given for, since it would outlast the
  /// app password or hand the account over.
  enum class Session { any, main_password };
  Session session = Session::any;
};

/// nullptr for methods the table does not know. They are passed on to another service, which takes `rpc`.
const MethodPermission* permission_of(std::string_view nsid);

/// What can be said before the request is read. Errors: Forbidden, ScopeMissingError.
Result<void, xrpc::Fault> check_permission(const MethodPermission& needed, const oauth::Permissions& granted);

/// The same for a legacy session. Errors: InvalidToken.
Result<void, xrpc::Fault> check_session(const MethodPermission& needed, SessionScope scope);

/// ScopeMissingError, naming the scope that would have done.
xrpc::Fault scope_missing(const std::string& scope);

/// Methods only the account itself may call here: never passed on, and never in a service token. In any case
/// of letters, as the other side may not be strict.
bool is_protected_method(std::string_view nsid);

}  // namespace latchkey::pds

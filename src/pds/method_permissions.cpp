#include "pds/method_permissions.h"

#include <algorithm>
#include <array>

#include "atproto/syntax/chars.h"

namespace latchkey::pds {
namespace {

using Kind = MethodPermission::Kind;
using xrpc::Error;
using xrpc::Fault;

struct Row {
  std::string_view nsid;
  MethodPermission permission;
};

constexpr MethodPermission k_none{Kind::none}, k_refused{Kind::refused}, k_repo{Kind::repo},
    k_blob{Kind::blob}, k_rpc{Kind::rpc};
constexpr MethodPermission k_manage_email{Kind::account, "email", "manage"},
    k_manage_repo{Kind::account, "repo", "manage"}, k_handle{Kind::identity, "handle"},
    k_identity{Kind::identity, "*"};

constexpr MethodPermission main_password(MethodPermission permission) {
  permission.session = MethodPermission::Session::main_password;
  return permission;
}

// By name.
constexpr auto k_table = std::to_array<Row>({
    {"app.bsky.actor.getPreferences", k_rpc},
    {"app.bsky.actor.getProfile", k_rpc},
    {"app.bsky.actor.getProfiles", k_rpc},
    {"app.bsky.actor.putPreferences", k_rpc},
    {"app.bsky.feed.getActorLikes", k_rpc},
    {"app.bsky.feed.getAuthorFeed", k_rpc},
    {"app.bsky.feed.getFeed", k_rpc},
    {"app.bsky.feed.getPostThread", k_rpc},
    {"app.bsky.feed.getTimeline", k_rpc},
    {"app.bsky.notification.registerPush", k_rpc},
    {"app.bsky.notification.unregisterPush", k_rpc},
    {"com.atproto.admin.deleteAccount", k_refused},
    {"com.atproto.admin.disableAccountInvites", k_refused},
    {"com.atproto.admin.disableInviteCodes", k_refused},
    {"com.atproto.admin.enableAccountInvites", k_refused},
    {"com.atproto.admin.getAccountInfo", k_refused},
    {"com.atproto.admin.getAccountInfos", k_refused},
    {"com.atproto.admin.getInviteCodes", k_refused},
    {"com.atproto.admin.getSubjectStatus", k_refused},
    {"com.atproto.admin.searchAccounts", k_refused},
    {"com.atproto.admin.sendEmail", k_refused},
    {"com.atproto.admin.updateAccountEmail", k_refused},
    {"com.atproto.admin.updateAccountHandle", k_refused},
    {"com.atproto.admin.updateAccountPassword", k_refused},
    {"com.atproto.admin.updateSubjectStatus", k_refused},
    {"com.atproto.identity.getRecommendedDidCredentials", k_none},
    {"com.atproto.identity.refreshIdentity", k_refused},
    {"com.atproto.identity.requestPlcOperationSignature", main_password(k_identity)},
    {"com.atproto.identity.resolveDid", k_none},
    {"com.atproto.identity.resolveHandle", k_none},
    {"com.atproto.identity.resolveIdentity", k_none},
    {"com.atproto.identity.signPlcOperation", main_password(k_identity)},
    {"com.atproto.identity.submitPlcOperation", k_identity},
    {"com.atproto.identity.updateHandle", main_password(k_handle)},
    {"com.atproto.lexicon.resolveLexicon", k_none},
    {"com.atproto.moderation.createReport", k_rpc},
    {"com.atproto.repo.applyWrites", k_repo},
    {"com.atproto.repo.createRecord", k_repo},
    {"com.atproto.repo.deleteRecord", k_repo},
    {"com.atproto.repo.describeRepo", k_none},
    {"com.atproto.repo.getRecord", k_none},
    {"com.atproto.repo.importRepo", main_password(k_manage_repo)},
    {"com.atproto.repo.listMissingBlobs", k_none},
    {"com.atproto.repo.listRecords", k_none},
    {"com.atproto.repo.putRecord", k_repo},
    {"com.atproto.repo.uploadBlob", k_blob},
    {"com.atproto.server.activateAccount", main_password(k_refused)},
    {"com.atproto.server.checkAccountStatus", k_none},
    {"com.atproto.server.confirmEmail", k_manage_email},
    {"com.atproto.server.createAccount", k_none},
    {"com.atproto.server.createAppPassword", main_password(k_refused)},
    {"com.atproto.server.createInviteCode", k_refused},
    {"com.atproto.server.createInviteCodes", k_refused},
    {"com.atproto.server.createSession", k_none},
    {"com.atproto.server.deactivateAccount", main_password(k_refused)},
    {"com.atproto.server.deleteAccount", k_none},
    {"com.atproto.server.deleteSession", k_refused},
    {"com.atproto.server.describeServer", k_none},
    {"com.atproto.server.getAccountInviteCodes", main_password(k_refused)},
    {"com.atproto.server.getServiceAuth", k_rpc},
    {"com.atproto.server.getSession", k_none},
    {"com.atproto.server.listAppPasswords", k_refused},
    {"com.atproto.server.refreshSession", k_refused},
    {"com.atproto.server.requestAccountDelete", main_password(k_refused)},
    {"com.atproto.server.requestEmailConfirmation", k_manage_email},
    {"com.atproto.server.requestEmailUpdate", main_password(k_refused)},
    {"com.atproto.server.requestPasswordReset", k_none},
    {"com.atproto.server.reserveSigningKey", k_none},
    {"com.atproto.server.resetPassword", k_none},
    {"com.atproto.server.revokeAppPassword", k_refused},
    {"com.atproto.server.updateEmail", main_password(k_refused)},
    {"com.atproto.sync.getBlob", k_none},
    {"com.atproto.sync.getBlocks", k_none},
    {"com.atproto.sync.getCheckout", k_none},
    {"com.atproto.sync.getHead", k_none},
    {"com.atproto.sync.getLatestCommit", k_none},
    {"com.atproto.sync.getRecord", k_none},
    {"com.atproto.sync.getRepo", k_none},
    {"com.atproto.sync.getRepoStatus", k_none},
    {"com.atproto.sync.listBlobs", k_none},
    {"com.atproto.sync.listRepos", k_none},
    {"com.atproto.sync.subscribeRepos", k_none},
    {"com.atproto.temp.checkSignupQueue", k_refused},
    {"com.atproto.temp.dereferenceScope", k_none},
});
static_assert(std::ranges::is_sorted(k_table, std::ranges::less(), &Row::nsid));

// In lower case.
constexpr auto k_protected = std::to_array<std::string_view>({
    "com.atproto.admin.sendemail",
    "com.atproto.identity.requestplcoperationsignature",
    "com.atproto.identity.signplcoperation",
    "com.atproto.identity.updatehandle",
    "com.atproto.server.activateaccount",
    "com.atproto.server.confirmemail",
    "com.atproto.server.createapppassword",
    "com.atproto.server.deactivateaccount",
    "com.atproto.server.getaccountinvitecodes",
    "com.atproto.server.getsession",
    "com.atproto.server.listapppasswords",
    "com.atproto.server.requestaccountdelete",
    "com.atproto.server.requestemailconfirmation",
    "com.atproto.server.requestemailupdate",
    "com.atproto.server.revokeapppassword",
    "com.atproto.server.updateemail",
});
static_assert(std::ranges::is_sorted(k_protected));

}  // namespace

const MethodPermission* permission_of(std::string_view nsid) {
  const auto found = std::ranges::lower_bound(k_table, nsid, {}, &Row::nsid);
  return found != k_table.end() && found->nsid == nsid ? &found->permission : nullptr;
}

Result<void, Fault> check_permission(const MethodPermission& needed, const oauth::Permissions& granted) {
  switch (needed.kind) {
    case Kind::none:
    case Kind::repo:
    case Kind::blob:
    case Kind::rpc:
      return {};
    case Kind::refused:
      return fail(Fault{.code = Error::Forbidden,
                        .message = "OAuth credentials are not supported for this endpoint"});
    case Kind::account:
      if (granted.allows_account(needed.attr, needed.action)) return {};
      return fail(scope_missing(oauth::Permissions::missing_account(needed.attr, needed.action)));
    case Kind::identity:
      if (granted.allows_identity(needed.attr)) return {};
      return fail(scope_missing(oauth::Permissions::missing_identity(needed.attr)));
  }
  std::abort();
}

Result<void, Fault> check_session(const MethodPermission& needed, SessionScope scope) {
  const bool app_password = scope == SessionScope::app_pass || scope == SessionScope::app_pass_privileged;
  if (needed.session == MethodPermission::Session::main_password && app_password)
    return fail(Fault{.code = Error::InvalidToken, .message = "Bad token scope"});
  return {};
}

Fault scope_missing(const std::string& scope) {
  return {.code = Error::ScopeMissingError, .message = "Missing required scope \"" + scope + "\""};
}

bool is_protected_method(std::string_view nsid) {
  return std::ranges::binary_search(k_protected, syntax::lower(nsid));
}

}  // namespace latchkey::pds

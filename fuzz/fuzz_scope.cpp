// Scope strings from clients and their metadata, and the permission sets they include.
#include <cstdlib>

#include "oauth/scopes/permission_set.h"
#include "oauth/scopes/permissions.h"
#include "oauth/scopes/scopes.h"

using namespace latchkey;

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

void check_permission(std::string_view token) {
  const auto permission = oauth::parse_permission(token);
  if (!permission) return;
  const std::string canonical = oauth::str(*permission);
  const auto again = oauth::parse_permission(canonical);
  require(again == permission && oauth::str(*again) == canonical);
  // A token the grammar knows is a token OAuth can carry, and means what its canonical form means.
  const auto set = oauth::ScopeSet::parse_expanded(canonical);
  require(set && set->tokens().size() == 1);
  const auto asked = oauth::ScopeSet::of({std::string(token)});
  if (!asked.empty()) require(oauth::covers(*set, asked) && oauth::covers(asked, *set));
}

void check_set(std::string_view text) {
  const auto document = json::parse(text);
  if (!document) return;
  const auto* id = document->string_at("id");
  const auto nsid = Nsid::parse(id ? std::string_view(*id) : "");
  const auto set = nsid ? oauth::PermissionSet::parse(*nsid, *document)
                        : Result<oauth::PermissionSet, oauth::ScopeError>(std::unexpect);
  if (!set) return;
  (void)set->title("pt-BR");
  (void)set->detail("-x-");
  for (const auto& token : set->expand("did:web:x.test#svc")) {
    const auto permission = oauth::parse_permission(token);
    require(permission && oauth::str(*permission) == token);
    const auto* repo = std::get_if<oauth::RepoPermission>(&*permission);
    const auto* rpc = std::get_if<oauth::RpcPermission>(&*permission);
    require(repo || rpc);
    for (const auto& name : repo ? repo->collections : rpc->lxm) require(name.starts_with(nsid->group()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_permission(text);
  check_set(text);
  const auto set = oauth::ScopeSet::parse(text);
  if (!set) return 0;
  require(!set->empty());
  const auto again = oauth::ScopeSet::parse(set->str());
  require(again && *again == *set && again->str() == set->str());
  require(set->intersect(*set) == *set && set->includes(set->known()) &&
          set->known().known() == set->known());
  for (const auto& token : set->tokens()) require(set->has(token));
  if (oauth::check_atproto_scopes(*set)) require(set->has(oauth::k_scope_atproto));
  require(oauth::covers(*set, *set));
  for (const auto& token : set->tokens()) check_permission(token);
  const auto permissions = oauth::Permissions::of(*set);
  if (set->has(oauth::k_scope_generic)) require(permissions.allows_repo("create", "a.b.c"));
  return 0;
}

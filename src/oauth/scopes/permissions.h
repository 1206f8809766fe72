#pragma once
// Permissions: what a scope token allows. Source: https://atproto.com/specs/permission ("Resource Types",
// "Scope String Syntax").

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "atproto/syntax/nsid.h"
#include "base/result.h"
#include "oauth/scopes/scopes.h"

namespace latchkey::oauth {

/// A scope token of a permission is no longer than this.
inline constexpr std::size_t k_max_permission_bytes = 16 * 1024;

struct RepoActions {
  bool create = false, update = false, remove = false;  // "remove" is `delete` on the wire
  static constexpr RepoActions all() { return {true, true, true}; }
  bool has(std::string_view action) const;
  bool any() const { return create || update || remove; }
  bool operator==(const RepoActions&) const = default;
};

// One struct per resource. parse() takes every spelling of a token, str() writes the one canonical spelling:
// a single value stands in the positional place, several are named; lists are sorted and hold each value
// once; defaults are left out; no more is escaped than a reader needs.

struct RepoPermission {
  std::vector<std::string> collections;  // NSIDs, or "*" alone
  RepoActions actions = RepoActions::all();
  static Result<RepoPermission, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool allows(std::string_view action, std::string_view collection) const;
  bool operator==(const RepoPermission&) const = default;
};

/// Not both are "*".
struct RpcPermission {
  std::vector<std::string> lxm;  // NSIDs, or "*" alone
  std::string aud;               // did:web:api.example.com#svc, or "*"
  static Result<RpcPermission, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool allows(std::string_view lxm, std::string_view aud) const;
  bool operator==(const RpcPermission&) const = default;
};

struct BlobPermission {
  std::vector<std::string> accept;  // media types in lower case, "image/*", or "*/*" alone
  static Result<BlobPermission, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool allows(std::string_view mime) const;
  bool operator==(const BlobPermission&) const = default;
};

struct AccountPermission {
  enum class Attr { email, repo };
  enum class Action { read, manage };
  Attr attr;
  Action action = Action::read;
  static Result<AccountPermission, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool operator==(const AccountPermission&) const = default;
};

struct IdentityPermission {
  enum class Attr { handle, everything };  // "everything" is `*` on the wire
  Attr attr;
  static Result<IdentityPermission, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool operator==(const IdentityPermission&) const = default;
};

/// Stands for the permissions of a permission set; allows nothing by itself.
struct IncludeScope {
  Nsid nsid;
  std::optional<std::string> aud = std::nullopt;  // did:web:api.example.com#svc; for rpc with inheritAud
  static Result<IncludeScope, ScopeError> parse(std::string_view token);
  std::string str() const;
  bool operator==(const IncludeScope&) const = default;
};

using Permission = std::variant<RepoPermission, RpcPermission, BlobPermission, AccountPermission,
                                IdentityPermission, IncludeScope>;

/// std::nullopt for everything else: an unknown resource, parameter or value, `atproto`, `transition:…`.
std::optional<Permission> parse_permission(std::string_view token);
std::string str(const Permission& permission);

/// Methods that need more than ordinary access to be called elsewhere: chat.bsky.* and
/// com.atproto.server.createAccount. NSIDs in any case, as the other side may not be strict.
bool is_privileged_method(std::string_view lxm);

/// What a set of scopes allows, all of it together. `include:` tokens allow nothing until they are expanded.
/// The transition scopes (https://atproto.com/specs/oauth#authorization-scopes): transition:generic allows
/// all record writes, all blobs and every method elsewhere that is not privileged; with transition:chat.bsky
/// the privileged ones too; transition:email reads the e-mail address.
class Permissions {
 public:
  static Permissions of(const ScopeSet& scopes);

  bool allows_repo(std::string_view action, std::string_view collection) const;  // create, update, delete
  /// lxm "*" is a service token for no particular method. `aud` may be a DID without a service.
  bool allows_rpc(std::string_view lxm, std::string_view aud) const;
  bool allows_blob(std::string_view mime) const;                              // parameters are ignored
  bool allows_account(std::string_view attr, std::string_view action) const;  // email, repo; read, manage
  bool allows_identity(std::string_view attr) const;                          // handle, or "*" for all of it

  // The narrowest scope that would have allowed it, for messages.
  static std::string missing_repo(std::string_view action, std::string_view collection);
  static std::string missing_rpc(std::string_view lxm, std::string_view aud);
  static std::string missing_blob(std::string_view mime);
  static std::string missing_account(std::string_view attr, std::string_view action);
  static std::string missing_identity(std::string_view attr);

 private:
  friend bool covers(const ScopeSet& have, const ScopeSet& asked);
  bool covers_token(const std::string& asked) const;

  bool generic_ = false, chat_ = false, email_ = false;
  std::vector<RepoPermission> repo_;
  std::vector<RpcPermission> rpc_;
  std::vector<BlobPermission> blob_;
  std::vector<AccountPermission> account_;
  std::vector<IdentityPermission> identity_;
  std::vector<IncludeScope> includes_;
};

/// Whether everything `asked` allows is allowed by `have`, however it is spelled. A token whose meaning is
/// not known is covered by itself only. An include is covered by the same include: sets are not expanded
/// here.
bool covers(const ScopeSet& have, const ScopeSet& asked);

/// Permissions by the text of their scopes, the least recently used forgotten first: a client sends the same
/// token with every request. Thread-safe.
class PermissionsCache {
 public:
  explicit PermissionsCache(std::size_t capacity = 256) : capacity_(capacity) {}
  PermissionsCache(const PermissionsCache&) = delete;
  /// nullptr when the text is no scope, or lacks `atproto`, without which no scope means anything here.
  std::shared_ptr<const Permissions> get(std::string_view scope);
  std::size_t size() const;

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const Permissions>>;
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

}  // namespace latchkey::oauth

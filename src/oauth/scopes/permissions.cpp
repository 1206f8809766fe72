#include "oauth/scopes/permissions.h"

#include <algorithm>
#include <array>
#include <functional>

#include "atproto/syntax/chars.h"
#include "atproto/syntax/did.h"
#include "base/url.h"

namespace latchkey::oauth {
namespace {

using syntax::is_alnum;
using Values = std::vector<std::string>;

constexpr std::string_view k_any = "*";
constexpr std::string_view k_any_type = "*/*";

std::unexpected<ScopeError> bad(std::string_view token, std::string_view why) {
  return fail(ScopeError{std::string(token.substr(0, 200)) + ": " + std::string(why)});
}

// ---- "Scope String Syntax" -------------------------------------------------------------------------------

/// A token in its parts, decoded. The resource name is taken as written: escapes do not hide one.
struct Parts {
  std::string_view token, resource;
  std::optional<std::string> positional;
  FormFields parameters;

  static Result<Parts, ScopeError> split(std::string_view token);

  /// All values of a parameter. `positional_name` is the one the positional part stands for.
  Result<Values, ScopeError> values(std::string_view name, std::string_view positional_name) const {
    Values out;
    for (const auto& [key, value] : parameters)
      if (key == name) out.push_back(value);
    if (name == positional_name && positional) {
      if (!out.empty()) return bad(token, std::string(name) + " is given twice");
      out.push_back(*positional);
    }
    return out;
  }
  Result<std::optional<std::string>, ScopeError> value(std::string_view name,
                                                       std::string_view positional_name) const {
    TRY(auto all, values(name, positional_name));
    if (all.size() > 1) return bad(token, std::string(name) + " is given twice");
    if (all.empty()) return std::optional<std::string>();
    return std::optional(std::move(all.front()));
  }
  /// A parameter we do not know might narrow the permission, so the whole of it is not understood.
  Result<void, ScopeError> only(std::initializer_list<std::string_view> names) const {
    for (const auto& [key, value] : parameters)
      if (std::ranges::find(names, key) == names.end()) return bad(token, "unknown parameter");
    return {};
  }
};

Result<Parts, ScopeError> Parts::split(std::string_view token) {
  if (token.size() > k_max_permission_bytes) return bad(token, "too long");
  const auto end = std::min(token.find_first_of(":?"), token.size());
  Parts out{.token = token, .resource = token.substr(0, end), .positional = {}, .parameters = {}};
  std::string_view rest = token.substr(end);
  const auto question = rest.find('?');
  if (rest.starts_with(':')) {
    out.positional = percent_decode(rest.substr(1, question == rest.npos ? rest.npos : question - 1));
    if (!out.positional) return bad(token, "broken escape");
  }
  if (question == rest.npos) return out;
  rest.remove_prefix(question + 1);
  while (!rest.empty()) {
    const auto piece = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(piece.size() + 1, rest.size()));
    if (piece.empty()) continue;
    const auto equals = piece.find('=');
    if (equals == piece.npos) return bad(token, "a parameter without a value");
    // '+' is a plus: the syntax knows percent-encoding only.
    auto name = percent_decode(piece.substr(0, equals));
    auto value = percent_decode(piece.substr(equals + 1));
    if (!name || !value) return bad(token, "broken escape");
    out.parameters.emplace_back(*std::move(name), *std::move(value));
  }
  return out;
}

Result<Parts, ScopeError> parts_of(std::string_view token, std::string_view resource) {
  TRY(auto parts, Parts::split(token));
  if (parts.resource != resource) return bad(token, "not of the resource " + std::string(resource));
  return parts;
}

void append_escaped(std::string& out, std::string_view value, std::string_view bare) {
  for (const char c : value) {
    if (is_alnum(c) || bare.contains(c))
      out += c;
    else
      out += percent_encode({&c, 1});
  }
}

/// Writes tokens: the positional parameter first, and in its place when it has one value.
class Writer {
 public:
  explicit Writer(std::string_view resource) : out_(resource) {}
  Writer& positional(std::string_view name, const Values& values) {
    if (values.size() == 1) {
      out_ += ':';
      append_escaped(out_, values.front(), "-._~:/*+");
      return *this;
    }
    for (const auto& value : values) parameter(name, value);
    return *this;
  }
  Writer& parameter(std::string_view name, std::string_view value) {
    out_ += first_ ? '?' : '&';
    first_ = false;
    out_ += name;
    out_ += '=';
    // A '+' is escaped here, as readers exist that take it for a space.
    append_escaped(out_, value, "-._~:/*");
    return *this;
  }
  std::string str() && { return std::move(out_); }

 private:
  std::string out_;
  bool first_ = true;
};

void sort_unique(Values& values) {
  std::ranges::sort(values);
  const auto rest = std::ranges::unique(values);
  values.erase(rest.begin(), rest.end());
}

bool contains(const Values& sorted, std::string_view value) {
  return std::binary_search(sorted.begin(), sorted.end(), value, std::less<>());
}

bool is_any(const Values& values) { return values.size() == 1 && values.front() == k_any; }

/// NSIDs, sorted; "*" alone when it is among them. Partial wildcards are no NSIDs.
Result<Values, ScopeError> nsids(std::string_view token, Values values) {
  if (values.empty()) return bad(token, "nothing is named");
  for (const auto& value : values)
    if (value != k_any && !Nsid::parse(value)) return bad(token, "not an NSID");
  if (std::ranges::find(values, k_any) != values.end()) return Values{std::string(k_any)};
  sort_unique(values);
  return values;
}

/// A DID this network knows, '#', a name. The specification does not spell the name's characters; those
/// services use are letters, digits and '_'.
bool is_service_reference(std::string_view aud) {
  const auto hash = aud.find('#');
  if (hash == aud.npos) return false;
  const auto name = aud.substr(hash + 1);
  const auto did = Did::parse(aud.substr(0, hash));
  return did && (did->method() == "plc" || did->method() == "web") && !name.empty() &&
         syntax::all(name, [](char c) { return is_alnum(c) || std::string_view("-._~:").contains(c); });
}

/// RFC 6838 §4.2, restricted-name.
bool is_restricted_name(std::string_view s) {
  return !s.empty() && s.size() <= 127 && is_alnum(s.front()) &&
         syntax::all(s, [](char c) { return is_alnum(c) || std::string_view("!#$&-^_.+").contains(c); });
}

/// A media type, image/*, or */*: the syntax of `accept` in the lexicon type blob.
bool is_accept(std::string_view s) {
  if (s == k_any_type) return true;
  const auto slash = s.find('/');
  return slash != s.npos && is_restricted_name(s.substr(0, slash)) &&
         (s.substr(slash + 1) == k_any || is_restricted_name(s.substr(slash + 1)));
}

std::string_view word(AccountPermission::Attr attr) {
  return attr == AccountPermission::Attr::email ? "email" : "repo";
}
std::string_view word(AccountPermission::Action action) {
  return action == AccountPermission::Action::read ? "read" : "manage";
}
std::string_view word(IdentityPermission::Attr attr) {
  return attr == IdentityPermission::Attr::handle ? "handle" : k_any;
}

/// The enumerator spelled so.
template <class E>
std::optional<E> read_word(std::string_view text, std::initializer_list<E> all) {
  for (const E e : all)
    if (word(e) == text) return e;
  return std::nullopt;
}

}  // namespace

// ---- repo ------------------------------------------------------------------------------------------------

bool RepoActions::has(std::string_view action) const {
  return (create && action == "create") || (update && action == "update") || (remove && action == "delete");
}

Result<RepoPermission, ScopeError> RepoPermission::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "repo"));
  TRY_VOID(parts.only({"collection", "action"}));
  TRY(auto named, parts.values("collection", "collection"));
  TRY(auto collections, nsids(token, std::move(named)));
  TRY(auto actions, parts.values("action", "collection"));
  RepoPermission out{.collections = std::move(collections)};
  if (actions.empty()) return out;
  out.actions = {};
  for (const auto& action : actions) {
    if (!RepoActions::all().has(action)) return bad(token, "unknown action");
    if (action == "create") out.actions.create = true;
    if (action == "update") out.actions.update = true;
    if (action == "delete") out.actions.remove = true;
  }
  return out;
}

std::string RepoPermission::str() const {
  Writer out("repo");
  out.positional("collection", collections);
  if (actions != RepoActions::all()) {
    if (actions.create) out.parameter("action", "create");
    if (actions.update) out.parameter("action", "update");
    if (actions.remove) out.parameter("action", "delete");
  }
  return std::move(out).str();
}

bool RepoPermission::allows(std::string_view action, std::string_view collection) const {
  return actions.has(action) && (is_any(collections) || contains(collections, collection));
}

// ---- rpc -------------------------------------------------------------------------------------------------

Result<RpcPermission, ScopeError> RpcPermission::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "rpc"));
  TRY_VOID(parts.only({"lxm", "aud"}));
  TRY(auto named, parts.values("lxm", "lxm"));
  TRY(auto lxm, nsids(token, std::move(named)));
  TRY(auto aud, parts.value("aud", "lxm"));
  if (!aud) return bad(token, "aud is required");
  if (*aud != k_any && !is_service_reference(*aud)) return bad(token, "aud is not a DID with a service");
  if (*aud == k_any && is_any(lxm)) return bad(token, "not every method of every service");
  return RpcPermission{.lxm = std::move(lxm), .aud = *std::move(aud)};
}

std::string RpcPermission::str() const {
  return std::move(Writer("rpc").positional("lxm", lxm).parameter("aud", aud)).str();
}

bool RpcPermission::allows(std::string_view method, std::string_view audience) const {
  return (aud == k_any || aud == audience) && (is_any(lxm) || contains(lxm, method));
}

// ---- blob ------------------------------------------------------------------------------------------------

Result<BlobPermission, ScopeError> BlobPermission::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "blob"));
  TRY_VOID(parts.only({"accept"}));
  TRY(auto accept, parts.values("accept", "accept"));
  if (accept.empty()) return bad(token, "nothing is named");
  for (auto& type : accept) {
    if (!is_accept(type)) return bad(token, "not a media type");
    type = syntax::lower(type);  // media types have no case (RFC 6838 §4.2)
  }
  if (std::ranges::find(accept, k_any_type) != accept.end())
    return BlobPermission{.accept = {std::string(k_any_type)}};
  sort_unique(accept);
  // image/png says nothing more where image/* stands.
  Values out;
  for (const auto& type : accept) {
    const auto all_of_it = type.substr(0, type.find('/')) + "/*";
    if (type == all_of_it || !contains(accept, all_of_it)) out.push_back(type);
  }
  return BlobPermission{.accept = std::move(out)};
}

std::string BlobPermission::str() const {
  return std::move(Writer("blob").positional("accept", accept)).str();
}

bool BlobPermission::allows(std::string_view mime) const {
  mime = mime.substr(0, mime.find(';'));  // parameters do not make another type
  while (mime.ends_with(' ') || mime.ends_with('\t')) mime.remove_suffix(1);
  const auto type = syntax::lower(mime);
  return std::ranges::any_of(accept, [&](const std::string& a) {
    if (a == k_any_type || a == type) return true;
    return a.ends_with("/*") && type.starts_with(std::string_view(a).substr(0, a.size() - 1));
  });
}

// ---- account, identity, include --------------------------------------------------------------------------

Result<AccountPermission, ScopeError> AccountPermission::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "account"));
  TRY_VOID(parts.only({"attr", "action"}));
  TRY(auto attr_text, parts.value("attr", "attr"));
  if (!attr_text) return bad(token, "attr is required");
  const auto attr = read_word(*attr_text, {Attr::email, Attr::repo});
  if (!attr) return bad(token, "unknown attr");
  TRY(auto action_text, parts.value("action", "attr"));
  const auto action =
      action_text ? read_word(*action_text, {Action::read, Action::manage}) : std::optional(Action::read);
  if (!action) return bad(token, "unknown action");
  return AccountPermission{.attr = *attr, .action = *action};
}

std::string AccountPermission::str() const {
  Writer out("account");
  out.positional("attr", {std::string(word(attr))});
  if (action != Action::read) out.parameter("action", word(action));
  return std::move(out).str();
}

Result<IdentityPermission, ScopeError> IdentityPermission::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "identity"));
  TRY_VOID(parts.only({"attr"}));
  TRY(auto text, parts.value("attr", "attr"));
  if (!text) return bad(token, "attr is required");
  const auto attr = read_word(*text, {Attr::handle, Attr::everything});
  if (!attr) return bad(token, "unknown attr");
  return IdentityPermission{.attr = *attr};
}

std::string IdentityPermission::str() const {
  return std::move(Writer("identity").positional("attr", {std::string(word(attr))})).str();
}

Result<IncludeScope, ScopeError> IncludeScope::parse(std::string_view token) {
  TRY(auto parts, parts_of(token, "include"));
  TRY_VOID(parts.only({"nsid", "aud"}));
  TRY(auto text, parts.value("nsid", "nsid"));
  auto nsid = Nsid::parse(text.value_or(""));
  if (!nsid) return bad(token, "not an NSID");
  TRY(auto aud, parts.value("aud", "nsid"));
  if (aud && !is_service_reference(*aud)) return bad(token, "aud is not a DID with a service");
  return IncludeScope{.nsid = *std::move(nsid), .aud = std::move(aud)};
}

std::string IncludeScope::str() const {
  Writer out("include");
  out.positional("nsid", {nsid.str()});
  if (aud) out.parameter("aud", *aud);
  return std::move(out).str();
}

// ---- all of them -----------------------------------------------------------------------------------------

std::optional<Permission> parse_permission(std::string_view token) {
  const auto as = [](auto result) {
    return result ? std::optional<Permission>(*std::move(result)) : std::nullopt;
  };
  const auto resource = token.substr(0, token.find_first_of(":?"));
  if (resource == "repo") return as(RepoPermission::parse(token));
  if (resource == "rpc") return as(RpcPermission::parse(token));
  if (resource == "blob") return as(BlobPermission::parse(token));
  if (resource == "account") return as(AccountPermission::parse(token));
  if (resource == "identity") return as(IdentityPermission::parse(token));
  if (resource == "include") return as(IncludeScope::parse(token));
  return std::nullopt;
}

std::string str(const Permission& permission) {
  return std::visit([](const auto& p) { return p.str(); }, permission);
}

bool is_privileged_method(std::string_view lxm) {
  const auto method = syntax::lower(lxm);
  return method.starts_with("chat.bsky.") || method == "com.atproto.server.createaccount";
}

Permissions Permissions::of(const ScopeSet& scopes) {
  Permissions out;
  out.generic_ = scopes.has(k_scope_generic);
  out.chat_ = out.generic_ && scopes.has(k_scope_chat);
  out.email_ = scopes.has(k_scope_email);
  for (const auto& token : scopes.tokens()) {
    auto permission = parse_permission(token);
    if (!permission) continue;
    if (auto* repo = std::get_if<RepoPermission>(&*permission)) out.repo_.push_back(std::move(*repo));
    if (auto* rpc = std::get_if<RpcPermission>(&*permission)) out.rpc_.push_back(std::move(*rpc));
    if (auto* blob = std::get_if<BlobPermission>(&*permission)) out.blob_.push_back(std::move(*blob));
    if (auto* account = std::get_if<AccountPermission>(&*permission)) out.account_.push_back(*account);
    if (auto* identity = std::get_if<IdentityPermission>(&*permission)) out.identity_.push_back(*identity);
    if (auto* include = std::get_if<IncludeScope>(&*permission)) out.includes_.push_back(std::move(*include));
  }
  return out;
}

bool Permissions::allows_repo(std::string_view action, std::string_view collection) const {
  if (generic_) return RepoActions::all().has(action);
  return std::ranges::any_of(repo_, [&](const auto& p) { return p.allows(action, collection); });
}

bool Permissions::allows_rpc(std::string_view lxm, std::string_view aud) const {
  if (generic_ && (chat_ || !is_privileged_method(lxm))) return true;
  return std::ranges::any_of(rpc_, [&](const auto& p) { return p.allows(lxm, aud); });
}

bool Permissions::allows_blob(std::string_view mime) const {
  return generic_ || std::ranges::any_of(blob_, [&](const auto& p) { return p.allows(mime); });
}

bool Permissions::allows_account(std::string_view attr, std::string_view action) const {
  using Action = AccountPermission::Action;
  const auto wanted = read_word(action, {Action::read, Action::manage});
  if (!wanted) return false;
  if (email_ && attr == "email" && *wanted == Action::read) return true;
  return std::ranges::any_of(account_, [&](const auto& p) {
    return word(p.attr) == attr && (p.action == Action::manage || p.action == *wanted);
  });
}

bool Permissions::allows_identity(std::string_view attr) const {
  return std::ranges::any_of(identity_, [&](const auto& p) {
    return p.attr == IdentityPermission::Attr::everything || word(p.attr) == attr;
  });
}

std::string Permissions::missing_repo(std::string_view action, std::string_view collection) {
  return std::move(
             Writer("repo").positional("collection", {std::string(collection)}).parameter("action", action))
      .str();
}

std::string Permissions::missing_rpc(std::string_view lxm, std::string_view aud) {
  // No permission names a whole DID: for one method there is "*", for all of them nothing finer.
  if (is_service_reference(aud))
    return RpcPermission{.lxm = {std::string(lxm)}, .aud = std::string(aud)}.str();
  if (lxm == k_any) return std::string(k_scope_generic);
  return RpcPermission{.lxm = {std::string(lxm)}, .aud = std::string(k_any)}.str();
}

std::string Permissions::missing_blob(std::string_view mime) {
  return BlobPermission{.accept = {std::string(mime)}}.str();
}

std::string Permissions::missing_account(std::string_view attr, std::string_view action) {
  Writer out("account");
  out.positional("attr", {std::string(attr)});
  if (action != "read") out.parameter("action", action);
  return std::move(out).str();
}

std::string Permissions::missing_identity(std::string_view attr) {
  return std::move(Writer("identity").positional("attr", {std::string(attr)})).str();
}

// ---- narrower or equal -----------------------------------------------------------------------------------

bool Permissions::covers_token(const std::string& asked) const {
  if (asked == k_scope_email) return allows_account("email", "read");
  const auto permission = parse_permission(asked);
  if (!permission) return false;
  // "*" among the values needs a "*" here, which allows() gives: it is no other permission's NSID.
  if (const auto* repo = std::get_if<RepoPermission>(&*permission)) {
    constexpr std::array<std::string_view, 3> actions{"create", "update", "delete"};
    return std::ranges::all_of(repo->collections, [&](const auto& collection) {
      return std::ranges::all_of(actions, [&](std::string_view action) {
        return !repo->actions.has(action) || allows_repo(action, collection);
      });
    });
  }
  if (const auto* rpc = std::get_if<RpcPermission>(&*permission)) {
    return std::ranges::all_of(rpc->lxm, [&](const auto& lxm) {
      // Every method is more than transition:generic gives without the chat.
      if (lxm == k_any && generic_ && !chat_)
        return std::ranges::any_of(rpc_, [&](const auto& p) { return p.allows(lxm, rpc->aud); });
      return allows_rpc(lxm, rpc->aud);
    });
  }
  if (const auto* blob = std::get_if<BlobPermission>(&*permission))
    return std::ranges::all_of(blob->accept, [&](const auto& type) { return allows_blob(type); });
  if (const auto* account = std::get_if<AccountPermission>(&*permission))
    return allows_account(word(account->attr), word(account->action));
  if (const auto* identity = std::get_if<IdentityPermission>(&*permission))
    return allows_identity(word(identity->attr));
  const auto& include = std::get<IncludeScope>(*permission);
  return std::ranges::any_of(includes_, [&](const auto& have) {
    // Without an audience the set gives less, never more.
    return have.nsid == include.nsid && (!include.aud || include.aud == have.aud);
  });
}

bool covers(const ScopeSet& have, const ScopeSet& asked) {
  if (have.includes(asked)) return true;
  const auto permissions = Permissions::of(have);
  return std::ranges::all_of(
      asked.tokens(), [&](const auto& token) { return have.has(token) || permissions.covers_token(token); });
}

// ---- the cache -------------------------------------------------------------------------------------------

std::shared_ptr<const Permissions> PermissionsCache::get(std::string_view scope) {
  {
    std::lock_guard lock(mutex_);
    if (const auto it = index_.find(scope); it != index_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->second;
    }
  }
  const auto set = ScopeSet::parse_expanded(scope);  // outside the lock: it is slow
  if (!set || !set->has(k_scope_atproto)) return nullptr;
  auto permissions = std::make_shared<const Permissions>(Permissions::of(*set));
  std::lock_guard lock(mutex_);
  if (capacity_ == 0 || index_.contains(scope)) return permissions;  // another thread was faster
  if (entries_.size() == capacity_) {
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(std::string(scope), permissions);
  index_.emplace(entries_.front().first, entries_.begin());
  return permissions;
}

std::size_t PermissionsCache::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace latchkey::oauth

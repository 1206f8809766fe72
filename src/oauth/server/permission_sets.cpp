#include "oauth/server/permission_sets.h"

#include <set>

#include "base/json.h"
#include "base/log.h"

namespace latchkey::oauth {
namespace {

using For = PermissionSets::For;

// How exactly the database knows when a set was last used: not every refresh is a write.
constexpr std::chrono::hours k_use_resolution{24};

std::optional<IncludeScope> include_of(const std::string& token) {
  if (!token.starts_with("include")) return std::nullopt;  // most are none, in every request
  auto include = IncludeScope::parse(token);
  return include ? std::optional(*std::move(include)) : std::nullopt;
}

// A server that is down, or a name that does not exist, is not asked with every request.
bool is_due(const std::optional<StoredSet>& set, Time now) {
  if (!set) return true;
  if (set->document && now - set->fetched_at < k_set_stale_after) return false;
  const auto pause = set->document ? k_set_refresh_pause : k_set_failure_memory;
  return !set->failed || now - set->last_tried_at >= pause;
}

bool is_usable(const StoredSet& set, For use, Time now) {
  return set.document && (use == For::refresh || now - set.fetched_at < k_set_expires_after);
}

// Why a set could not be had, as the database keeps it. Details may quote a stranger's bytes: for the log
// only.
std::string_view name(lexicon::Error code) {
  switch (code) {
    case lexicon::Error::not_found:
      return "not_found";
    case lexicon::Error::invalid:
      return "invalid";
    case lexicon::Error::unreachable:
      return "unreachable";
  }
  std::abort();
}

struct Expansion {
  std::vector<std::string> tokens;
  bool complete = true;  // every set that is there fitted in
};

Expansion expansion(const ScopeSet& scopes, const PermissionSets::Sets& sets) {
  Expansion out;
  std::size_t bytes = 0;
  for (const auto& token : scopes.tokens())
    if (!include_of(token)) bytes += token.size() + 1;
  for (const auto& token : scopes.tokens()) {
    const auto include = include_of(token);
    if (!include) {
      out.tokens.push_back(token);
      continue;
    }
    const auto set = sets.find(include->nsid.str());
    if (set == sets.end()) continue;
    const auto permissions = set->second.expand(include->aud);
    std::size_t more = 0;
    for (const auto& permission : permissions) more += permission.size() + 1;
    if (bytes + more > k_max_expanded_bytes) {
      out.complete = false;
      continue;
    }
    bytes += more;
    out.tokens.insert(out.tokens.end(), permissions.begin(), permissions.end());
  }
  return out;
}

}  // namespace

ScopeSet PermissionSets::expand(const ScopeSet& scopes, const Sets& sets) {
  return ScopeSet::of(expansion(scopes, sets).tokens);
}

Task<Result<PermissionSets::Sets, Fault>> PermissionSets::load(ScopeSet scopes, For use) {
  std::set<Nsid> names;
  for (const auto& token : scopes.tokens())
    if (auto include = include_of(token)) names.insert(std::move(include->nsid));
  if (use == For::new_session && names.size() > k_max_sets_of_request)
    co_return fault(Error::invalid_scope, "Too many permission sets in one request");

  // All of them at once: each may take as long as a slow server is given.
  std::vector<std::pair<Nsid, Completion<std::optional<PermissionSet>>>> pending;
  for (const auto& nsid : names) {
    pending.emplace_back(nsid, Completion<std::optional<PermissionSet>>());
    spawn(get_into(nsid, use, pending.back().second));
  }
  Sets sets;
  std::exception_ptr broken;
  for (const auto& [nsid, completion] : pending) {  // all are awaited, whatever happens: they use this object
    try {
      if (auto set = co_await completion) sets.emplace(nsid.str(), *std::move(set));
    } catch (...) {
      broken = std::current_exception();
    }
  }
  if (broken) std::rethrow_exception(broken);
  if (use == For::refresh) co_return sets;

  for (const auto& nsid : names)
    if (!sets.contains(nsid.str()))
      co_return fault(Error::invalid_scope, "Could not resolve permission set " + nsid.str());
  if (!expansion(scopes, sets).complete)
    co_return fault(Error::invalid_scope, "The permission sets hold too much together");
  co_return sets;
}

Task<void> PermissionSets::get_into(Nsid nsid, For use, Completion<std::optional<PermissionSet>> to) {
  try {
    to.deliver(co_await get(std::move(nsid), use));
  } catch (...) {
    to.fail_with(std::current_exception());
  }
}

Task<std::optional<PermissionSet>> PermissionSets::get(Nsid nsid, For use) {
  const Time now = clock_.now();
  auto stored = co_await find(nsid);
  if (is_due(stored, now)) {
    co_await fetch_if_due(nsid);
    stored = co_await find(nsid);
  }
  if (!stored || !is_usable(*stored, use, now)) co_return std::nullopt;
  if (now - stored->used_at >= k_use_resolution)
    co_await db_.write([&](store::Tx& tx) { stored_sets::note_use(tx, nsid.str(), now); });
  const auto json = json::parse(*stored->document);
  if (!json) co_return std::nullopt;
  auto set = PermissionSet::parse(nsid, *json);
  if (!set) co_return std::nullopt;
  co_return *std::move(set);
}

Task<std::optional<StoredSet>> PermissionSets::find(Nsid nsid) {
  co_return co_await db_.read([&](store::Tx& tx) { return stored_sets::find(tx, nsid.str()); });
}

// Whoever comes while a set is fetched waits for that fetch, after which it is no longer due.
Task<void> PermissionSets::fetch_if_due(Nsid nsid) {
  const auto turn = co_await fetching_.lock(nsid.str());
  const Time now = clock_.now();
  if (!is_due(co_await find(nsid), now)) co_return;
  lexicon::LexiconError failure{lexicon::Error::unreachable, "this server resolves no lexicons"};
  if (resolver_) {
    const auto resolved = co_await resolver_->resolve(nsid);
    if (!resolved) {
      failure = resolved.error();
    } else {
      const std::string document = resolved->document.dump();
      const auto set = PermissionSet::parse(nsid, resolved->document);
      if (set && document.size() <= k_max_set_bytes) {
        co_await db_.write([&](store::Tx& tx) { stored_sets::store(tx, *resolved, document, now); });
        co_return;
      }
      failure = {lexicon::Error::invalid, set ? "the document is too large" : set.error().detail};
    }
  }
  log::info("a permission set could not be had", {{"nsid", nsid.str()}, {"detail", failure.detail}});
  co_await db_.write(
      [&](store::Tx& tx) { stored_sets::note_failure(tx, nsid.str(), name(failure.code), now); });
}

Task<void> PermissionSets::clean() {
  const Time now = clock_.now();
  co_await db_.write([now](store::Tx& tx) { stored_sets::clean(tx, now); });
}

}  // namespace latchkey::oauth

#include "pds/repo_service.h"

#include <set>

#include "atproto/repo/engine.h"
#include "pds/event_payloads.h"
#include "pds/events.h"
#include "pds/records.h"
#include "pds/repo_heads.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

std::unexpected<Fault> refuse(Error code, std::string message) {
  return fail(Fault{.code = code, .message = std::move(message)});
}

std::string uri_of(const Account& account, const RecordWrite& write) {
  return "at://" + account.did.str() + "/" + write.path();
}

/// What the writes come to on this state of the repository. Judged again when the state turns out stale.
Result<std::vector<repo::Write>, Fault> plan(const Account& account, const CachedRepo& repo,
                                             const std::vector<RecordWrite>& writes,
                                             const std::optional<Cid>& swap_commit) {
  using Kind = RecordWrite::Kind;
  std::vector<repo::Write> out;
  out.reserve(writes.size());
  mst::Tree tree = repo.tree;  // as it is after the writes before this one
  for (const auto& w : writes) {
    const std::string path = w.path();
    if (!mst::is_valid_key(path)) return refuse(Error::InvalidRequest, "Record path is too long: " + path);
    const auto there = tree.get(path);
    const bool removal = w.kind == Kind::remove || w.kind == Kind::remove_if_there;
    if (w.kind == Kind::remove_if_there && !there) continue;
    if (w.kind == Kind::put && there && *there == w.record->cid) continue;
    if (w.swap_record && *w.swap_record != there)
      return refuse(Error::InvalidSwap, "Record was at " + (there ? there->str() : "null"));
    if (w.kind == Kind::create && there)
      return refuse(Error::InvalidRequest, "Record already exists: " + uri_of(account, w));
    if ((w.kind == Kind::update || w.kind == Kind::remove) && !there)
      return refuse(Error::InvalidRequest, "Could not locate record: " + uri_of(account, w));

    const auto action = removal ? repo::Action::remove : there ? repo::Action::update : repo::Action::create;
    if (writes.size() > 1) tree = removal ? tree.erase(path) : tree.put(path, w.record->cid);
    out.push_back({.action = action,
                   .collection = w.collection,
                   .rkey = w.rkey,
                   .record = removal ? Bytes() : w.record->block});
  }
  // Checked last, because a write with nothing to do asks for no commit.
  if (!out.empty() && swap_commit && *swap_commit != repo.head.commit)
    return refuse(Error::InvalidSwap, "Commit was at " + repo.head.commit.str());
  return out;
}

Fault fault_of(const repo::Error& error) {
  using Code = repo::Error::Code;
  switch (error.code) {
    case Code::record_exists:
      return {Error::InvalidRequest, "Record already exists: " + error.detail};
    case Code::record_not_found:
      return {Error::InvalidRequest, "Could not locate record: " + error.detail};
    case Code::too_many_ops:
      return {Error::InvalidRequest, "Too many writes. Max: 200"};
    case Code::record_too_large:
      return {Error::InvalidRequest, "Record is too large"};
    case Code::commit_too_large:
      return {Error::InvalidRequest, "Commit is too large"};
    case Code::bad_record:
      return {Error::InvalidRequest, "Record is not valid: " + error.detail};
    case Code::bad_rev:
      return {Error::InternalServerError, ""};
    case Code::tree_too_dense:
      return {Error::InvalidRequest, "Record keys are too dense"};
  }
  std::abort();
}

/// The record an operation writes; nullptr for a removal.
const PreparedRecord* record_of(const repo::Op& op, const std::vector<RecordWrite>& writes) {
  const PreparedRecord* found = nullptr;
  for (const auto& w : writes)
    if (op.cid && w.record && w.record->cid == *op.cid) found = &*w.record;
  return found;
}

/// Every blob the written records refer to, once.
std::vector<Cid> blobs_of(const repo::CommitResult& result, const std::vector<RecordWrite>& writes) {
  std::set<Cid> found;
  for (const auto& op : result.ops)
    if (const auto* record = record_of(op, writes))
      for (const auto& use : record->blobs) found.insert(use.ref.ref);
  return {found.begin(), found.end()};
}

/// What the new records refer to must be there and becomes permanent; what nothing refers to any more goes.
Result<std::vector<BlobKey>, Fault> store_references(store::Tx& tx, std::int64_t account_id,
                                                     const repo::CommitResult& result,
                                                     const std::vector<RecordWrite>& writes) {
  std::set<Cid> dropped;
  for (const auto& op : result.ops) {
    if (op.action != repo::Action::create)
      for (const auto& cid : blobs::drop_references(tx, account_id, op.path)) dropped.insert(cid);
    const auto* record = record_of(op, writes);
    if (!record) continue;
    for (const auto& use : record->blobs) {
      TRY_VOID(check_use(use, blobs::get(tx, account_id, use.ref.ref)));
      blobs::add_reference(tx, account_id, op.path, result.rev.str(), use.ref.ref);
    }
  }
  std::vector<BlobKey> gone;
  for (const auto& cid : dropped)
    if (auto key = blobs::release(tx, account_id, cid)) gone.push_back(*key);
  return gone;
}

void store_records(store::Tx& tx, std::int64_t account_id, const repo::CommitResult& result,
                   const std::vector<RecordWrite>& writes) {
  for (const auto& op : result.ops) {
    const auto slash = op.path.find('/');
    const auto collection = Nsid::parse(std::string_view(op.path).substr(0, slash)).value();
    const auto rkey = RecordKey::parse(std::string_view(op.path).substr(slash + 1)).value();
    if (op.action == repo::Action::remove) {
      records::remove(tx, account_id, collection, rkey);
      continue;
    }
    const Bytes& value = record_of(op, writes)->block;
    if (op.action == repo::Action::create)
      records::insert(tx, account_id, collection, rkey, *op.cid, value);
    else
      records::update(tx, account_id, collection, rkey, *op.cid, value);
  }
}

Fault inactive_fault(const std::optional<Account>& account) {
  if (!account) return {Error::AccountNotFound, "Account not found"};
  if (account->taken_down()) return {Error::AccountTakedown, "Account has been taken down"};
  return {Error::AccountDeactivated, "Account is deactivated"};
}

}  // namespace

std::string signing_key_context(const Did& did) { return "pds-signing-key:" + did.str(); }

RepoService::RepoService(Shared shared, const crypto::Sealer& sealer, BlobService& blobs,
                         std::size_t cache_bytes)
    : shared_(shared), sealer_(sealer), blobs_(blobs), cache_(cache_bytes), tids_(shared.rng.below(1024)) {}

CachedRepoPtr RepoService::read(store::Tx& tx, const Account& account) const {
  auto head = repo_heads::get(tx, account.id);
  if (!head) return nullptr;
  mst::Builder builder;
  for (const auto& leaf : records::leaves(tx, account.id)) builder.add(leaf.path, leaf.cid);
  auto tree = builder.finish();
  // The rows must hash to what was signed. Never sign on top of anything else.
  if (tree.root() != head->data)
    throw std::runtime_error("records of " + account.did.str() + " do not match its signed commit");
  return std::make_shared<const CachedRepo>(
      CachedRepo{.head = *std::move(head),
                 .tree = std::move(tree),
                 .signing_key = open_key(account, accounts::sealed_signing_key(tx, account.id))});
}

Task<CachedRepoPtr> RepoService::load(Account account) {
  co_return co_await shared_.db.read([&](store::Tx& tx) { return read(tx, account); });
}

crypto::PrivateKey RepoService::open_key(const Account& account, BytesView sealed) const {
  auto bytes = sealer_.open(sealed, signing_key_context(account.did));
  if (!bytes) throw std::runtime_error("signing key of " + account.did.str() + " does not open");
  auto key = crypto::PrivateKey::from_bytes(crypto::Curve::k256, *bytes);
  wipe(*bytes);
  if (!key) throw std::runtime_error("signing key of " + account.did.str() + " is damaged");
  return *std::move(key);
}

Task<crypto::PrivateKey> RepoService::signing_key(Account account) {
  const auto sealed = co_await shared_.db.read(
      [id = account.id](store::Tx& tx) { return accounts::sealed_signing_key(tx, id); });
  co_return open_key(account, sealed);
}

Task<CachedRepoPtr> RepoService::current(Account account) {
  if (auto cached = cache_.get(account.id)) {
    auto head =
        co_await shared_.db.read([id = account.id](store::Tx& tx) { return repo_heads::get(tx, id); });
    if (!head) co_return nullptr;
    if (head->commit == cached->head.commit) co_return cached;
  }
  auto repo = co_await run_task_on(&shared_.reads, load(account));
  // A write may have gone further meanwhile; then its entry is newer, and the head's CID will say so.
  if (repo) cache_.put(account.id, repo);
  co_return repo;
}

Result<std::optional<RepoService::Next>, Fault> RepoService::next(const Account& account,
                                                                  const CachedRepo& repo,
                                                                  const std::vector<RecordWrite>& writes,
                                                                  const std::optional<Cid>& swap_commit) {
  const auto planned = plan(account, repo, writes, swap_commit);
  if (!planned) return fail(planned.error());
  if (planned->empty()) return std::nullopt;
  const Time now = shared_.clock.now();
  auto applied = repo::apply({account.did, repo.tree, Tid::parse(repo.head.rev).value(), repo.head.commit},
                             *planned, tids_.next(now), repo.signing_key);
  if (!applied) return fail(fault_of(applied.error()));
  return Next{.from = repo.head.commit,
              .event = commit_payload(account.did, *applied, blobs_of(*applied, writes), now),
              .at = now,
              .result = *std::move(applied),
              .signing_key = repo.signing_key};
}

Result<std::vector<BlobKey>, RepoService::NotStored> RepoService::store(
    store::Tx& tx, const Account& account, const Next& next, const std::vector<RecordWrite>& writes) const {
  const auto advance = repo_heads::advance(tx, account.id, next.from, next.head());
  if (advance == repo_heads::Advance::moved) return fail(NotStored{advance, {Error::InternalServerError}});
  if (advance == repo_heads::Advance::inactive)
    return fail(NotStored{advance, inactive_fault(accounts::by_did(tx, account.did))});
  store_records(tx, account.id, next.result, writes);
  auto released = store_references(tx, account.id, next.result, writes);
  if (!released) return fail(NotStored{advance, std::move(released).error()});
  events::append(tx, shared_.db.engine(), account.id, EventKind::commit, next.event, next.at);
  return *std::move(released);
}

CommitRef RepoService::done(const Account& account, Next next) {
  const auto head = next.head();
  cache_.put(account.id,
             std::make_shared<const CachedRepo>(CachedRepo{
                 .head = head, .tree = std::move(next.result.tree), .signing_key = next.signing_key}));
  return {.cid = head.commit, .rev = head.rev};
}

Task<Result<std::optional<CommitRef>, Fault>> RepoService::write(Account account,
                                                                 std::vector<RecordWrite> writes,
                                                                 std::optional<Cid> swap_commit) {
  if (writes.size() > repo::k_max_ops) co_return refuse(Error::InvalidRequest, "Too many writes. Max: 200");
  auto turn = co_await queue_.enter(account.id);
  if (!turn) co_return refuse(Error::NotEnoughResources, "Too many writes are waiting for this account");

  // Only other processes can get ahead of us here. One that keeps doing so is shut out by the last way.
  for (int round = 0; round < k_free_rounds; ++round) {
    auto repo = cache_.get(account.id);
    const bool from_cache = repo != nullptr;
    if (!repo) repo = co_await run_task_on(&shared_.reads, load(account));
    if (!repo) co_return refuse(Error::RepoNotFound, "Could not find repo for DID: " + account.did.str());

    auto built = next(account, *repo, writes, swap_commit);
    if (!built || !*built) {
      // This ends without a commit, which would have noticed a stale state. Look before saying so.
      if (from_cache) {
        auto head =
            co_await shared_.db.read([id = account.id](store::Tx& tx) { return repo_heads::get(tx, id); });
        if (!head || head->commit != repo->head.commit) {
          cache_.erase(account.id);
          continue;
        }
      }
      if (!built) co_return fail(built.error());
      co_return std::optional<CommitRef>();
    }

    // A lost race is an error here so that nothing of the transaction stays.
    auto stored =
        co_await shared_.db.write([&](store::Tx& tx) { return store(tx, account, **built, writes); });
    if (stored) {
      co_await blobs_.remove_files(*std::move(stored));
      co_return done(account, **std::move(built));
    }
    // A blob that is not there says nothing against the tree.
    if (stored.error().advance != repo_heads::Advance::done) cache_.erase(account.id);
    if (stored.error().advance != repo_heads::Advance::moved) co_return fail(stored.error().fault);
  }
  co_return co_await write_locked(std::move(account), std::move(writes), std::move(swap_commit));
}

Task<Result<std::optional<CommitRef>, Fault>> RepoService::write_locked(Account account,
                                                                        std::vector<RecordWrite> writes,
                                                                        std::optional<Cid> swap_commit) {
  struct Written {
    std::optional<Next> next;
    std::vector<BlobKey> released = {};
  };
  auto written = co_await shared_.db.write([&](store::Tx& tx) -> Result<Written, Fault> {
    repo_heads::lock(tx, account.id);
    const auto repo = read(tx, account);
    if (!repo) return refuse(Error::RepoNotFound, "Could not find repo for DID: " + account.did.str());
    TRY(auto built, next(account, *repo, writes, swap_commit));
    if (!built) return Written{std::nullopt};
    auto stored = store(tx, account, *built, writes);
    if (!stored) return fail(std::move(stored).error().fault);
    return Written{std::move(built), *std::move(stored)};
  });
  if (!written) co_return fail(written.error());
  if (!written->next) co_return std::optional<CommitRef>();
  co_await blobs_.remove_files(std::move(written->released));
  co_return done(account, *std::move(written->next));
}

}  // namespace latchkey::pds

#pragma once
// Reading and writing the repositories of local accounts.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atproto/repo/engine.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"
#include "atproto/syntax/tid.h"
#include "atproto/xrpc/error.h"
#include "base/rng.h"
#include "base/task.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "pds/account_queue.h"
#include "pds/accounts.h"
#include "pds/blob_service.h"
#include "pds/record_rules.h"
#include "pds/shared.h"
#include "pds/tree_cache.h"
#include "store/database.h"

namespace latchkey::pds {

/// One write as a client asks for it.
struct RecordWrite {
  enum class Kind {
    create,          // must not be there
    update,          // must be there
    put,             // either; nothing to do when it is there with this content
    remove,          // must be there
    remove_if_there  // nothing to do when it is not
  };
  Kind kind;
  Nsid collection;
  RecordKey rkey;
  std::optional<PreparedRecord> record = std::nullopt;  // not for the removals
  /// What must be there now: absent = anything, std::nullopt inside = nothing.
  std::optional<std::optional<Cid>> swap_record = std::nullopt;
  std::string path() const { return collection.str() + "/" + rkey.str(); }
};

struct CommitRef {
  Cid cid;
  std::string rev;
};

std::string signing_key_context(const Did& did);  // what signing keys are sealed under

class RepoService {
 public:
  RepoService(Shared shared, const crypto::Sealer& sealer, BlobService& blobs, std::size_t cache_bytes);

  /// All writes or none, as one commit. std::nullopt: there was nothing to do. Two writers of one account
  /// never fork it: the loser starts again on the winner's commit. Blobs no record refers to any more are
  /// gone when it resumes.
  Task<Result<std::optional<CommitRef>, xrpc::Fault>> write(Account account, std::vector<RecordWrite> writes,
                                                            std::optional<Cid> swap_commit);

  /// The repository as it is now. nullptr when there is none.
  Task<CachedRepoPtr> current(Account account);

  /// Of an account that has one.
  Task<crypto::PrivateKey> signing_key(Account account);

  Tid next_tid() { return tids_.next(shared_.clock.now()); }
  TreeCache& cache() { return cache_; }

 private:
  /// Times a write builds on a state it does not hold. After that it holds the head while it builds.
  static constexpr int k_free_rounds = 4;

  /// The next commit, before it is stored.
  struct Next {
    Cid from;  // the commit it follows
    Bytes event;
    Time at;
    repo::CommitResult result;
    crypto::PrivateKey signing_key;
    RepoHead head() const {
      return {.rev = result.rev.str(), .commit = result.commit, .data = result.data, .block = result.block};
    }
  };

  CachedRepoPtr read(store::Tx& tx, const Account& account) const;  // nullptr when there is none
  Task<CachedRepoPtr> load(Account account);
  /// What the writes make of this state. std::nullopt: there is nothing to do.
  Result<std::optional<Next>, xrpc::Fault> next(const Account& account, const CachedRepo& repo,
                                                const std::vector<RecordWrite>& writes,
                                                const std::optional<Cid>& swap_commit);
  /// Why a commit was not stored.
  struct NotStored {
    repo_heads::Advance advance;
    xrpc::Fault fault;  // unless it is `moved`: then it may be tried again on the new state
  };
  /// The blobs that go with it.
  Result<std::vector<BlobKey>, NotStored> store(store::Tx& tx, const Account& account, const Next& next,
                                                const std::vector<RecordWrite>& writes) const;
  CommitRef done(const Account& account, Next next);  // it is stored now
  /// Reads, builds and stores in one transaction, in which nobody gets ahead.
  Task<Result<std::optional<CommitRef>, xrpc::Fault>> write_locked(Account account,
                                                                   std::vector<RecordWrite> writes,
                                                                   std::optional<Cid> swap_commit);
  crypto::PrivateKey open_key(const Account& account, BytesView sealed) const;

  Shared shared_;
  const crypto::Sealer& sealer_;
  BlobService& blobs_;
  TreeCache cache_;
  AccountQueue queue_;
  TidClock tids_;
};

/// Runs a task on the pool, so that a long read does not hold up a network thread.
template <class T>
Task<void> deliver_result(Task<T> task, Completion<T> done) {
  try {
    done.deliver(co_await std::move(task));
  } catch (...) {
    done.fail_with(std::current_exception());
  }
}
template <class T>
Task<T> run_task_on(ThreadPool* pool, Task<T> task) {
  Completion<T> done;
  const bool queued = pool->try_post(
      [done, task = std::move(task)]() mutable { spawn(deliver_result(std::move(task), done)); });
  if (!queued) throw Overloaded();
  co_return co_await done;
}

}  // namespace latchkey::pds

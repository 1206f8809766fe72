#pragma once
// Decoded repositories of accounts that were active lately, under a byte budget. What is in here may be out
// of date when another process writes: commits compare-and-swap the stored head, reads compare its CID.

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "atproto/mst/tree.h"
#include "crypto/key.h"
#include "pds/repo_heads.h"

namespace latchkey::pds {

struct CachedRepo {
  RepoHead head;
  mst::Tree tree;
  crypto::PrivateKey signing_key;
};
using CachedRepoPtr = std::shared_ptr<const CachedRepo>;

class TreeCache {
 public:
  explicit TreeCache(std::size_t budget) : budget_(budget) {}

  CachedRepoPtr get(std::int64_t account_id);
  /// Replaces; then drops what was not used for longest until the budget holds. One repository larger than
  /// the whole budget is not kept.
  void put(std::int64_t account_id, CachedRepoPtr repo);
  void erase(std::int64_t account_id);

  std::size_t bytes() const;
  std::size_t size() const;

 private:
  struct Entry {
    std::int64_t account_id;
    CachedRepoPtr repo;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;  // most recently used first
  void drop(Entries::iterator entry);

  const std::size_t budget_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::unordered_map<std::int64_t, Entries::iterator> index_;
  std::size_t bytes_ = 0;
};

}  // namespace latchkey::pds

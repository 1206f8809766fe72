#pragma once
// The Merkle search tree of a repository: path -> CID of the record, kept persistently. Every change makes a
// new Tree and leaves the old one as it was; the two share all nodes that did not change, so a copy is O(1)
// and the changed nodes fall out of comparing two trees. Nodes are immutable: a Tree may be read, copied and
// changed from several threads at once.
// Source: https://atproto.com/specs/repository, https://atproto.com/specs/sync

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/mst/node.h"

namespace latchkey::mst {

class Node;
using NodePtr = std::shared_ptr<const Node>;

struct Block {
  Cid cid;
  Bytes bytes;
};

struct Leaf {
  std::string_view key;
  Cid value;
};

/// One record-level difference. Created: no `prev`; deleted: no `cid`.
struct Change {
  std::string key;
  std::optional<Cid> cid;
  std::optional<Cid> prev;
  bool operator==(const Change&) const = default;
};

struct Diff {
  std::vector<Change> changes;  // sorted by key
  std::vector<Block> added;     // nodes only in the new tree, parents first
  std::vector<Cid> removed;     // nodes only in the old tree
};

/// Finds the bytes of a block; nullopt when there are none. The bytes must already be known to match the CID
/// (car::Reader checks that) and must live until load() returns.
using BlockLookup = std::function<std::optional<BytesView>(const Cid&)>;

/// A tree with all its nodes.
class Tree {
 public:
  Tree() = default;

  /// From keys in strictly ascending byte order of the whole path. Note that rows sorted by (collection,
  /// record key) are not in that order: '.' and '-' sort before the '/' that ends the collection.
  /// Throws std::invalid_argument for unsorted, repeated or invalid keys.
  template <class Range>
  static Tree from_sorted(const Range& leaves);

  /// Reads a whole tree from blocks and checks its structure: node encoding, key order, layers, ranges.
  static Result<Tree, Error> load(const Cid& root, const BlockLookup& blocks);

  std::optional<Cid> get(std::string_view key) const;
  bool contains(std::string_view key) const { return get(key).has_value(); }

  /// Adds or replaces. Throws std::invalid_argument when !is_valid_key(key).
  [[nodiscard]] Tree put(std::string_view key, const Cid& value) const;
  /// The same tree when there is no such key.
  [[nodiscard]] Tree erase(std::string_view key) const;

  /// The `data` of a commit. Node CIDs are computed when first asked for and kept.
  Cid root() const;
  bool empty() const { return root_ == nullptr; }
  std::size_t size() const;    // records
  std::size_t memory() const;  // bytes held by all nodes, an estimate for cache budgets; O(1)

  /// Leaves in key order, from the first key >= `from`; stops when `visit` answers false.
  void walk(const std::function<bool(const Leaf&)>& visit, std::string_view from = {}) const;

  /// The nodes from the root to where `key` is or would be: proves its value or its absence.
  std::vector<Block> proof(std::string_view key) const;

  bool operator==(const Tree& other) const;  // same root CID

 private:
  friend class Builder;
  friend class PartialTree;
  friend class Walker;
  friend Diff diff(const Tree&, const Tree&);
  friend std::vector<Block> blocks_of_change(const Tree&, const Tree&);
  friend std::vector<Block> blocks_of_commit(const Tree&, const Tree&, std::span<const std::string>);
  explicit Tree(NodePtr root) : root_(std::move(root)) {}
  NodePtr root_;  // nullptr: the empty tree
};

/// Builds a tree in one pass over ascending keys, O(n), for a sequential scan.
class Builder {
 public:
  Builder();
  ~Builder();
  Builder(const Builder&) = delete;
  /// Throws std::invalid_argument when the key is invalid or not greater than the last one.
  void add(std::string_view key, const Cid& value);
  Tree finish();

 private:
  struct Level;
  std::vector<Level> levels_;
  std::string last_;
};

template <class Range>
Tree Tree::from_sorted(const Range& leaves) {
  Builder builder;
  for (const auto& [key, value] : leaves) builder.add(key, value);
  return builder.finish();
}

/// Streams a tree in pre-order with memory for one path: a node's block, then what it holds from left to
/// right, a record's leaf where its key stands.
class Walker {
 public:
  using Item = std::variant<Block, Leaf>;  // a Leaf's key lives until the next call
  explicit Walker(const Tree& tree);
  ~Walker();
  Walker(Walker&&) noexcept;
  std::optional<Item> next();

 private:
  struct Frame;
  std::vector<Frame> stack_;
  NodePtr root_;
  bool started_ = false;
};

/// What changed between two trees. Cost follows the number of changed nodes, not the size of the trees.
Diff diff(const Tree& before, const Tree& after);

/// Nodes that are only in `after`, parents first.
std::vector<Block> blocks_of_change(const Tree& before, const Tree& after);

/// The nodes of a #commit event: those that are only in `after`, and those a consumer needs to invert the
/// operations on `keys` (sync 1.1): for each key the path to it and to both its neighbours. Parents first.
std::vector<Block> blocks_of_commit(const Tree& before, const Tree& after, std::span<const std::string> keys);

/// A tree of which only some nodes are here, as a consumer of a #commit event has it; the others are
/// `Unloaded`, known by their CID. An operation that needs one of those fails with missing_block.
class PartialTree {
 public:
  /// The root must be among the blocks.
  static Result<PartialTree, Error> load(const Cid& root, const BlockLookup& blocks);

  Result<std::optional<Cid>, Error> get(std::string_view key) const;
  Result<PartialTree, Error> put(std::string_view key, const Cid& value) const;
  Result<PartialTree, Error> erase(std::string_view key) const;
  Cid root() const;
  bool complete() const;  // nothing is Unloaded
  /// Leaves that are here, in key order.
  void walk(const std::function<bool(const Leaf&)>& visit) const;

  /// Undoes the changes, in any order of theirs. The root of the result is the root before them (`prevData`)
  /// exactly when the list is complete and true.
  Result<PartialTree, Error> invert(std::span<const Change> changes) const;

 private:
  explicit PartialTree(NodePtr root) : root_(std::move(root)) {}
  NodePtr root_;
};

}  // namespace latchkey::mst

#include "atproto/mst/tree.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <utility>

#include "atproto/mst/wire.h"

namespace latchkey::mst {

namespace {

struct Slot {
  std::uint32_t begin;  // of the key in Node::keys
  std::uint32_t size;
  Cid value;
  NodePtr right;  // keys between this one and the next
};

// Thrown inside this file when an operation needs an Unloaded node; PartialTree turns it into an Error. It
// cannot happen in a Tree.
struct NeedsBlock {
  Cid cid;
};

Bytes empty_node() { return encode_node(NodeData{}); }

const Cid& empty_root() {
  static const Cid cid = Cid::of_dag_cbor(empty_node());
  return cid;
}

void require_valid(std::string_view key) {
  if (!is_valid_key(key)) throw std::invalid_argument("mst: invalid key");
}

}  // namespace

// Gaps and slots alternate: gap 0, slot 0, gap 1, slot 1, ... gap n. A gap holds the child between two keys.
class Node {
 public:
  struct Unloaded {};  // only the CID is known

  Node(int layer_in, NodePtr left_in, std::string keys_in, std::vector<Slot> slots_in)
      : layer(layer_in), left(std::move(left_in)), keys(std::move(keys_in)), slots(std::move(slots_in)) {
    count = slots.size();
    memory = sizeof(Node) + 48 + keys.capacity() + slots.capacity() * sizeof(Slot);
    const auto add = [this](const NodePtr& child) {
      if (!child) return;
      count += child->count;
      memory += child->memory;
      complete = complete && child->complete;
    };
    add(left);
    for (const Slot& slot : slots) add(slot.right);
  }
  Node(Unloaded, int layer_in, const Cid& cid) : layer(layer_in), unloaded(true), complete(false) {
    cid_ = cid;
    cid_state_ = k_ready;
  }

  std::string_view key(std::size_t slot) const {
    return std::string_view(keys).substr(slots[slot].begin, slots[slot].size);
  }
  const NodePtr& gap(std::size_t i) const { return i == 0 ? left : slots[i - 1].right; }
  const NodePtr& last_gap() const { return gap(slots.size()); }
  // The first slot whose key is not before `k`; also the gap `k` belongs in when it is not that slot's key.
  std::size_t find(std::string_view k) const {
    std::size_t lo = 0, hi = slots.size();
    while (lo < hi) {
      const std::size_t mid = (lo + hi) / 2;
      if (key(mid) < k)
        lo = mid + 1;
      else
        hi = mid;
    }
    return lo;
  }
  bool has(std::size_t slot, std::string_view k) const { return slot < slots.size() && key(slot) == k; }

  Bytes block() const {
    wire::NodeWriter out(slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const std::optional<Cid> right = cid_of(slots[i].right);
      out.entry(key(i), slots[i].value, right ? &*right : nullptr);
    }
    const std::optional<Cid> l = cid_of(left);
    return std::move(out).finish(l ? &*l : nullptr);
  }

  // Computed once. Two threads may both compute it; one of them stores it.
  Cid cid() const {
    if (cid_state_.load(std::memory_order_acquire) == k_ready) return *cid_;
    const Cid computed = Cid::of_dag_cbor(block());
    store(computed);
    return computed;
  }
  void store(const Cid& computed) const {
    int expected = k_unknown;
    if (cid_state_.compare_exchange_strong(expected, k_storing, std::memory_order_acquire)) {
      cid_ = computed;
      cid_state_.store(k_ready, std::memory_order_release);
    }
  }

  const int layer;
  const bool unloaded = false;
  bool complete = true;  // no Unloaded node below
  std::size_t count = 0, memory = sizeof(Node) + 48;
  const NodePtr left;
  const std::string keys;
  const std::vector<Slot> slots;

 private:
  static std::optional<Cid> cid_of(const NodePtr& node) {
    return node ? std::optional(node->cid()) : std::nullopt;
  }
  static constexpr int k_unknown = 0, k_storing = 1, k_ready = 2;
  mutable std::atomic<int> cid_state_{k_unknown};
  mutable std::optional<Cid> cid_;
};

namespace {

const Node& loaded(const Node& node) {
  if (node.unloaded) throw NeedsBlock{node.cid()};
  return node;
}

// A node being put together, from left to right.
struct Draft {
  int layer = 0;
  NodePtr left;
  std::string keys;
  std::vector<Slot> slots;

  Draft() = default;
  explicit Draft(int layer_in) : layer(layer_in) {}
  // A copy with room for `more` slots.
  Draft(const Node& from, std::size_t more, std::size_t more_key = 0) : layer(from.layer), left(from.left) {
    keys.reserve(from.keys.size() + more_key);
    slots.reserve(from.slots.size() + more);
    keys = from.keys;
    slots = from.slots;
  }

  bool empty() const { return !left && slots.empty(); }
  NodePtr& gap(std::size_t i) { return i == 0 ? left : slots[i - 1].right; }
  NodePtr& last_gap() { return gap(slots.size()); }
  void insert(std::size_t at, std::string_view key, const Cid& value, NodePtr right) {
    const auto begin = static_cast<std::uint32_t>(keys.size());
    keys += key;
    slots.insert(slots.begin() + static_cast<std::ptrdiff_t>(at),
                 Slot{begin, static_cast<std::uint32_t>(key.size()), value, std::move(right)});
  }
  void push(std::string_view key, const Cid& value, NodePtr right) {
    insert(slots.size(), key, value, std::move(right));
  }
  // Slots [from, to) of a node with the gaps after them.
  void push_range(const Node& node, std::size_t from, std::size_t to) {
    std::size_t bytes = 0;
    for (std::size_t i = from; i < to; ++i) bytes += node.slots[i].size;
    keys.reserve(keys.size() + bytes);
    slots.reserve(slots.size() + to - from);
    for (std::size_t i = from; i < to; ++i) push(node.key(i), node.slots[i].value, node.slots[i].right);
  }
  // Empty nodes are pruned, unless they hold a child: "sub-tree links do not skip a level".
  NodePtr finish() {
    if (empty()) return nullptr;
    return std::make_shared<const Node>(layer, std::move(left), std::move(keys), std::move(slots));
  }
};

// Wraps a node in empty ones until it stands in `layer`.
NodePtr raise(NodePtr node, int layer) {
  while (node && node->layer < layer) {
    Draft parent(node->layer + 1);
    parent.left = std::move(node);
    node = parent.finish();
  }
  return node;
}

// The keys before and after `key`, which is not in the node.
std::pair<NodePtr, NodePtr> split(const NodePtr& node, std::string_view key) {
  if (!node) return {};
  const Node& n = loaded(*node);
  const std::size_t at = n.find(key);
  auto [before, after] = split(n.gap(at), key);
  Draft left(n.layer), right(n.layer);
  if (at > 0) {
    left.left = n.left;
    left.push_range(n, 0, at);
  }
  left.last_gap() = std::move(before);
  right.left = std::move(after);
  right.push_range(n, at, n.slots.size());
  return {left.finish(), right.finish()};
}

// Two nodes of one layer, every key of `a` before every key of `b`.
NodePtr merge(const NodePtr& a, const NodePtr& b) {
  if (!a) return b;
  if (!b) return a;
  const Node& left = loaded(*a);
  const Node& right = loaded(*b);
  NodePtr middle = merge(left.last_gap(), right.left);
  Draft both(left, right.slots.size());
  both.last_gap() = std::move(middle);
  both.push_range(right, 0, right.slots.size());
  return both.finish();
}

const Cid* get_in(const Node* node, std::string_view key) {
  while (node) {
    const Node& n = loaded(*node);
    const std::size_t at = n.find(key);
    if (n.has(at, key)) return &n.slots[at].value;
    node = n.gap(at).get();
  }
  return nullptr;
}

NodePtr put_in(const NodePtr& node, std::string_view key, int layer, const Cid& value) {
  if (!node) {
    Draft leaf(layer);
    leaf.push(key, value, nullptr);
    return leaf.finish();
  }
  if (layer > node->layer) {
    auto [before, after] = split(node, key);
    Draft top(layer);
    top.left = raise(std::move(before), layer - 1);
    top.push(key, value, raise(std::move(after), layer - 1));
    return top.finish();
  }
  const Node& n = loaded(*node);
  const std::size_t at = n.find(key);
  if (layer == n.layer) {
    if (n.has(at, key)) {
      if (n.slots[at].value == value) return node;
      Draft changed(n, 0);
      changed.slots[at].value = value;
      return changed.finish();
    }
    auto [before, after] = split(n.gap(at), key);
    Draft grown(n, 1, key.size());
    grown.gap(at) = std::move(before);
    grown.insert(at, key, value, std::move(after));
    return grown.finish();
  }
  NodePtr child = raise(put_in(n.gap(at), key, layer, value), n.layer - 1);
  if (child == n.gap(at)) return node;
  Draft changed(n, 0);
  changed.gap(at) = std::move(child);
  return changed.finish();
}

NodePtr erase_in(const NodePtr& node, std::string_view key) {
  if (!node) return nullptr;
  const Node& n = loaded(*node);
  const std::size_t at = n.find(key);
  if (n.has(at, key)) {
    NodePtr merged = merge(n.gap(at), n.gap(at + 1));
    Draft rest(n.layer);
    rest.left = n.left;
    rest.push_range(n, 0, at);
    rest.last_gap() = std::move(merged);
    rest.push_range(n, at + 1, n.slots.size());
    return rest.finish();
  }
  NodePtr child = erase_in(n.gap(at), key);
  if (child == n.gap(at)) return node;
  Draft changed(n, 0);
  changed.gap(at) = std::move(child);
  return changed.finish();
}

// "The top of the tree must not be an empty node which only points to a sub-tree."
NodePtr trim(NodePtr root) {
  while (root && loaded(*root).slots.empty()) root = root->left;
  return root;
}

bool walk_in(const Node* node, std::string_view from, const std::function<bool(const Leaf&)>& visit) {
  if (!node || node->unloaded) return true;
  const std::size_t first = from.empty() ? 0 : node->find(from);
  // A gap before `first` has smaller keys only; the gap at `first` may have some of both.
  if (!walk_in(node->gap(first).get(), from, visit)) return false;
  for (std::size_t i = first; i < node->slots.size(); ++i) {
    if (!visit(Leaf{node->key(i), node->slots[i].value})) return false;
    if (!walk_in(node->slots[i].right.get(), {}, visit)) return false;
  }
  return true;
}

// Reading from blocks ---------------------------------------------------------------------------------------

enum class Missing { error, unloaded };

class Loader {
 public:
  Loader(const BlockLookup& blocks, Missing missing) : blocks_(blocks), missing_(missing) {}

  Result<NodePtr, Error> root(const Cid& cid) {
    const auto block = blocks_(cid);
    if (!block) return fail(Error{ErrorKind::missing_block, cid.str()});
    TRY(auto data, decode_node(*block));
    if (data.empty()) return NodePtr();
    if (data.entries.empty()) return fail(Error{ErrorKind::bad_node, "the root only points to a sub-tree"});
    const int layer = key_layer(data.entries.front().key);
    return build(cid, std::move(data), layer, {}, {});
  }

 private:
  // `low` and `high` are the neighbours in the parents; empty means open.
  Result<NodePtr, Error> child(const std::optional<Cid>& cid, int layer, std::string_view low,
                               std::string_view high) {
    if (!cid) return NodePtr();
    if (layer < 0) return fail(Error{ErrorKind::wrong_layer, "a node below layer 0"});
    const auto block = blocks_(*cid);
    if (!block) {
      if (missing_ == Missing::error) return fail(Error{ErrorKind::missing_block, cid->str()});
      return std::make_shared<const Node>(Node::Unloaded{}, layer, *cid);
    }
    TRY(auto data, decode_node(*block));
    if (data.empty()) return fail(Error{ErrorKind::bad_node, "an empty node below the root"});
    return build(*cid, std::move(data), layer, low, high);
  }

  Result<NodePtr, Error> build(const Cid& cid, NodeData data, int layer, std::string_view low,
                               std::string_view high) {
    if (!data.entries.empty()) {
      const std::string& first = data.entries.front().key;
      if (key_layer(first) != layer) return fail(Error{ErrorKind::wrong_layer, first});
      if (!low.empty() && first <= low) return fail(Error{ErrorKind::out_of_range, first});
      const std::string& last = data.entries.back().key;
      if (!high.empty() && last >= high) return fail(Error{ErrorKind::out_of_range, last});
    }
    Draft draft(layer);
    const auto key_at = [&](std::size_t i) -> std::string_view {
      return i < data.entries.size() ? std::string_view(data.entries[i].key) : high;
    };
    TRY(draft.left, child(data.left, layer - 1, low, key_at(0)));
    draft.slots.reserve(data.entries.size());
    for (std::size_t i = 0; i < data.entries.size(); ++i) {
      const auto& entry = data.entries[i];
      TRY(auto right, child(entry.tree, layer - 1, entry.key, key_at(i + 1)));
      draft.push(entry.key, entry.value, std::move(right));
    }
    draft.keys.shrink_to_fit();
    NodePtr node = draft.finish();
    node->store(cid);  // decode_node accepts one encoding only, so this is the CID block() would give
    return node;
  }

  const BlockLookup& blocks_;
  const Missing missing_;
};

// Comparing -------------------------------------------------------------------------------------------------

// Walks a tree in key order and stops at every element, a child node or a leaf, so that the caller can step
// over a whole sub-tree.
class Cursor {
 public:
  explicit Cursor(const Node* root) : top_(root) {}

  bool done() const { return !top_ && stack_.empty(); }
  const Node* subtree() const { return top_ ? top_ : node_at(stack_.back()); }  // nullptr at a leaf
  std::string_view key() const { return stack_.back().node->key(stack_.back().pos / 2); }
  const Cid& value() const { return stack_.back().node->slots[stack_.back().pos / 2].value; }
  // Smallest key of the element.
  std::string_view first_key() const {
    const Node* node = subtree();
    if (!node) return key();
    while (node->left) node = &loaded(*node->left);
    if (node->slots.empty()) throw std::logic_error("mst: empty node");
    return node->key(0);
  }
  void skip() {
    if (top_) {
      top_ = nullptr;
      return;
    }
    ++stack_.back().pos;
    settle();
  }
  void descend() {
    const Node* node = &loaded(*subtree());
    if (top_)
      top_ = nullptr;
    else
      ++stack_.back().pos;
    stack_.push_back({node, 0});
    settle();
  }

 private:
  struct Frame {
    const Node* node;
    std::size_t pos;  // 2i: gap i, 2i+1: slot i
  };
  static const Node* node_at(const Frame& f) {
    return f.pos % 2 == 0 ? f.node->gap(f.pos / 2).get() : nullptr;
  }
  // Moves past empty gaps and finished nodes.
  void settle() {
    while (!stack_.empty()) {
      Frame& f = stack_.back();
      if (f.pos > 2 * f.node->slots.size())
        stack_.pop_back();
      else if (f.pos % 2 == 0 && !node_at(f))
        ++f.pos;
      else
        return;
    }
  }
  const Node* top_;  // the root itself, before it is entered or skipped
  std::vector<Frame> stack_;
};

bool same(const Node* a, const Node* b) { return a == b || (a->layer == b->layer && a->cid() == b->cid()); }

// Calls on_added/on_removed for each node that is in one tree only and on_change for each differing leaf.
// A node is fixed by its layer and its first key: only two nodes that agree in both can be equal, so of two
// different elements the one with the smaller first key, or the higher layer, has no match.
template <class Added, class Removed, class Changed>
void compare(const Node* before, const Node* after, Added on_added, Removed on_removed, Changed on_change) {
  Cursor a(before), b(after);
  const auto enter_a = [&] {
    on_removed(*a.subtree());
    a.descend();
  };
  const auto enter_b = [&] {
    on_added(*b.subtree());
    b.descend();
  };
  const auto leave_a = [&] {  // what a stands on is before everything left in b
    if (a.subtree()) return enter_a();
    on_change(a.key(), nullptr, &a.value());
    a.skip();
  };
  const auto leave_b = [&] {
    if (b.subtree()) return enter_b();
    on_change(b.key(), &b.value(), nullptr);
    b.skip();
  };
  while (!a.done() || !b.done()) {
    if (a.done()) {
      leave_b();
      continue;
    }
    if (b.done()) {
      leave_a();
      continue;
    }
    const Node* x = a.subtree();
    const Node* y = b.subtree();
    if (x && y && same(x, y)) {
      a.skip();
      b.skip();
      continue;
    }
    if (const auto order = a.first_key() <=> b.first_key(); order != 0) {
      order < 0 ? leave_a() : leave_b();
    } else if (x && (!y || x->layer >= y->layer)) {
      const bool both = y && x->layer == y->layer;
      enter_a();
      if (both) enter_b();
    } else if (y) {
      enter_b();
    } else {
      if (a.value() != b.value()) on_change(a.key(), &b.value(), &a.value());
      a.skip();
      b.skip();
    }
  }
}

Block block_of(const Node& node) { return {node.cid(), node.block()}; }

// The path to `key` and to both its neighbours. Below a key the neighbours end the inner spines of the two
// gaps beside it; for a key that is absent they stand on the path itself.
void add_covering(const Node* root, std::string_view key, std::vector<const Node*>& out) {
  for (const Node* node = root; node;) {
    out.push_back(node);
    const std::size_t at = node->find(key);
    if (!node->has(at, key)) {
      node = node->gap(at).get();
      continue;
    }
    for (const Node* n = node->gap(at).get(); n; n = n->last_gap().get()) out.push_back(n);
    for (const Node* n = node->gap(at + 1).get(); n; n = n->left.get()) out.push_back(n);
    return;
  }
}

}  // namespace

// Tree ------------------------------------------------------------------------------------------------------

Result<Tree, Error> Tree::load(const Cid& root, const BlockLookup& blocks) {
  TRY(auto node, Loader(blocks, Missing::error).root(root));
  return Tree(std::move(node));
}

std::optional<Cid> Tree::get(std::string_view key) const {
  const Cid* found = get_in(root_.get(), key);
  return found ? std::optional(*found) : std::nullopt;
}

Tree Tree::put(std::string_view key, const Cid& value) const {
  require_valid(key);
  return Tree(put_in(root_, key, key_layer(key), value));
}

Tree Tree::erase(std::string_view key) const { return Tree(trim(erase_in(root_, key))); }

Cid Tree::root() const { return root_ ? root_->cid() : empty_root(); }
std::size_t Tree::size() const { return root_ ? root_->count : 0; }
std::size_t Tree::memory() const { return root_ ? root_->memory : 0; }

void Tree::walk(const std::function<bool(const Leaf&)>& visit, std::string_view from) const {
  walk_in(root_.get(), from, visit);
}

std::vector<Block> Tree::proof(std::string_view key) const {
  if (!root_) return {{empty_root(), empty_node()}};
  std::vector<Block> out;
  for (const Node* node = root_.get(); node;) {
    out.push_back(block_of(*node));
    const std::size_t at = node->find(key);
    node = node->has(at, key) ? nullptr : node->gap(at).get();
  }
  return out;
}

bool Tree::operator==(const Tree& other) const { return root_ == other.root_ || root() == other.root(); }

// Builder ---------------------------------------------------------------------------------------------------

struct Builder::Level : Draft {
  using Draft::Draft;
};

Builder::Builder() = default;
Builder::~Builder() = default;

void Builder::add(std::string_view key, const Cid& value) {
  require_valid(key);
  if (key <= last_) throw std::invalid_argument("mst: keys not ascending");
  last_ = key;
  const int layer = key_layer(key);
  for (int i = static_cast<int>(levels_.size()); i <= layer; ++i) levels_.emplace_back(i);
  // Everything below the key's layer is finished: it hangs in the gap before the key.
  for (int i = 0; i < layer; ++i)
    if (NodePtr done = std::exchange(levels_[i], Level(i)).finish())
      levels_[i + 1].last_gap() = std::move(done);
  levels_[layer].push(key, value, nullptr);
}

Tree Builder::finish() {
  NodePtr root;
  for (auto& level : levels_) {
    if (root) level.last_gap() = std::move(root);
    root = level.finish();
  }
  levels_.clear();
  last_.clear();
  return Tree(trim(std::move(root)));
}

// Walker ----------------------------------------------------------------------------------------------------

struct Walker::Frame {
  const Node* node;
  std::size_t pos;  // 2i: gap i, 2i+1: slot i
};

Walker::Walker(const Tree& tree) : root_(tree.root_) {}
Walker::~Walker() = default;
Walker::Walker(Walker&&) noexcept = default;

std::optional<Walker::Item> Walker::next() {
  if (!started_) {
    started_ = true;
    if (!root_) return Block{empty_root(), empty_node()};
    stack_.push_back({root_.get(), 0});
    return block_of(*root_);
  }
  while (!stack_.empty()) {
    Frame& f = stack_.back();
    const std::size_t pos = f.pos++;
    if (pos > 2 * f.node->slots.size()) {
      stack_.pop_back();
    } else if (pos % 2 == 1) {
      return Leaf{f.node->key(pos / 2), f.node->slots[pos / 2].value};
    } else if (const Node* child = f.node->gap(pos / 2).get()) {
      stack_.push_back({child, 0});
      return block_of(*child);
    }
  }
  return std::nullopt;
}

// Differences -----------------------------------------------------------------------------------------------

namespace {

const auto ignore_node = [](const Node&) {};
const auto ignore_change = [](std::string_view, const Cid*, const Cid*) {};

// The empty tree is one node too, though no Node stands for it.
std::vector<Block> with_empty_root(bool was_empty) {
  if (was_empty) return {};
  return {{empty_root(), empty_node()}};
}

}  // namespace

Diff diff(const Tree& before, const Tree& after) {
  Diff out;
  if (after.empty()) out.added = with_empty_root(before.empty());
  if (before.empty() && !after.empty()) out.removed.push_back(empty_root());
  compare(
      before.root_.get(), after.root_.get(), [&](const Node& n) { out.added.push_back(block_of(n)); },
      [&](const Node& n) { out.removed.push_back(n.cid()); },
      [&](std::string_view key, const Cid* now, const Cid* then) {
        out.changes.push_back({.key = std::string(key),
                               .cid = now ? std::optional(*now) : std::nullopt,
                               .prev = then ? std::optional(*then) : std::nullopt});
      });
  return out;
}

std::vector<Block> blocks_of_change(const Tree& before, const Tree& after) {
  if (after.empty()) return with_empty_root(before.empty());
  std::vector<Block> out;
  compare(
      before.root_.get(), after.root_.get(), [&](const Node& n) { out.push_back(block_of(n)); }, ignore_node,
      ignore_change);
  return out;
}

std::vector<Block> blocks_of_commit(const Tree& before, const Tree& after,
                                    std::span<const std::string> keys) {
  // The root is always there: a consumer cannot check an unchanged or empty tree without it.
  if (after.empty()) return {{empty_root(), empty_node()}};
  std::vector<const Node*> nodes{after.root_.get()};
  compare(
      before.root_.get(), after.root_.get(), [&](const Node& n) { nodes.push_back(&n); }, ignore_node,
      ignore_change);
  for (const std::string& key : keys) add_covering(after.root_.get(), key, nodes);
  std::ranges::sort(nodes);
  const auto repeated = std::ranges::unique(nodes);
  nodes.erase(repeated.begin(), repeated.end());
  // Every node comes with its parents, so a walk that enters only listed nodes finds them all, always in the
  // same order.
  std::vector<Block> out;
  out.reserve(nodes.size());
  const auto emit = [&](const auto& self, const Node* node) -> void {
    if (!node || !std::ranges::binary_search(nodes, node)) return;
    out.push_back(block_of(*node));
    for (std::size_t i = 0; i <= node->slots.size(); ++i) self(self, node->gap(i).get());
  };
  emit(emit, after.root_.get());
  return out;
}

// PartialTree -----------------------------------------------------------------------------------------------

namespace {

template <class F>
auto catching(F f) -> Result<std::invoke_result_t<F>, Error> {
  try {
    return f();
  } catch (const NeedsBlock& missing) {
    return fail(Error{ErrorKind::missing_block, missing.cid.str()});
  }
}

}  // namespace

Result<PartialTree, Error> PartialTree::load(const Cid& root, const BlockLookup& blocks) {
  TRY(auto node, Loader(blocks, Missing::unloaded).root(root));
  return PartialTree(std::move(node));
}

Result<std::optional<Cid>, Error> PartialTree::get(std::string_view key) const {
  return catching([&]() -> std::optional<Cid> {
    const Cid* found = get_in(root_.get(), key);
    return found ? std::optional(*found) : std::nullopt;
  });
}

Result<PartialTree, Error> PartialTree::put(std::string_view key, const Cid& value) const {
  if (!is_valid_key(key)) return fail(Error{ErrorKind::bad_key, std::string(key)});
  return catching([&] { return PartialTree(put_in(root_, key, key_layer(key), value)); });
}

Result<PartialTree, Error> PartialTree::erase(std::string_view key) const {
  return catching([&] { return PartialTree(trim(erase_in(root_, key))); });
}

Cid PartialTree::root() const { return root_ ? root_->cid() : empty_root(); }
bool PartialTree::complete() const { return !root_ || root_->complete; }

void PartialTree::walk(const std::function<bool(const Leaf&)>& visit) const {
  walk_in(root_.get(), {}, visit);
}

// Sync specification, "Reliable Repository Synchronization": the operations are applied in reverse against
// the partial tree of the diff.
Result<PartialTree, Error> PartialTree::invert(std::span<const Change> changes) const {
  PartialTree tree = *this;
  for (const Change& change : changes) {
    TRY(const auto now, tree.get(change.key));
    if (!change.cid && !change.prev) return fail(Error{ErrorKind::not_inverse, change.key});
    if (now != change.cid) return fail(Error{ErrorKind::not_inverse, change.key});
    if (change.prev) {
      TRY(tree, tree.put(change.key, *change.prev));
    } else {
      TRY(tree, tree.erase(change.key));
    }
  }
  return tree;
}

}  // namespace latchkey::mst

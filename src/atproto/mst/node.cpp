#include "atproto/mst/node.h"

#include <algorithm>
#include <bit>

#include "atproto/mst/wire.h"
#include "crypto/hash.h"

namespace latchkey::mst {

int key_layer(std::string_view key) {
  int zeros = 0;
  for (const std::uint8_t byte : crypto::sha256(as_bytes(key))) {
    zeros += std::countl_zero(byte);
    if (byte != 0) break;
  }
  return zeros / 2;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

bool is_valid_key(std::string_view key) {
  if (key.size() > k_max_key) return false;
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == key.size()) return false;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '-' || c == '_' || c == '~' || c == ':' || i == slash;
    if (!ok) return false;
  }
  // "The specific path segments . and .. ... will always be disallowed."
  for (const auto segment : {key.substr(0, slash), key.substr(slash + 1)})
    if (segment == "." || segment == "..") return false;
  return true;
}

namespace {

// Reads the few shapes of DAG-CBOR a node is made of, each in its one canonical form.
class Reader {
 public:
  explicit Reader(BytesView in) : in_(in) {}

  bool literal(std::string_view bytes) {
    if (!as_text(in_).starts_with(bytes)) return false;
    in_ = in_.subspan(bytes.size());
    return true;
  }

  // The head of a value: its major type and the shortest form of its argument.
  bool head(unsigned major, std::uint64_t& argument) {
    if (in_.empty() || in_[0] >> 5 != major) return false;
    const unsigned info = in_[0] & 0x1f;
    if (info < 24) {
      argument = info;
      in_ = in_.subspan(1);
      return true;
    }
    if (info > 27) return false;
    const std::size_t width = std::size_t{1} << (info - 24);
    if (in_.size() < 1 + width) return false;
    argument = 0;
    for (std::size_t i = 1; i <= width; ++i) argument = argument << 8 | in_[i];
    // 24 needs the one-byte form, 256 the two-byte form, and so on.
    const std::uint64_t least = width == 1 ? 24 : std::uint64_t{1} << (width * 4);
    if (argument < least) return false;
    in_ = in_.subspan(1 + width);
    return true;
  }

  bool bytes(BytesView& out) {
    std::uint64_t size = 0;
    if (!head(2, size) || size > in_.size()) return false;
    out = in_.first(size);
    in_ = in_.subspan(size);
    return true;
  }

  bool link(std::optional<Cid>& out) {
    if (!literal(wire::k_link) || in_.size() < wire::k_cid_size) return false;
    const auto cid = Cid::from_bytes(in_.first(wire::k_cid_size));
    if (!cid) return false;
    out = *cid;
    in_ = in_.subspan(wire::k_cid_size);
    return true;
  }

  bool link_or_null(std::optional<Cid>& out) {
    out.reset();
    return literal(wire::k_null) || link(out);
  }

  bool done() const { return in_.empty(); }

 private:
  BytesView in_;
};

auto bad(const char* why) { return fail(Error{ErrorKind::bad_node, why}); }

}  // namespace

Result<NodeData, Error> decode_node(BytesView block) {
  Reader in(block);
  NodeData node;
  std::uint64_t count = 0;
  if (!in.literal(wire::k_node)) return bad("not a map of e and l");
  if (!in.head(4, count)) return bad("e is not an array");
  if (count > k_max_node_entries) return bad("too many entries");
  node.entries.reserve(count);

  std::string_view previous;
  int layer = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    BytesView suffix;
    std::uint64_t prefix = 0;
    std::optional<Cid> tree, value;
    if (!in.literal(wire::k_entry) || !in.bytes(suffix)) return bad("entry without k");
    if (!in.literal(wire::k_entry_p) || !in.head(0, prefix)) return bad("entry without p");
    if (!in.literal(wire::k_entry_t) || !in.link_or_null(tree)) return bad("entry without t");
    if (!in.literal(wire::k_entry_v) || !in.link(value)) return bad("entry without v");
    if (tree && !tree->is_dag_cbor()) return bad("t links to something that is no node");

    if (prefix > previous.size() || prefix + suffix.size() > k_max_key) return bad("p or k too long");
    std::string key(previous.substr(0, prefix));
    key += as_text(suffix);
    if (!is_valid_key(key)) return fail(Error{ErrorKind::bad_key, "an entry's key is no path"});
    // "The compaction scheme is mandatory": p counts every shared byte.
    if (common_prefix(previous, key) != prefix) return bad("p is not the length of the shared prefix");
    if (i > 0 && key <= previous) return bad("keys not ascending");
    const int its_layer = key_layer(key);
    if (i == 0) layer = its_layer;
    if (its_layer != layer) return fail(Error{ErrorKind::wrong_layer, "keys of two layers in one node"});
    if (tree && layer == 0) return fail(Error{ErrorKind::wrong_layer, "a node below layer 0"});

    node.entries.push_back({.key = std::move(key), .value = *value, .tree = tree});
    previous = node.entries.back().key;
  }
  if (!in.literal(wire::k_node_l) || !in.link_or_null(node.left)) return bad("node without l");
  if (!in.done()) return bad("bytes after the node");
  if (node.left && !node.left->is_dag_cbor()) return bad("l links to something that is no node");
  if (node.left && count > 0 && layer == 0)
    return fail(Error{ErrorKind::wrong_layer, "a node below layer 0"});
  return node;
}

Bytes encode_node(const NodeData& node) {
  wire::NodeWriter out(node.entries.size());
  for (const auto& entry : node.entries)
    out.entry(entry.key, entry.value, entry.tree ? &*entry.tree : nullptr);
  return std::move(out).finish(node.left ? &*node.left : nullptr);
}

std::size_t entry_count(BytesView block) {
  Reader in(block);
  std::uint64_t count = 0;
  return in.literal(wire::k_node) && in.head(4, count) ? count : 0;
}

namespace wire {

namespace {

void head(Bytes& out, unsigned major, std::uint64_t argument) {
  const auto top = static_cast<std::uint8_t>(major << 5);
  if (argument < 24) {
    out.push_back(top | static_cast<std::uint8_t>(argument));
  } else if (argument < 0x100) {
    out.insert(out.end(), {static_cast<std::uint8_t>(top | 24), static_cast<std::uint8_t>(argument)});
  } else {  // entry counts, prefixes and suffixes stay below 65536
    out.insert(out.end(), {static_cast<std::uint8_t>(top | 25), static_cast<std::uint8_t>(argument >> 8),
                           static_cast<std::uint8_t>(argument)});
  }
}

void literal(Bytes& out, std::string_view bytes) { append(out, as_bytes(bytes)); }

void link_or_null(Bytes& out, const Cid* cid) {
  if (!cid) return literal(out, k_null);
  literal(out, k_link);
  append(out, cid->bytes());
}

}  // namespace

NodeWriter::NodeWriter(std::size_t entries) {
  out_.reserve(64 + entries * 128);
  literal(out_, k_node);
  head(out_, 4, entries);
}

void NodeWriter::entry(std::string_view key, const Cid& value, const Cid* tree) {
  const std::size_t prefix = common_prefix(previous_, key);
  literal(out_, k_entry);
  head(out_, 2, key.size() - prefix);
  literal(out_, key.substr(prefix));
  literal(out_, k_entry_p);
  head(out_, 0, prefix);
  literal(out_, k_entry_t);
  link_or_null(out_, tree);
  literal(out_, k_entry_v);
  link_or_null(out_, &value);
  previous_ = key;
}

Bytes NodeWriter::finish(const Cid* left) && {
  literal(out_, k_node_l);
  link_or_null(out_, left);
  return std::move(out_);
}

}  // namespace wire

}  // namespace latchkey::mst

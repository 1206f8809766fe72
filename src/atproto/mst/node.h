#pragma once
// One node of a Merkle search tree as it is written: the DAG-CBOR block, strict both ways.
// Source: https://atproto.com/specs/repository ("MST Structure").

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cid/cid.h"
#include "base/bytes.h"
#include "base/result.h"

namespace latchkey::mst {

enum class ErrorKind {
  bad_key,        // not <collection>/<record key>, or longer than k_max_key
  bad_node,       // not canonical, unsorted, wrong prefix, empty where it must not be, too many entries
  wrong_layer,    // a key or a child node in a layer it does not belong to
  out_of_range,   // a child node holds a key outside the gap it hangs in
  missing_block,  // the operation needs a node that is Unloaded
  not_inverse,    // an operation does not describe what the tree holds
};

struct Error {
  ErrorKind kind;
  std::string detail;
};

inline constexpr std::size_t k_max_key = 1024;
/// With a fanout of 4 an honest node is this long once in 10^64; a longer one was mined.
inline constexpr std::size_t k_max_node_entries = 512;
/// SHA-256 has 128 pairs of bits; the highest layer a key can have.
inline constexpr int k_max_layer = 128;

/// Leading zero bits of sha256(key), in pairs.
int key_layer(std::string_view key);
std::size_t common_prefix(std::string_view a, std::string_view b);
/// <collection>/<record key>, both not empty, of A-Z a-z 0-9 _ ~ - : . only; at most k_max_key bytes.
bool is_valid_key(std::string_view key);

/// The fields `l` and `e` with the prefixes resolved.
struct NodeData {
  struct Entry {
    std::string key;
    Cid value;
    std::optional<Cid> tree;  // `t`: keys between this one and the next
    bool operator==(const Entry&) const = default;
  };
  std::optional<Cid> left;  // `l`: keys before the first entry
  std::vector<Entry> entries;
  bool empty() const { return !left && entries.empty(); }
  bool operator==(const NodeData&) const = default;
};

/// Accepts exactly what encode_node writes for sorted, valid keys of one layer: encode(decode(x)) == x. The
/// empty node is accepted; that it stands alone is for the reader of the tree to check.
Result<NodeData, Error> decode_node(BytesView block);
Bytes encode_node(const NodeData& node);
/// Entries of a block that encode_node or Tree wrote, from its first bytes.
std::size_t entry_count(BytesView block);

}  // namespace latchkey::mst

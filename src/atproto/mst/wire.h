#pragma once
// Internal: the bytes of a node. Map keys stand in DAG-CBOR order (shorter first, then bytewise), so a node
// is always {e, l} and an entry {k, p, t, v}, and every part between the values is a constant.

#include <string_view>

#include "atproto/cid/cid.h"
#include "base/bytes.h"

namespace latchkey::mst::wire {

using namespace std::string_view_literals;

inline constexpr auto k_node = "\xa2\x61\x65"sv;          // map(2) "e":
inline constexpr auto k_node_l = "\x61\x6c"sv;            // "l":
inline constexpr auto k_entry = "\xa4\x61\x6b"sv;         // map(4) "k":
inline constexpr auto k_entry_p = "\x61\x70"sv;           // "p":
inline constexpr auto k_entry_t = "\x61\x74"sv;           // "t":
inline constexpr auto k_entry_v = "\x61\x76"sv;           // "v":
inline constexpr auto k_null = "\xf6"sv;                  // null
inline constexpr auto k_link = "\xd8\x2a\x58\x25\x00"sv;  // tag(42) bytes(37) 0x00, then the CID
inline constexpr std::size_t k_cid_size = 36;

/// Writes one node; keys come in order and live until finish().
class NodeWriter {
 public:
  explicit NodeWriter(std::size_t entries);
  void entry(std::string_view key, const Cid& value, const Cid* tree);
  Bytes finish(const Cid* left) &&;

 private:
  Bytes out_;
  std::string_view previous_;
};

}  // namespace latchkey::mst::wire

#pragma once

#include <cstdint>
#include <string_view>

namespace latchkey::car {

struct CarError {
  enum class Code {
    varint,  // overflow or not in its shortest form
    header,  // no DAG-CBOR map of version 1 and roots
    header_size,
    block_size,  // larger than allowed, or smaller than a CID
    total_size,
    block_count,
    bad_cid,        // no CID of ours (other version, codec or hash, identity)
    hash_mismatch,  // the block is not what its CID says
    truncated,      // the input ended inside the header or a block
  };
  Code code;
  std::uint64_t offset;  // of the section, in the stream
  std::string_view message() const;
};

}  // namespace latchkey::car

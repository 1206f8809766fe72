#pragma once
// Reads CAR version 1 (https://ipld.io/specs/transport/car/carv1/) piece by piece with bounded memory: at
// most one section is held. Every block is checked against its CID.

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "atproto/car/error.h"
#include "atproto/cid/cid.h"
#include "base/bytes.h"
#include "base/result.h"

namespace latchkey::car {

struct Limits {
  std::size_t header = 4096;                     // bytes; room for about a hundred roots
  std::size_t block = 2 << 20;                   // bytes of one block, without its CID
  std::uint64_t total = std::uint64_t{1} << 32;  // bytes of the whole stream
  std::uint64_t blocks = 50'000'000;
};

class Reader {
 public:
  /// Called for each block in stream order; `bytes` is valid during the call only. Repeated blocks are
  /// reported again.
  using OnBlock = std::function<void(const Cid& cid, BytesView bytes)>;
  explicit Reader(OnBlock on_block, const Limits& limits = {});

  /// After an error every further call gives the same error.
  Result<void, CarError> feed(BytesView piece);
  /// The stream has ended; an error when it ended too early.
  Result<void, CarError> finish();
  /// The header's roots, possibly none; std::nullopt until the header was read.
  const std::optional<std::vector<Cid>>& roots() const { return roots_; }
  std::uint64_t blocks() const { return count_; }

 private:
  std::unexpected<CarError> failed(CarError::Code code);
  Result<void, CarError> section(BytesView bytes);

  OnBlock on_block_;
  Limits limits_;
  std::optional<std::vector<Cid>> roots_;
  std::optional<CarError> error_;
  std::uint64_t total_ = 0, count_ = 0, section_at_ = 0;
  std::uint64_t length_ = 0;  // of the section; while its varint is read, the part known so far
  unsigned varint_bytes_ = 0;
  bool in_section_ = false;
  Bytes held_;  // the part of the section that came with earlier pieces
};

/// A whole CAR that is in memory already.
struct Contents {
  std::vector<Cid> roots;
  std::vector<std::pair<Cid, Bytes>> blocks;
};
Result<Contents, CarError> read_all(BytesView car, const Limits& limits = {});

}  // namespace latchkey::car

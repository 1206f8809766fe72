#pragma once
// Writes CAR version 1 (https://ipld.io/specs/transport/car/carv1/). Media type application/vnd.ipld.car.

#include <span>

#include "atproto/cid/cid.h"
#include "base/bytes.h"

namespace latchkey::car {

/// Appends to a sink the caller may take and clear at any time, so that streaming needs the memory of one
/// block.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}
  void header(const Cid& root) { header(std::span(&root, 1)); }
  void header(std::span<const Cid> roots);
  void block(const Cid& cid, BytesView bytes);
  /// What block() appends for a block of that many bytes.
  static std::size_t section_size(std::size_t block_bytes);

 private:
  Bytes& out_;
};

}  // namespace latchkey::car

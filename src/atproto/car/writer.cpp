#include "atproto/car/writer.h"

#include "atproto/cbor/cbor.h"

namespace latchkey::car {
namespace {

// Unsigned LEB128, as multiformats have it.
void append_varint(Bytes& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<std::uint8_t>(n | 0x80));
  out.push_back(static_cast<std::uint8_t>(n));
}

}  // namespace

void Writer::header(std::span<const Cid> roots) {
  Bytes header;
  cbor::Writer fields(header);
  fields.map(2);
  fields.text("roots");
  fields.array(roots.size());
  for (const Cid& root : roots) fields.cid(root);
  fields.text("version");
  fields.integer(1);
  append_varint(out_, header.size());
  append(out_, header);
}

void Writer::block(const Cid& cid, BytesView bytes) {
  append_varint(out_, Cid::k_size + bytes.size());
  append(out_, cid.bytes());
  append(out_, bytes);
}

std::size_t Writer::section_size(std::size_t block_bytes) {
  const std::size_t length = Cid::k_size + block_bytes;
  std::size_t varint = 1;
  for (std::size_t n = length; n >= 0x80; n >>= 7) ++varint;
  return varint + length;
}

}  // namespace latchkey::car

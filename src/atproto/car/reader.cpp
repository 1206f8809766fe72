#include "atproto/car/reader.h"

#include <algorithm>

#include "atproto/cbor/cbor.h"

namespace latchkey::car {
namespace {

// https://ipld.io/specs/transport/car/carv1/#header
Result<std::vector<Cid>, cbor::CborError> read_header(BytesView bytes) {
  const auto no_header = [] { return fail(cbor::CborError{cbor::CborError::Code::unexpected_kind, 0}); };
  cbor::Reader in(bytes, {.size = bytes.size()});
  TRY(const auto members, in.map());
  if (members != 2) return no_header();
  TRY(const auto first, in.text());
  if (first != "roots") return no_header();
  TRY(const auto count, in.array());
  std::vector<Cid> roots;
  roots.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    TRY(const auto root, in.cid());
    roots.push_back(root);
  }
  TRY(const auto second, in.text());
  if (second != "version") return no_header();
  TRY(const auto version, in.integer());
  if (version != 1) return no_header();
  TRY_VOID(in.finish());
  return roots;
}

}  // namespace

Reader::Reader(OnBlock on_block, const Limits& limits) : on_block_(std::move(on_block)), limits_(limits) {}

std::unexpected<CarError> Reader::failed(CarError::Code code) {
  error_ = CarError{code, section_at_};
  held_ = {};
  return std::unexpected(*error_);
}

Result<void, CarError> Reader::section(BytesView bytes) {
  if (!roots_) {
    auto roots = read_header(bytes);
    if (!roots) return failed(CarError::Code::header);
    roots_ = *std::move(roots);
    return {};
  }
  const auto cid = Cid::from_bytes(bytes.first(Cid::k_size));
  if (!cid) return failed(CarError::Code::bad_cid);
  const auto block = bytes.subspan(Cid::k_size);
  if (!cid->matches(block)) return failed(CarError::Code::hash_mismatch);
  ++count_;
  on_block_(*cid, block);
  return {};
}

Result<void, CarError> Reader::feed(BytesView piece) {
  if (error_) return std::unexpected(*error_);
  if (piece.size() > limits_.total - total_) return failed(CarError::Code::total_size);
  total_ += piece.size();

  while (!piece.empty()) {
    if (!in_section_) {
      if (varint_bytes_ == 0) {
        section_at_ = total_ - piece.size();
        length_ = 0;
      }
      const std::uint8_t byte = piece.front();
      piece = piece.subspan(1);
      // Nine bytes hold 63 bits, the most multiformats allow; a last byte of zero could have been left out.
      length_ |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * varint_bytes_++);
      if (byte >= 0x80) {
        if (varint_bytes_ == 9) return failed(CarError::Code::varint);
        continue;
      }
      if (byte == 0 && varint_bytes_ > 1) return failed(CarError::Code::varint);
      if (!roots_) {
        if (length_ == 0) return failed(CarError::Code::header);
        if (length_ > limits_.header) return failed(CarError::Code::header_size);
      } else {
        if (length_ < Cid::k_size || length_ - Cid::k_size > limits_.block)
          return failed(CarError::Code::block_size);
        if (count_ == limits_.blocks) return failed(CarError::Code::block_count);
      }
      varint_bytes_ = 0;
      in_section_ = true;
      continue;
    }

    const auto missing = static_cast<std::size_t>(length_) - held_.size();
    const auto part = piece.first(std::min(missing, piece.size()));
    piece = piece.subspan(part.size());
    if (part.size() < missing) {
      append(held_, part);
    } else if (held_.empty()) {  // all of it is in this piece: no copy
      in_section_ = false;
      TRY_VOID(section(part));
    } else {
      append(held_, part);
      in_section_ = false;
      TRY_VOID(section(held_));
      held_.clear();
    }
  }
  return {};
}

Result<void, CarError> Reader::finish() {
  if (error_) return std::unexpected(*error_);
  if (in_section_ || varint_bytes_ > 0 || !roots_) return failed(CarError::Code::truncated);
  return {};
}

Result<Contents, CarError> read_all(BytesView car, const Limits& limits) {
  Contents contents;
  Reader reader([&](const Cid& cid, BytesView bytes) { contents.blocks.emplace_back(cid, to_bytes(bytes)); },
                limits);
  TRY_VOID(reader.feed(car));
  TRY_VOID(reader.finish());
  contents.roots = *reader.roots();
  return contents;
}

}  // namespace latchkey::car

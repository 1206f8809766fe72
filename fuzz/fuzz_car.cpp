// Any bytes, whole and in pieces: the same answer; and what is accepted is written again byte for byte.
#include <algorithm>
#include <cstdlib>

#include "atproto/car/reader.h"
#include "atproto/car/writer.h"

using namespace latchkey;

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  const auto whole = car::read_all(input);

  const std::size_t step = size % 61 + 1;
  std::vector<std::pair<Cid, Bytes>> blocks;
  car::Reader reader([&](const Cid& cid, BytesView bytes) { blocks.emplace_back(cid, to_bytes(bytes)); });
  Result<void, car::CarError> fed;
  for (std::size_t at = 0; fed && at < size; at += step)
    fed = reader.feed(input.subspan(at, std::min(step, size - at)));
  const auto finished = reader.finish();

  require(whole.has_value() == finished.has_value());
  if (!whole) {
    require(whole.error().code == finished.error().code && whole.error().offset == finished.error().offset);
    return 0;
  }
  require(whole->roots == *reader.roots() && whole->blocks == blocks);
  Bytes again;
  car::Writer writer(again);
  writer.header(whole->roots);
  for (const auto& [cid, bytes] : blocks) writer.block(cid, bytes);
  require(std::ranges::equal(again, input));
  return 0;
}

// Any bytes as a binary CID and as text: one form of each for each CID.
#include <algorithm>
#include <cstdlib>

#include "atproto/cid/cid.h"

using namespace latchkey;

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  if (const auto cid = Cid::from_bytes(input)) {
    require(std::ranges::equal(cid->bytes(), input));
    require(Cid::parse(cid->str()).value() == *cid);
  }
  if (const auto cid = Cid::parse(as_text(input))) {
    require(cid->str() == as_text(input));
    require(Cid::from_bytes(cid->bytes()).value() == *cid);
  }
  return 0;
}

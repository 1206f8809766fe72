// Any bytes as a commit block: one encoding, whatever is accepted.
#include <algorithm>
#include <cstdlib>

#include "atproto/repo/commit.h"

using namespace latchkey;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  if (const auto commit = repo::Commit::decode(input))
    if (!std::ranges::equal(commit->encode(), input)) std::abort();
  return 0;
}

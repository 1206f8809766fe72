// Any JSON text: refused, or its value survives CBOR and JSON unchanged.
#include <cstdlib>

#include "atproto/cbor/cbor.h"
#include "atproto/cbor/json.h"

using namespace latchkey;

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = json::parse(as_text({data, size}));
  if (!parsed) return 0;
  const auto value = cbor::from_json(*parsed);
  if (!value) {
    require(!value.error().message.empty());
    return 0;
  }
  const Bytes block = cbor::encode(*value);
  const auto decoded = cbor::decode(block);
  require(decoded && *decoded == *value);
  std::string text;
  require(cbor::write_json(block, text).has_value());
  const auto again = json::parse(text);
  require(again.has_value());
  const auto back = cbor::from_json(*again);
  require(back && *back == *value);
  cbor::find_blobs(*value);
  return 0;
}

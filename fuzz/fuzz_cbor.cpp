// Any bytes: refused, or they are the one encoding of what they decode to, and JSON says the same.
#include <algorithm>
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
  const BytesView block(data, size);
  const auto value = cbor::decode(block);
  const auto valid = cbor::validate(block);
  std::string text;
  const auto written = cbor::write_json(block, text);
  require(value.has_value() == valid.has_value() && value.has_value() == written.has_value());
  if (!value) {
    require(text.empty() && value.error().code == valid.error().code && value.error().offset <= size);
    return 0;
  }
  require(std::ranges::equal(cbor::encode(*value), block));
  require(cbor::to_json(*value).dump() == text);
  const auto parsed = json::parse(text);
  require(parsed.has_value());
  // A stranger's map may have a key that JSON reserves, such as $link; then the JSON form means something
  // else.
  if (as_text(block).find('$') != std::string_view::npos) return 0;
  if (const auto back = cbor::from_json(*parsed)) require(*back == *value);
  return 0;
}

// Client frames: messages stay inside the limit whatever the pieces they arrive in, and the pieces do not
// matter.
#include <cstdlib>

#include "web/websocket.h"

namespace {

std::string read_all(latchkey::BytesView bytes, std::size_t piece) {
  using namespace latchkey::web;
  WsParser parser(1000);
  std::string seen;
  while (!bytes.empty()) {
    const auto n = std::min(piece, bytes.size());
    parser.feed(bytes.first(n));
    bytes = bytes.subspan(n);
    for (;;) {
      const auto e = parser.next();
      if (!e) return seen + "!" + std::to_string(e.error());
      if (!*e) break;
      if ((*e)->data.size() > 1000) std::abort();
      seen += std::to_string(static_cast<int>((*e)->kind)) + ":" + (*e)->data + ";";
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const latchkey::BytesView bytes(data, size);
  const auto whole = read_all(bytes, size + 1);
  for (const std::size_t piece : {1, 3, 100})
    if (read_all(bytes, piece) != whole) std::abort();
  return 0;
}

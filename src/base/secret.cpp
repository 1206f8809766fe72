#include "base/secret.h"

#include <cstring>

namespace latchkey {

void wipe(std::span<std::uint8_t> memory) {
  if (!memory.empty()) ::explicit_bzero(memory.data(), memory.size());
}

}  // namespace latchkey

#include "base/rng.h"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

#include "base/encoding.h"

namespace latchkey {

Bytes Rng::bytes(std::size_t n) {
  Bytes out(n);
  fill(out);
  return out;
}

std::string Rng::token(std::size_t n) { return base64url(bytes(n)); }

std::uint32_t Rng::below(std::uint32_t bound) {
  // Reject the incomplete last interval, so every value is equally likely.
  const std::uint32_t limit = UINT32_MAX - UINT32_MAX % bound;
  for (;;) {
    std::uint8_t raw[4];
    fill(raw);
    const std::uint32_t v = static_cast<std::uint32_t>(raw[0]) << 24 |
                            static_cast<std::uint32_t>(raw[1]) << 16 |
                            static_cast<std::uint32_t>(raw[2]) << 8 | raw[3];
    if (v < limit) return v % bound;
  }
}

void OsRng::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

void SeededRng::fill(std::span<std::uint8_t> out) {
  std::lock_guard lock(mutex_);
  for (auto& b : out) b = static_cast<std::uint8_t>(engine_());
}

}  // namespace latchkey

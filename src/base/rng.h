#pragma once
// Randomness is handed in. The OS source is read in rng.cpp and nowhere else.

#include <cstdint>
#include <mutex>
#include <random>
#include <span>
#include <string>

#include "base/bytes.h"

namespace latchkey {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;

  Bytes bytes(std::size_t n);
  std::string token(std::size_t n = 32);     // base64url of n random bytes; 32 bytes = 256 bits
  std::uint32_t below(std::uint32_t bound);  // uniform in [0, bound), bound > 0
};

/// getrandom(2). Thread-safe.
class OsRng final : public Rng {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

/// Repeatable, for tests only. Thread-safe.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed = 1) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

}  // namespace latchkey

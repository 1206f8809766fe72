#pragma once
#include <string>
#include <type_traits>
#include <utility>

#include "base/bytes.h"

namespace latchkey {

/// Overwrites memory in a way the optimiser keeps.
void wipe(std::span<std::uint8_t> memory);

/// A value that is not printed, not compared with == and wiped when it goes. T is std::string, Bytes or a
/// trivially copyable array. reveal() is the one way in, so a reader can grep for it.
template <class T>
class Secret {
 public:
  explicit Secret(T value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.clear(); }
  Secret& operator=(Secret other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Secret() { clear(); }
  const T& reveal() const { return value_; }

 private:
  void clear() {
    if constexpr (std::is_trivially_copyable_v<T>)
      wipe({reinterpret_cast<std::uint8_t*>(&value_), sizeof value_});
    else
      wipe({reinterpret_cast<std::uint8_t*>(value_.data()), value_.size()});
  }
  T value_;
};

}  // namespace latchkey

#pragma once
// Server-provided DPoP nonces (RFC 9449 §8 and §9) without storage: a nonce is a MAC of the number of the
// time window it was given out in, so every process that shares the secret agrees, also after a restart.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"
#include "base/time.h"

namespace latchkey::oauth {

/// Accepts the nonce of the window before (a client that just got it), of this one, and of the next one (a
/// neighbour whose clock runs ahead). Thread-safe.
class Nonces {
 public:
  /// Throws when the secret has fewer than 32 bytes or the window is not within 1 s and 5 min.
  explicit Nonces(Secret<Bytes> secret, std::chrono::seconds window = std::chrono::seconds(150));
  std::string current(Time now) const;
  bool accepts(std::string_view nonce, Time now) const;

 private:
  struct Around {  // what is accepted in one window
    std::int64_t window;
    std::string previous, current, next;
  };
  std::string of(std::int64_t window) const;
  std::shared_ptr<const Around> around(Time now) const;
  Secret<Bytes> key_;
  std::chrono::seconds window_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Around> last_;  // every request asks twice, the answer holds for minutes
};

}  // namespace latchkey::oauth

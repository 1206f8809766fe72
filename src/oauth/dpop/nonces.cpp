#include "oauth/dpop/nonces.h"

#include <stdexcept>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::oauth {

using namespace std::chrono_literals;

Nonces::Nonces(Secret<Bytes> secret, std::chrono::seconds window)
    // A key of its own, so that the server's secret can serve other purposes too.
    : key_(crypto::hkdf_sha256(secret.reveal(), {}, "dpop-nonce", 32)), window_(window) {
  if (secret.reveal().size() < 32) throw std::invalid_argument("Nonces: secret has fewer than 32 bytes");
  if (window < 1s || window > 5min) throw std::invalid_argument("Nonces: window is not within 1 s and 5 min");
}

std::string Nonces::of(std::int64_t window) const {
  const auto mac = crypto::hmac_sha256(key_.reveal(), as_bytes(std::to_string(window)));
  return base64url(BytesView(mac).first(16));  // 128 bits cannot be guessed; shorter headers
}

std::shared_ptr<const Nonces::Around> Nonces::around(Time now) const {
  const std::int64_t window = unix_seconds(now) / window_.count();
  std::lock_guard lock(mutex_);
  if (!last_ || last_->window != window)
    last_ = std::make_shared<const Around>(window, of(window - 1), of(window), of(window + 1));
  return last_;
}

std::string Nonces::current(Time now) const { return around(now)->current; }

bool Nonces::accepts(std::string_view nonce, Time now) const {
  const auto here = around(now);
  return crypto::equal(nonce, here->current) || crypto::equal(nonce, here->previous) ||
         crypto::equal(nonce, here->next);
}

}  // namespace latchkey::oauth

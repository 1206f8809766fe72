#pragma once
// RSA signatures of others, checked: ID tokens of OpenID providers. Nothing here signs.

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace latchkey::crypto {

enum class RsaPadding {
  pkcs1_v1_5,  // RS256, RFC 7518 §3.3
  pss,         // PS256, RFC 7518 §3.5: MGF1 with SHA-256, a salt of 32 bytes
};

/// Cheap to copy: copies share one parsed key. Safe to use from several threads.
class RsaPublicKey {
 public:
  /// Big-endian without leading zeros (RFC 7518 §6.3.1). The modulus has 2048 bits (§3.3) to 8192, the
  /// exponent is odd and has at most 32 bits: beyond that checking a signature costs a stranger nothing and
  /// us much.
  static Result<RsaPublicKey, KeyError> from_numbers(BytesView n, BytesView e);
  /// True when `signature` is as long as the modulus and signs SHA-256 of `message`.
  bool verify(BytesView message, BytesView signature, RsaPadding) const;

 private:
  struct Impl;
  explicit RsaPublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace latchkey::crypto

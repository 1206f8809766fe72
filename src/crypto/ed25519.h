#pragma once
// Ed25519 (RFC 8032 §5.1): the EdDSA of JOSE (RFC 8037).

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"
#include "crypto/key.h"

namespace latchkey::crypto {

/// Cheap to copy: copies share one parsed key. Safe to use from several threads.
class Ed25519PublicKey {
 public:
  static Result<Ed25519PublicKey, KeyError> from_bytes(BytesView key32);
  const std::array<std::uint8_t, 32>& bytes() const;
  /// True when `signature` is 64 bytes and signs `message`.
  bool verify(BytesView message, BytesView signature) const;

 private:
  struct Impl;
  explicit Ed25519PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

class Ed25519PrivateKey {
 public:
  static Ed25519PrivateKey generate(Rng&);
  static Result<Ed25519PrivateKey, KeyError> from_bytes(BytesView seed32);
  Secret<Bytes> bytes() const;
  Ed25519PublicKey public_key() const;
  Signature sign(BytesView message) const;

 private:
  struct Impl;
  explicit Ed25519PrivateKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace latchkey::crypto

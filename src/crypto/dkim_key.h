#pragma once
// Private keys that sign mails: RSA (RFC 6376 §3.3.1) and Ed25519 (RFC 8463).

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace latchkey::crypto {

/// Cheap to copy: copies share one parsed key. Safe to use from several threads.
class DkimKey {
 public:
  enum class Type { rsa, ed25519 };

  /// "PRIVATE KEY" (PKCS #8) or "RSA PRIVATE KEY" (PKCS #1), not encrypted. RSA of 1024 to 4096 bits: RFC
  /// 8301 §3.2 lets verifiers refuse less, and many stop at 4096. The error is a sentence about the key,
  /// without it.
  static Result<DkimKey, std::string> from_pem(std::string_view pem);

  Type type() const;
  /// What verifiers have to find as p= in DNS: a SubjectPublicKeyInfo (RFC 6376 §3.6.1) or, of Ed25519, the
  /// 32 bytes of the key (RFC 8463 §4.2).
  Bytes public_key() const;
  /// The signature over SHA-256 of `message`: RSASSA-PKCS1-v1_5, or PureEdDSA over the hash (RFC 8463 §3).
  Bytes sign(BytesView message) const;

 private:
  struct Impl;
  explicit DkimKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace latchkey::crypto

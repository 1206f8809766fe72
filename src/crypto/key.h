#pragma once
// Elliptic-curve keys of the AT Protocol: P-256 (ES256) and secp256k1 (ES256K), SHA-256 inside.
// Source: https://atproto.com/specs/cryptography, https://www.w3.org/TR/did-key/

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"

namespace latchkey::crypto {

enum class Curve { p256, k256 };

/// An ECDSA signature (r, s) has a twin (r, n - s). atproto allows only the low one on commits and PLC
/// operations; JOSE signers emit either.
enum class HighS { refuse, accept };

/// Compact form: r and s, 32 bytes each, big-endian. The DER form is never accepted.
using Signature = std::array<std::uint8_t, 64>;

struct KeyError {
  std::string detail;  // what is wrong with the input; never contains key material
};

/// A point on its curve, not infinity. Cheap to copy: copies share one parsed key. Safe to use from several
/// threads.
class PublicKey {
 public:
  static Result<PublicKey, KeyError> from_did_key(std::string_view did);  // did:key:z…
  /// z…, a Multikey: base58btc of multicodec and compressed point.
  static Result<PublicKey, KeyError> from_multibase(std::string_view text);
  /// z… without a multicodec, as in verification methods of type EcdsaSecp256r1VerificationKey2019 and
  /// EcdsaSecp256k1VerificationKey2019, where the type tells the curve. Compressed or uncompressed point.
  static Result<PublicKey, KeyError> from_legacy_multibase(Curve, std::string_view text);
  static Result<PublicKey, KeyError> from_compressed(Curve, BytesView point33);
  static Result<PublicKey, KeyError> from_coordinates(Curve, BytesView x32, BytesView y32);

  Curve curve() const;
  std::string did_key() const;
  std::string multibase() const;
  Bytes compressed() const;
  Bytes x() const;
  Bytes y() const;

  /// True when `signature` is 64 bytes and signs SHA-256 of `message` with this key.
  bool verify(BytesView message, BytesView signature, HighS) const;
  bool operator==(const PublicKey&) const;

 private:
  friend class PrivateKey;
  struct Impl;
  explicit PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Cheap to copy: copies share one key, which is wiped with the last of them. Safe to use from several
/// threads.
class PrivateKey {
 public:
  static PrivateKey generate(Curve, Rng&);
  static Result<PrivateKey, KeyError> from_bytes(Curve, BytesView scalar32);
  /// "PRIVATE KEY" (PKCS #8) or "EC PRIVATE KEY" (SEC 1) on a named curve, not encrypted.
  static Result<PrivateKey, KeyError> from_pem(std::string_view);

  Curve curve() const;
  Secret<Bytes> bytes() const;
  PublicKey public_key() const;
  /// Signs SHA-256 of `message`; always low-S.
  Signature sign(BytesView message) const;

 private:
  struct Impl;
  explicit PrivateKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace latchkey::crypto

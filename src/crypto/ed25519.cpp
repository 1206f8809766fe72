#include "crypto/ed25519.h"

#include <openssl/err.h>

#include <algorithm>

#include "crypto/openssl.h"

namespace latchkey::crypto {

struct Ed25519PublicKey::Impl {
  std::array<std::uint8_t, 32> bytes;
  Pkey pkey;
};

struct Ed25519PrivateKey::Impl {
  Secret<Bytes> seed;
  Pkey pkey;
};

Result<Ed25519PublicKey, KeyError> Ed25519PublicKey::from_bytes(BytesView key) {
  if (key.size() != 32) return fail(KeyError{"ed25519: a public key has 32 bytes"});
  auto impl = std::make_shared<Impl>();
  std::ranges::copy(key, impl->bytes.begin());
  // Whether the point is on the curve shows when a signature is checked (RFC 8032 §5.1.7, step 1).
  impl->pkey = Pkey(
      EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, impl->bytes.data(), impl->bytes.size()));
  must(impl->pkey != nullptr, "EVP_PKEY_new_raw_public_key");
  return Ed25519PublicKey(std::move(impl));
}

const std::array<std::uint8_t, 32>& Ed25519PublicKey::bytes() const { return impl_->bytes; }

bool Ed25519PublicKey::verify(BytesView message, BytesView signature) const {
  if (signature.size() != 64) return false;
  const MdCtx ctx(EVP_MD_CTX_new());
  must(ctx && EVP_DigestVerifyInit_ex(ctx.get(), nullptr, nullptr, nullptr, nullptr, impl_->pkey.get(),
                                      nullptr) == 1,
       "EVP_DigestVerifyInit");
  const bool ok =
      EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!ok) ERR_clear_error();
  return ok;
}

Result<Ed25519PrivateKey, KeyError> Ed25519PrivateKey::from_bytes(BytesView seed) {
  if (seed.size() != 32) return fail(KeyError{"ed25519: a private key has 32 bytes"});
  Pkey pkey(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, seed.data(), seed.size()));
  must(pkey != nullptr, "EVP_PKEY_new_raw_private_key");
  return Ed25519PrivateKey(
      std::make_shared<const Impl>(Impl{Secret<Bytes>(to_bytes(seed)), std::move(pkey)}));
}

Ed25519PrivateKey Ed25519PrivateKey::generate(Rng& rng) {
  const Secret<Bytes> seed(rng.bytes(32));
  return from_bytes(seed.reveal()).value();
}

Secret<Bytes> Ed25519PrivateKey::bytes() const { return impl_->seed; }

Ed25519PublicKey Ed25519PrivateKey::public_key() const {
  std::array<std::uint8_t, 32> out;
  std::size_t n = out.size();
  must(EVP_PKEY_get_raw_public_key(impl_->pkey.get(), out.data(), &n) == 1, "EVP_PKEY_get_raw_public_key");
  return Ed25519PublicKey::from_bytes(out).value();
}

Signature Ed25519PrivateKey::sign(BytesView message) const {
  Signature out;
  std::size_t n = out.size();
  const MdCtx ctx(EVP_MD_CTX_new());
  must(ctx &&
           EVP_DigestSignInit_ex(ctx.get(), nullptr, nullptr, nullptr, nullptr, impl_->pkey.get(), nullptr) ==
               1 &&
           EVP_DigestSign(ctx.get(), out.data(), &n, message.data(), message.size()) == 1 && n == out.size(),
       "EVP_DigestSign");
  return out;
}

}  // namespace latchkey::crypto

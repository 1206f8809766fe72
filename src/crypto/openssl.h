#pragma once
// What the files of this folder share of OpenSSL: owners for its handles, and algorithms fetched once (a
// fetch by name takes a lock and a search, OpenSSL 3.0 does one per call otherwise).

#include <openssl/bn.h>
#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

namespace latchkey::crypto {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};

using MdCtx = std::unique_ptr<EVP_MD_CTX, Freed<&EVP_MD_CTX_free>>;
using MacCtx = std::unique_ptr<EVP_MAC_CTX, Freed<&EVP_MAC_CTX_free>>;
using CipherCtx = std::unique_ptr<EVP_CIPHER_CTX, Freed<&EVP_CIPHER_CTX_free>>;
using Pkey = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;
using PkeyCtx = std::unique_ptr<EVP_PKEY_CTX, Freed<&EVP_PKEY_CTX_free>>;
using Bn = std::unique_ptr<BIGNUM, Freed<&BN_clear_free>>;

/// For calls that fail only when memory is gone or the library is broken.
inline void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(what);
}

}  // namespace latchkey::crypto

#include "crypto/dkim_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {

struct DkimKey::Impl {
  Type type;
  Pkey key;
};

namespace {

constexpr int k_min_rsa_bits = 1024, k_max_rsa_bits = 4096;

// Without it OpenSSL would ask on the terminal.
int no_password(char*, int, int, void*) { return -1; }

}  // namespace

Result<DkimKey, std::string> DkimKey::from_pem(std::string_view pem) {
  const std::unique_ptr<BIO, Freed<&BIO_free>> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  must(in != nullptr, "BIO_new_mem_buf");
  Pkey key(PEM_read_bio_PrivateKey(in.get(), nullptr, &no_password, nullptr));
  if (!key) {
    ERR_clear_error();
    return fail(std::string("it holds no private key in PEM form (an encrypted one cannot be read)"));
  }
  if (EVP_PKEY_is_a(key.get(), "ED25519") == 1)
    return DkimKey(std::make_shared<const Impl>(Impl{Type::ed25519, std::move(key)}));
  if (EVP_PKEY_is_a(key.get(), "RSA") != 1)
    return fail(std::string("it is neither an RSA nor an Ed25519 key"));
  const int bits = EVP_PKEY_get_bits(key.get());
  if (bits < k_min_rsa_bits) return fail(std::string("its RSA key is too short: receivers want 2048 bits"));
  if (bits > k_max_rsa_bits)
    return fail(std::string("its RSA key has more than 4096 bits, which receivers refuse"));
  return DkimKey(std::make_shared<const Impl>(Impl{Type::rsa, std::move(key)}));
}

DkimKey::Type DkimKey::type() const { return impl_->type; }

Bytes DkimKey::public_key() const {
  if (impl_->type == Type::ed25519) {
    Bytes raw(32);
    std::size_t size = raw.size();
    must(EVP_PKEY_get_raw_public_key(impl_->key.get(), raw.data(), &size) == 1 && size == raw.size(),
         "EVP_PKEY_get_raw_public_key");
    return raw;
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(impl_->key.get(), &der);
  must(size > 0, "i2d_PUBKEY");
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

Bytes DkimKey::sign(BytesView message) const {
  const MdCtx ctx(EVP_MD_CTX_new());
  must(ctx != nullptr, "EVP_MD_CTX_new");
  const bool rsa = impl_->type == Type::rsa;
  must(EVP_DigestSignInit(ctx.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr, impl_->key.get()) == 1,
       "EVP_DigestSignInit");
  const Digest hash = sha256(message);
  const BytesView input = rsa ? message : BytesView(hash);
  std::size_t size = 0;
  must(EVP_DigestSign(ctx.get(), nullptr, &size, input.data(), input.size()) == 1, "EVP_DigestSign");
  Bytes out(size);
  must(EVP_DigestSign(ctx.get(), out.data(), &size, input.data(), input.size()) == 1, "EVP_DigestSign");
  out.resize(size);
  return out;
}

}  // namespace latchkey::crypto

#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

// Fetched algorithms live as long as the process.
const EVP_MD* sha256_md() {
  static const EVP_MD* const md = [] {
    EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    must(fetched != nullptr, "SHA-256 is not available");
    return fetched;
  }();
  return md;
}

// HMAC with its digest chosen, before any key; copied for each use.
EVP_MAC_CTX* hmac_template() {
  static EVP_MAC_CTX* const ready = [] {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    must(mac != nullptr, "HMAC is not available");
    EVP_MAC_CTX* ctx = EVP_MAC_CTX_new(mac);
    must(ctx != nullptr, "EVP_MAC_CTX_new");
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    must(EVP_MAC_CTX_set_params(ctx, params) == 1, "EVP_MAC_CTX_set_params");
    return ctx;
  }();
  return ready;
}

}  // namespace

struct Sha256::State {
  MdCtx ctx{EVP_MD_CTX_new()};
  void start() {
    must(ctx && EVP_DigestInit_ex2(ctx.get(), sha256_md(), nullptr) == 1, "EVP_DigestInit_ex2");
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) { state_->start(); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(BytesView in) {
  must(EVP_DigestUpdate(state_->ctx.get(), in.data(), in.size()) == 1, "EVP_DigestUpdate");
}

Digest Sha256::finish() {
  Digest out;
  must(EVP_DigestFinal_ex(state_->ctx.get(), out.data(), nullptr) == 1, "EVP_DigestFinal_ex");
  state_->start();
  return out;
}

Digest sha256(BytesView in) {
  thread_local Sha256 hash;  // a context costs as much as hashing a short message
  hash.update(in);
  return hash.finish();
}

Digest hmac_sha256(BytesView key, BytesView message) {
  const MacCtx ctx(EVP_MAC_CTX_dup(hmac_template()));
  Digest out;
  std::size_t written = 0;
  // A null key means "keep the old one" to OpenSSL, so an empty key needs an address.
  const std::uint8_t none = 0;
  must(ctx && EVP_MAC_init(ctx.get(), key.empty() ? &none : key.data(), key.size(), nullptr) == 1 &&
           EVP_MAC_update(ctx.get(), message.data(), message.size()) == 1 &&
           EVP_MAC_final(ctx.get(), out.data(), &written, out.size()) == 1 && written == out.size(),
       "HMAC");
  return out;
}

Bytes hkdf_sha256(BytesView ikm, BytesView salt, std::string_view info, std::size_t n) {
  must(n <= 255 * sizeof(Digest), "hkdf_sha256: too much output asked for");
  const Digest prk = hmac_sha256(salt, ikm);  // §2.2; no salt and a salt of zeros give the same HMAC key
  Bytes out;
  Bytes block;  // §2.3: T(i) = HMAC(PRK, T(i-1) | info | i)
  for (std::uint8_t i = 1; out.size() < n; ++i) {
    append(block, as_bytes(info));
    block.push_back(i);
    const Digest t = hmac_sha256(prk, block);
    block.assign(t.begin(), t.end());
    out.insert(out.end(), t.begin(),
               t.begin() + static_cast<std::ptrdiff_t>(std::min(t.size(), n - out.size())));
  }
  return out;
}

bool equal(BytesView a, BytesView b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace latchkey::crypto

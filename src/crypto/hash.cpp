// OpenSSL's SHA256_* and not EVP: for the short messages hashed here EVP spends ten times as long on finding
// and making its contexts as on the compression function. Deprecated there only to steer users to EVP.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "crypto/openssl.h"

namespace latchkey::crypto {

static_assert(sizeof(Sha256::State) >= sizeof(SHA256_CTX) && alignof(Sha256::State) >= alignof(SHA256_CTX));
static_assert(std::is_trivially_copyable_v<SHA256_CTX>);

namespace {
SHA256_CTX* of(Sha256::State& state) { return reinterpret_cast<SHA256_CTX*>(state.words); }
}  // namespace

Sha256::Sha256() { must(SHA256_Init(of(state_)) == 1, "SHA256_Init"); }

void Sha256::update(BytesView in) {
  must(SHA256_Update(of(state_), in.data(), in.size()) == 1, "SHA256_Update");
}

Digest Sha256::finish() {
  Digest out;
  must(SHA256_Final(out.data(), of(state_)) == 1 && SHA256_Init(of(state_)) == 1, "SHA256_Final");
  return out;
}

Digest sha256(BytesView in) {
  Sha256 hash;
  hash.update(in);
  return hash.finish();
}

// RFC 2104 §2: H(K xor opad, H(K xor ipad, text)).
Digest hmac_sha256(BytesView key, BytesView message) {
  std::array<std::uint8_t, SHA256_CBLOCK> block{};
  if (key.size() > block.size()) {
    const Digest hashed = sha256(key);
    std::ranges::copy(hashed, block.begin());
  } else {
    std::ranges::copy(key, block.begin());
  }
  Sha256 hash;
  for (auto& b : block) b ^= 0x36;
  hash.update(block);
  hash.update(message);
  const Digest inner = hash.finish();
  for (auto& b : block) b ^= 0x36 ^ 0x5c;
  hash.update(block);
  hash.update(inner);
  OPENSSL_cleanse(block.data(), block.size());
  return hash.finish();
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

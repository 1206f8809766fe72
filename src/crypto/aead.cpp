#include "crypto/aead.h"

#include <limits>
#include <stdexcept>

#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

constexpr std::size_t k_nonce = 12, k_tag = 16;

const EVP_CIPHER* aes_256_gcm() {
  static const EVP_CIPHER* const cipher = [] {
    EVP_CIPHER* fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    must(fetched != nullptr, "AES-256-GCM is not available");
    return fetched;
  }();
  return cipher;
}

int as_int(std::size_t n) {
  if (n > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::length_error("Sealer: value too long");
  return static_cast<int>(n);
}

}  // namespace

Sealer::Sealer(Secret<Bytes> key32) : key_(std::move(key32)) {
  if (key_.reveal().size() != 32) throw std::invalid_argument("Sealer: the key must have 32 bytes");
}

Bytes Sealer::seal(BytesView plain, std::string_view context, Rng& rng) const {
  Bytes out(k_nonce + plain.size() + k_tag);
  rng.fill({out.data(), k_nonce});
  const CipherCtx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  must(ctx && EVP_EncryptInit_ex2(ctx.get(), aes_256_gcm(), key_.reveal().data(), out.data(), nullptr) == 1,
       "AES-256-GCM");
  must(EVP_EncryptUpdate(ctx.get(), nullptr, &n, as_bytes(context).data(), as_int(context.size())) == 1,
       "AES-256-GCM");
  std::uint8_t* text = out.data() + k_nonce;
  must(plain.empty() || EVP_EncryptUpdate(ctx.get(), text, &n, plain.data(), as_int(plain.size())) == 1,
       "AES-256-GCM");
  std::uint8_t* tag = text + plain.size();
  must(EVP_EncryptFinal_ex(ctx.get(), tag, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, k_tag, tag) == 1,
       "AES-256-GCM");
  return out;
}

std::optional<Bytes> Sealer::open(BytesView sealed, std::string_view context) const {
  if (sealed.size() < k_overhead) return std::nullopt;
  const BytesView text = sealed.subspan(k_nonce, sealed.size() - k_overhead);
  Bytes tag = to_bytes(sealed.last(k_tag));
  Bytes out(text.size());
  const CipherCtx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  must(
      ctx && EVP_DecryptInit_ex2(ctx.get(), aes_256_gcm(), key_.reveal().data(), sealed.data(), nullptr) == 1,
      "AES-256-GCM");
  must(EVP_DecryptUpdate(ctx.get(), nullptr, &n, as_bytes(context).data(), as_int(context.size())) == 1,
       "AES-256-GCM");
  must(text.empty() || EVP_DecryptUpdate(ctx.get(), out.data(), &n, text.data(), as_int(text.size())) == 1,
       "AES-256-GCM");
  must(EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, k_tag, tag.data()) == 1, "AES-256-GCM");
  std::uint8_t rest[16];
  if (EVP_DecryptFinal_ex(ctx.get(), rest, &n) != 1) {
    wipe(out);  // unauthenticated plain text leaves no trace
    return std::nullopt;
  }
  return out;
}

}  // namespace latchkey::crypto

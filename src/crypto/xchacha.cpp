// XChaCha20-Poly1305: HChaCha20 makes a key of the first 16 bytes of the nonce, the rest is ChaCha20-Poly1305
// (RFC 8439), which OpenSSL has.
#include <array>
#include <bit>
#include <limits>
#include <stdexcept>

#include "crypto/aead.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

constexpr std::size_t k_key = 32, k_tag = 16;

using Block = std::array<std::uint32_t, 16>;

std::uint32_t little_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 |
         std::uint32_t{p[3]} << 24;
}

// RFC 8439 §2.1
void quarter_round(Block& s, std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
  s[a] += s[b], s[d] = std::rotl(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = std::rotl(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = std::rotl(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = std::rotl(s[b] ^ s[c], 7);
}

// draft-irtf-cfrg-xchacha-03 §2.2
Secret<Bytes> hchacha20(BytesView key, BytesView nonce16) {
  Block s{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (std::size_t i = 0; i < 8; ++i) s[4 + i] = little_endian(key.data() + 4 * i);
  for (std::size_t i = 0; i < 4; ++i) s[12 + i] = little_endian(nonce16.data() + 4 * i);
  for (int round = 0; round < 10; ++round) {
    quarter_round(s, 0, 4, 8, 12);
    quarter_round(s, 1, 5, 9, 13);
    quarter_round(s, 2, 6, 10, 14);
    quarter_round(s, 3, 7, 11, 15);
    quarter_round(s, 0, 5, 10, 15);
    quarter_round(s, 1, 6, 11, 12);
    quarter_round(s, 2, 7, 8, 13);
    quarter_round(s, 3, 4, 9, 14);
  }
  Bytes out;
  for (const std::size_t i : {0u, 1u, 2u, 3u, 12u, 13u, 14u, 15u})
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(s[i] >> shift));
  return Secret<Bytes>(std::move(out));
}

struct Inner {
  Secret<Bytes> key;
  std::array<std::uint8_t, 12> nonce{};
};

Inner inner(BytesView key, BytesView nonce) {
  if (key.size() != k_key || nonce.size() != k_xchacha_nonce)
    throw std::invalid_argument("XChaCha20-Poly1305: 32 bytes of key and 24 of nonce");
  Inner in{hchacha20(key, nonce.first(16))};
  std::ranges::copy(nonce.last(8), in.nonce.begin() + 4);
  return in;
}

int as_int(std::size_t n) {
  if (n > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw std::length_error("XChaCha20-Poly1305: value too long");
  return static_cast<int>(n);
}

constexpr const char* k_name = "ChaCha20-Poly1305";

}  // namespace

Bytes xchacha20_poly1305_seal(BytesView key, BytesView nonce, BytesView plain) {
  const Inner in = inner(key, nonce);
  Bytes out(plain.size() + k_tag);
  const CipherCtx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  must(ctx && EVP_EncryptInit_ex2(ctx.get(), EVP_chacha20_poly1305(), in.key.reveal().data(), in.nonce.data(),
                                  nullptr) == 1,
       k_name);
  must(plain.empty() || EVP_EncryptUpdate(ctx.get(), out.data(), &n, plain.data(), as_int(plain.size())) == 1,
       k_name);
  std::uint8_t* const tag = out.data() + plain.size();
  must(EVP_EncryptFinal_ex(ctx.get(), tag, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, k_tag, tag) == 1,
       k_name);
  return out;
}

std::optional<Bytes> xchacha20_poly1305_open(BytesView key, BytesView nonce, BytesView sealed) {
  const Inner in = inner(key, nonce);
  if (sealed.size() < k_tag) return std::nullopt;
  const BytesView text = sealed.first(sealed.size() - k_tag);
  Bytes tag = to_bytes(sealed.last(k_tag)), out(text.size());
  const CipherCtx ctx(EVP_CIPHER_CTX_new());
  int n = 0;
  must(ctx && EVP_DecryptInit_ex2(ctx.get(), EVP_chacha20_poly1305(), in.key.reveal().data(), in.nonce.data(),
                                  nullptr) == 1,
       k_name);
  must(text.empty() || EVP_DecryptUpdate(ctx.get(), out.data(), &n, text.data(), as_int(text.size())) == 1,
       k_name);
  must(EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, k_tag, tag.data()) == 1, k_name);
  std::uint8_t rest[16];
  if (EVP_DecryptFinal_ex(ctx.get(), rest, &n) != 1) {
    wipe(out);
    return std::nullopt;
  }
  return out;
}

}  // namespace latchkey::crypto

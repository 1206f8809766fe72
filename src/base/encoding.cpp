#include "base/encoding.h"

#include <algorithm>
#include <array>

namespace latchkey {
namespace {

constexpr std::string_view k_b64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view k_b64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view k_b32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view k_b58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

constexpr std::array<std::int8_t, 256> reverse_of(std::string_view alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}

constexpr auto k_rev_b64 = reverse_of(k_b64);
constexpr auto k_rev_b64url = reverse_of(k_b64url);
constexpr auto k_rev_b32 = reverse_of(k_b32);
constexpr auto k_rev_b58 = reverse_of(k_b58);

// Groups of `bits` bits, most significant first.
std::string encode_bits(BytesView in, std::string_view alphabet, unsigned bits) {
  std::string out;
  out.reserve((in.size() * 8 + bits - 1) / bits);
  std::uint32_t acc = 0;
  unsigned have = 0;
  for (std::uint8_t b : in) {
    acc = (acc << 8) | b;
    have += 8;
    while (have >= bits) {
      have -= bits;
      out += alphabet[(acc >> have) & ((1u << bits) - 1)];
    }
    acc &= (1u << have) - 1;
  }
  if (have > 0) out += alphabet[(acc << (bits - have)) & ((1u << bits) - 1)];
  return out;
}

std::optional<Bytes> decode_bits(std::string_view in, const std::array<std::int8_t, 256>& rev,
                                 unsigned bits) {
  Bytes out;
  out.reserve(in.size() * bits / 8);
  std::uint32_t acc = 0;
  unsigned have = 0;
  for (char c : in) {
    const int v = rev[static_cast<std::uint8_t>(c)];
    if (v < 0) return std::nullopt;
    acc = (acc << bits) | static_cast<std::uint32_t>(v);
    have += bits;
    if (have >= 8) {
      have -= 8;
      out.push_back(static_cast<std::uint8_t>(acc >> have));
      acc &= (1u << have) - 1;
    }
  }
  // Left-over bits are padding: fewer than one character's worth, all zero.
  if (have >= bits || acc != 0) return std::nullopt;
  return out;
}

// Base 64 apart from the rest: every token, key and digest passes here, so whole groups go at once.
std::string encode_64(BytesView in, std::string_view alphabet) {
  std::string out;
  out.resize(in.size() / 3 * 4);
  char* to = out.data();
  std::size_t i = 0;
  for (; i + 3 <= in.size(); i += 3) {
    const std::uint32_t group = std::uint32_t{in[i]} << 16 | std::uint32_t{in[i + 1]} << 8 | in[i + 2];
    *to++ = alphabet[group >> 18];
    *to++ = alphabet[group >> 12 & 63];
    *to++ = alphabet[group >> 6 & 63];
    *to++ = alphabet[group & 63];
  }
  return out += encode_bits(in.subspan(i), alphabet, 6);
}

std::optional<Bytes> decode_64(std::string_view in, const std::array<std::int8_t, 256>& rev) {
  // The last group, whole or not, is checked for its left-over bits by decode_bits.
  const std::size_t groups = in.empty() ? 0 : (in.size() - 1) / 4;
  Bytes out(groups * 3);
  std::uint8_t* to = out.data();
  const auto* from = reinterpret_cast<const std::uint8_t*>(in.data());
  for (std::size_t i = 0; i < groups; ++i, from += 4) {
    const int a = rev[from[0]], b = rev[from[1]], c = rev[from[2]], d = rev[from[3]];
    if ((a | b | c | d) < 0) return std::nullopt;
    const auto group = static_cast<std::uint32_t>(a << 18 | b << 12 | c << 6 | d);
    *to++ = static_cast<std::uint8_t>(group >> 16);
    *to++ = static_cast<std::uint8_t>(group >> 8);
    *to++ = static_cast<std::uint8_t>(group);
  }
  const auto rest = decode_bits(in.substr(groups * 4), rev, 6);
  if (!rest) return std::nullopt;
  out.insert(out.end(), rest->begin(), rest->end());
  return out;
}

}  // namespace

std::string hex(BytesView in) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(in.size() * 2);
  for (std::uint8_t b : in) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::optional<Bytes> from_hex(std::string_view in) {
  if (in.size() % 2 != 0) return std::nullopt;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  Bytes out;
  out.reserve(in.size() / 2);
  for (std::size_t i = 0; i < in.size(); i += 2) {
    const int high = digit(in[i]), low = digit(in[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return out;
}

std::string base64url(BytesView in) { return encode_64(in, k_b64url); }
std::optional<Bytes> from_base64url(std::string_view in) { return decode_64(in, k_rev_b64url); }
std::string base64_unpadded(BytesView in) { return encode_64(in, k_b64); }
std::string base64(BytesView in) {
  std::string out = encode_64(in, k_b64);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}
std::optional<Bytes> from_base64(std::string_view in) {
  if (const auto pad = in.find('='); pad != std::string_view::npos) {
    if (in.size() % 4 != 0 || in.size() - pad > 2 || in.find_first_not_of('=', pad) != std::string_view::npos)
      return std::nullopt;
    in = in.substr(0, pad);
  }
  return decode_64(in, k_rev_b64);
}
std::string base32(BytesView in) { return encode_bits(in, k_b32, 5); }
std::optional<Bytes> from_base32(std::string_view in) { return decode_bits(in, k_rev_b32, 5); }

std::string base58btc(BytesView in) {
  Bytes digits;  // base 58, least significant first
  for (std::uint8_t b : in) {
    std::uint32_t carry = b;
    for (auto& d : digits) {
      carry += static_cast<std::uint32_t>(d) << 8;
      d = static_cast<std::uint8_t>(carry % 58);
      carry /= 58;
    }
    for (; carry > 0; carry /= 58) digits.push_back(static_cast<std::uint8_t>(carry % 58));
  }
  std::string out;
  for (std::size_t i = 0; i < in.size() && in[i] == 0; ++i) out += k_b58[0];
  for (auto it = digits.rbegin(); it != digits.rend(); ++it) out += k_b58[*it];
  return out;
}

std::optional<Bytes> from_base58btc(std::string_view in) {
  if (in.size() > 256) return std::nullopt;  // quadratic below; keys and DIDs are far shorter
  Bytes out;                                 // base 256, least significant first
  for (char c : in) {
    const int v = k_rev_b58[static_cast<std::uint8_t>(c)];
    if (v < 0) return std::nullopt;
    std::uint32_t carry = static_cast<std::uint32_t>(v);
    for (auto& b : out) {
      carry += static_cast<std::uint32_t>(b) * 58;
      b = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) out.push_back(static_cast<std::uint8_t>(carry));
  }
  for (std::size_t i = 0; i < in.size() && in[i] == k_b58[0]; ++i) out.push_back(0);
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace latchkey

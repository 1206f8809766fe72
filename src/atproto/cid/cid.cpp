#include "atproto/cid/cid.h"

#include <algorithm>

#include "crypto/hash.h"

namespace latchkey {
namespace {

constexpr std::string_view k_base32 = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648 §6 in lower case

constexpr std::array<std::uint8_t, 256> k_base32_values = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(0xff);
  for (std::size_t i = 0; i < k_base32.size(); ++i)
    table[static_cast<std::uint8_t>(k_base32[i])] = static_cast<std::uint8_t>(i);
  return table;
}();

}  // namespace

Cid::Cid(std::uint8_t codec, const std::array<std::uint8_t, 32>& digest) {
  bytes_ = {0x01, codec, 0x12, 0x20};  // version, codec, sha2-256, length of the digest
  std::copy(digest.begin(), digest.end(), bytes_.begin() + 4);
}

Result<Cid, CidError> Cid::from_bytes(BytesView bytes) {
  if (bytes.size() >= 2 && bytes[0] == 0x12 && bytes[1] == 0x20) return fail(CidError{"CID is of version 0"});
  if (bytes.empty() || bytes[0] != 0x01) return fail(CidError{"CID is not of version 1"});
  if (bytes.size() < 2 || (bytes[1] != k_dag_cbor && bytes[1] != k_raw))
    return fail(CidError{"CID's codec is neither dag-cbor nor raw"});
  if (bytes.size() < 4 || bytes[2] != 0x12 || bytes[3] != 0x20)
    return fail(CidError{"CID's hash is not SHA-256"});
  if (bytes.size() != k_size) return fail(CidError{"CID has the wrong length"});
  std::array<std::uint8_t, k_size> copy;
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return Cid(copy);
}

Result<Cid, CidError> Cid::parse(std::string_view text) {
  if (!text.starts_with('b')) return fail(CidError{"CID is not in base32"});
  if (text.size() != k_text_size) return fail(CidError{"CID has the wrong length"});
  std::array<std::uint8_t, k_size> bytes;
  std::size_t at = 0;
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (char c : text.substr(1)) {
    const std::uint8_t value = k_base32_values[static_cast<std::uint8_t>(c)];
    if (value == 0xff) return fail(CidError{"CID has a character outside of base32"});
    bits = bits << 5 | value;
    have += 5;
    if (have >= 8) {
      have -= 8;
      bytes[at++] = static_cast<std::uint8_t>(bits >> have);
      bits &= (1u << have) - 1;
    }
  }
  // 58 characters hold 290 bits, 36 bytes 288: one text for one CID, so the rest is zero.
  if (bits != 0) return fail(CidError{"CID has stray bits at its end"});
  return from_bytes(bytes);
}

Cid Cid::of_dag_cbor(BytesView block) { return Cid(k_dag_cbor, crypto::sha256(block)); }
Cid Cid::of_raw(BytesView content) { return Cid(k_raw, crypto::sha256(content)); }

void Cid::append_to(std::string& out) const {
  std::array<char, k_text_size> text;
  text[0] = 'b';
  std::size_t at = 1;
  // 35 bytes are 7 groups of 40 bits, 8 characters each; the last byte makes two characters.
  for (std::size_t i = 0; i < 35; i += 5) {
    std::uint64_t group = 0;
    for (std::size_t k = 0; k < 5; ++k) group = group << 8 | bytes_[i + k];
    for (int shift = 35; shift >= 0; shift -= 5) text[at++] = k_base32[(group >> shift) & 31];
  }
  text[at++] = k_base32[bytes_[35] >> 3];
  text[at++] = k_base32[(bytes_[35] & 7) << 2];
  out.append(text.data(), text.size());
}

std::string Cid::str() const {
  std::string out;
  append_to(out);
  return out;
}

bool Cid::matches(BytesView content) const { return std::ranges::equal(crypto::sha256(content), digest()); }

}  // namespace latchkey

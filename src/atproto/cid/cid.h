#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace latchkey {

struct CidError {
  std::string message;
};

/// A CID of the kind atproto uses and no other: version 1, codec dag-cbor (0x71) or raw (0x55), SHA-256
/// (0x12) of 32 bytes. Binary it is always 36 bytes, as text 59 characters (base32, prefix `b`). Source:
/// https://atproto.com/specs/data-model#link-and-cid-formats
class Cid {
 public:
  static constexpr std::size_t k_size = 36;
  static constexpr std::size_t k_text_size = 59;

  static Result<Cid, CidError> parse(std::string_view text);
  static Result<Cid, CidError> from_bytes(BytesView bytes);
  static Cid of_dag_cbor(BytesView block);
  static Cid of_raw(BytesView content);
  /// For content hashed as a stream; `digest` is its SHA-256.
  static Cid dag_cbor_of_digest(const std::array<std::uint8_t, 32>& digest) {
    return Cid(k_dag_cbor, digest);
  }
  static Cid raw_of_digest(const std::array<std::uint8_t, 32>& digest) { return Cid(k_raw, digest); }

  std::string str() const;
  void append_to(std::string& out) const;  // the text form
  BytesView bytes() const { return bytes_; }
  BytesView digest() const { return BytesView(bytes_).subspan(4); }
  bool is_dag_cbor() const { return bytes_[1] == k_dag_cbor; }
  bool is_raw() const { return bytes_[1] == k_raw; }
  /// Whether this is the hash of `content`, whatever the codec.
  bool matches(BytesView content) const;
  auto operator<=>(const Cid&) const = default;

 private:
  static constexpr std::uint8_t k_dag_cbor = 0x71, k_raw = 0x55;
  Cid(std::uint8_t codec, const std::array<std::uint8_t, 32>& digest);
  explicit Cid(const std::array<std::uint8_t, k_size>& bytes) : bytes_(bytes) {}
  std::array<std::uint8_t, k_size> bytes_;
};

}  // namespace latchkey

template <>
struct std::hash<latchkey::Cid> {
  /// The digest is already spread evenly; strangers can choose it, so use it for maps of bounded size.
  std::size_t operator()(const latchkey::Cid& c) const {
    std::size_t h;
    std::memcpy(&h, c.digest().data(), sizeof h);
    return h;
  }
};

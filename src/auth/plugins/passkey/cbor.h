#pragma once
// CBOR as authenticators write it: the maps of attestation objects, COSE keys and extensions. Unlike DAG-CBOR
// (atproto/cbor) the keys may be negative integers. Source: FIDO CTAP 2.1 §8, "CTAP2 canonical CBOR encoding
// form", which WebAuthn §2.4 asks of everybody.
//
// Refused: indefinite lengths, lengths and numbers that could be written shorter, tags, floats, more than
// four containers within each other, repeated keys, keys that are neither text nor integer, and containers of
// more than k_cbor_members. Keys may come in any order: software authenticators get it wrong in attestation
// objects, and what is signed is the bytes.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace latchkey::auth::webauthn {

inline constexpr int k_cbor_depth = 4;
inline constexpr std::size_t k_cbor_members = 64;

/// One item, pointing into what it was read from.
struct CborItem {
  enum class Kind : std::uint8_t { positive, negative, bytes, text, array, map, boolean, null };
  Kind kind;
  std::uint64_t argument;  // the number, -1 - number when negative, the count, or 0 and 1 for false and true
  BytesView data;          // contents of bytes and text
  BytesView raw;           // the whole item with everything in it

  std::optional<std::int64_t> integer() const;
  std::optional<BytesView> bytes() const;
  std::optional<std::string_view> text() const;  // not checked to be UTF-8
  std::optional<bool> boolean() const;
};

class CborMap {
 public:
  /// The map `in` starts with; `in` then starts behind it.
  static std::optional<CborMap> read(BytesView& in);
  /// The map `in` consists of.
  static std::optional<CborMap> parse(BytesView in);

  const CborItem* find(std::string_view key) const;
  const CborItem* find(std::int64_t key) const;
  std::size_t size() const { return members_.size(); }
  BytesView raw() const { return raw_; }

 private:
  struct Member {
    CborItem key, value;
  };
  std::vector<Member> members_;
  BytesView raw_;
};

}  // namespace latchkey::auth::webauthn

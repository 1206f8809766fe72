#pragma once
// Strict DAG-CBOR (DRISL), the one byte form of each value: shortest integers and lengths, keys sorted and
// unique, definite lengths, no floats, no tag but 42, valid UTF-8. encode(decode(x)) == x, or x is refused.
// Sources: https://ipld.io/specs/codecs/dag-cbor/spec/, https://dasl.ing/drisl.html, RFC 8949 §4.2

#include <array>
#include <cstdint>
#include <string_view>

#include "atproto/cbor/value.h"
#include "base/bytes.h"
#include "base/result.h"

namespace latchkey::cbor {

/// Recommended in https://atproto.com/guides/data-validation. A value at the limit is accepted.
struct Limits {
  std::size_t size = 1'048'576;     // bytes of the whole block
  std::size_t depth = 32;           // containers within containers; at most k_max_depth
  std::size_t container = 131'072;  // elements of an array, members of a map
  std::size_t key = 8192;           // bytes of a map key

  static constexpr std::size_t k_max_depth = 128;
};

struct CborError {
  enum class Code {
    truncated,       // the bytes end inside an item, or a length reaches beyond them
    trailing_bytes,  // something follows the item
    not_minimal,     // a number or length could be written shorter
    indefinite,
    float_,
    tag,            // other than 42
    bad_link,       // tag 42 without 0x00 and a CID of ours
    simple_value,   // other than false, true, null; or a reserved head
    integer_range,  // does not fit int64
    key_type,       // a map key that is no string
    key_order,      // unsorted or repeated
    utf8,
    too_large,
    too_deep,
    container_length,
    key_length,
    unexpected_kind,  // well-formed, but not what the reader asked for
  };
  Code code;
  std::size_t offset;  // where in the block
  std::string_view message() const;
};

Bytes encode(const Value& value);
/// Appends to `out`. Throws std::invalid_argument on a string that is not UTF-8: a bug of the caller.
void encode_to(const Value& value, Bytes& out);
Result<Value, CborError> decode(BytesView block, const Limits& limits = {});
/// Checks a block without building anything.
Result<void, CborError> validate(BytesView block, const Limits& limits = {});

/// Writes items one after the other. The caller keeps the counts and the order of keys.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}
  void map(std::size_t members) { head(5, members); }
  void array(std::size_t elements) { head(4, elements); }
  void text(std::string_view s);
  void bytes(BytesView b);
  void cid(const Cid& c);
  void integer(std::int64_t i);
  void boolean(bool b) { out_.push_back(b ? 0xf5 : 0xf4); }
  void null() { out_.push_back(0xf6); }

 private:
  void head(std::uint8_t major, std::uint64_t n);
  Bytes& out_;
};

enum class Kind : std::uint8_t { null, boolean, integer, text, bytes, cid, array, map };

/// One item, pointing into the block. Containers are followed by their elements (a map's by key, value, key,
/// …).
struct Item {
  Kind kind;
  bool boolean;
  std::int64_t integer;  // the value; of a container the number of elements or members
  BytesView data;        // of text, bytes and (36 bytes) cid
  std::string_view text() const { return as_text(data); }
  Cid cid() const;
};

/// Reads a block item by item, without a tree, with every check decode makes. After an error the reader must
/// not be used further.
///
///   Reader in(block);
///   TRY(auto members, in.map());
///   for (auto i = members; i > 0; --i) {
///     TRY(auto key, in.text());
///     if (key == "l") { TRY(left, in.cid()); } else TRY_VOID(in.skip());
///   }
///   TRY_VOID(in.finish());
class Reader {
 public:
  explicit Reader(BytesView block, const Limits& limits = {});

  Result<Item, CborError> next();
  // next(), when it is of that kind; unexpected_kind otherwise.
  Result<std::size_t, CborError> map();
  Result<std::size_t, CborError> array();
  Result<std::string_view, CborError> text();
  Result<BytesView, CborError> bytes();
  Result<Cid, CborError> cid();
  Result<std::int64_t, CborError> integer();
  Result<bool, CborError> boolean();
  /// True and consumed when the next item is null; otherwise nothing happens.
  bool take_null();
  /// Reads over one item with all it contains.
  Result<void, CborError> skip();
  /// The one top-level item was read and nothing follows.
  Result<void, CborError> finish() const;
  std::size_t offset() const { return at_; }

 private:
  struct Frame {
    const std::uint8_t* last_key;  // nullptr before the first
    std::uint32_t last_key_size;
    bool is_map;
    std::size_t left;  // items still to come; a map's keys and values count one each
  };
  std::unexpected<CborError> error(CborError::Code code) const;
  Result<std::uint64_t, CborError> argument(std::uint8_t info);
  Result<BytesView, CborError> take(std::uint64_t n);
  Result<Item, CborError> expect(Kind kind);

  BytesView block_;
  Limits limits_;
  std::size_t at_ = 0;
  std::size_t item_at_ = 0;
  std::size_t depth_ = 0;
  std::size_t owed_ = 1;  // items still to come in all frames; each needs a byte at least
  std::array<Frame, Limits::k_max_depth> frames_;
};

}  // namespace latchkey::cbor

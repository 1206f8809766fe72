#include "atproto/cbor/cbor.h"

#include <limits>
#include <stdexcept>

#include "base/url.h"

namespace latchkey::cbor {

namespace {

// RFC 8949 §3.1, major types
enum Major : std::uint8_t { k_unsigned, k_negative, k_bytes, k_text, k_array, k_map, k_tag, k_simple };

constexpr std::uint64_t k_link_tag = 42;
constexpr std::uint64_t k_int64_max = std::numeric_limits<std::int64_t>::max();

}  // namespace

std::string_view CborError::message() const {
  switch (code) {
    case Code::truncated:
      return "data ends too early";
    case Code::trailing_bytes:
      return "bytes after the end";
    case Code::not_minimal:
      return "number not in its shortest form";
    case Code::indefinite:
      return "indefinite length";
    case Code::float_:
      return "float";
    case Code::tag:
      return "tag other than 42";
    case Code::bad_link:
      return "malformed link";
    case Code::simple_value:
      return "unknown simple value";
    case Code::integer_range:
      return "integer beyond 64 bits";
    case Code::key_type:
      return "map key is no string";
    case Code::key_order:
      return "map keys unsorted or repeated";
    case Code::utf8:
      return "text is not UTF-8";
    case Code::too_large:
      return "too large";
    case Code::too_deep:
      return "nested too deeply";
    case Code::container_length:
      return "too many elements";
    case Code::key_length:
      return "map key too long";
    case Code::unexpected_kind:
      return "value of another kind than expected";
  }
  std::abort();
}

// ---- Writing

void Writer::head(std::uint8_t major, std::uint64_t n) {
  const std::uint8_t m = static_cast<std::uint8_t>(major << 5);
  std::array<std::uint8_t, 9> bytes;
  unsigned more;
  if (n < 24) {
    out_.push_back(static_cast<std::uint8_t>(m | n));
    return;
  } else if (n <= 0xff) {
    bytes[0] = m | 24;
    more = 1;
  } else if (n <= 0xffff) {
    bytes[0] = m | 25;
    more = 2;
  } else if (n <= 0xffff'ffff) {
    bytes[0] = m | 26;
    more = 4;
  } else {
    bytes[0] = m | 27;
    more = 8;
  }
  for (unsigned i = more; i > 0; --i, n >>= 8) bytes[i] = static_cast<std::uint8_t>(n);
  append(out_, BytesView(bytes.data(), more + 1));
}

void Writer::text(std::string_view s) {
  if (!is_valid_utf8(s)) throw std::invalid_argument("cbor: text is not UTF-8");
  head(k_text, s.size());
  append(out_, as_bytes(s));
}

void Writer::bytes(BytesView b) {
  head(k_bytes, b.size());
  append(out_, b);
}

void Writer::cid(const Cid& c) {
  // Tag 42 over a byte string of the multibase prefix for "binary" (0x00) and the CID.
  constexpr std::uint8_t k_prefix[] = {0xd8, 0x2a, 0x58, Cid::k_size + 1, 0x00};
  append(out_, k_prefix);
  append(out_, c.bytes());
}

void Writer::integer(std::int64_t i) {
  // RFC 8949 §3.1: a negative n is written as -1 - n, which is its bitwise complement.
  if (i >= 0)
    head(k_unsigned, static_cast<std::uint64_t>(i));
  else
    head(k_negative, ~static_cast<std::uint64_t>(i));
}

namespace {

void write(const Value& value, Writer& out) {
  if (value.is_null()) {
    out.null();
  } else if (const auto* b = value.boolean()) {
    out.boolean(*b);
  } else if (const auto* i = value.integer()) {
    out.integer(*i);
  } else if (const auto* s = value.string()) {
    out.text(*s);
  } else if (const auto* bytes = value.bytes()) {
    out.bytes(*bytes);
  } else if (const auto* c = value.cid()) {
    out.cid(*c);
  } else if (const auto* a = value.array()) {
    out.array(a->size());
    for (const auto& element : *a) write(element, out);
  } else if (const auto* m = value.map()) {
    out.map(m->size());
    for (const auto& [key, member] : *m) {
      out.text(key);
      write(member, out);
    }
  }
}

}  // namespace

void encode_to(const Value& value, Bytes& out) {
  Writer writer(out);
  write(value, writer);
}

Bytes encode(const Value& value) {
  Bytes out;
  encode_to(value, out);
  return out;
}

// ---- Reading

Cid Item::cid() const { return Cid::from_bytes(data).value(); }

Reader::Reader(BytesView block, const Limits& limits) : block_(block), limits_(limits) {
  limits_.depth = std::min(limits_.depth, Limits::k_max_depth);
}

std::unexpected<CborError> Reader::error(CborError::Code code) const {
  return std::unexpected(CborError{code, item_at_});
}

// RFC 8949 §3: the number in an item's head. DAG-CBOR wants the shortest of its forms.
Result<std::uint64_t, CborError> Reader::argument(std::uint8_t info) {
  if (info < 24) return info;
  if (info > 27) return error(info == 31 ? CborError::Code::indefinite : CborError::Code::simple_value);
  const unsigned more = 1u << (info - 24);
  if (block_.size() - at_ < more) return error(CborError::Code::truncated);
  std::uint64_t n = 0;
  for (unsigned i = 0; i < more; ++i) n = n << 8 | block_[at_++];
  const std::uint64_t shorter_max = info == 24 ? 23 : (std::uint64_t{1} << (4 * more)) - 1;
  if (n <= shorter_max) return error(CborError::Code::not_minimal);
  return n;
}

Result<BytesView, CborError> Reader::take(std::uint64_t n) {
  if (n > block_.size() - at_) return error(CborError::Code::truncated);
  const BytesView data = block_.subspan(at_, n);
  at_ += n;
  return data;
}

Result<Item, CborError> Reader::next() {
  item_at_ = at_;
  if (at_ == 0 && block_.size() > limits_.size) return error(CborError::Code::too_large);
  if (owed_ == 0)
    return error(at_ < block_.size() ? CborError::Code::trailing_bytes : CborError::Code::truncated);
  if (at_ == block_.size()) return error(CborError::Code::truncated);

  Frame* const parent = depth_ > 0 ? &frames_[depth_ - 1] : nullptr;
  const bool is_key = parent && parent->is_map && parent->left % 2 == 0;
  const std::uint8_t initial = block_[at_++];
  const auto major = static_cast<Major>(initial >> 5);
  const std::uint8_t info = initial & 31;
  if (is_key && major != k_text) return error(CborError::Code::key_type);

  Item item{Kind::null, false, 0, {}};
  if (major == k_simple) {
    // RFC 8949 §3.3; the data model knows three of them.
    if (initial == 0xf4 || initial == 0xf5) {
      item.kind = Kind::boolean;
      item.boolean = initial == 0xf5;
    } else if (info >= 25 && info <= 27) {
      return error(CborError::Code::float_);
    } else if (initial != 0xf6) {
      return error(info == 31 ? CborError::Code::indefinite : CborError::Code::simple_value);
    }
  } else {
    TRY(const auto n, argument(info));
    switch (major) {
      case k_unsigned:
      case k_negative:
        if (n > k_int64_max) return error(CborError::Code::integer_range);
        item.kind = Kind::integer;
        item.integer = major == k_unsigned ? static_cast<std::int64_t>(n) : -1 - static_cast<std::int64_t>(n);
        break;
      case k_bytes: {
        item.kind = Kind::bytes;
        TRY(item.data, take(n));
        break;
      }
      case k_text: {
        item.kind = Kind::text;
        if (is_key && n > limits_.key) return error(CborError::Code::key_length);
        TRY(item.data, take(n));
        if (!is_valid_utf8(item.text())) return error(CborError::Code::utf8);
        break;
      }
      case k_array:
      case k_map: {
        item.kind = major == k_map ? Kind::map : Kind::array;
        if (n > limits_.container) return error(CborError::Code::container_length);
        if (depth_ == limits_.depth) return error(CborError::Code::too_deep);
        item.integer = static_cast<std::int64_t>(n);
        break;
      }
      case k_tag: {
        if (n != k_link_tag) return error(CborError::Code::tag);
        TRY(const auto link, take(2 + 1 + Cid::k_size));
        if (link[0] != 0x58 || link[1] != Cid::k_size + 1 || link[2] != 0x00)
          return error(CborError::Code::bad_link);
        item.kind = Kind::cid;
        item.data = link.subspan(3);
        if (!Cid::from_bytes(item.data)) return error(CborError::Code::bad_link);
        break;
      }
      case k_simple:
        break;
    }
  }

  --owed_;
  if (parent) {
    --parent->left;
    if (is_key) {
      if (parent->last_key && !key_less(as_text({parent->last_key, parent->last_key_size}), item.text()))
        return error(CborError::Code::key_order);
      parent->last_key = item.data.data();
      parent->last_key_size = static_cast<std::uint32_t>(item.data.size());
    }
  }
  if ((item.kind == Kind::array || item.kind == Kind::map) && item.integer > 0) {
    const auto items = static_cast<std::size_t>(item.integer) * (item.kind == Kind::map ? 2 : 1);
    owed_ += items;
    // Announced lengths beyond the data are refused before anyone reserves memory for them.
    if (owed_ > block_.size() - at_) return error(CborError::Code::truncated);
    frames_[depth_++] = {nullptr, 0, item.kind == Kind::map, items};
  } else {
    while (depth_ > 0 && frames_[depth_ - 1].left == 0) --depth_;
  }
  return item;
}

Result<Item, CborError> Reader::expect(Kind kind) {
  TRY(const auto item, next());
  if (item.kind != kind) return error(CborError::Code::unexpected_kind);
  return item;
}

Result<std::size_t, CborError> Reader::map() {
  TRY(const auto item, expect(Kind::map));
  return static_cast<std::size_t>(item.integer);
}
Result<std::size_t, CborError> Reader::array() {
  TRY(const auto item, expect(Kind::array));
  return static_cast<std::size_t>(item.integer);
}
Result<std::string_view, CborError> Reader::text() {
  TRY(const auto item, expect(Kind::text));
  return item.text();
}
Result<BytesView, CborError> Reader::bytes() {
  TRY(const auto item, expect(Kind::bytes));
  return item.data;
}
Result<Cid, CborError> Reader::cid() {
  TRY(const auto item, expect(Kind::cid));
  return item.cid();
}
Result<std::int64_t, CborError> Reader::integer() {
  TRY(const auto item, expect(Kind::integer));
  return item.integer;
}
Result<bool, CborError> Reader::boolean() {
  TRY(const auto item, expect(Kind::boolean));
  return item.boolean;
}

bool Reader::take_null() {
  if (at_ >= block_.size() || block_[at_] != 0xf6) return false;
  const std::size_t before = at_;
  if (next()) return true;
  at_ = before;
  return false;
}

Result<void, CborError> Reader::skip() {
  const std::size_t until = owed_ - 1;  // what is owed once the item and all in it were read
  do {
    TRY_VOID(next());
  } while (owed_ > until);
  return {};
}

Result<void, CborError> Reader::finish() const {
  if (owed_ > 0) return std::unexpected(CborError{CborError::Code::truncated, at_});
  if (at_ < block_.size()) return std::unexpected(CborError{CborError::Code::trailing_bytes, at_});
  return {};
}

namespace {

Result<Value, CborError> read(Reader& in) {
  TRY(const auto item, in.next());
  switch (item.kind) {
    case Kind::null:
      return Value(nullptr);
    case Kind::boolean:
      return Value(item.boolean);
    case Kind::integer:
      return Value(item.integer);
    case Kind::text:
      return Value(item.text());
    case Kind::bytes:
      return Value(item.data);
    case Kind::cid:
      return Value(item.cid());
    case Kind::array: {
      Array array;
      array.reserve(static_cast<std::size_t>(item.integer));
      for (auto i = item.integer; i > 0; --i) {
        TRY(auto element, read(in));
        array.push_back(std::move(element));
      }
      return Value(std::move(array));
    }
    case Kind::map: {
      Map map;
      map.reserve(static_cast<std::size_t>(item.integer));
      for (auto i = item.integer; i > 0; --i) {
        TRY(const auto key, in.text());
        TRY(auto member, read(in));
        map.append(std::string(key), std::move(member));
      }
      return Value(std::move(map));
    }
  }
  std::abort();
}

}  // namespace

Result<Value, CborError> decode(BytesView block, const Limits& limits) {
  Reader in(block, limits);
  TRY(auto value, read(in));
  TRY_VOID(in.finish());
  return value;
}

Result<void, CborError> validate(BytesView block, const Limits& limits) {
  Reader in(block, limits);
  TRY_VOID(in.skip());
  return in.finish();
}

}  // namespace latchkey::cbor

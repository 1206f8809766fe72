#include "auth/plugins/passkey/cbor.h"

#include <algorithm>

namespace latchkey::auth::webauthn {
namespace {

using Kind = CborItem::Kind;

/// The head of an item (RFC 8949 §3): major type and argument, and the contents of strings.
std::optional<CborItem> read_head(BytesView& in) {
  if (in.empty()) return std::nullopt;
  const std::uint8_t first = in[0], major = first >> 5, info = first & 0x1f;
  in = in.subspan(1);
  if (major == 7) {
    if (info == 20 || info == 21) return CborItem{Kind::boolean, std::uint64_t{info} - 20, {}, {}};
    if (info == 22) return CborItem{Kind::null, 0, {}, {}};
    return std::nullopt;
  }
  if (major == 6) return std::nullopt;
  std::uint64_t argument = info;
  if (info >= 24) {
    if (info > 27) return std::nullopt;
    const std::size_t n = std::size_t{1} << (info - 24);
    if (in.size() < n) return std::nullopt;
    argument = 0;
    for (std::size_t i = 0; i < n; ++i) argument = argument << 8 | in[i];
    in = in.subspan(n);
    const std::uint64_t below = n == 1 ? 24 : std::uint64_t{1} << (n * 4);
    if (argument < below) return std::nullopt;
  }
  static constexpr Kind k_kinds[] = {Kind::positive, Kind::negative, Kind::bytes,
                                     Kind::text,     Kind::array,    Kind::map};
  CborItem item{k_kinds[major], argument, {}, {}};
  if (item.kind == Kind::bytes || item.kind == Kind::text) {
    if (argument > in.size()) return std::nullopt;
    item.data = in.first(static_cast<std::size_t>(argument));
    in = in.subspan(item.data.size());
  }
  if ((item.kind == Kind::array || item.kind == Kind::map) && argument > k_cbor_members) return std::nullopt;
  return item;
}

bool same(BytesView a, BytesView b) { return std::ranges::equal(a, b); }

/// One whole item. `depth` counts the containers it may still open.
std::optional<CborItem> read_item(BytesView& in, int depth) {
  const BytesView from = in;
  auto item = read_head(in);
  if (!item) return std::nullopt;
  if (item->kind == Kind::array || item->kind == Kind::map) {
    if (depth == 0) return std::nullopt;
    std::vector<BytesView> keys;
    for (std::uint64_t i = 0; i < item->argument; ++i) {
      if (item->kind == Kind::map) {
        const auto key = read_item(in, 0);
        if (!key || (!key->text() && !key->integer())) return std::nullopt;
        if (std::ranges::any_of(keys, [&](BytesView k) { return same(k, key->raw); })) return std::nullopt;
        keys.push_back(key->raw);
      }
      if (!read_item(in, depth - 1)) return std::nullopt;
    }
  }
  item->raw = from.first(from.size() - in.size());
  return item;
}

}  // namespace

std::optional<std::int64_t> CborItem::integer() const {
  if (argument > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  if (kind == Kind::positive) return static_cast<std::int64_t>(argument);
  if (kind == Kind::negative) return -1 - static_cast<std::int64_t>(argument);
  return std::nullopt;
}
std::optional<BytesView> CborItem::bytes() const {
  return kind == Kind::bytes ? std::optional(data) : std::nullopt;
}
std::optional<std::string_view> CborItem::text() const {
  return kind == Kind::text ? std::optional(as_text(data)) : std::nullopt;
}
std::optional<bool> CborItem::boolean() const {
  return kind == Kind::boolean ? std::optional(argument == 1) : std::nullopt;
}

std::optional<CborMap> CborMap::read(BytesView& in) {
  const auto whole = read_item(in, k_cbor_depth);
  if (!whole || whole->kind != Kind::map) return std::nullopt;
  CborMap map;
  map.raw_ = whole->raw;
  // A second pass over what is known to be well-formed: read_item() throws the members away.
  BytesView rest = whole->raw;
  read_head(rest);
  map.members_.reserve(static_cast<std::size_t>(whole->argument));
  for (std::uint64_t i = 0; i < whole->argument; ++i) {
    const auto key = read_item(rest, 0), value = read_item(rest, k_cbor_depth);
    map.members_.push_back({*key, *value});
  }
  return map;
}

std::optional<CborMap> CborMap::parse(BytesView in) {
  auto map = read(in);
  if (!in.empty()) return std::nullopt;
  return map;
}

const CborItem* CborMap::find(std::string_view key) const {
  const auto at = std::ranges::find_if(members_, [&](const Member& m) { return m.key.text() == key; });
  return at == members_.end() ? nullptr : &at->value;
}
const CborItem* CborMap::find(std::int64_t key) const {
  const auto at = std::ranges::find_if(members_, [&](const Member& m) { return m.key.integer() == key; });
  return at == members_.end() ? nullptr : &at->value;
}

}  // namespace latchkey::auth::webauthn

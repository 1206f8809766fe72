#include "atproto/cbor/json.h"

#include <charconv>
#include <cmath>

#include "base/encoding.h"

namespace latchkey::cbor {
namespace {

// What JavaScript holds exactly: https://atproto.com/guides/data-validation
constexpr std::int64_t k_max_safe_integer = (std::int64_t{1} << 53) - 1;

std::unexpected<DataError> bad(std::string message) {
  return std::unexpected(DataError{"", std::move(message)});
}

std::unexpected<DataError> below(std::string_view key, DataError error) {
  error.path = error.path.empty() ? std::string(key) : std::string(key) + "/" + error.path;
  return std::unexpected(std::move(error));
}

Result<Value, DataError> read_integer(std::int64_t i) {
  if (i < -k_max_safe_integer || i > k_max_safe_integer) return bad("integer beyond 2^53-1");
  return Value(i);
}

Result<Value, DataError> read_number(double d) {
  // JSON does not tell 123.0 from 123, and some writers emit the former.
  if (d != std::trunc(d)) return bad("float");
  if (!(std::fabs(d) <= static_cast<double>(k_max_safe_integer))) return bad("integer beyond 2^53-1");
  return Value(static_cast<std::int64_t>(d));
}

// RFC 4648 §4, padded or not. Interop: stray bits in the last character are dropped, as most decoders do; the
// interop file lexicon/record-data-valid.json has such a value.
std::optional<Bytes> read_base64(std::string_view text) {
  constexpr std::string_view k_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (auto exact = from_base64(text)) return exact;
  std::string cleaned(text);
  const auto pad = cleaned.find('=');
  const std::size_t last = (pad == std::string::npos ? cleaned.size() : pad) - 1;
  if (last >= cleaned.size() || (last + 1) % 4 < 2) return std::nullopt;
  const auto value = k_alphabet.find(cleaned[last]);
  if (value == std::string_view::npos) return std::nullopt;
  cleaned[last] = k_alphabet[value & ((last + 1) % 4 == 2 ? 0x30 : 0x3c)];
  return from_base64(cleaned);
}

// https://atproto.com/specs/data-model#blob-type. Interop: the codec of `ref` is not looked at; a link that
// is not raw names no blob anyway, and the interop files have such links.
Result<void, DataError> check_blob(const Map& map) {
  const auto* ref = map.find("ref");
  const auto* mime_type = map.find("mimeType");
  const auto* size = map.find("size");
  if (!ref || !ref->cid()) return bad("blob without a link in ref");
  if (!mime_type || !mime_type->string() || mime_type->string()->empty()) return bad("blob without mimeType");
  if (!size || !size->integer() || *size->integer() <= 0) return bad("blob without a positive size");
  return {};
}

Result<Value, DataError> read(const json::Value& value, const Limits& limits, std::size_t depth);

Result<Value, DataError> read_object(const json::Object& object, const Limits& limits, std::size_t depth) {
  if (const auto* link = object.find("$link")) {
    if (object.size() != 1) return bad("$link beside other keys");
    const auto cid = link->string() ? Cid::parse(*link->string()) : fail(CidError{});
    if (!cid) return bad("$link is not a CID of the allowed kind");
    return Value(*cid);
  }
  if (const auto* text = object.find("$bytes")) {
    if (object.size() != 1) return bad("$bytes beside other keys");
    auto bytes = text->string() ? read_base64(*text->string()) : std::nullopt;
    if (!bytes) return bad("$bytes is not base64");
    return Value(std::move(*bytes));
  }
  if (depth == limits.depth) return bad("nested too deeply");
  if (object.size() > limits.container) return bad("too many members");
  const auto* type = object.find("$type");
  if (type && (!type->string() || type->string()->empty())) return bad("$type is not a string with content");

  std::vector<Map::Member> members;
  members.reserve(object.size());
  for (const auto& [key, member] : object) {
    if (key.empty()) return bad("empty key");
    if (key.size() > limits.key) return bad("key too long");
    auto read_member = read(member, limits, depth + 1);
    if (!read_member) return below(key, std::move(read_member).error());
    members.push_back({key, *std::move(read_member)});
  }
  Map map(std::move(members));
  if (map.size() != object.size()) return bad("repeated key");
  if (type && *type->string() == "blob") TRY_VOID(check_blob(map));
  return Value(std::move(map));
}

Result<Value, DataError> read(const json::Value& value, const Limits& limits, std::size_t depth) {
  if (value.is_null()) return Value(nullptr);
  if (const auto* b = value.boolean()) return Value(*b);
  if (const auto* i = value.integer()) return read_integer(*i);
  if (const auto* d = value.number()) return read_number(*d);
  if (const auto* s = value.string()) return Value(*s);
  if (const auto* object = value.object()) return read_object(*object, limits, depth);
  const auto& elements = *value.array();
  if (depth == limits.depth) return bad("nested too deeply");
  if (elements.size() > limits.container) return bad("too many elements");
  Array array;
  array.reserve(elements.size());
  for (std::size_t i = 0; i < elements.size(); ++i) {
    auto element = read(elements[i], limits, depth + 1);
    if (!element) return below(std::to_string(i), std::move(element).error());
    array.push_back(*std::move(element));
  }
  return Value(std::move(array));
}

void append_link(std::string& out, const Cid& cid) {
  out += R"({"$link":")";
  cid.append_to(out);
  out += "\"}";
}

void append_bytes(std::string& out, BytesView bytes) {
  out += R"({"$bytes":")";
  out += base64_unpadded(bytes);
  out += "\"}";
}

Result<void, CborError> write(Reader& in, std::string& out) {
  TRY(const auto item, in.next());
  switch (item.kind) {
    case Kind::null:
      out += "null";
      break;
    case Kind::boolean:
      out += item.boolean ? "true" : "false";
      break;
    case Kind::integer: {
      std::array<char, 24> digits;
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), item.integer).ptr;
      out.append(digits.data(), end);
      break;
    }
    case Kind::text:
      json::append_utf8(out, item.text());
      break;
    case Kind::bytes:
      append_bytes(out, item.data);
      break;
    case Kind::cid:
      append_link(out, item.cid());
      break;
    case Kind::array:
      out += '[';
      for (auto i = item.integer; i > 0; --i) {
        TRY_VOID(write(in, out));
        if (i > 1) out += ',';
      }
      out += ']';
      break;
    case Kind::map:
      out += '{';
      for (auto i = item.integer; i > 0; --i) {
        TRY(const auto key, in.text());
        json::append_utf8(out, key);
        out += ':';
        TRY_VOID(write(in, out));
        if (i > 1) out += ',';
      }
      out += '}';
      break;
  }
  return {};
}

void collect_blobs(const Value& value, BlobsOf& found) {
  if (const auto* array = value.array()) {
    for (const auto& element : *array) collect_blobs(element, found);
  } else if (const auto* map = value.map()) {
    if (auto blob = as_blob(value)) found.refs.push_back(std::move(*blob));
    if (is_legacy_blob(value)) found.has_legacy = true;
    for (const auto& [key, member] : *map) collect_blobs(member, found);
  }
}

}  // namespace

Result<Value, DataError> from_json(const json::Value& value, const Limits& limits) {
  Limits bounded = limits;
  bounded.depth = std::min(limits.depth, Limits::k_max_depth);
  return read(value, bounded, 0);
}

Result<Map, DataError> record_from_json(const json::Value& value, const Limits& limits) {
  TRY(auto read, from_json(value, limits));
  if (!read.map()) return bad("not an object");
  return std::move(*read.map());
}

json::Value to_json(const Value& value) {
  if (const auto* b = value.boolean()) return *b;
  if (const auto* i = value.integer()) return *i;
  if (const auto* s = value.string()) return *s;
  if (const auto* bytes = value.bytes()) return json::Object{{"$bytes", base64_unpadded(*bytes)}};
  if (const auto* cid = value.cid()) return json::Object{{"$link", cid->str()}};
  if (const auto* array = value.array()) {
    json::Array out;
    out.reserve(array->size());
    for (const auto& element : *array) out.push_back(to_json(element));
    return out;
  }
  if (const auto* map = value.map()) {
    json::Object out;
    for (const auto& [key, member] : *map) out.append(key, to_json(member));
    return out;
  }
  return nullptr;
}

Result<void, CborError> write_json(BytesView block, std::string& out, const Limits& limits) {
  const std::size_t before = out.size();
  Reader in(block, limits);
  auto written = write(in, out);
  if (written) written = in.finish();
  if (!written) out.resize(before);
  return written;
}

Value BlobRef::to_value() const {
  return Map{{"$type", "blob"}, {"ref", ref}, {"mimeType", mime_type}, {"size", size}};
}

std::optional<BlobRef> as_blob(const Value& value) {
  const auto* type = value.string_at("$type");
  const auto* ref = value.cid_at("ref");
  const auto* mime_type = value.string_at("mimeType");
  const auto* size = value.integer_at("size");
  if (!type || *type != "blob" || !ref || !mime_type || !size) return std::nullopt;
  return BlobRef{*ref, *mime_type, *size};
}

bool is_legacy_blob(const Value& value) {
  const auto* cid = value.string_at("cid");
  const auto* mime_type = value.string_at("mimeType");
  return cid && mime_type && value.map()->size() == 2 && !mime_type->empty() && Cid::parse(*cid);
}

BlobsOf find_blobs(const Value& value) {
  BlobsOf found;
  collect_blobs(value, found);
  return found;
}

}  // namespace latchkey::cbor

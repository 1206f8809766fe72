#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/url.h"

namespace latchkey::json {
namespace {

// simdjson keeps its buffers between documents; one parser a thread.
simdjson::dom::parser& parser() {
  thread_local simdjson::dom::parser p(4 << 20);
  return p;
}

Result<Value, ParseError> convert(const simdjson::dom::element& e, std::size_t depth_left) {
  using Type = simdjson::dom::element_type;
  switch (e.type()) {
    case Type::NULL_VALUE:
      return Value(nullptr);
    case Type::BOOL:
      return Value(bool(e));
    case Type::INT64:
      return Value(std::int64_t(e));
    case Type::UINT64:
      return Value(static_cast<double>(std::uint64_t(e)));
    case Type::DOUBLE:
      return Value(double(e));
    case Type::STRING:
      return Value(std::string_view(e));
    case Type::ARRAY: {
      if (depth_left == 0) return fail(ParseError{"nested too deeply"});
      Array out;
      for (const auto& item : simdjson::dom::array(e)) {
        TRY(auto value, convert(item, depth_left - 1));
        out.push_back(std::move(value));
      }
      return Value(std::move(out));
    }
    case Type::OBJECT: {
      if (depth_left == 0) return fail(ParseError{"nested too deeply"});
      Object out;
      const simdjson::dom::object members(e);
      std::set<std::string_view> seen;  // a scan per member would be quadratic in a hostile object
      const bool small = members.size() <= 16;
      for (const auto& [key, item] : members) {
        if (small ? out.find(key) != nullptr : !seen.insert(key).second)
          return fail(ParseError{"duplicate key"});
        TRY(auto value, convert(item, depth_left - 1));
        out.append(std::string(key), std::move(value));
      }
      return Value(std::move(out));
    }
  }
  return fail(ParseError{"unknown element"});
}

}  // namespace

Value::Value(Array a) : v_(std::move(a)) {}
Value::Value(Object o) : v_(std::move(o)) {}

Object::Object() = default;
Object::Object(std::initializer_list<Member> members) : members_(members) {}
Object::Object(const Object&) = default;
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(Object other) noexcept {
  std::swap(members_, other.members_);
  return *this;
}
Object::~Object() = default;

const Value* Object::find(std::string_view key) const {
  for (const auto& m : members_)
    if (m.key == key) return &m.value;
  return nullptr;
}
Value* Object::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }
Object& Object::set(std::string key, Value value) {
  if (Value* old = find(key))
    *old = std::move(value);
  else
    append(std::move(key), std::move(value));
  return *this;
}
bool Object::erase(std::string_view key) {
  return std::erase_if(members_, [&](const Member& m) { return m.key == key; }) > 0;
}
void Object::append(std::string key, Value value) { members_.push_back({std::move(key), std::move(value)}); }
std::size_t Object::size() const { return members_.size(); }
const Object::Member* Object::begin() const { return members_.data(); }
const Object::Member* Object::end() const { return members_.data() + members_.size(); }
bool Object::operator==(const Object& other) const {
  return size() == other.size() && std::all_of(begin(), end(), [&](const Member& m) {
           const Value* v = other.find(m.key);
           return v && *v == m.value;
         });
}

const Value* Value::find(std::string_view key) const {
  const Object* o = object();
  return o ? o->find(key) : nullptr;
}
const std::string* Value::string_at(std::string_view key) const {
  const Value* v = find(key);
  return v ? v->string() : nullptr;
}

Result<Value, ParseError> parse(std::string_view text, ParseOptions options) {
  if (text.empty()) return fail(ParseError{"empty"});  // may have no address, which simdjson copies from
  simdjson::dom::element root;
  // The parser reads past the end in wide steps, so it copies the text into padded memory.
  if (const auto error = parser().parse(text.data(), text.size()).get(root); error)
    return fail(ParseError{simdjson::error_message(error)});
  return convert(root, options.max_depth);
}

namespace {

constexpr bool needs_escape(std::uint8_t b) { return b < 0x20 || b == '"' || b == '\\' || b == 0x7f; }

// Whether one of eight bytes needs an escape, all at once: (x - 0x01…) & ~x & 0x80… finds zero bytes of x.
bool any_needs_escape(std::uint64_t eight) {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
  const auto has_zero = [](std::uint64_t x) { return (x - ones) & ~x & tops; };
  const std::uint64_t below_space = (eight - ones * 0x20) & ~eight & tops;
  return (below_space | has_zero(eight ^ ones * '"') | has_zero(eight ^ ones * '\\') |
          has_zero(eight ^ ones * 0x7f)) != 0;
}

}  // namespace

void append_utf8(std::string& out, std::string_view s) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // where the run of characters that stay as they are began
  for (std::size_t i = 0; i < s.size();) {
    if (s.size() - i >= 8) {
      std::uint64_t eight;
      std::memcpy(&eight, s.data() + i, 8);
      if (!any_needs_escape(eight)) {
        i += 8;
        continue;
      }
    }
    for (const std::size_t end = std::min(i + 8, s.size()); i < end; ++i) {
      const auto b = static_cast<std::uint8_t>(s[i]);
      if (!needs_escape(b)) continue;
      out.append(s, plain, i - plain);
      plain = i + 1;
      out += '\\';
      switch (b) {
        case '"':
        case '\\':
          out += static_cast<char>(b);
          break;
        case '\n':
          out += 'n';
          break;
        case '\r':
          out += 'r';
          break;
        case '\t':
          out += 't';
          break;
        default:
          out += "u00";
          out += digits[b >> 4];
          out += digits[b & 15];
      }
    }
  }
  out.append(s, plain);
  out += '"';
}

void append_string(std::string& out, std::string_view s) {
  if (is_valid_utf8(s)) return append_utf8(out, s);
  std::string replaced;
  for (char c : s) {
    if (static_cast<std::uint8_t>(c) < 0x80)
      replaced += c;
    else
      replaced += "\xef\xbf\xbd";
  }
  append_utf8(out, replaced);
}

void Value::dump_to(std::string& out) const {
  if (is_null()) {
    out += "null";
  } else if (const auto* b = boolean()) {
    out += *b ? "true" : "false";
  } else if (const auto* i = integer()) {
    fmt::format_to(std::back_inserter(out), "{}", *i);
  } else if (const auto* d = number()) {
    fmt::format_to(std::back_inserter(out), "{}", *d);
  } else if (const auto* s = string()) {
    append_string(out, *s);
  } else if (const auto* a = array()) {
    out += '[';
    for (std::size_t i = 0; i < a->size(); ++i) {
      if (i > 0) out += ',';
      (*a)[i].dump_to(out);
    }
    out += ']';
  } else if (const auto* o = object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : *o) {
      if (!first) out += ',';
      first = false;
      append_string(out, key);
      out += ':';
      value.dump_to(out);
    }
    out += '}';
  }
}

std::string Value::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

}  // namespace latchkey::json

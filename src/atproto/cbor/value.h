#pragma once
// A value of the atproto data model as a tree (https://atproto.com/specs/data-model).

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atproto/cid/cid.h"
#include "base/bytes.h"

namespace latchkey::cbor {

class Value;
using Array = std::vector<Value>;

/// The order of map keys in DAG-CBOR: shorter first, then bytewise.
bool key_less(std::string_view a, std::string_view b);

/// Members in canonical order, each key once, however they were given.
class Map {
 public:
  struct Member;
  Map();
  Map(std::initializer_list<Member> members);  // of equal keys the last one stays
  /// n log n, where n times set() would be quadratic. Of equal keys some one stays.
  explicit Map(std::vector<Member> members);
  Map(const Map&);
  Map(Map&&) noexcept;
  Map& operator=(Map) noexcept;
  ~Map();

  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  Map& set(std::string key, Value value);  // replaces or inserts
  bool erase(std::string_view key);
  /// Adds a member whose key sorts after all others, without looking. For decoders.
  void append(std::string key, Value value);
  void reserve(std::size_t n);
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  const Member* begin() const;
  const Member* end() const;
  bool operator==(const Map&) const;

 private:
  std::vector<Member> members_;
};

class Value {
 public:
  Value() : v_(nullptr) {}
  Value(std::nullptr_t) : v_(nullptr) {}
  Value(std::same_as<bool> auto b) : v_(b) {}  // no pointer becomes a bool
  Value(int i) : v_(std::int64_t{i}) {}
  Value(std::int64_t i) : v_(i) {}
  Value(const char* s) : v_(std::string(s)) {}
  Value(std::string_view s) : v_(std::string(s)) {}
  Value(std::string s) : v_(std::move(s)) {}
  Value(Bytes b) : v_(std::move(b)) {}
  Value(BytesView b) : v_(to_bytes(b)) {}
  Value(const Cid& c) : v_(c) {}
  Value(Array a);
  Value(Map m);

  bool is_null() const { return v_.index() == 0; }
  const bool* boolean() const { return std::get_if<bool>(&v_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&v_); }
  const std::string* string() const { return std::get_if<std::string>(&v_); }
  const Bytes* bytes() const { return std::get_if<Bytes>(&v_); }
  const Cid* cid() const { return std::get_if<Cid>(&v_); }
  const Array* array() const { return std::get_if<Array>(&v_); }
  const Map* map() const { return std::get_if<Map>(&v_); }
  Array* array() { return std::get_if<Array>(&v_); }
  Map* map() { return std::get_if<Map>(&v_); }

  /// Member of a map; nullptr when this is no map or has no such member.
  const Value* find(std::string_view key) const;
  /// Member of that type; nullptr otherwise.
  const std::string* string_at(std::string_view key) const;
  const std::int64_t* integer_at(std::string_view key) const;
  const Bytes* bytes_at(std::string_view key) const;
  const Cid* cid_at(std::string_view key) const;

  bool operator==(const Value&) const = default;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, std::string, Bytes, Cid, Array, Map> v_;
};

struct Map::Member {
  std::string key;
  Value value;
};

}  // namespace latchkey::cbor

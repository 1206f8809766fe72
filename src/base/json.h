#pragma once
// JSON: strict reading (RFC 8259; duplicate keys refused, 64 levels at most), plain writing.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace latchkey::json {

class Value;
using Array = std::vector<Value>;

/// Members in document order. Small objects are the rule, so lookup is a scan.
class Object {
 public:
  struct Member;
  Object();
  Object(std::initializer_list<Member> members);
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(Object) noexcept;
  ~Object();

  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  Object& set(std::string key, Value value);  // replaces or appends
  bool erase(std::string_view key);
  /// Appends without looking for an earlier member; the caller knows the key is new.
  void append(std::string key, Value value);
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  const Member* begin() const;
  const Member* end() const;
  bool operator==(const Object&) const;  // order does not matter in JSON

 private:
  std::vector<Member> members_;
};

/// Integers that fit int64 stay integers; every other number is a double.
class Value {
 public:
  Value() : v_(nullptr) {}
  Value(std::nullptr_t) : v_(nullptr) {}
  Value(bool b) : v_(b) {}
  Value(int i) : v_(std::int64_t{i}) {}
  Value(std::int64_t i) : v_(i) {}
  Value(double d) : v_(d) {}
  Value(const char* s) : v_(std::string(s)) {}
  Value(std::string_view s) : v_(std::string(s)) {}
  Value(std::string s) : v_(std::move(s)) {}
  Value(Array a);
  Value(Object o);

  bool is_null() const { return v_.index() == 0; }
  const bool* boolean() const { return std::get_if<bool>(&v_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&v_); }
  const double* number() const { return std::get_if<double>(&v_); }  // set only when not an integer
  const std::string* string() const { return std::get_if<std::string>(&v_); }
  const Array* array() const { return std::get_if<Array>(&v_); }
  const Object* object() const { return std::get_if<Object>(&v_); }
  Array* array() { return std::get_if<Array>(&v_); }
  Object* object() { return std::get_if<Object>(&v_); }

  /// Member of an object; nullptr when this is no object or has no such member.
  const Value* find(std::string_view key) const;
  /// Member that is a string; nullptr otherwise.
  const std::string* string_at(std::string_view key) const;

  std::string dump() const;
  void dump_to(std::string& out) const;
  bool operator==(const Value&) const = default;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> v_;
};

struct Object::Member {
  std::string key;
  Value value;
};

struct ParseError {
  std::string message;
};

struct ParseOptions {
  std::size_t max_depth = 64;
};

Result<Value, ParseError> parse(std::string_view text, ParseOptions options = {});

/// Appends `s` quoted and escaped. Bytes that are not UTF-8 are replaced by U+FFFD.
void append_string(std::string& out, std::string_view s);
/// The same for text known to be UTF-8.
void append_utf8(std::string& out, std::string_view s);

}  // namespace latchkey::json

#include "atproto/cbor/value.h"

#include <algorithm>

namespace latchkey::cbor {

bool key_less(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

namespace {

template <class Members>
auto position(Members& members, std::string_view key) {
  return std::lower_bound(members.begin(), members.end(), key,
                          [](const Map::Member& m, std::string_view k) { return key_less(m.key, k); });
}

}  // namespace

Map::Map() = default;
Map::Map(std::initializer_list<Member> members) {
  members_.reserve(members.size());
  for (const auto& m : members) set(m.key, m.value);
}
Map::Map(std::vector<Member> members) : members_(std::move(members)) {
  std::sort(members_.begin(), members_.end(),
            [](const Member& a, const Member& b) { return key_less(a.key, b.key); });
  const auto repeated = std::unique(members_.begin(), members_.end(),
                                    [](const Member& a, const Member& b) { return a.key == b.key; });
  members_.erase(repeated, members_.end());
}
Map::Map(const Map&) = default;
Map::Map(Map&&) noexcept = default;
Map& Map::operator=(Map other) noexcept {
  std::swap(members_, other.members_);
  return *this;
}
Map::~Map() = default;

const Value* Map::find(std::string_view key) const {
  const auto it = position(members_, key);
  return it != members_.end() && it->key == key ? &it->value : nullptr;
}
Value* Map::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

Map& Map::set(std::string key, Value value) {
  const auto it = position(members_, key);
  if (it != members_.end() && it->key == key)
    it->value = std::move(value);
  else
    members_.insert(it, {std::move(key), std::move(value)});
  return *this;
}

bool Map::erase(std::string_view key) {
  const auto it = position(members_, key);
  if (it == members_.end() || it->key != key) return false;
  members_.erase(it);
  return true;
}

void Map::append(std::string key, Value value) { members_.push_back({std::move(key), std::move(value)}); }
void Map::reserve(std::size_t n) { members_.reserve(n); }
std::size_t Map::size() const { return members_.size(); }
const Map::Member* Map::begin() const { return members_.data(); }
const Map::Member* Map::end() const { return members_.data() + members_.size(); }
bool Map::operator==(const Map& other) const {
  return std::equal(begin(), end(), other.begin(), other.end(),
                    [](const Member& a, const Member& b) { return a.key == b.key && a.value == b.value; });
}

Value::Value(Array a) : v_(std::move(a)) {}
Value::Value(Map m) : v_(std::move(m)) {}

const Value* Value::find(std::string_view key) const {
  const Map* m = map();
  return m ? m->find(key) : nullptr;
}
const std::string* Value::string_at(std::string_view key) const {
  const Value* v = find(key);
  return v ? v->string() : nullptr;
}
const std::int64_t* Value::integer_at(std::string_view key) const {
  const Value* v = find(key);
  return v ? v->integer() : nullptr;
}
const Bytes* Value::bytes_at(std::string_view key) const {
  const Value* v = find(key);
  return v ? v->bytes() : nullptr;
}
const Cid* Value::cid_at(std::string_view key) const {
  const Value* v = find(key);
  return v ? v->cid() : nullptr;
}

}  // namespace latchkey::cbor

#include <algorithm>
#include <stdexcept>

#include "pds/records.h"

namespace latchkey::pds::records {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

constexpr Sql k_get{
    "SELECT rkey, cid, value FROM record WHERE account_id = ?1 AND collection = ?2 AND rkey = ?3"};
constexpr Sql k_newest{
    "SELECT rkey, cid, value FROM record WHERE account_id = ?1 AND collection = ?2 ORDER BY rkey DESC LIMIT "
    "?3"};
constexpr Sql k_newest_before{
    "SELECT rkey, cid, value FROM record WHERE account_id = ?1 AND collection = ?2 AND rkey < ?4 "
    "ORDER BY rkey DESC LIMIT ?3"};
constexpr Sql k_oldest{
    "SELECT rkey, cid, value FROM record WHERE account_id = ?1 AND collection = ?2 ORDER BY rkey LIMIT ?3"};
constexpr Sql k_oldest_after{
    "SELECT rkey, cid, value FROM record WHERE account_id = ?1 AND collection = ?2 AND rkey > ?4 "
    "ORDER BY rkey LIMIT ?3"};
// One index seek per collection instead of a scan over all records.
constexpr Sql k_next_collection{
    "SELECT collection FROM record WHERE account_id = ?1 AND collection > ?2 ORDER BY collection LIMIT 1"};
constexpr Sql k_insert{
    "INSERT INTO record (account_id, collection, rkey, cid, value) VALUES (?1, ?2, ?3, ?4, ?5)"};
constexpr Sql k_update{
    "UPDATE record SET cid = ?4, value = ?5 WHERE account_id = ?1 AND collection = ?2 AND rkey = ?3"};
constexpr Sql k_remove{"DELETE FROM record WHERE account_id = ?1 AND collection = ?2 AND rkey = ?3"};
constexpr Sql k_remove_all{"DELETE FROM record WHERE account_id = ?1"};
constexpr Sql k_leaves{
    "SELECT collection, rkey, cid FROM record WHERE account_id = ?1 ORDER BY collection, rkey"};
constexpr Sql k_values{"SELECT cid, value FROM record WHERE account_id = ?1 ORDER BY collection, rkey"};

Cid read_cid(const Row& row, std::size_t column) { return Cid::from_bytes(row.blob(column)).value(); }

StoredRecord read_record(Row& row) {
  return {.rkey = row.take_text(0), .cid = read_cid(row, 1), .value = row.take_blob(2)};
}

// The tree and the rows change together; a row that is not there means they have come apart.
void expect_one(std::int64_t affected, const char* what) {
  if (affected != 1) throw std::logic_error(std::string("record to ") + what + " is not there");
}

}  // namespace

std::optional<StoredRecord> get(Tx& tx, std::int64_t account_id, const Nsid& collection,
                                const RecordKey& rkey) {
  auto row = tx.one(k_get, account_id, collection.str(), rkey.str());
  if (!row) return std::nullopt;
  return read_record(*row);
}

std::vector<StoredRecord> list(Tx& tx, std::int64_t account_id, const Nsid& collection, std::int64_t limit,
                               const std::optional<std::string>& cursor, Order order) {
  std::vector<StoredRecord> out;
  auto take = [&](Row& row) { out.push_back(read_record(row)); };
  const bool newest = order == Order::newest_first;
  if (cursor)
    tx.each(newest ? k_newest_before : k_oldest_after, take, account_id, collection.str(), limit, *cursor);
  else
    tx.each(newest ? k_newest : k_oldest, take, account_id, collection.str(), limit);
  return out;
}

std::vector<std::string> collections(Tx& tx, std::int64_t account_id) {
  std::vector<std::string> out;
  std::string last;
  while (auto row = tx.one(k_next_collection, account_id, last)) {
    last = row->text(0);
    out.push_back(last);
  }
  return out;
}

void insert(Tx& tx, std::int64_t account_id, const Nsid& collection, const RecordKey& rkey, const Cid& cid,
            BytesView value) {
  tx.exec(k_insert, account_id, collection.str(), rkey.str(), cid.bytes(), value);
}

void update(Tx& tx, std::int64_t account_id, const Nsid& collection, const RecordKey& rkey, const Cid& cid,
            BytesView value) {
  expect_one(tx.exec(k_update, account_id, collection.str(), rkey.str(), cid.bytes(), value), "update");
}

void remove(Tx& tx, std::int64_t account_id, const Nsid& collection, const RecordKey& rkey) {
  expect_one(tx.exec(k_remove, account_id, collection.str(), rkey.str()), "delete");
}

void remove_all(Tx& tx, std::int64_t account_id) { tx.exec(k_remove_all, account_id); }

std::vector<Leaf> leaves(Tx& tx, std::int64_t account_id) {
  std::vector<Leaf> out;
  tx.each(
      k_leaves, [&](Row& row) { out.push_back({row.text(0) + "/" + row.text(1), read_cid(row, 2)}); },
      account_id);
  // Rows come by collection, paths compare with the '/' in them: "a.b-c/x" is before "a.b/x".
  std::ranges::sort(out, {}, &Leaf::path);
  return out;
}

void each_value(Tx& tx, std::int64_t account_id, const std::function<void(const Cid&, BytesView)>& f) {
  tx.each(k_values, [&](Row& row) { f(read_cid(row, 0), row.blob(1)); }, account_id);
}

}  // namespace latchkey::pds::records

#include "pds/blobs.h"

namespace latchkey::pds::blobs {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

constexpr Sql k_get{
    "SELECT cid, upload, mime_type, size, temporary_since FROM account_blob WHERE account_id = ?1 AND cid = "
    "?2"};
constexpr Sql k_get_referenced{
    "SELECT cid, upload, mime_type, size, temporary_since FROM account_blob WHERE account_id = ?1 AND cid = "
    "?2 "
    "AND EXISTS (SELECT 1 FROM blob_reference WHERE account_id = ?1 AND cid = ?2)"};
constexpr Sql k_is_referenced{"SELECT 1 FROM blob_reference WHERE account_id = ?1 AND cid = ?2 LIMIT 1"};
constexpr Sql k_account_exists{"SELECT 1 FROM account WHERE id = ?1"};
constexpr Sql k_put{
    "INSERT INTO account_blob (account_id, cid, upload, mime_type, size, temporary_since) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account_id, cid) DO UPDATE SET "
    "upload = excluded.upload, mime_type = excluded.mime_type, temporary_since = excluded.temporary_since"};
constexpr Sql k_count_temporary{
    "SELECT COUNT(*) FROM account_blob WHERE account_id = ?1 AND temporary_since IS NOT NULL"};
// Judged by the rows again: what a record refers to is never taken, whatever the mark says.
constexpr Sql k_take_expired{
    "DELETE FROM account_blob WHERE temporary_since <= ?1 AND (account_id, cid) IN "
    "(SELECT account_id, cid FROM account_blob WHERE temporary_since <= ?1 ORDER BY temporary_since LIMIT "
    "?2) "
    "AND NOT EXISTS (SELECT 1 FROM blob_reference r WHERE r.account_id = account_blob.account_id "
    "AND r.cid = account_blob.cid) RETURNING account_id, cid, upload"};
constexpr Sql k_add_reference{
    "INSERT INTO blob_reference (account_id, path, cid, rev) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (account_id, path, cid) DO NOTHING"};
constexpr Sql k_drop_references{
    "DELETE FROM blob_reference WHERE account_id = ?1 AND path = ?2 RETURNING cid"};
constexpr Sql k_keep{
    "UPDATE account_blob SET temporary_since = NULL WHERE account_id = ?1 AND cid = ?2 "
    "AND temporary_since IS NOT NULL"};
constexpr Sql k_release{
    "DELETE FROM account_blob WHERE account_id = ?1 AND cid = ?2 AND NOT EXISTS "
    "(SELECT 1 FROM blob_reference WHERE account_id = ?1 AND cid = ?2) RETURNING account_id, cid, upload"};
constexpr Sql k_remove_references{"DELETE FROM blob_reference WHERE account_id = ?1"};
constexpr Sql k_remove_all{
    "DELETE FROM account_blob WHERE account_id = ?1 RETURNING account_id, cid, upload"};
constexpr Sql k_list{
    "SELECT cid, upload, mime_type, size, temporary_since FROM account_blob WHERE account_id = ?1 AND cid > "
    "?2 "
    "AND EXISTS (SELECT 1 FROM blob_reference r WHERE r.account_id = ?1 AND r.cid = account_blob.cid "
    "AND r.rev > ?3) ORDER BY cid LIMIT ?4"};
constexpr Sql k_missing{
    "SELECT cid, MIN(path) FROM blob_reference r WHERE account_id = ?1 AND cid > ?2 AND NOT EXISTS "
    "(SELECT 1 FROM account_blob WHERE account_id = ?1 AND cid = r.cid) GROUP BY cid ORDER BY cid LIMIT ?3"};
constexpr Sql k_count_expected{"SELECT COUNT(DISTINCT cid) FROM blob_reference WHERE account_id = ?1"};
constexpr Sql k_count_here{"SELECT COUNT(*) FROM account_blob WHERE account_id = ?1"};
constexpr Sql k_knows{"SELECT 1 FROM account_blob WHERE account_id = ?1 AND cid = ?2 AND upload = ?3"};

Cid read_cid(const Row& row, std::size_t column) { return Cid::from_bytes(row.blob(column)).value(); }

Blob read_blob(Row& row) {
  return {.cid = read_cid(row, 0),
          .upload = Tid::parse(row.text(1)).value(),
          .mime_type = row.take_text(2),
          .size = row.int64(3),
          .temporary_since = row.opt_time(4)};
}

BlobKey read_key(const Row& row) { return {row.int64(0), read_cid(row, 1), Tid::parse(row.text(2)).value()}; }

template <class... P>
std::vector<BlobKey> keys(Tx& tx, const Sql& sql, const P&... params) {
  std::vector<BlobKey> out;
  for (const auto& row : tx.query(sql, params...)) out.push_back(read_key(row));
  return out;
}

/// Every CID is greater than no bytes.
Bytes beyond(const std::optional<Cid>& cursor) { return cursor ? to_bytes(cursor->bytes()) : Bytes(); }

std::optional<Blob> find(Tx& tx, const Sql& sql, std::int64_t account_id, const Cid& cid) {
  auto row = tx.one(sql, account_id, cid.bytes());
  if (!row) return std::nullopt;
  return read_blob(*row);
}

}  // namespace

std::optional<Blob> get(Tx& tx, std::int64_t account_id, const Cid& cid) {
  return find(tx, k_get, account_id, cid);
}

std::optional<Blob> get_referenced(Tx& tx, std::int64_t account_id, const Cid& cid) {
  return find(tx, k_get_referenced, account_id, cid);
}

std::optional<Stored> put(Tx& tx, std::int64_t account_id, Blob upload, Time now) {
  if (!tx.one(k_account_exists, account_id)) return std::nullopt;
  // A record that came with a whole repository may have been waiting for it.
  const bool referenced = tx.one(k_is_referenced, account_id, upload.cid.bytes()).has_value();
  upload.temporary_since = referenced ? std::nullopt : std::optional(now);
  auto there = get(tx, account_id, upload.cid);
  if (there && referenced) return Stored{*std::move(there), upload.key(account_id)};
  tx.exec(k_put, account_id, upload.cid.bytes(), upload.upload.view(), upload.mime_type, upload.size,
          upload.temporary_since);
  return Stored{std::move(upload), there ? std::optional(there->key(account_id)) : std::nullopt};
}

std::int64_t count_temporary(Tx& tx, std::int64_t account_id) {
  return tx.one(k_count_temporary, account_id)->int64(0);
}

std::vector<BlobKey> take_expired(Tx& tx, Time until, std::int64_t limit) {
  return keys(tx, k_take_expired, until, limit);
}

void add_reference(Tx& tx, std::int64_t account_id, const std::string& path, const std::string& rev,
                   const Cid& cid) {
  tx.exec(k_add_reference, account_id, path, cid.bytes(), rev);
  tx.exec(k_keep, account_id, cid.bytes());
}

std::vector<Cid> drop_references(Tx& tx, std::int64_t account_id, const std::string& path) {
  std::vector<Cid> out;
  for (const auto& row : tx.query(k_drop_references, account_id, path)) out.push_back(read_cid(row, 0));
  return out;
}

std::optional<BlobKey> release(Tx& tx, std::int64_t account_id, const Cid& cid) {
  const auto row = tx.one(k_release, account_id, cid.bytes());
  if (!row) return std::nullopt;
  return read_key(*row);
}

std::vector<BlobKey> remove_all(Tx& tx, std::int64_t account_id) {
  tx.exec(k_remove_references, account_id);
  return keys(tx, k_remove_all, account_id);
}

std::vector<Blob> list(Tx& tx, std::int64_t account_id, const std::optional<std::string>& since,
                       const std::optional<Cid>& cursor, std::int64_t limit) {
  std::vector<Blob> out;
  tx.each(
      k_list, [&](Row& row) { out.push_back(read_blob(row)); }, account_id, beyond(cursor),
      since.value_or(""), limit);
  return out;
}

std::vector<Missing> missing(Tx& tx, std::int64_t account_id, const std::optional<Cid>& cursor,
                             std::int64_t limit) {
  std::vector<Missing> out;
  tx.each(
      k_missing, [&](Row& row) { out.push_back({read_cid(row, 0), row.take_text(1)}); }, account_id,
      beyond(cursor), limit);
  return out;
}

Counts count(Tx& tx, std::int64_t account_id) {
  return {.expected = tx.one(k_count_expected, account_id)->int64(0),
          .here = tx.one(k_count_here, account_id)->int64(0)};
}

std::vector<BlobKey> unknown(Tx& tx, std::vector<BlobKey> keys) {
  std::erase_if(keys, [&](const BlobKey& key) {
    return tx.one(k_knows, key.account_id, key.cid.bytes(), key.upload.view()).has_value();
  });
  return keys;
}

}  // namespace latchkey::pds::blobs

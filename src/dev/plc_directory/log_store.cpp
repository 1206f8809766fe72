#include "dev/plc_directory/log_store.h"

#include <algorithm>
#include <stdexcept>

#include "dev/plc_directory/directory.h"

namespace latchkey::dev {
namespace {

using store::Sql;

// plc_head has one row. Whoever appends takes the next number and moment from it, so numbers and times follow
// the order in which operations became visible, with several processes too.
constexpr store::Migration k_migrations[] = {{"plc_directory", 1, R"sql(
CREATE TABLE plc_operation (
  seq BIGINT PRIMARY KEY,
  did TEXT NOT NULL,
  cid TEXT NOT NULL,
  operation TEXT NOT NULL,
  nullified BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX plc_operation_cid ON plc_operation (did, cid);
CREATE INDEX plc_operation_log ON plc_operation (did, seq);
CREATE INDEX plc_operation_time ON plc_operation (created_at, seq);
CREATE TABLE plc_head (
  id BIGINT PRIMARY KEY,
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
INSERT INTO plc_head (id, seq, created_at) VALUES (1, 0, 0);
)sql"}};

constexpr Sql k_log{
    "SELECT cid, nullified, created_at, operation FROM plc_operation WHERE did = ?1 ORDER BY seq"};
constexpr Sql k_last{
    "SELECT cid, nullified, created_at, operation FROM plc_operation WHERE did = ?1 AND nullified = 0 "
    "ORDER BY seq DESC LIMIT 1"};
constexpr Sql k_outline{"SELECT cid, nullified FROM plc_operation WHERE did = ?1 ORDER BY seq"};
constexpr Sql k_advance{
    "UPDATE plc_head SET seq = seq + 1, created_at = CASE WHEN created_at < ?1 THEN ?1 ELSE created_at END "
    "WHERE id = 1 RETURNING seq, created_at"};
constexpr Sql k_insert{
    "INSERT INTO plc_operation (seq, did, cid, operation, created_at) VALUES (?1, ?2, ?3, ?4, ?5)"};
constexpr Sql k_nullify{"UPDATE plc_operation SET nullified = 1 WHERE did = ?1 AND cid = ?2"};
constexpr Sql k_after_time{
    "SELECT cid, nullified, created_at, operation, did, seq FROM plc_operation WHERE created_at > ?1 "
    "ORDER BY created_at, seq LIMIT ?2"};
constexpr Sql k_same_time{
    "SELECT cid, nullified, created_at, operation, did, seq FROM plc_operation "
    "WHERE created_at = ?1 AND seq > ?2 ORDER BY seq"};
constexpr Sql k_after_seq{
    "SELECT cid, nullified, created_at, operation, did, seq FROM plc_operation WHERE seq > ?1 "
    "ORDER BY seq LIMIT ?2"};
constexpr Sql k_ping{"SELECT seq FROM plc_head WHERE id = 1"};

constexpr int k_attempts = 5;

/// Rows were checked before they were stored.
template <class T, class E>
T stored(Result<T, E> value) {
  if (!value) throw std::runtime_error("plc_operation holds an unreadable row");
  return *std::move(value);
}

plc::LogEntry entry_of(const store::Row& row) {
  return {.operation = stored(plc::Operation::parse(row.text(3))),
          .cid = stored(Cid::parse(row.text(0))),
          .created_at = row.time(2),
          .nullified = row.boolean(1)};
}

ExportedOperation exported(const store::Row& row) {
  return {.did = stored(Did::parse(row.text(4))), .entry = entry_of(row), .seq = row.int64(5)};
}

/// What a decision was based on is still what is there.
bool unchanged(const store::Rows& outline, const std::vector<plc::LogEntry>& log) {
  return std::ranges::equal(outline, log, [](const store::Row& row, const plc::LogEntry& entry) {
    return row.text(0) == entry.cid.str() && row.boolean(1) == entry.nullified;
  });
}

}  // namespace

std::span<const store::Migration> plc_migrations() { return k_migrations; }

Task<std::vector<plc::LogEntry>> PlcLogStore::log(Did did) {
  const auto rows = co_await db_.read([did](store::Tx& tx) { return tx.query(k_log, did.str()); });
  std::vector<plc::LogEntry> entries;
  entries.reserve(rows.size());
  for (const auto& row : rows) entries.push_back(entry_of(row));
  co_return entries;
}

Task<std::optional<plc::LogEntry>> PlcLogStore::last(Did did) {
  const auto row = co_await db_.read([did](store::Tx& tx) { return tx.one(k_last, did.str()); });
  if (!row) co_return std::nullopt;
  co_return entry_of(*row);
}

// Signatures are verified outside of the transaction, against the log as read; the transaction then only
// takes the decision if that log is still the log. So of two operations that both build on the last one, the
// second to come is judged again and refused.
Task<Result<void, PlcLogStore::Refused>> PlcLogStore::append(Did did, plc::Operation operation, Time now) {
  now = std::chrono::floor<std::chrono::milliseconds>(now);  // what logs state; both must decide alike
  const Cid cid = operation.cid();
  const std::string text = json::Value(operation.to_json()).dump();
  for (int attempt = 0; attempt < k_attempts; ++attempt) {
    const auto before = co_await log(did);
    const auto same = std::ranges::find(before, cid, &plc::LogEntry::cid);
    if (same != before.end() && !same->nullified) co_return Result<void, Refused>();
    auto accepted = plc::check_next(did, before, operation, now);
    if (!accepted) co_return std::unexpected(Refused(std::move(accepted).error()));
    // A recovery must get through, or whoever stole a key could use up the limit first.
    if (accepted->nullified.empty())
      if (auto within = check_rate(before, now); !within)
        co_return std::unexpected(Refused(std::move(within).error()));

    const auto done = co_await db_.write([&](store::Tx& tx) -> Result<bool, Time> {
      if (!unchanged(tx.query(k_outline, did.str()), before)) return false;
      const auto head = tx.one(k_advance, now);
      // Another process's clock is ahead. That decides nothing but the recovery window: judge again.
      if (head->time(1) != now && !accepted->nullified.empty()) return fail(head->time(1));
      tx.exec(k_insert, head->int64(0), did.str(), cid.str(), text, head->int64(1));
      for (const auto& fallen : accepted->nullified) tx.exec(k_nullify, did.str(), fallen.str());
      return true;
    });
    if (!done) now = done.error();
    if (done == true) co_return Result<void, Refused>();
  }
  co_return std::unexpected(Refused(Busy{}));
}

Result<void, PlcLogStore::TooMany> PlcLogStore::check_rate(std::span<const plc::LogEntry> log,
                                                           Time now) const {
  struct Window {
    std::chrono::hours length;
    std::int64_t max;
    const char* name;
  };
  using std::chrono::hours;
  for (const Window& w :
       {Window{hours(1), limits_.per_hour, "hour"}, Window{hours(24), limits_.per_day, "day"},
        Window{hours(24 * 7), limits_.per_week, "week"}}) {
    const auto recent =
        std::ranges::count_if(log, [&](const auto& e) { return e.created_at > now - w.length; });
    if (w.max > 0 && recent >= w.max)
      return fail(TooMany{fmt::format("Too many operations within the last {} (max {})", w.name, w.max)});
  }
  return {};
}

Task<std::vector<ExportedOperation>> PlcLogStore::after_time(std::optional<Time> after, std::int64_t count) {
  auto page = co_await db_.read([after, count](store::Tx& tx) {
    auto rows = tx.query(k_after_time, after.value_or(from_unix_micros(-1)), count);
    if (static_cast<std::int64_t>(rows.size()) == count)
      for (auto& row : tx.query(k_same_time, rows.back().int64(2), rows.back().int64(5)))
        rows.push_back(std::move(row));
    return rows;
  });
  std::vector<ExportedOperation> operations;
  for (const auto& row : page) operations.push_back(exported(row));
  co_return operations;
}

Task<std::vector<ExportedOperation>> PlcLogStore::after_seq(std::int64_t after, std::int64_t count) {
  const auto page =
      co_await db_.read([after, count](store::Tx& tx) { return tx.query(k_after_seq, after, count); });
  std::vector<ExportedOperation> operations;
  for (const auto& row : page) operations.push_back(exported(row));
  co_return operations;
}

Task<void> PlcLogStore::ping() {
  co_await db_.read([](store::Tx& tx) { return tx.one(k_ping); });
}

}  // namespace latchkey::dev

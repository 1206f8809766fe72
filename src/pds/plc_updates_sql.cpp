#include "pds/plc_updates.h"

#include "pds/accounts.h"

namespace latchkey::pds::plc_updates {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

#define PLC_UPDATE_SELECT                                                                                   \
  "SELECT u.account_id, account.did, u.operation, u.handle FROM plc_update u JOIN account ON account.id = " \
  "u.account_id "

constexpr Sql k_insert{
    "INSERT INTO plc_update (account_id, operation, handle, created_at) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT DO NOTHING"};
constexpr Sql k_get{PLC_UPDATE_SELECT "WHERE u.account_id = ?1"};
constexpr Sql k_unfinished{PLC_UPDATE_SELECT "WHERE u.created_at <= ?1 ORDER BY u.account_id"};
constexpr Sql k_remove{"DELETE FROM plc_update WHERE account_id = ?1 AND operation = ?2"};
constexpr Sql k_remove_all{"DELETE FROM plc_update WHERE account_id = ?1"};
constexpr Sql k_reserves{"SELECT 1 FROM plc_update WHERE handle = ?1"};

PlcUpdate read_update(Row& row) {
  std::optional<Handle> handle;
  if (!row.is_null(3)) handle = Handle::parse(row.text(3)).value();
  return {.account_id = row.int64(0),
          .did = Did::parse(row.text(1)).value(),
          .operation = row.take_text(2),
          .handle = std::move(handle)};
}

}  // namespace

Result<void, Taken> begin(Tx& tx, const PlcUpdate& update, Time now) {
  if (!accounts::by_did(tx, update.did)) return fail(Taken::gone);
  std::optional<std::string> handle;
  if (update.handle) {
    const auto holder = accounts::holder_of_handle(tx, *update.handle);
    if (holder && holder->id != update.account_id) return fail(Taken::handle);
    handle = update.handle->str();
  }
  if (tx.exec(k_insert, update.account_id, update.operation, handle, now) == 1) return {};
  return fail(get(tx, update.account_id) ? Taken::busy : Taken::handle);
}

std::optional<PlcUpdate> get(Tx& tx, std::int64_t account_id) {
  auto row = tx.one(k_get, account_id);
  if (!row) return std::nullopt;
  return read_update(*row);
}

std::vector<PlcUpdate> unfinished(Tx& tx, Time until) {
  std::vector<PlcUpdate> out;
  tx.each(k_unfinished, [&](Row& row) { out.push_back(read_update(row)); }, until);
  return out;
}

bool remove(Tx& tx, const PlcUpdate& update) {
  return tx.exec(k_remove, update.account_id, update.operation) == 1;
}

void remove_all(Tx& tx, std::int64_t account_id) { tx.exec(k_remove_all, account_id); }

bool reserves(Tx& tx, const Handle& handle) { return tx.one(k_reserves, handle.str()).has_value(); }

}  // namespace latchkey::pds::plc_updates

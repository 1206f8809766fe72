#pragma once
// Schema changes, kept as data beside the code they serve. Each runs once, in one transaction, in order of
// version; a component's versions are 1, 2, 3 …
//
// The SQL is one text for both engines, several statements: BIGINT, TEXT, BLOB; WITHOUT ROWID where it helps.
// On PostgreSQL BLOB and INTEGER become BYTEA and BIGINT, WITHOUT ROWID is dropped, TEXT columns get the
// bytewise collation SQLite has, INTEGER PRIMARY KEY AUTOINCREMENT becomes an identity column. For tables in
// Better Auth's format there are DATE (TIMESTAMPTZ on PostgreSQL), BOOLEAN and INT4 (both INTEGER on SQLite).

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"

namespace latchkey::store {

struct Migration {
  std::string_view component;  // "pds", "oauth_server", a plugin's id
  int version;
  std::string_view sql;
};

/// Brings the database up to date; what is already there is left alone, also when two processes start at
/// once. Throws Error when a migration fails (nothing of it stays) or when the database was written by a
/// newer program.
void migrate(Database& db, std::span<const Migration> migrations, Time now = SystemClock().now());

/// What migrate() would run, in its order. Reads only.
std::vector<Migration> pending(Tx& tx, Engine engine, std::span<const Migration> migrations);

/// For a schema that is known only at start: fn in one transaction, while no other process migrates.
void migrate(Database& db, std::function<void(Tx&)> fn);
/// The columns of a table; none when there is no such table.
std::vector<std::string> columns_of(Tx& tx, Engine engine, std::string_view table);
/// The names of its indexes.
std::vector<std::string> indexes_of(Tx& tx, Engine engine, std::string_view table);

}  // namespace latchkey::store

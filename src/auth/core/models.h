#pragma once
// The shape of the database: Better Auth's tables under the names of this deployment, with the fields that
// options and plugins add, and the hooks that see every row on its way in and out.

#include <functional>
#include <string>
#include <vector>

#include "auth/core/fields.h"
#include "auth/core/records.h"

namespace latchkey::auth {

/// A program that keeps other data in the same database may have a table of such a name already.
struct TableNames {
  std::string user = "user";
  std::string session = "session";
  std::string account = "account";
  std::string verification = "verification";
  std::string rate_limit = "rateLimit";
};

/// What happens to a row, inside of the transaction that does it: hooks work on the database only, and start
/// from fresh local state, because a transaction may run again (store/database.h). A fault refuses the whole
/// operation. Rows that go with their user (foreign keys cascade) are not announced one by one.
template <class Row>
struct RowHooks {
  std::function<Result<void, Fault>(store::Tx&, Row& fresh)> before_create = {};
  std::function<Result<void, Fault>(store::Tx&, const Row&)> after_create = {};
  std::function<Result<void, Fault>(store::Tx&, const Row& old, Row& updated)> before_update = {};
  std::function<Result<void, Fault>(store::Tx&, const Row&)> after_update = {};
  std::function<Result<void, Fault>(store::Tx&, const Row&)> before_delete = {};
  std::function<Result<void, Fault>(store::Tx&, const Row&)> after_delete = {};
};
struct RecordHooks {
  RowHooks<User> user = {};
  RowHooks<Session> session = {};
  RowHooks<Account> account = {};
};

struct Models {
  TableNames names;
  std::vector<Field> user_fields, session_fields;
  std::vector<Table> plugin_tables;
  std::vector<RecordHooks> hooks;  // in order of the plugins; the host's last
};

/// Creates missing tables, and adds missing columns to tables that are there, in one transaction; nothing is
/// ever dropped or changed. `with_rate_limits`: the table `rateLimit` too.
enum class RateLimitTable { without, with };
/// What is missing, in an order that works: "table session", "column user.bskyDid".
struct SchemaChange {
  std::string what;
  std::string sql;
};
std::vector<SchemaChange> missing_schema(store::Tx& tx, store::Engine engine, const Models& models,
                                         RateLimitTable rate_limits);
struct TablesFound {
  bool account_has_issuer;  // see Account::issuer
};
TablesFound create_tables(store::Database& db, const Models& models, RateLimitTable rate_limits);

/// Runs one kind of hook of every RecordHooks: hooked(hooks, &RecordHooks::user,
/// &RowHooks<User>::after_create, tx, row).
template <class Row, class F, class... A>
Result<void, Fault> hooked(const std::vector<RecordHooks>& all, RowHooks<Row> RecordHooks::* of,
                           F RowHooks<Row>::* which, A&... args) {
  for (const RecordHooks& hooks : all)
    if (const F& hook = hooks.*of.*which) TRY_VOID(hook(args...));
  return {};
}
/// True when some hook of that kind is there.
template <class Row, class F>
bool has_hook(const std::vector<RecordHooks>& all, RowHooks<Row> RecordHooks::* of,
              F RowHooks<Row>::* which) {
  for (const RecordHooks& hooks : all)
    if (hooks.*of.*which) return true;
  return false;
}

/// `"a", "b"`: names as SQL, checked by is_column_name; for the *_sql.cpp of this folder.
std::string quoted(std::string_view name);

}  // namespace latchkey::auth

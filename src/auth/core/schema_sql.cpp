// DDL from fields: https://www.better-auth.com/docs/concepts/database, as its generator writes it.
#include <fmt/format.h>

#include <algorithm>

#include "auth/core/models.h"
#include "store/migrate.h"

namespace latchkey::auth {
namespace {

std::string_view type_of(FieldType type) {
  switch (type) {
    case FieldType::string:
    case FieldType::string_array:
    case FieldType::number_array:
    case FieldType::json:
      return "TEXT";
    case FieldType::number:
      return "INT4";
    case FieldType::bigint:
      return "BIGINT";
    case FieldType::boolean:
      return "BOOLEAN";
    case FieldType::date:
      return "DATE";
  }
  std::abort();
}

class Planner {
 public:
  Planner(store::Tx& tx, store::Engine engine, const TableNames& names)
      : tx_(tx), engine_(engine), names_(names) {}

  void table(const std::string& name, const std::vector<Field>& fields) {
    const auto existing = store::columns_of(tx_, engine_, name),
               indexes = store::indexes_of(tx_, engine_, name);
    if (existing.empty()) {
      std::string columns = "\"id\" TEXT NOT NULL PRIMARY KEY";
      for (const Field& f : fields) columns += ", " + column(f) + (f.unique ? " UNIQUE" : "");
      changes_.push_back({"table " + name, fmt::format("CREATE TABLE {} ({});", quoted(name), columns)});
    } else {
      for (const Field& f : fields)
        if (std::ranges::find(existing, f.name) == existing.end()) add(name, f);
    }
    for (const Field& f : fields) {
      const std::string index = fmt::format("{}_{}_idx", name, f.name);
      if (f.index && std::ranges::find(indexes, index) == indexes.end())
        changes_.push_back({"index " + index, fmt::format("CREATE INDEX IF NOT EXISTS {} ON {} ({});",
                                                          quoted(index), quoted(name), quoted(f.name))});
    }
  }
  std::vector<SchemaChange> changes() && { return std::move(changes_); }

 private:
  std::string column(const Field& f) const {
    std::string out = fmt::format("{} {}", quoted(f.name), type_of(f.type));
    // Better Auth's own columns have this default in PostgreSQL only.
    if (engine_ == store::Engine::postgres && f.default_value == json::Value("now"))
      if (f.type == FieldType::date) out += " DEFAULT CURRENT_TIMESTAMP";
    if (f.required) out += " NOT NULL";
    if (!f.references.empty()) {
      const std::string& target = f.references == "user" ? names_.user : f.references;
      out += fmt::format(" REFERENCES {} (\"id\"){}", quoted(target),
                         f.on_delete == OnDelete::cascade ? " ON DELETE CASCADE" : "");
    }
    return out;
  }

  /// A later column may be null: the rows that are there have no value for it. Uniqueness is an index, which
  /// both engines can add to a table that exists.
  void add(const std::string& name, Field f) {
    f.required = false;
    changes_.push_back({fmt::format("column {}.{}", name, f.name),
                        fmt::format("ALTER TABLE {} ADD COLUMN {};", quoted(name), column(f))});
    if (!f.unique) return;
    const std::string index = fmt::format("{}_{}_key", name, f.name);
    changes_.push_back({"index " + index, fmt::format("CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({});",
                                                      quoted(index), quoted(name), quoted(f.name))});
  }

  store::Tx& tx_;
  store::Engine engine_;
  const TableNames& names_;
  std::vector<SchemaChange> changes_;
};

Field text(std::string name) { return {.name = std::move(name), .required = true}; }
Field optional_text(std::string name) { return {.name = std::move(name)}; }
Field date(std::string name, const char* value = nullptr) {
  return {.name = std::move(name),
          .type = FieldType::date,
          .required = true,
          .default_value = value ? json::Value(value) : json::Value()};
}
Field of_user() { return {.name = "userId", .required = true, .index = true, .references = "user"}; }

}  // namespace

std::string quoted(std::string_view name) {
  if (!is_column_name(name))
    throw store::Error(store::Error::Kind::misuse, fmt::format("not a name for a table or column: {}", name));
  return fmt::format("\"{}\"", name);
}

std::vector<SchemaChange> missing_schema(store::Tx& tx, store::Engine engine, const Models& models,
                                         RateLimitTable rate_limits) {
  Planner plan(tx, engine, models.names);

  std::vector<Field> user{text("name"),
                          {.name = "email", .required = true, .unique = true},
                          {.name = "emailVerified", .type = FieldType::boolean, .required = true},
                          optional_text("image"),
                          date("createdAt", "now"),
                          date("updatedAt", "now")};
  user.insert(user.end(), models.user_fields.begin(), models.user_fields.end());
  plan.table(models.names.user, user);

  std::vector<Field> session{date("expiresAt"),
                             {.name = "token", .required = true, .unique = true},
                             date("createdAt", "now"),
                             date("updatedAt"),
                             optional_text("ipAddress"),
                             optional_text("userAgent"),
                             of_user()};
  session.insert(session.end(), models.session_fields.begin(), models.session_fields.end());
  plan.table(models.names.session, session);

  plan.table(models.names.account, {text("accountId"),
                                    text("providerId"),
                                    of_user(),
                                    optional_text("accessToken"),
                                    optional_text("refreshToken"),
                                    optional_text("idToken"),
                                    {.name = "accessTokenExpiresAt", .type = FieldType::date},
                                    {.name = "refreshTokenExpiresAt", .type = FieldType::date},
                                    optional_text("scope"),
                                    optional_text("password"),
                                    date("createdAt", "now"),
                                    date("updatedAt")});

  plan.table(models.names.verification, {{.name = "identifier", .required = true, .index = true},
                                         text("value"),
                                         date("expiresAt"),
                                         date("createdAt", "now"),
                                         date("updatedAt", "now")});

  if (rate_limits == RateLimitTable::with)
    plan.table(models.names.rate_limit,
               {{.name = "key", .required = true, .unique = true},
                {.name = "count", .type = FieldType::number, .required = true},
                {.name = "lastRequest", .type = FieldType::bigint, .required = true}});

  for (const Table& t : models.plugin_tables) plan.table(t.name, t.fields);
  return std::move(plan).changes();
}

TablesFound create_tables(store::Database& db, const Models& models, RateLimitTable rate_limits) {
  TablesFound found{};
  store::migrate(db, [&](store::Tx& tx) {
    for (const SchemaChange& change : missing_schema(tx, db.engine(), models, rate_limits))
      tx.script(change.sql);
    const auto account = store::columns_of(tx, db.engine(), models.names.account);
    found.account_has_issuer = std::ranges::find(account, "issuer") != account.end();
  });
  return found;
}

}  // namespace latchkey::auth

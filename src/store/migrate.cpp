#include "store/migrate.h"

#include <fmt/format.h>

#include <map>

namespace latchkey::store {
namespace {

constexpr std::string_view k_create_table =
    "CREATE TABLE IF NOT EXISTS latchkey_migration (component TEXT NOT NULL, version BIGINT NOT NULL, "
    "applied_at BIGINT NOT NULL, PRIMARY KEY (component, version))";
constexpr Sql k_versions{"SELECT component, MAX(version) FROM latchkey_migration GROUP BY component"};
constexpr Sql k_is_applied{"SELECT 1 FROM latchkey_migration WHERE component = ?1 AND version = ?2"};
constexpr Sql k_record{"INSERT INTO latchkey_migration (component, version, applied_at) VALUES (?1, ?2, ?3)"};

constexpr Sql k_sqlite_columns{"SELECT name FROM pragma_table_info(?1) ORDER BY cid"};
constexpr Sql k_postgres_columns{
    "SELECT column_name::text FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name = ?1 ORDER BY ordinal_position"};

constexpr Sql k_sqlite_indexes{"SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1"};
constexpr Sql k_postgres_indexes{
    "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = ?1"};

using Versions = std::map<std::string, std::int64_t, std::less<>>;

Versions known_versions(std::span<const Migration> migrations) {
  Versions known;
  for (const Migration& m : migrations)
    if (m.version != ++known[std::string(m.component)])
      throw Error(Error::Kind::misuse,
                  fmt::format("migration {} {} is out of order", m.component, m.version));
  return known;
}

std::vector<std::string> names_of(Tx& tx, const Sql& sql, std::string_view table) {
  std::vector<std::string> names;
  for (Row& row : tx.query(sql, table)) names.push_back(row.take_text(0));
  return names;
}

}  // namespace

void migrate(Database& db, std::span<const Migration> migrations, Time now) {
  const Versions known = known_versions(migrations);

  const auto check = [&](Tx& tx) {
    tx.script(k_create_table);
    for (const Row& row : tx.query(k_versions)) {
      const auto it = known.find(row.text(0));  // a component nobody knows any more does no harm
      if (it != known.end() && row.int64(1) > it->second)
        throw Error(
            Error::Kind::unavailable,
            fmt::format("the database was written by a newer program: {} is at version {}, this program "
                        "knows {}",
                        row.text(0), row.int64(1), it->second));
    }
  };
  struct Apply {
    const Migration* migration;
    Time now;
    void operator()(Tx& tx) {
      const Migration& m = *migration;
      if (tx.one(k_is_applied, m.component, m.version)) return;
      try {
        tx.script(m.sql);
      } catch (const Error& e) {
        throw Error(e.kind(), fmt::format("migration {} {}: {}", m.component, m.version, e.what()));
      }
      tx.exec(k_record, m.component, m.version, now);
    }
  };

  auto check_fn = check;
  detail::WorkOf check_work(check_fn);
  std::vector<Apply> applies;
  for (const Migration& m : migrations) applies.push_back({&m, now});
  std::vector<std::unique_ptr<detail::WorkOf<Apply>>> works;
  std::vector<detail::Work*> steps{&check_work};
  for (Apply& a : applies)
    steps.push_back(works.emplace_back(std::make_unique<detail::WorkOf<Apply>>(a)).get());
  db.migration_steps(steps);
}

void migrate(Database& db, std::function<void(Tx&)> fn) {
  detail::WorkOf work(fn);
  detail::Work* const steps[] = {&work};
  db.migration_steps(steps);
}

std::vector<Migration> pending(Tx& tx, Engine engine, std::span<const Migration> migrations) {
  const bool fresh = columns_of(tx, engine, "latchkey_migration").empty();
  std::vector<Migration> out;
  for (const Migration& m : migrations)
    if (fresh || !tx.one(k_is_applied, m.component, m.version)) out.push_back(m);
  return out;
}

std::vector<std::string> columns_of(Tx& tx, Engine engine, std::string_view table) {
  return names_of(tx, engine == Engine::sqlite ? k_sqlite_columns : k_postgres_columns, table);
}

std::vector<std::string> indexes_of(Tx& tx, Engine engine, std::string_view table) {
  return names_of(tx, engine == Engine::sqlite ? k_sqlite_indexes : k_postgres_indexes, table);
}

}  // namespace latchkey::store

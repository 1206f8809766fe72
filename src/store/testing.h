#pragma once
// For store contract tests: every aggregate runs on every engine. Link lk::store_testing.
//
//   class Codes : public store::EngineTest {};
//   TEST_P(Codes, AreSpentOnce) {
//     store::TestDatabase db(GetParam(), k_migrations);
//     auto row = run(db->write([](store::Tx& tx) { … }));
//   }
//   INSTANTIATE_TEST_SUITE_P(Store, Codes, store::engines(), store::engine_name);
//
// PostgreSQL runs when LATCHKEY_TEST_POSTGRES holds a conninfo (tests/postgres.sh sets it) and is skipped
// visibly otherwise.

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>

#include "store/database.h"
#include "store/migrate.h"

namespace latchkey::store {

/// The conninfo of the test server, or empty.
std::string test_postgres();

inline auto engines() { return ::testing::Values(Engine::sqlite, Engine::postgres); }
inline std::string engine_name(const ::testing::TestParamInfo<Engine>& info) {
  return std::string(name(info.param));
}

class EngineTest : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    if (GetParam() == Engine::postgres && test_postgres().empty())
      GTEST_SKIP() << "LATCHKEY_TEST_POSTGRES is not set; run under tests/postgres.sh";
  }
};

/// A fresh, migrated database: a temporary SQLite file, or a schema of its own on the test server. Gone at
/// the end.
class TestDatabase {
 public:
  explicit TestDatabase(Engine engine, std::span<const Migration> migrations = {});
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  Database& operator*() const { return *db_; }
  Database* operator->() const { return db_.get(); }
  /// A second handle to the same data, as another process would have. PostgreSQL only.
  std::unique_ptr<Database> open_again() const;
  /// Its schema on the test server, for a process that opens it by itself; "" on SQLite.
  const std::string& schema() const { return schema_; }

 private:
  std::unique_ptr<Database> db_;
  std::string schema_;
};

/// An empty folder that goes with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace latchkey::store

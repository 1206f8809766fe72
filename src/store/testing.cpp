#include "store/testing.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace latchkey::store {
namespace {

void on_server(const std::string& sql) {
  auto server = open_postgres(test_postgres(), {.connections = 1});
  run(server->write([&](Tx& tx) { tx.script(sql); }));
}

}  // namespace

std::string test_postgres() {
  const char* const conninfo = std::getenv("LATCHKEY_TEST_POSTGRES");
  return conninfo ? conninfo : "";
}

TestDatabase::TestDatabase(Engine engine, std::span<const Migration> migrations) {
  if (engine == Engine::postgres) {
    static std::atomic<int> last = 0;
    schema_ = fmt::format("test_{}_{}", ::getpid(), ++last);
    on_server("CREATE SCHEMA " + schema_);
    db_ = open_again();
  } else {
    db_ = open_sqlite_temporary();
  }
  migrate(*db_, migrations);
}

TestDatabase::~TestDatabase() {
  db_.reset();
  if (schema_.empty()) return;
  try {
    on_server("DROP SCHEMA " + schema_ + " CASCADE");
  } catch (const Error& e) {
    ADD_FAILURE() << e.what();
  }
}

std::unique_ptr<Database> TestDatabase::open_again() const {
  if (schema_.empty()) throw Error(Error::Kind::misuse, "only PostgreSQL test databases are opened twice");
  return open_postgres(test_postgres(), {.connections = 4, .schema = schema_});
}

TemporaryFolder::TemporaryFolder()
    : path_((std::filesystem::temp_directory_path() / "latchkey-test-XXXXXX").string()) {
  if (!::mkdtemp(path_.data())) throw std::system_error(errno, std::generic_category(), path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace latchkey::store

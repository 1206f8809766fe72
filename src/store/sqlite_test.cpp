// What only the SQLite engine promises.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <future>
#include <thread>

#include "store/migrate.h"

namespace latchkey::store {
namespace {

constexpr Migration k_schema[] = {{"test", 1, "CREATE TABLE item (id BIGINT PRIMARY KEY, t TEXT);"}};
constexpr Sql k_put{"INSERT INTO item (id, t) VALUES (?1, ?2)"};
constexpr Sql k_count{"SELECT COUNT(*) FROM item"};
constexpr Sql k_ids{"SELECT id FROM item ORDER BY rowid"};

std::int64_t count(Database& db) {
  return run(db.read([](Tx& tx) { return tx.one(k_count); }))->int64(0);
}

class TemporaryFolder {
 public:
  TemporaryFolder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "latchkey-sqlite-XXXXXX").string();
};

/// Holds the writer inside a write while it lives.
class Hold {
 public:
  explicit Hold(Database& db)
      : thread_([this, &db] {
          run(db.write([this](Tx&) {
            entered_.set_value();
            go_.get_future().wait();
          }));
        }) {
    entered_.get_future().wait();
  }
  ~Hold() {
    go_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> entered_, go_;
  std::thread thread_;
};

Task<void> put(Database* db, std::int64_t id, std::size_t* ended) {
  co_await db->write([id](Tx& tx) { tx.exec(k_put, id, "x"); });
  ++*ended;
}

TEST(Sqlite, WaitingWritesShareOneCommitInOrder) {
  auto db = open_sqlite_temporary();
  migrate(*db, k_schema);
  const auto before = db->stats();
  InlineExecutor executor;
  std::size_t ended = 0;
  {
    Hold hold(*db);
    for (std::int64_t i = 0; i < 100; ++i) executor.post([&, i] { spawn(put(db.get(), 100 - i, &ended)); });
    bool queued = false;
    executor.post([&] { queued = true; });
    executor.run_until([&] { return queued; });
    EXPECT_EQ(ended, 0u);
  }
  executor.run_until([&] { return ended == 100; });
  const auto after = db->stats();
  EXPECT_EQ(after.writes - before.writes, 101u);
  EXPECT_EQ(after.commits - before.commits, 2u) << "the one that held, and the group behind it";
  std::int64_t expected = 100;
  for (const Row& row : run(db->read([](Tx& tx) { return tx.query(k_ids); })))
    EXPECT_EQ(row.int64(0), expected--);
}

TEST(Sqlite, GroupsAreBounded) {
  auto db = open_sqlite_temporary({.max_group = 10});
  migrate(*db, k_schema);
  const auto before = db->stats();
  InlineExecutor executor;
  std::size_t ended = 0;
  {
    Hold hold(*db);
    for (std::int64_t i = 0; i < 25; ++i) executor.post([&, i] { spawn(put(db.get(), i, &ended)); });
    bool queued = false;
    executor.post([&] { queued = true; });
    executor.run_until([&] { return queued; });
  }
  executor.run_until([&] { return ended == 25; });
  EXPECT_EQ(db->stats().commits - before.commits, 1u + 3u);
}

Task<void> put_or_shed(Database* db, std::int64_t id, std::size_t* ended, std::size_t* shed) {
  try {
    co_await db->write([id](Tx& tx) { tx.exec(k_put, id, "x"); });
  } catch (const Overloaded&) {
    ++*shed;
  }
  ++*ended;
}

TEST(Sqlite, AFullQueueShedsLoad) {
  auto db = open_sqlite_temporary({.max_queue = 5});
  migrate(*db, k_schema);
  InlineExecutor executor;
  std::size_t ended = 0, shed = 0;
  {
    Hold hold(*db);
    for (std::int64_t i = 0; i < 8; ++i)
      executor.post([&, i] { spawn(put_or_shed(db.get(), i, &ended, &shed)); });
    bool queued = false;
    executor.post([&] { queued = true; });
    executor.run_until([&] { return queued; });
    EXPECT_EQ(shed, 3u) << "five wait, three are told at once";
  }
  executor.run_until([&] { return ended == 8; });
  EXPECT_EQ(shed, 3u);
  EXPECT_EQ(count(*db), 5);
}

TEST(Sqlite, DestroyingTheDatabaseFinishesWhatWaits) {
  TemporaryFolder folder;
  const auto path = folder.file("db");
  auto db = open_sqlite(path);
  migrate(*db, k_schema);
  InlineExecutor executor;
  std::size_t ended = 0;
  std::thread destroyer;
  {
    Hold hold(*db);
    for (std::int64_t i = 0; i < 30; ++i) executor.post([&, i] { spawn(put(db.get(), i, &ended)); });
    bool queued = false;
    executor.post([&] { queued = true; });
    executor.run_until([&] { return queued; });
    destroyer = std::thread([&] { db->close(); });
  }
  destroyer.join();
  db.reset();
  executor.run_until([&] { return ended == 30; });
  EXPECT_EQ(count(*open_sqlite(path)), 30);
  EXPECT_FALSE(std::filesystem::exists(path + "-wal")) << "a clean end leaves one file";
}

TEST(Sqlite, TheFileIsForItsOwnerOnly) {
  TemporaryFolder folder;
  const auto path = folder.file("db");
  auto db = open_sqlite(path);
  migrate(*db, k_schema);
  for (const auto& name : {path, path + "-wal"}) {
    struct stat s{};
    ASSERT_EQ(::stat(name.c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777, 0600u) << name;
  }
}

TEST(Sqlite, IsDurableInWalMode) {
  TemporaryFolder folder;
  auto db = open_sqlite(folder.file("db"));
  static constexpr Sql k_journal{"PRAGMA journal_mode"};
  static constexpr Sql k_synchronous{"PRAGMA synchronous"};
  static constexpr Sql k_foreign_keys{"PRAGMA foreign_keys"};
  run(db->write([](Tx& tx) {
    EXPECT_EQ(tx.one(k_journal)->text(0), "wal");
    EXPECT_EQ(tx.one(k_synchronous)->int64(0), 2) << "FULL";
    EXPECT_EQ(tx.one(k_foreign_keys)->int64(0), 1);
  }));
}

TEST(Sqlite, TheWalDoesNotGrowForever) {
  TemporaryFolder folder;
  const auto path = folder.file("db");
  auto db = open_sqlite(path, {.checkpoint_pages = 20, .truncate_pages = 100});
  migrate(*db, k_schema);
  const std::string pages(20'000, 'x');
  std::uintmax_t largest = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    run(db->write([&](Tx& tx) { tx.exec(k_put, i, pages); }));
    largest = std::max(largest, std::filesystem::file_size(path + "-wal"));
  }
  EXPECT_GT(db->stats().checkpoints, 0u);
  EXPECT_LT(largest, 3u << 20) << "400 writes of six pages are 10 MB without checkpoints";
  EXPECT_EQ(count(*db), 400);
}

TEST(Sqlite, AThreadThatEndsGivesItsConnectionBack) {
  auto db = open_sqlite_temporary();
  migrate(*db, k_schema);
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  std::thread([&] { count(*db); }).join();
  const auto after_one = open_files();
  for (int i = 0; i < 20; ++i) std::thread([&] { count(*db); }).join();
  EXPECT_EQ(open_files(), after_one);
}

TEST(Sqlite, OneThreadReadsManyDatabases) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Database>> all;
    for (int i = 0; i < 4; ++i) {
      migrate(*all.emplace_back(open_sqlite_temporary()), k_schema);
      for (int n = 0; n < i; ++n)
        run(all[static_cast<std::size_t>(i)]->write([n](Tx& tx) { tx.exec(k_put, n, "x"); }));
    }
    for (int i = 0; i < 4; ++i) EXPECT_EQ(count(*all[static_cast<std::size_t>(i)]), i);
  }
}

TEST(Sqlite, AReadInsideAReadIsABug) {
  auto db = open_sqlite_temporary();
  migrate(*db, k_schema);
  EXPECT_THROW(run(db->read([&](Tx& tx) {
                 tx.query(k_count);
                 count(*db);
               })),
               Error);
  EXPECT_EQ(count(*db), 0);
}

TEST(Sqlite, EndingTheTransactionFromInsideFailsIt) {
  static constexpr Sql k_commit{"COMMIT"};
  auto db = open_sqlite_temporary();
  migrate(*db, k_schema);
  EXPECT_THROW(run(db->write([](Tx& tx) { tx.exec(k_commit); })), Error);
  run(db->write([](Tx& tx) { tx.exec(k_put, 1, "x"); }));
  EXPECT_EQ(count(*db), 1);
}

TEST(Sqlite, AFullDiskFailsTheWriteAndNothingElse) {
  static constexpr Sql k_limit{"PRAGMA max_page_count = 12"};
  static constexpr Sql k_no_limit{"PRAGMA max_page_count = 100000"};
  auto db = open_sqlite_temporary();
  migrate(*db, k_schema);
  run(db->write([](Tx& tx) { tx.query(k_limit); }));
  try {
    run(db->write([](Tx& tx) { tx.exec(k_put, 1, std::string(100'000, 'x')); }));
    FAIL() << "twelve pages hold 100 kB";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::unavailable) << e.what();
  }
  run(db->write([](Tx& tx) { tx.exec(k_put, 2, "small"); }));
  run(db->write([](Tx& tx) { tx.query(k_no_limit); }));
  run(db->write([](Tx& tx) { tx.exec(k_put, 1, std::string(100'000, 'x')); }));
  EXPECT_EQ(count(*db), 2);
}

TEST(Sqlite, TwoProcessesShareTheFile) {
  TemporaryFolder folder;
  const auto path = folder.file("db");
  auto a = open_sqlite(path), b = open_sqlite(path);
  migrate(*a, k_schema);
  migrate(*b, k_schema);
  std::thread other([&] {
    for (int i = 0; i < 50; ++i) run(b->write([i](Tx& tx) { tx.exec(k_put, 1000 + i, "b"); }));
  });
  for (int i = 0; i < 50; ++i) run(a->write([i](Tx& tx) { tx.exec(k_put, i, "a"); }));
  other.join();
  EXPECT_EQ(count(*a), 100);
  EXPECT_EQ(count(*b), 100);
}

TEST(Sqlite, OpensFilesOnly) {
  TemporaryFolder folder;
  EXPECT_THROW(open_sqlite(""), Error);
  EXPECT_THROW(open_sqlite(":memory:"), Error);
  EXPECT_THROW(open_sqlite("file:x?mode=memory"), Error);
  try {
    open_sqlite(folder.file("nowhere/db"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::unavailable);
  }
}

TEST(Sqlite, RefusesAFileThatIsNoDatabase) {
  TemporaryFolder folder;
  const auto path = folder.file("db");
  FILE* f = std::fopen(path.c_str(), "w");
  for (int i = 0; i < 1000; ++i) std::fputs("not a database ", f);
  std::fclose(f);
  EXPECT_THROW(open_sqlite(path), Error);
}

}  // namespace
}  // namespace latchkey::store

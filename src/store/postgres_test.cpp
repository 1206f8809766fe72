// What only the PostgreSQL engine promises.
#include <future>
#include <latch>
#include <thread>

#include "store/testing.h"

namespace latchkey::store {
namespace {

constexpr Migration k_schema[] = {{"test", 1,
                                   "CREATE TABLE item (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); INSERT "
                                   "INTO item (id, n) VALUES (1, 0), (2, 0);"}};
constexpr Sql k_get{"SELECT n FROM item WHERE id = ?1"};
constexpr Sql k_set{"UPDATE item SET n = ?2 WHERE id = ?1"};
constexpr Sql k_sum{"SELECT SUM(n) FROM item"};
constexpr Sql k_me{"SELECT pg_backend_pid()"};
constexpr Sql k_kill{"SELECT pg_terminate_backend(CAST(?1 AS INTEGER))"};

Error::Kind error_kind_of(Database& db, const Sql& sql) {
  try {
    run(db.read([&](Tx& tx) { return tx.query(sql, 0); }));
  } catch (const Error& e) {
    return e.kind();
  }
  throw std::runtime_error("no store::Error was thrown");
}

Task<void> nothing(Database* db, std::size_t* ended, std::size_t* shed) {
  try {
    co_await db->read([](Tx& tx) { tx.query(k_me); });
  } catch (const Overloaded&) {
    ++*shed;
  }
  ++*ended;
}

class Postgres : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (!IsSkipped()) db_.emplace(GetParam(), k_schema);
  }
  std::int64_t n(std::int64_t id) {
    return run((*db_)->read([id](Tx& tx) { return tx.one(k_get, id); }))->int64(0);
  }
  std::optional<TestDatabase> db_;
};
INSTANTIATE_TEST_SUITE_P(Store, Postgres, ::testing::Values(Engine::postgres), engine_name);

TEST_P(Postgres, ALoserOfASerializationConflictRunsAgain) {
  // Both read the sum before either writes: without a retry one of the two increments would be based on a
  // lie.
  std::latch both_read(2);
  std::atomic<int> runs = 0;
  const auto add_sum = [&](std::int64_t id) {
    run((*db_)->write([&, id, first = true](Tx& tx) mutable {
      ++runs;
      const auto sum = tx.one(k_sum)->int64(0);
      if (std::exchange(first, false)) both_read.arrive_and_wait();
      tx.exec(k_set, id, sum + 1);
    }));
  };
  std::thread one([&] { add_sum(1); }), two([&] { add_sum(2); });
  one.join();
  two.join();
  EXPECT_GE(runs, 3);
  EXPECT_GE((*db_)->stats().retries, 1u);
  EXPECT_EQ(n(1) + n(2), 3) << "1 and then 1 + 1, as if one after the other";
}

TEST_P(Postgres, RetriesAreBounded) {
  auto db = open_postgres(test_postgres(), {.connections = 1, .max_retries = 2});
  static constexpr Sql k_fail{"SELECT 1 / ?1"};
  int runs = 0;
  // A transaction that always meets a conflict: the server is asked to report one.
  try {
    run(db->write([&](Tx& tx) {
      ++runs;
      tx.script("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
    }));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::contention);
  }
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(error_kind_of(*db, k_fail), Error::Kind::misuse) << "another error is not run again";
}

TEST_P(Postgres, ABrokenIdleConnectionIsReplaced) {
  auto db = open_postgres(test_postgres(), {.connections = 1});
  const auto first = run(db->read([](Tx& tx) { return tx.one(k_me); }))->int64(0);
  run((*db_)->write([first](Tx& tx) { tx.query(k_kill, first); }));
  const auto second = run(db->read([](Tx& tx) { return tx.one(k_me); }))->int64(0);
  EXPECT_NE(first, second);
}

TEST_P(Postgres, ABrokenConnectionInsideATransactionRunsItAgain) {
  auto db = (*db_).open_again();
  int runs = 0;
  run(db->write([&](Tx& tx) {
    const auto me = tx.one(k_me)->int64(0);
    tx.exec(k_set, 1, 10 + ++runs);
    if (runs == 1)
      std::thread([&] { run((*db_)->write([me](Tx& other) { other.query(k_kill, me); })); }).join();
    tx.one(k_sum);
  }));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(n(1), 12);
}

TEST_P(Postgres, ACommitThatGotNoAnswerIsNotRepeated) {
  // The connection dies between the last statement and COMMIT, from where the engine cannot know the outcome.
  auto db = (*db_).open_again();
  int runs = 0;
  try {
    run(db->write([&](Tx& tx) {
      const auto me = tx.one(k_me)->int64(0);
      tx.exec(k_set, 1, 10 + ++runs);
      std::thread([&] { run((*db_)->write([me](Tx& other) { other.query(k_kill, me); })); }).join();
    }));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::unavailable);
  }
  EXPECT_EQ(runs, 1);
}

TEST_P(Postgres, ANullHasTheTypeOfItsOptional) {
  static constexpr Sql k_typed{"SELECT pg_typeof(?1)::text, pg_typeof(?2)::text, pg_typeof(?3)::text"};
  const auto row = *run((*db_)->read([](Tx& tx) {
    return tx.one(k_typed, std::optional<int>(), std::optional<std::string>(), std::optional<Bytes>());
  }));
  EXPECT_EQ(row.text(0), "bigint");
  EXPECT_EQ(row.text(1), "text");
  EXPECT_EQ(row.text(2), "bytea");
}

TEST_P(Postgres, AcknowledgedMeansSynchronous) {
  static constexpr Sql k_setting{"SELECT current_setting('synchronous_commit')"};
  auto db = open_postgres(test_postgres() + " options='-c synchronous_commit=off'", {.connections = 1});
  EXPECT_EQ(run(db->read([](Tx& tx) { return tx.one(k_setting); }))->text(0), "on");
}

TEST_P(Postgres, AFullQueueShedsLoad) {
  auto db = open_postgres(test_postgres(), {.connections = 1, .max_queue = 1});
  std::promise<void> entered, go;
  std::thread holder([&] {
    run(db->write([&](Tx&) {
      entered.set_value();
      go.get_future().wait();
    }));
  });
  entered.get_future().wait();
  Database* const raw = db.get();
  std::size_t ended = 0, shed = 0;
  InlineExecutor executor;
  for (int i = 0; i < 2; ++i) executor.post([&] { spawn(nothing(raw, &ended, &shed)); });
  bool queued = false;
  executor.post([&] { queued = true; });
  executor.run_until([&] { return queued; });
  EXPECT_EQ(shed, 1u);
  go.set_value();
  executor.run_until([&] { return ended == 2; });
  holder.join();
  EXPECT_EQ(shed, 1u);
}

TEST(PostgresServer, ThatIsMissingStopsTheStart) {
  try {
    open_postgres("host=/nonexistent dbname=none");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::unavailable) << e.what();
  }
}

TEST(PostgresServer, SchemaNamesAreNotSql) {
  try {
    open_postgres("host=/nonexistent", {.schema = "x', false); DROP"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), Error::Kind::misuse) << e.what();
  }
}

}  // namespace
}  // namespace latchkey::store

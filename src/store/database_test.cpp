// The contract of Database, on every engine.
#include <future>
#include <latch>
#include <limits>
#include <set>
#include <thread>

#include "base/result.h"
#include "store/testing.h"

namespace latchkey::store {
namespace {

constexpr Migration k_schema[] = {{"test", 1,
                                   "CREATE TABLE item (id BIGINT PRIMARY KEY, n BIGINT, t TEXT, b BLOB);"
                                   "CREATE TABLE word (w TEXT PRIMARY KEY) WITHOUT ROWID;"
                                   "CREATE TABLE child (id BIGINT PRIMARY KEY, item BIGINT NOT NULL "
                                   "  REFERENCES item (id) ON DELETE CASCADE);"
                                   "CREATE TABLE later (id BIGINT PRIMARY KEY, item BIGINT NOT NULL "
                                   "  REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED);"
                                   "CREATE TABLE counter (n BIGINT NOT NULL);"
                                   "INSERT INTO counter (n) VALUES (0);"}};

constexpr Sql k_put{"INSERT INTO item (id, n, t, b) VALUES (?1, ?2, ?3, ?4)"};
constexpr Sql k_put_id{"INSERT INTO item (id) VALUES (?1)"};
constexpr Sql k_get{"SELECT n, t, b FROM item WHERE id = ?1"};
constexpr Sql k_ids{"SELECT id FROM item ORDER BY id"};
constexpr Sql k_count{"SELECT COUNT(*) FROM item"};
constexpr Sql k_put_word{"INSERT INTO word (w) VALUES (?1)"};
constexpr Sql k_put_child{"INSERT INTO child (id, item) VALUES (?1, ?2)"};
constexpr Sql k_put_later{"INSERT INTO later (id, item) VALUES (?1, ?2)"};
constexpr Sql k_counter{"SELECT n FROM counter"};
constexpr Sql k_set_counter{"UPDATE counter SET n = ?1"};

Bytes blob_of(std::initializer_list<int> bytes) {
  Bytes out;
  for (int b : bytes) out.push_back(static_cast<std::uint8_t>(b));
  return out;
}

template <class F>
Error::Kind error_kind(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind();
  }
  throw std::runtime_error("no store::Error was thrown");
}

class Contract : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (!IsSkipped()) db_.emplace(GetParam(), k_schema);
  }
  template <class F>
  auto read(F fn) {
    return run((*db_)->read(fn));
  }
  template <class F>
  auto write(F fn) {
    return run((*db_)->write(fn));
  }
  std::vector<std::int64_t> ids() {
    std::vector<std::int64_t> out;
    for (const Row& row : read([](Tx& tx) { return tx.query(k_ids); })) out.push_back(row.int64(0));
    return out;
  }
  std::optional<TestDatabase> db_;
};
INSTANTIATE_TEST_SUITE_P(Store, Contract, engines(), engine_name);

// --- values -----------------------------------------------------------------------------------------------

struct Stored {
  std::optional<std::int64_t> n;
  std::optional<std::string> t;
  std::optional<Bytes> b;
  const char* why;
};

TEST_P(Contract, ValuesComeBackAsTheyWere) {
  const Stored cases[] = {
      {0, "", Bytes{}, "empty is not null"},
      {std::nullopt, std::nullopt, std::nullopt, "null is not empty"},
      {std::numeric_limits<std::int64_t>::max(), "a", blob_of({0}), "the largest integer, a NUL byte"},
      {std::numeric_limits<std::int64_t>::min(), "'\"\\?1$1--;", blob_of({0, 1, 0, 255, 0}),
       "the smallest, SQL's characters"},
      {-1, "Grüße 👋🏽 日本語 \u00e9 e\u0301", blob_of({0xff, 0xfe}),
       "not normalised, bytes that are not UTF-8"},
      {1, "\x01\x7f\t\r\n", blob_of({'x'}), "control characters"},
  };
  std::int64_t id = 0;
  for (const Stored& c : cases) {
    ++id;
    write([&](Tx& tx) { EXPECT_EQ(tx.exec(k_put, id, c.n, c.t, c.b), 1); });
    read([&](Tx& tx) {
      const auto row = tx.one(k_get, id);
      ASSERT_TRUE(row);
      EXPECT_EQ(row->opt_int64(0), c.n) << c.why;
      EXPECT_EQ(row->opt_text(1), c.t) << c.why;
      EXPECT_EQ(row->opt_blob(2), c.b) << c.why;
      EXPECT_EQ(row->is_null(1), !c.t) << c.why;
    });
  }
}

TEST_P(Contract, EveryParameterTypeIsAccepted) {
  const Time time(std::chrono::microseconds(1'750'000'000'123'456));
  const std::string text = "text";
  const std::array<std::uint8_t, 2> array{1, 2};
  write([&](Tx& tx) {
    tx.exec(k_put, 1, time, text, BytesView(array));
    tx.exec(k_put, 2u, true, std::string_view(text), array);
    tx.exec(k_put, std::uint64_t{3}, std::uint8_t{255}, "text", to_bytes(BytesView(array)));
    tx.exec(k_put, std::int16_t{4}, nullptr, nullptr, nullptr);
    tx.exec(k_put, Value(std::int64_t{5}), Value(), Value(text), Value(to_bytes(BytesView(array))));
  });
  const auto at = [&](int id) { return *read([&](Tx& tx) { return tx.one(k_get, id); }); };
  EXPECT_EQ(at(1).time(0), time);
  EXPECT_EQ(at(1).blob(2), blob_of({1, 2}));
  EXPECT_TRUE(at(2).boolean(0));
  EXPECT_EQ(at(2).blob(2), blob_of({1, 2}));
  EXPECT_EQ(at(3).int64(0), 255);
  EXPECT_EQ(at(3).text(1), "text");
  EXPECT_EQ(at(4).opt_time(0), std::nullopt);
  EXPECT_EQ(at(5).text(1), "text");
}

TEST_P(Contract, AnIntegerAbove63BitsIsRefused) {
  const std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  write([&](Tx& tx) { tx.exec(k_put_id, largest); });
  EXPECT_EQ(error_kind([&] { write([&](Tx& tx) { tx.exec(k_put_id, largest + 1); }); }), Error::Kind::misuse);
}

TEST_P(Contract, TextIsUtf8WithoutNul) {
  for (const std::string_view bad :
       {std::string_view("a\0b", 3), std::string_view("\xff"), std::string_view("\xc0\x80"),
        std::string_view("\xed\xa0\x80"), std::string_view("12345678\xe2\x82")})
    EXPECT_EQ(error_kind([&] { write([&](Tx& tx) { tx.exec(k_put_word, bad); }); }), Error::Kind::misuse);
  write([](Tx& tx) { tx.exec(k_put_word, "\u0001\u20ac\U0010ffff"); });
}

TEST_P(Contract, BigBlobsComeBackWhole) {
  Bytes big(20 << 20);
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<std::uint8_t>(i * 31 >> 3);
  write([&](Tx& tx) { tx.exec(k_put, 1, nullptr, std::string(1 << 20, 'x'), big); });
  auto row = *read([](Tx& tx) { return tx.one(k_get, 1); });
  EXPECT_EQ(row.text(1).size(), 1u << 20);
  EXPECT_TRUE(row.take_blob(2) == big);
}

TEST_P(Contract, ComparisonsAndSumsAreIntegers) {
  static constexpr Sql k_compare{"SELECT ?1 = ?2, 1 < 2, COUNT(*), COALESCE(SUM(n), 0), MIN(n) FROM item"};
  static constexpr Sql k_sum{"SELECT SUM(n) FROM item"};
  const auto empty = *read([](Tx& tx) { return tx.one(k_compare, 5, 5); });
  EXPECT_EQ(empty.int64(0), 1);
  EXPECT_EQ(empty.int64(1), 1);
  EXPECT_EQ(empty.int64(2), 0);
  EXPECT_EQ(empty.int64(3), 0);
  EXPECT_TRUE(empty.is_null(4));
  const std::pair<std::vector<std::int64_t>, std::int64_t> sums[] = {
      {{1, 2, 3}, 6},
      {{10'000, 0}, 10'000},
      {{99'999'999, 1}, 100'000'000},
      {{-7, -12'345'678}, -12'345'685},
      {{std::numeric_limits<std::int64_t>::max() - 1, 1}, std::numeric_limits<std::int64_t>::max()},
      {{std::numeric_limits<std::int64_t>::min() + 1, -1}, std::numeric_limits<std::int64_t>::min()}};
  for (const auto& [numbers, sum] : sums) {
    write([&](Tx& tx) {
      static constexpr Sql k_empty{"DELETE FROM item"};
      tx.exec(k_empty);
      for (std::size_t i = 0; i < numbers.size(); ++i) tx.exec(k_put, i, numbers[i], nullptr, nullptr);
      EXPECT_EQ(tx.one(k_sum)->int64(0), sum);
    });
  }
}

TEST_P(Contract, AFloatingPointColumnIsABug) {
  static constexpr Sql k_float{"SELECT 0.5"};
  EXPECT_EQ(error_kind([&] { read([&](Tx& tx) { return tx.query(k_float); }); }), Error::Kind::misuse);
}

TEST_P(Contract, TextIsOrderedByBytes) {
  static constexpr Sql k_words{"SELECT w FROM word ORDER BY w"};
  static constexpr Sql k_from{"SELECT w FROM word WHERE w > ?1 ORDER BY w LIMIT ?2"};
  write([](Tx& tx) {
    for (const char* w : {"b", "a", "B", "ä", "a-b", "ab", "a.c", "_", "~", "a/b", "Z"})
      tx.exec(k_put_word, w);
  });
  std::vector<std::string> sorted;
  for (Row& row : read([](Tx& tx) { return tx.query(k_words); })) sorted.push_back(row.take_text(0));
  EXPECT_EQ(sorted, (std::vector<std::string>{"B", "Z", "_", "a", "a-b", "a.c", "a/b", "ab", "b", "~", "ä"}));
  const auto page = read([](Tx& tx) { return tx.query(k_from, "a", 2); });
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].text(0), "a-b");
  EXPECT_EQ(page[1].text(0), "a.c");
}

TEST_P(Contract, AskingForTheWrongColumnThrows) {
  write([](Tx& tx) { tx.exec(k_put, 1, 5, "t", nullptr); });
  const auto row = *read([](Tx& tx) { return tx.one(k_get, 1); });
  EXPECT_EQ(error_kind([&] { row.text(0); }), Error::Kind::misuse);
  EXPECT_EQ(error_kind([&] { row.int64(1); }), Error::Kind::misuse);
  EXPECT_EQ(error_kind([&] { row.blob(2); }), Error::Kind::misuse);  // null
  EXPECT_EQ(error_kind([&] { row.int64(3); }), Error::Kind::misuse);
  EXPECT_EQ(row.size(), 3u);
}

// --- statements -------------------------------------------------------------------------------------------

TEST_P(Contract, ExecTellsTheAffectedRows) {
  static constexpr Sql k_ignore{"INSERT INTO item (id, n) VALUES (?1, 1) ON CONFLICT (id) DO NOTHING"};
  static constexpr Sql k_upsert{
      "INSERT INTO item (id, n) VALUES (?1, 1) ON CONFLICT (id) DO UPDATE SET n = item.n + 1"};
  static constexpr Sql k_update{"UPDATE item SET n = 7 WHERE id >= ?1"};
  static constexpr Sql k_delete{"DELETE FROM item WHERE id = ?1"};
  write([](Tx& tx) {
    EXPECT_EQ(tx.exec(k_ignore, 1), 1);
    EXPECT_EQ(tx.exec(k_ignore, 1), 0);
    EXPECT_EQ(tx.exec(k_upsert, 1), 1);
    EXPECT_EQ(tx.one(k_get, 1)->int64(0), 2);
    EXPECT_EQ(tx.exec(k_upsert, 2), 1);
    EXPECT_EQ(tx.exec(k_update, 0), 2);
    EXPECT_EQ(tx.exec(k_update, 9), 0);
    EXPECT_EQ(tx.exec(k_delete, 1), 1);
    EXPECT_EQ(tx.exec(k_delete, 1), 0);
    EXPECT_EQ(tx.exec(k_count), 0) << "a SELECT changes nothing";
  });
}

TEST_P(Contract, ReturningGivesRows) {
  static constexpr Sql k_spend{"UPDATE item SET n = ?2 WHERE id = ?1 AND n IS NULL RETURNING id, t"};
  write([](Tx& tx) { tx.exec(k_put, 1, nullptr, "code", nullptr); });
  EXPECT_EQ(write([](Tx& tx) { return tx.one(k_spend, 1, 5); })->text(1), "code");
  EXPECT_FALSE(write([](Tx& tx) { return tx.one(k_spend, 1, 6); }));
  EXPECT_EQ(read([](Tx& tx) { return tx.one(k_get, 1); })->int64(0), 5);
}

TEST_P(Contract, OneRefusesASecondRow) {
  write([](Tx& tx) {
    tx.exec(k_put_id, 1);
    EXPECT_TRUE(tx.one(k_ids));
    tx.exec(k_put_id, 2);
  });
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { return tx.one(k_ids); }); }), Error::Kind::misuse);
}

TEST_P(Contract, EachStreamsManyRows) {
  constexpr std::int64_t k_rows = 5'000;
  write([](Tx& tx) {
    for (std::int64_t i = 0; i < k_rows; ++i) tx.exec(k_put, i, i, std::string(100, 'x'), nullptr);
  });
  std::int64_t seen = 0;
  read([&](Tx& tx) {
    seen = 0;
    tx.each(k_ids, [&](const Row& row) { EXPECT_EQ(row.int64(0), seen++); });
    EXPECT_EQ(tx.one(k_count)->int64(0), k_rows) << "the transaction goes on after the last row";
  });
  EXPECT_EQ(seen, k_rows);
}

TEST_P(Contract, AnExceptionInsideEachEndsIt) {
  write([](Tx& tx) {
    for (int i = 0; i < 100; ++i) tx.exec(k_put_id, i);
  });
  int seen = 0;
  EXPECT_THROW(read([&](Tx& tx) {
                 tx.each(k_ids, [&](const Row&) {
                   if (++seen == 3) throw std::domain_error("enough");
                 });
               }),
               std::domain_error);
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(ids().size(), 100u);
}

TEST_P(Contract, StatementsInsideEachAreRefused) {
  write([](Tx& tx) { tx.exec(k_put_id, 1); });
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { tx.each(k_ids, [&](const Row&) { tx.query(k_ids); }); }); }),
            Error::Kind::misuse);
}

TEST_P(Contract, AMissingParameterIsABug) {
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { return tx.query(k_get); }); }), Error::Kind::misuse);
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { return tx.query(k_get, 1, 2); }); }), Error::Kind::misuse);
}

TEST_P(Contract, BadSqlIsABug) {
  static constexpr Sql k_bad{"SELEKT 1"};
  static constexpr Sql k_no_table{"SELECT 1 FROM nowhere"};
  static constexpr Sql k_two{"SELECT 1; SELECT 2"};
  for (const Sql& sql : {k_bad, k_no_table, k_two})
    EXPECT_EQ(error_kind([&] { read([&](Tx& tx) { return tx.query(sql); }); }), Error::Kind::misuse)
        << sql.text;
  EXPECT_EQ(read([](Tx& tx) { return tx.one(k_count); })->int64(0), 0) << "the connection is good afterwards";
}

// --- transactions -----------------------------------------------------------------------------------------

TEST_P(Contract, AnErrorResultRollsBack) {
  const auto result = write([](Tx& tx) -> Result<int, std::string> {
    tx.exec(k_put_id, 1);
    return fail(std::string("taken"));
  });
  EXPECT_EQ(result.error(), "taken");
  EXPECT_TRUE(ids().empty());
  EXPECT_EQ(write([](Tx& tx) -> Result<int, std::string> {
              tx.exec(k_put_id, 2);
              return 5;
            }).value(),
            5);
  EXPECT_EQ(ids(), std::vector<std::int64_t>{2});
  EXPECT_EQ(write([](Tx& tx) -> std::optional<int> {
              tx.exec(k_put_id, 3);
              return std::nullopt;  // not an error
            }),
            std::nullopt);
  EXPECT_EQ(ids(), (std::vector<std::int64_t>{2, 3}));
}

TEST_P(Contract, AnExceptionRollsBackAndReachesTheAwaiter) {
  EXPECT_THROW(write([](Tx& tx) {
                 tx.exec(k_put_id, 1);
                 throw std::domain_error("mine");
               }),
               std::domain_error);
  EXPECT_TRUE(ids().empty());
  write([](Tx& tx) { tx.exec(k_put_id, 1); });
  EXPECT_EQ(ids().size(), 1u);
}

TEST_P(Contract, ConstraintViolationsRollBack) {
  static constexpr Sql k_null_word{"INSERT INTO counter (n) VALUES (?1)"};
  write([](Tx& tx) { tx.exec(k_put_id, 1); });
  const auto kind = [&](auto last) {
    return error_kind([&] {
      write([&](Tx& tx) {
        tx.exec(k_put_word, "rolled back");
        last(tx);
      });
    });
  };
  EXPECT_EQ(kind([](Tx& tx) { tx.exec(k_put_id, 1); }), Error::Kind::constraint) << "unique";
  EXPECT_EQ(kind([](Tx& tx) { tx.exec(k_put_child, 1, 99); }), Error::Kind::constraint) << "foreign key";
  EXPECT_EQ(kind([](Tx& tx) { tx.exec(k_put_later, 1, 99); }), Error::Kind::constraint)
      << "deferred foreign key";
  EXPECT_EQ(kind([](Tx& tx) { tx.exec(k_null_word, std::optional<std::int64_t>()); }),
            Error::Kind::constraint)
      << "not null";
  write([](Tx& tx) { tx.exec(k_put_word, "rolled back"); });
}

TEST_P(Contract, ADeferredForeignKeyMayBeSatisfiedLater) {
  write([](Tx& tx) {
    tx.exec(k_put_later, 1, 1);
    tx.exec(k_put_id, 1);
  });
  EXPECT_EQ(ids(), std::vector<std::int64_t>{1});
}

TEST_P(Contract, ForeignKeysCascade) {
  static constexpr Sql k_delete{"DELETE FROM item WHERE id = ?1"};
  static constexpr Sql k_children{"SELECT COUNT(*) FROM child"};
  write([](Tx& tx) {
    tx.exec(k_put_id, 1);
    tx.exec(k_put_child, 1, 1);
    tx.exec(k_put_child, 2, 1);
    EXPECT_EQ(tx.exec(k_delete, 1), 1);
    EXPECT_EQ(tx.one(k_children)->int64(0), 0);
  });
}

TEST_P(Contract, ASwallowedErrorStillRollsBack) {
  EXPECT_EQ(error_kind([&] {
              write([](Tx& tx) {
                tx.exec(k_put_id, 1);
                try {
                  tx.exec(k_put_id, 1);
                } catch (const Error&) {
                }
              });
            }),
            Error::Kind::misuse);
  EXPECT_TRUE(ids().empty());
}

TEST_P(Contract, AFailedTransactionRunsNothingMore) {
  write([](Tx& tx) { tx.exec(k_put_id, 1); });
  EXPECT_EQ(error_kind([&] {
              write([](Tx& tx) {
                try {
                  tx.exec(k_put_id, 1);
                } catch (const Error&) {
                }
                tx.exec(k_put_id, 2);
              });
            }),
            Error::Kind::misuse);
  EXPECT_EQ(ids(), std::vector<std::int64_t>{1});
}

TEST_P(Contract, ReadsCannotWrite) {
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { tx.exec(k_put_id, 1); }); }), Error::Kind::misuse);
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { tx.script("CREATE TABLE sneaky (a BIGINT)"); }); }),
            Error::Kind::misuse);
  EXPECT_TRUE(ids().empty());
}

TEST_P(Contract, ATransactionSeesItsOwnWrites) {
  write([](Tx& tx) {
    tx.exec(k_put_id, 1);
    EXPECT_EQ(tx.query(k_ids).size(), 1u);
  });
}

TEST_P(Contract, AReadSeesOneCommittedSnapshot) {
  write([](Tx& tx) { tx.exec(k_put_id, 1); });
  read([&](Tx& tx) {
    EXPECT_EQ(tx.one(k_count)->int64(0), 1);
    std::thread([&] { write([](Tx& other) { other.exec(k_put_id, 2); }); }).join();  // committed meanwhile
    EXPECT_EQ(tx.one(k_count)->int64(0), 1);
  });
  EXPECT_EQ(ids().size(), 2u);
}

TEST_P(Contract, AReadDoesNotSeeWhatIsNotCommitted) {
  // The write stops in the middle until the read was done.
  std::promise<void> wrote, looked;
  std::thread writer([&] {
    write([&](Tx& tx) {
      tx.exec(k_put_id, 1);
      wrote.set_value();
      looked.get_future().wait();
    });
  });
  wrote.get_future().wait();
  EXPECT_TRUE(ids().empty());
  looked.set_value();
  writer.join();
  EXPECT_EQ(ids().size(), 1u);
}

// --- several at once --------------------------------------------------------------------------------------

/// Holds every worker of the engine inside a write until open() is called, so that what is queued meanwhile
/// waits.
class Gate {
 public:
  Gate(Database& db, int workers) : entered_(workers), open_(gate_.get_future()) {
    for (int i = 0; i < workers; ++i)
      holders_.emplace_back([this, &db] {
        run(db.write([this](Tx&) {
          entered_.count_down();
          open_.wait();
        }));
      });
    entered_.wait();
  }
  ~Gate() {
    open();
    for (auto& t : holders_) t.join();
  }
  void open() {
    if (!std::exchange(opened_, true)) gate_.set_value();
  }

 private:
  std::promise<void> gate_;
  std::latch entered_;
  std::shared_future<void> open_;
  bool opened_ = false;
  std::vector<std::thread> holders_;
};
int workers(Engine e) { return e == Engine::sqlite ? 1 : 4; }  // TestDatabase opens four connections

/// Starts tasks on one executor and runs it until all ended. Their exceptions are kept by position.
class Together {
 public:
  void add(Task<void> task) {
    const std::size_t i = errors_.size();
    errors_.emplace_back();
    executor_.post([this, i, t = std::move(task)]() mutable { spawn(note(this, i, std::move(t))); });
  }
  void start() {  // runs what is ready now
    bool stop = false;
    executor_.post([&] { stop = true; });
    executor_.run_until([&] { return stop; });
  }
  void finish() {
    executor_.run_until([&] { return ended_ == errors_.size(); });
  }
  const std::vector<std::exception_ptr>& errors() const { return errors_; }

 private:
  static Task<void> note(Together* self, std::size_t i, Task<void> task) {
    try {
      co_await std::move(task);
    } catch (...) {
      self->errors_[i] = std::current_exception();
    }
    ++self->ended_;
  }
  InlineExecutor executor_;
  std::vector<std::exception_ptr> errors_;
  std::size_t ended_ = 0;
};

Task<void> put(Database* db, std::int64_t id) {
  co_await db->write([id](Tx& tx) { tx.exec(k_put_id, id); });
}
Task<void> put_then_fail(Database* db, std::int64_t id, int how) {
  const auto result = co_await db->write([id, how](Tx& tx) -> Result<void, int> {
    tx.exec(k_put_id, id);
    if (how == 0) return fail(1);
    if (how == 1) throw std::domain_error("mine");
    if (how == 2) tx.exec(k_put_id, id);           // unique
    if (how == 3) tx.exec(k_put_later, id, 1000);  // refused at commit: there is no such item
    return {};
  });
  if (!result) throw std::out_of_range("the result");
}

TEST_P(Contract, AFailingWriteLeavesItsNeighboursAlone) {
  Together all;
  {
    Gate gate(**db_, workers(GetParam()));
    for (std::int64_t i = 0; i < 20; ++i) {
      if (i % 5 == 2)
        all.add(put_then_fail(&**db_, i, static_cast<int>(i / 5)));
      else
        all.add(put(&**db_, i));
    }
    all.start();  // all of them are queued behind the gate now: SQLite puts them in one group
  }
  all.finish();
  for (std::size_t i = 0; i < 20; ++i) ASSERT_EQ(all.errors()[i] != nullptr, i % 5 == 2) << i;
  EXPECT_THROW(std::rethrow_exception(all.errors()[2]), std::out_of_range);
  EXPECT_THROW(std::rethrow_exception(all.errors()[7]), std::domain_error);
  EXPECT_EQ(error_kind([&] { std::rethrow_exception(all.errors()[12]); }), Error::Kind::constraint);
  EXPECT_EQ(error_kind([&] { std::rethrow_exception(all.errors()[17]); }), Error::Kind::constraint);
  EXPECT_EQ(ids(), (std::vector<std::int64_t>{0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19}));
}

TEST_P(Contract, ReadModifyWriteFromManyThreadsLosesNothing) {
  constexpr int k_threads = 8, k_each = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < k_threads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < k_each; ++i)
        for (;;) try {
            write([](Tx& tx) { tx.exec(k_set_counter, tx.one(k_counter)->int64(0) + 1); });
            break;
          } catch (const Error& e) {
            ASSERT_EQ(e.kind(), Error::Kind::contention)
                << e.what();  // eight on one row may exhaust the retries
          }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(read([](Tx& tx) { return tx.one(k_counter); })->int64(0), k_threads * k_each);
}

TEST_P(Contract, ReadersAndWritersFromManyThreads) {
  // The two rows change together, so no reader may see them apart.
  write([](Tx& tx) {
    tx.exec(k_put, 1, 0, nullptr, nullptr);
    tx.exec(k_put, 2, 0, nullptr, nullptr);
  });
  static constexpr Sql k_set{"UPDATE item SET n = ?2 WHERE id = ?1"};
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  std::atomic<int> reads = 0;
  for (int t = 0; t < 3; ++t)
    readers.emplace_back([&] {
      while (!done) {
        read([](Tx& tx) {
          const auto a = tx.one(k_get, 1)->int64(0);
          EXPECT_EQ(tx.one(k_get, 2)->int64(0), a);
        });
        ++reads;
      }
    });
  for (int i = 1; i <= 200; ++i)
    write([i](Tx& tx) {
      tx.exec(k_set, 1, i);
      tx.exec(k_set, 2, i);
    });
  while (reads < 10) std::this_thread::yield();
  done = true;
  for (auto& t : readers) t.join();
}

TEST_P(Contract, ClosingFinishesWhatWaits) {
  Together all;
  std::thread closer;
  {
    Gate gate(**db_, workers(GetParam()));
    for (std::int64_t i = 0; i < 50; ++i) all.add(put(&**db_, i));
    all.start();
    closer = std::thread([&] { (*db_)->close(); });
  }
  closer.join();
  all.finish();
  for (const auto& e : all.errors()) EXPECT_EQ(e, nullptr);
  EXPECT_EQ((*db_)->stats().writes, 50u + static_cast<unsigned>(workers(GetParam())) + 2u)
      << "the gate and the two steps of the migration are writes too";
  EXPECT_EQ(error_kind([&] { write([](Tx& tx) { tx.exec(k_put_id, 99); }); }), Error::Kind::unavailable);
  EXPECT_EQ(error_kind([&] { ids(); }), Error::Kind::unavailable);
}

// --- Tables in Better Auth's format ---

TEST_P(Contract, DatesAndBooleansComeBackAsTheyWere) {
  static constexpr Sql k_add{"INSERT INTO moment (\"id\", \"at\", \"yes\", \"no\") VALUES (?1, ?2, ?3, ?4)"};
  static constexpr Sql k_all{"SELECT \"at\", \"yes\", \"no\" FROM moment WHERE \"id\" = ?1"};
  static constexpr Sql k_before{"SELECT \"id\" FROM moment WHERE \"at\" < ?1 ORDER BY \"id\""};
  write([](Tx& tx) {
    tx.script(
        "CREATE TABLE moment (\"id\" BIGINT PRIMARY KEY, \"at\" DATE, \"yes\" BOOLEAN, \"no\" BOOLEAN)");
  });
  const Time at = from_unix_micros(1'795'305'491'881'999), old = from_unix_micros(-1'000'001);
  write([&](Tx& tx) {
    tx.exec(k_add, 1, Date(at), Boolean{true}, Boolean{false});
    tx.exec(k_add, 2, std::optional<Date>(), std::optional<Boolean>(), Boolean{true});
    tx.exec(k_add, 3, Date(old), nullptr, Boolean{true});
  });
  read([&](Tx& tx) {
    const auto row = *tx.one(k_all, 1);
    EXPECT_EQ(row.date(0), from_unix_micros(1'795'305'491'881'000)) << "cut to the millisecond";
    EXPECT_TRUE(row.boolean(1));
    EXPECT_FALSE(row.boolean(2));
    const auto nulls = *tx.one(k_all, 2);
    EXPECT_EQ(nulls.opt_date(0), std::nullopt);
    EXPECT_TRUE(nulls.is_null(1));
    EXPECT_EQ(tx.one(k_all, 3)->date(0), from_unix_micros(-1'001'000)) << "before 1970 too";
    EXPECT_EQ(tx.query(k_before, Date(at)).size(), 1u) << "dates compare";
    EXPECT_EQ(error_kind([&] { row.date(9); }), Error::Kind::misuse);
  });
  EXPECT_EQ(error_kind([&] { read([&](Tx& tx) { return tx.one(k_all, 2)->date(0); }); }),
            Error::Kind::misuse);
}

TEST_P(Contract, StatementsMadeAtStartAreKeptAndTakeTheirParametersFromAList) {
  const Sql put = Sql::at_start(std::string("INSERT INTO item (id, n, t) VALUES (?1, ?2, ?3)"));
  const Sql same = Sql::at_start(std::string("INSERT INTO item (id, n, t) VALUES (?1, ?2, ?3)"));
  EXPECT_EQ(put.text.data(), same.text.data()) << "an address names one statement";
  EXPECT_EQ(put.parameters, 3);
  EXPECT_EQ(error_kind([] { Sql::at_start("SELECT ?"); }), Error::Kind::misuse);
  write([&](Tx& tx) {
    Params params;
    params.add(7).add(nullptr).keep("made for the occasion");
    EXPECT_EQ(tx.exec(put, params), 1);
  });
  read([&](Tx& tx) {
    const auto row = *tx.one(k_get, Params().add(7));
    EXPECT_TRUE(row.is_null(0));
    EXPECT_EQ(row.text(1), "made for the occasion");
  });
  EXPECT_EQ(error_kind([&] { read([](Tx& tx) { return tx.one(k_get, Params()).has_value(); }); }),
            Error::Kind::misuse)
      << "one is missing";
}

TEST_P(Contract, ColumnsAreListedInOrder) {
  read([&](Tx& tx) {
    EXPECT_EQ(columns_of(tx, GetParam(), "item"), (std::vector<std::string>{"id", "n", "t", "b"}));
    EXPECT_TRUE(columns_of(tx, GetParam(), "nowhere").empty());
  });
}

}  // namespace
}  // namespace latchkey::store

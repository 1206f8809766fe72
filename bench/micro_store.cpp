// Group commit and reads of src/store, on a real file with synchronous=FULL. `per_fsync` is how many writes
// shared one commit. With LATCHKEY_TEST_POSTGRES set the same runs on PostgreSQL.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "store/migrate.h"

using namespace latchkey;

namespace {

constexpr store::Migration k_schema[] = {
    {"bench", 1,
     "CREATE TABLE bench_record (account BIGINT NOT NULL, rkey TEXT NOT NULL, body BLOB NOT NULL, "
     "PRIMARY KEY (account, rkey)) WITHOUT ROWID;"
     "CREATE TABLE bench_head (account BIGINT PRIMARY KEY, rev TEXT NOT NULL);"
     "CREATE TABLE bench_event (seq BIGINT PRIMARY KEY, body BLOB NOT NULL);"}};
constexpr store::Sql k_record{"INSERT INTO bench_record (account, rkey, body) VALUES (?1, ?2, ?3)"};
constexpr store::Sql k_head{
    "INSERT INTO bench_head (account, rev) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET rev = "
    "excluded.rev"};
constexpr store::Sql k_event{"INSERT INTO bench_event (seq, body) VALUES (?1, ?2)"};
constexpr store::Sql k_get{"SELECT body FROM bench_record WHERE account = ?1 AND rkey = ?2"};
constexpr store::Sql k_clear[] = {
    {"DELETE FROM bench_record"}, {"DELETE FROM bench_head"}, {"DELETE FROM bench_event"}};

class Fixture {
 public:
  explicit Fixture(store::Engine engine) {
    if (engine == store::Engine::postgres) {
      db_ = store::open_postgres(::getenv("LATCHKEY_TEST_POSTGRES"));
      store::migrate(*db_, k_schema);
      run(db_->write([](store::Tx& tx) {
        for (const store::Sql& sql : k_clear) tx.exec(sql);
      }));
    } else {
      if (!::mkdtemp(directory_.data())) std::abort();
      db_ = store::open_sqlite(directory_ + "/db");
      store::migrate(*db_, k_schema);
    }
  }
  ~Fixture() {
    db_.reset();
    std::filesystem::remove_all(directory_);
  }
  store::Database& operator*() { return *db_; }
  store::Database* operator->() { return db_.get(); }

 private:
  std::string directory_ = (std::filesystem::temp_directory_path() / "latchkey-bench-XXXXXX").string();
  std::unique_ptr<store::Database> db_;
};

/// What one createRecord writes: a record, the head, an event.
Task<void> commit(store::Database* db, std::int64_t id) {
  co_await db->write([id](store::Tx& tx) {
    const Bytes body(300, static_cast<std::uint8_t>(id));
    const std::string rkey = fmt::format("app.bsky.feed.post/3k{:011}", id);
    tx.exec(k_record, id % 1000, rkey, body);
    tx.exec(k_head, id % 1000, rkey);
    tx.exec(k_event, id, body);
  });
}

Task<void> writer(store::Database* db, std::atomic<std::int64_t>* next, std::int64_t until,
                  std::size_t* ended) {
  for (std::int64_t id; (id = (*next)++) < until;) co_await commit(db, id);
  ++*ended;
}

void commits(benchmark::State& state, store::Engine engine) {
  Fixture db(engine);
  const auto writers = static_cast<std::size_t>(state.range(0));
  std::atomic<std::int64_t> next = 0;
  std::int64_t until = 0;
  const auto before = db->stats();
  constexpr std::int64_t k_batch = 2'000;
  for (auto _ : state) {
    until += k_batch;
    next = until - k_batch;
    InlineExecutor executor;
    std::size_t ended = 0;
    for (std::size_t i = 0; i < writers; ++i)
      executor.post([&] { spawn(writer(&*db, &next, until, &ended)); });
    executor.run_until([&] { return ended == writers; });
  }
  const auto after = db->stats();
  state.SetItemsProcessed(state.iterations() * k_batch);
  state.counters["per_fsync"] =
      static_cast<double>(after.writes - before.writes) / static_cast<double>(after.commits - before.commits);
}

constexpr std::int64_t k_records = 20'000;

void reads(benchmark::State& state, store::Engine engine) {
  static std::unique_ptr<Fixture> db;
  if (state.thread_index() == 0) {
    db = std::make_unique<Fixture>(engine);
    run((*db)->write([](store::Tx& tx) {
      for (std::int64_t id = 0; id < k_records; ++id)
        tx.exec(k_record, id % 1000, fmt::format("app.bsky.feed.post/3k{:011}", id), Bytes(300, 1));
    }));
  }
  std::int64_t id = state.thread_index() * 7919;
  for (auto _ : state) {
    id = (id + 7919) % k_records;
    const std::string rkey = fmt::format("app.bsky.feed.post/3k{:011}", id);
    auto row = run((*db)->read([&](store::Tx& tx) { return tx.one(k_get, id % 1000, rkey); }));
    if (!row) state.SkipWithError("a record is missing");
    benchmark::DoNotOptimize(row);
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) db.reset();
}

const int registered = [] {
  const auto add = [](store::Engine engine) {
    const std::string name(store::name(engine));
    benchmark::RegisterBenchmark((name + "/commits").c_str(), commits, engine)
        ->Arg(1)
        ->Arg(8)
        ->Arg(64)
        ->Arg(512)
        ->UseRealTime()
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark((name + "/reads").c_str(), reads, engine)->ThreadRange(1, 2)->UseRealTime();
  };
  add(store::Engine::sqlite);
  if (::getenv("LATCHKEY_TEST_POSTGRES")) add(store::Engine::postgres);
  return 0;
}();

}  // namespace

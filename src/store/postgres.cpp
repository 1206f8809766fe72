// PostgreSQL over libpq: a few threads, each with a connection, each running whole transactions.
// https://www.postgresql.org/docs/15/libpq.html
#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <limits>
#include <thread>

#include "base/log.h"
#include "store/database.h"
#include "store/dialect.h"
#include "store/libpq.h"

namespace latchkey::store {
namespace {

// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_type.dat
enum Oid_ : ::Oid {
  k_bool = 16,
  k_bytea = 17,
  k_name = 19,
  k_int8 = 20,
  k_int2 = 21,
  k_int4 = 23,
  k_text = 25,
  k_oid = 26,
  k_unknown = 705,
  k_bpchar = 1042,
  k_varchar = 1043,
  k_timestamptz = 1184,
  k_numeric = 1700,
  k_void = 2278,
};

::Oid oid_of(Param::Kind kind) {
  switch (kind) {
    case Param::Kind::unknown:
      return 0;
    case Param::Kind::int64:
      return k_int8;
    case Param::Kind::text:
      return k_text;
    case Param::Kind::blob:
      return k_bytea;
    case Param::Kind::boolean:
      return k_bool;
    case Param::Kind::date:
      return k_timestamptz;
  }
  std::abort();
}

/// timestamptz counts microseconds from 2000-01-01T00:00:00Z.
constexpr std::int64_t k_epoch_2000 = 946'684'800'000'000;

template <class T>
T big_endian(const char* p) {
  std::make_unsigned_t<T> v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    v = static_cast<decltype(v)>((v << 8) | static_cast<unsigned char>(p[i]));
  return static_cast<T>(v);
}

/// SUM over BIGINT is NUMERIC. Binary form: digits of base 10000, the first worth 10000^weight.
std::optional<std::int64_t> integer_of_numeric(const char* p, int size) {
  if (size < 8) return std::nullopt;
  const int digits = big_endian<std::int16_t>(p), weight = big_endian<std::int16_t>(p + 2);
  const unsigned sign = big_endian<std::uint16_t>(p + 4);
  if (sign != 0 && sign != 0x4000) return std::nullopt;  // NaN, infinities
  if (size != 8 + 2 * digits) return std::nullopt;
  __int128 v = 0;
  for (int i = 0; i < std::max(digits, weight + 1); ++i) {
    const int digit = i < digits ? big_endian<std::int16_t>(p + 8 + 2 * i) : 0;
    if (i > weight) {
      if (digit != 0) return std::nullopt;  // a fraction
      continue;
    }
    v = v * 10'000 + digit;
    if (v > __int128{1} << 64) return std::nullopt;
  }
  if (sign != 0) v = -v;
  if (v < std::numeric_limits<std::int64_t>::min() || v > std::numeric_limits<std::int64_t>::max())
    return std::nullopt;
  return static_cast<std::int64_t>(v);
}

struct Clear {
  void operator()(PGresult* r) const { libpq().PQclear(r); }
};
using ResultPtr = std::unique_ptr<PGresult, Clear>;

/// PostgreSQL asks for the transaction to be run again
/// (https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html).
struct Retry : Error {
  using Error::Error;
};
/// The connection broke. Nothing was committed unless COMMIT was already sent.
struct Lost : Error {
  using Error::Error;
};

/// One connection and its prepared statements.
class Session {
 public:
  Session(const std::string& conninfo, const std::string& schema) : pq_(libpq()) {
    const char* const keys[] = {"fallback_application_name", "connect_timeout",
                                "tcp_user_timeout",          "dbname",
                                "client_encoding",           nullptr};
    const char* const values[] = {"latchkey", "10", "30000", conninfo.c_str(), "UTF8", nullptr};
    connection_ = pq_.PQconnectdbParams(keys, values, /*expand_dbname=*/1);
    if (!connection_ || pq_.PQstatus(connection_) != CONNECTION_OK) {
      const std::string error = connection_ ? pq_.PQerrorMessage(connection_) : "out of memory";
      pq_.PQfinish(connection_);
      throw Error(Error::Kind::unavailable, "PostgreSQL: " + error);
    }
    pq_.PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
    try {
      if (!schema.empty()) simple("SELECT set_config('search_path', '" + schema + "', false)");
      // An acknowledged write is on disk, also on a server set up to be faster than that.
      simple(
          "SELECT set_config('synchronous_commit', 'on', false) "
          "WHERE current_setting('synchronous_commit') = 'off'");
    } catch (...) {
      pq_.PQfinish(connection_);
      throw;
    }
  }
  ~Session() { pq_.PQfinish(connection_); }
  Session(const Session&) = delete;

  bool idle() const { return pq_.PQtransactionStatus(connection_) == PQTRANS_IDLE; }
  bool alive() const { return pq_.PQstatus(connection_) == CONNECTION_OK; }

  /// One round trip; `begin`, when given, goes ahead of the statement in the same one.
  std::int64_t execute(const char* begin, const Sql& sql, std::span<const Param> params, bool streamed,
                       void (*fn)(void*, Row&), void* out) {
    // A statement is prepared for the types it is called with, so nothing is left to inference.
    std::vector<::Oid> types;
    std::vector<const char*> values;
    std::vector<int> lengths, formats(params.size(), 1);
    std::vector<std::array<char, 8>> numbers(params.size());
    std::string key(sql.text);
    for (std::size_t i = 0; i < params.size(); ++i) {
      const Param& p = params[i];
      types.push_back(oid_of(p.kind));
      key += static_cast<char>('0' + static_cast<int>(p.kind));
      if (p.null) {
        values.push_back(nullptr);
        lengths.push_back(0);
      } else if (p.kind == Param::Kind::boolean) {
        numbers[i][0] = p.number != 0 ? 1 : 0;
        values.push_back(numbers[i].data());
        lengths.push_back(1);
      } else if (p.kind == Param::Kind::int64 || p.kind == Param::Kind::date) {
        auto v = static_cast<std::uint64_t>(p.kind == Param::Kind::date ? p.number - k_epoch_2000 : p.number);
        for (int b = 7; b >= 0; --b, v >>= 8)
          numbers[i][static_cast<std::size_t>(b)] = static_cast<char>(v & 0xff);
        values.push_back(numbers[i].data());
        lengths.push_back(8);
      } else {
        if (p.size > std::numeric_limits<int>::max())
          throw Error(Error::Kind::misuse, "a parameter above 2 GiB");
        values.push_back(p.data ? p.data : "");
        lengths.push_back(static_cast<int>(p.size));
      }
    }
    const auto known = prepared_.find(key);
    const bool prepare = known == prepared_.end();
    const std::string name = prepare ? fmt::format("s{}", ++last_name_) : known->second;

    enter_pipeline();
    int expected = 0;  // results ahead of the statement's own
    if (begin) {
      send(pq_.PQsendQueryParams(connection_, begin, 0, nullptr, nullptr, nullptr, nullptr, 0));
      ++expected;
    }
    const int n = static_cast<int>(params.size());
    if (prepare) {
      const std::string text = postgres_statement(sql.text);
      send(pq_.PQsendPrepare(connection_, name.c_str(), text.c_str(), n, types.data()));
      ++expected;
    }
    send(pq_.PQsendQueryPrepared(connection_, name.c_str(), n, values.data(), lengths.data(), formats.data(),
                                 1));
    send(pq_.PQpipelineSync(connection_));

    Problem problem;
    for (int i = 0; i < expected; ++i) {
      while (ResultPtr r{pq_.PQgetResult(connection_)}) problem.look_at(pq_, r.get(), sql.text);
    }
    if (prepare && !problem.error) prepared_.emplace(std::move(key), name);
    if (streamed) pq_.PQsetSingleRowMode(connection_);
    std::int64_t affected = 0;
    Row row;
    while (ResultPtr r{pq_.PQgetResult(connection_)}) {
      problem.look_at(pq_, r.get(), sql.text);
      if (problem.error) continue;
      if (fn) {
        try {
          for (int i = 0; i < pq_.PQntuples(r.get()); ++i) {
            fill(row, r.get(), i, sql);
            fn(out, row);
          }
        } catch (...) {  // the rest of the rows has to be taken off the wire all the same
          problem.error = std::current_exception();
        }
      }
      const std::string_view tag = pq_.PQcmdStatus(r.get());
      if (tag.starts_with("INSERT") || tag.starts_with("UPDATE") || tag.starts_with("DELETE"))
        affected = std::strtoll(pq_.PQcmdTuples(r.get()), nullptr, 10);
    }
    leave_pipeline();
    if (problem.error) std::rethrow_exception(problem.error);
    return affected;
  }

  /// Several statements, no parameters. Returns the last command tag.
  std::string simple(const std::string& sql) {
    ResultPtr r{pq_.PQexec(connection_, sql.c_str())};
    if (!r) lost();
    Problem problem;
    problem.look_at(pq_, r.get(), sql);
    if (!alive()) lost();
    if (problem.error) std::rethrow_exception(problem.error);
    return pq_.PQcmdStatus(r.get());
  }

 private:
  struct Problem {
    std::exception_ptr error;

    void look_at(const Libpq& pq, const PGresult* r, std::string_view sql) {
      const auto status = pq.PQresultStatus(r);
      if (status != PGRES_FATAL_ERROR || error) return;
      const char* const field = pq.PQresultErrorField(r, PG_DIAG_SQLSTATE);
      const std::string_view state = field ? field : "";
      const char* const primary = pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
      const std::string text =
          fmt::format("{} [{}]: {}", primary ? primary : pq.PQresultErrorMessage(r), state, sql);
      // https://www.postgresql.org/docs/15/errcodes-appendix.html
      if (state == "40001" || state == "40P01")  // serialization_failure, deadlock_detected
        error = std::make_exception_ptr(Retry(Error::Kind::contention, text));
      else if (state.starts_with("23"))  // integrity constraint violation
        error = std::make_exception_ptr(Error(Error::Kind::constraint, text));
      else if (state == "55P03")  // lock_not_available
        error = std::make_exception_ptr(Error(Error::Kind::contention, text));
      else if (state.empty() || state.starts_with("08") ||
               state.starts_with("57P"))  // the connection, or shutdown
        error = std::make_exception_ptr(Lost(Error::Kind::unavailable, text));
      else if (state.starts_with("53") || state.starts_with("57") || state.starts_with("58") ||
               state.starts_with("XX"))  // resources, operator intervention, system and internal errors
        error = std::make_exception_ptr(Error(Error::Kind::unavailable, text));
      else
        error = std::make_exception_ptr(Error(Error::Kind::misuse, text));
    }
  };

  [[noreturn]] void lost() const {
    throw Lost(Error::Kind::unavailable, std::string("PostgreSQL: ") + pq_.PQerrorMessage(connection_));
  }
  void send(int ok) const {
    if (!ok) lost();
  }
  void enter_pipeline() { send(pq_.PQenterPipelineMode(connection_)); }
  void leave_pipeline() {
    // What is left is the answer to the sync.
    ResultPtr r{pq_.PQgetResult(connection_)};
    if (!r || pq_.PQresultStatus(r.get()) != PGRES_PIPELINE_SYNC) lost();
    r.reset();
    send(pq_.PQexitPipelineMode(connection_));
  }

  void fill(Row& row, const PGresult* r, int tuple, const Sql& sql) {
    const int columns = pq_.PQnfields(r);
    std::vector<Value>& values = row.values();
    values.clear();
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      if (pq_.PQgetisnull(r, tuple, i)) {
        values.emplace_back();
        continue;
      }
      const char* const p = pq_.PQgetvalue(r, tuple, i);
      const int size = pq_.PQgetlength(r, tuple, i);
      switch (pq_.PQftype(r, i)) {
        case k_bool:
          values.emplace_back(std::int64_t{*p != 0});
          break;
        case k_int2:
          values.emplace_back(std::int64_t{big_endian<std::int16_t>(p)});
          break;
        case k_int4:
          values.emplace_back(std::int64_t{big_endian<std::int32_t>(p)});
          break;
        case k_oid:
          values.emplace_back(std::int64_t{big_endian<std::uint32_t>(p)});
          break;
        case k_int8:
          values.emplace_back(big_endian<std::int64_t>(p));
          break;
        case k_timestamptz:
          values.emplace_back(big_endian<std::int64_t>(p) + k_epoch_2000);
          break;
        case k_text:
        case k_name:
        case k_bpchar:
        case k_varchar:
        case k_unknown:
          values.emplace_back(std::string(p, static_cast<std::size_t>(size)));
          break;
        case k_bytea: {
          const auto* const b = reinterpret_cast<const std::uint8_t*>(p);
          values.emplace_back(Bytes(b, b + size));
          break;
        }
        case k_void:
          values.emplace_back();
          break;
        case k_numeric:
          if (const auto v = integer_of_numeric(p, size)) {
            values.emplace_back(*v);
            break;
          }
          [[fallthrough]];
        default:
          throw Error(Error::Kind::misuse,
                      fmt::format("column {} is not an integer, text or blob (type {}): {}", i,
                                  pq_.PQftype(r, i), sql.text));
      }
    }
  }

  const Libpq& pq_;
  PGconn* connection_ = nullptr;
  std::unordered_map<std::string, std::string> prepared_;  // text and types → name
  std::uint64_t last_name_ = 0;
};

/// BEGIN waits for the first statement and travels with it.
class PostgresTx final : public Tx {
 public:
  PostgresTx(Session& s, const char* begin) : session_(s), begin_(begin) {}
  using Tx::failed;
  bool begun() const { return begin_ == nullptr; }
  bool retry() const { return retry_; }
  bool lost() const { return lost_; }

 private:
  std::int64_t execute(const Sql& sql, std::span<const Param> params, Fetch fetch, RowFn fn,
                       void* out) override {
    return guarded([&] {
      return session_.execute(std::exchange(begin_, nullptr), sql, params, fetch == Fetch::streamed, fn, out);
    });
  }
  void execute_script(std::string_view sql) override {
    guarded([&] {
      if (const char* begin = std::exchange(begin_, nullptr)) session_.simple(begin);
      session_.simple(postgres_script(sql));
      return 0;
    });
  }
  template <class F>
  std::int64_t guarded(F f) {
    try {
      return f();
    } catch (const Retry&) {  // remembered here, because fn may turn the exception into something else
      retry_ = true;
      throw;
    } catch (const Lost&) {
      lost_ = true;
      throw;
    }
  }
  Session& session_;
  const char* begin_;
  bool retry_ = false, lost_ = false;
};

class PostgresDatabase final : public Database {
 public:
  PostgresDatabase(std::string conninfo, PostgresOptions options)
      : conninfo_(std::move(conninfo)), options_(std::move(options)) {
    for (const char c : options_.schema)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
        throw Error(Error::Kind::misuse, "a schema is named with a-z, 0-9 and _: " + options_.schema);
    // A server that is not there stops the start, not the first request.
    first_ = std::make_unique<Session>(conninfo_, options_.schema);
    for (unsigned i = 0; i < std::max(1u, options_.connections); ++i)
      workers_.emplace_back([this] { work(); });
  }
  ~PostgresDatabase() override { close(); }

  Engine engine() const override { return Engine::postgres; }

  void close() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_)
      if (t.joinable()) t.join();
  }

  Stats stats() const override { return {writes_, commits_, retries_, 0}; }

  void migration_steps(std::span<detail::Work* const> works) override {
    // A session lock taken before each transaction's snapshot: what the process ahead of us did is visible
    // then. 1279349584 is "LACH"; the second half keeps schemas apart.
    std::unique_ptr<Session> session = std::make_unique<Session>(conninfo_, options_.schema);
    session->simple("SELECT pg_advisory_lock(1279349584, hashtext(current_schema()))");
    for (detail::Work* work : works)
      if (auto error = transaction(session, *work, k_write)) std::rethrow_exception(error);
  }

 protected:
  bool reads_inline() const override { return false; }
  void read_here(detail::Work&) override { std::abort(); }
  void queue_read(detail::Work& work, Completion<bool> done) override {
    queue({&work, std::move(done), k_read});
  }
  void queue_write(detail::Work& work, Completion<bool> done) override {
    queue({&work, std::move(done), k_write});
  }

 private:
  static constexpr const char* k_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  static constexpr const char* k_write = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE";

  struct Item {
    detail::Work* work;
    Completion<bool> done;
    const char* begin;
  };

  void queue(Item item) {
    {
      std::lock_guard lock(mutex_);
      if (closing_) throw Error(Error::Kind::unavailable, "the database is closed");
      if (queue_.size() >= options_.max_queue) throw Overloaded();
      queue_.push_back(std::move(item));
    }
    wake_.notify_one();
  }

  void work() {
    std::unique_ptr<Session> session;
    {
      std::lock_guard lock(mutex_);
      session = std::move(first_);
    }
    for (;;) {
      std::optional<Item> item;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return closing_ || !queue_.empty(); });
        if (queue_.empty()) return;
        item.emplace(std::move(queue_.front()));
        queue_.pop_front();
      }
      if (auto error = transaction(session, *item->work, item->begin))
        item->done.fail_with(std::move(error));
      else
        item->done.deliver(true);
    }
  }

  /// Runs the work until it is decided. The error it ended with, or null.
  std::exception_ptr transaction(std::unique_ptr<Session>& session, detail::Work& work, const char* begin) {
    bool reconnected = false;
    for (int attempt = 0;; ++attempt) {
      bool committing = false;
      try {
        if (!session || !session->alive()) {
          session.reset();
          session = std::make_unique<Session>(conninfo_, options_.schema);
        }
        PostgresTx tx(*session, begin);
        bool keep = false;
        std::exception_ptr error;
        try {
          keep = work.run(tx);
          if (tx.failed()) throw Error(Error::Kind::misuse, "an error of a statement was swallowed");
        } catch (...) {
          error = std::current_exception();
        }
        if (tx.lost()) {
          session.reset();
          // COMMIT was not sent, so nothing happened: a server that was restarted meanwhile is no reason to
          // fail.
          if (std::exchange(reconnected, true)) return error;
          ++retries_;
          continue;
        }
        if (!tx.begun()) {  // no statement at all
          if (keep && begin == k_write) ++writes_;
          return error;
        }
        if (tx.retry()) {
          roll_back(session);
          if (attempt >= options_.max_retries) return error;
          wait_before(attempt);
          continue;
        }
        if (error || !keep) {
          roll_back(session);
          return error;
        }
        committing = true;
        const std::string tag = session->simple("COMMIT");
        if (tag != "COMMIT") throw Error(Error::Kind::unavailable, "PostgreSQL did not commit: " + tag);
        if (begin == k_write) {
          ++writes_;
          ++commits_;
        }
        return nullptr;
      } catch (const Retry&) {  // SERIALIZABLE may find out at COMMIT; the transaction is rolled back then
        if (attempt >= options_.max_retries) return std::current_exception();
        wait_before(attempt);
      } catch (const Lost& e) {
        session.reset();
        // Never repeated: it may have been committed before the connection broke.
        if (committing)
          return std::make_exception_ptr(
              Error(Error::Kind::unavailable,
                    fmt::format("whether the write was committed is unknown: {}", e.what())));
        return std::current_exception();
      } catch (...) {
        if (session && !session->idle()) session.reset();
        return std::current_exception();
      }
    }
  }

  static void roll_back(std::unique_ptr<Session>& session) {
    try {
      session->simple("ROLLBACK");
    } catch (const Error&) {
      session.reset();  // the server rolls back what loses its connection
    }
  }

  /// Losers step aside, longer each time and each thread at its own pace, so that they do not meet again.
  void wait_before(int attempt) {
    ++retries_;
    const auto own = std::hash<std::thread::id>{}(std::this_thread::get_id()) % 8 + 1;
    const auto steps = std::min<std::uint64_t>(std::uint64_t{1} << std::min(attempt, 6), 64);
    std::this_thread::sleep_for(std::chrono::microseconds(100) * static_cast<std::int64_t>(own * steps));
  }

  const std::string conninfo_;
  const PostgresOptions options_;
  std::unique_ptr<Session> first_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool closing_ = false;
  std::atomic<std::uint64_t> writes_ = 0, commits_ = 0, retries_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace

std::unique_ptr<Database> open_postgres(std::string conninfo, PostgresOptions options) {
  return std::make_unique<PostgresDatabase>(std::move(conninfo), std::move(options));
}

}  // namespace latchkey::store

#pragma once
// Two verbs over two engines: read(fn) and write(fn). fn is a plain synchronous function over a Tx, so no
// coroutine ever suspends inside a transaction.
//
//   constexpr Sql k_find{"SELECT handle FROM account WHERE did = ?1"};
//   auto handle = co_await db.read([did](Tx& tx) { return tx.one(k_find, did); });
//
//   co_await db.write([=](Tx& tx) -> Result<void, Fault> {
//     if (tx.exec(k_insert, did, handle) == 0) return fail(taken());   // rolled back
//     return {};                                                       // committed and on disk
//   });
//
// - fn may run more than once (PostgreSQL retries serialization failures): it has no effect outside of the Tx
//   and starts from fresh local state. Captures by value or references that outlive the co_await.
// - fn returning an unexpected Result rolls its transaction back; an exception rolls back and is rethrown to
//   the awaiter. Neighbours in the same group commit are not touched.
// - A write is on disk when its co_await resumes. A read sees one committed snapshot and cannot write.
// - On SQLite reads run inline on the calling thread and writes run one after the other on one thread: keep
//   signatures, hashing and password work outside of write fns where possible.
//
// SQL is one text for both engines: placeholders ?1 ?2 …, types BIGINT, TEXT, BLOB, ON CONFLICT … DO NOTHING
// / DO UPDATE, RETURNING. Text compares bytewise on both. Times are BIGINT microseconds since 1970, except in
// tables whose format others decide: store::Date and store::Boolean.

#include <concepts>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/task.h"
#include "base/time.h"

namespace latchkey::store {

enum class Engine { sqlite, postgres };
std::string_view name(Engine);  // "sqlite", "postgres"

/// What the caller of a request handler cannot act on, except `constraint` where a schema rule is the check.
/// Queues that are full throw latchkey::Overloaded instead.
class Error : public std::runtime_error {
 public:
  enum class Kind {
    constraint,   // unique, foreign key, check or not null refused the row
    contention,   // kept losing against other transactions; trying later may help
    unavailable,  // disk, connection, or the database was closed; whether the write happened may be unknown
    misuse,       // a bug: bad SQL, wrong column type, writing inside read, text that is not UTF-8
  };
  Error(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// One statement, a compile-time constant: SQL is never built from requests, and its address may key caches.
/// Placeholders are ?1 ?2 …; a bare ? does not compile.
struct Sql {
  std::string_view text;
  int parameters = 0;  // the highest placeholder

  consteval Sql(std::string_view t) : text(t), parameters(count(t)) {}
  consteval Sql(const char* t) : Sql(std::string_view(t)) {}

  /// For tables whose columns the configuration decides (auth/core/schema_sql.cpp, and nothing else): a
  /// statement built once at start. Its text is kept to the end of the process, one copy of equal texts, so
  /// that an address never comes to mean another statement. Throws Error::misuse for a bare ?.
  static Sql at_start(std::string text);

 private:
  struct Counted {};
  Sql(Counted, std::string_view t, int n) : text(t), parameters(n) {}
  static constexpr int count(std::string_view t) {
    int highest = 0;
    for (std::size_t i = 0; i < t.size(); ++i) {
      if (t[i] == '\'' || t[i] == '"') {
        const char quote = t[i];
        for (++i; i < t.size() && t[i] != quote;) ++i;
      } else if (t[i] == '?') {
        int n = 0;
        while (i + 1 < t.size() && t[i + 1] >= '0' && t[i + 1] <= '9') n = n * 10 + (t[++i] - '0');
        if (n < 1 || n > 99) throw "placeholders are ?1 to ?99";
        if (n > highest) highest = n;
      }
    }
    return highest;
  }
};

/// A column that Better Auth's tables declare `date`: ISO 8601 text with milliseconds and Z in SQLite,
/// timestamptz in PostgreSQL. As a parameter; Row::date reads it back. Cut to the millisecond, so that both
/// engines return what was written.
struct Date {
  Time at;
  explicit Date(Time t) : at(std::chrono::floor<std::chrono::milliseconds>(t)) {}
};
/// A column declared `boolean` in PostgreSQL; 0 or 1 in SQLite. Row::boolean reads it back.
struct Boolean {
  bool value;
};

/// A value of a row or of a parameter. bool and smaller integers are int64 (0 and 1).
class Value {
 public:
  Value() = default;  // null
  Value(std::nullptr_t) {}
  Value(std::int64_t v) : v_(v) {}
  Value(std::string v) : v_(std::move(v)) {}
  Value(Bytes v) : v_(std::move(v)) {}

  bool is_null() const { return v_.index() == 0; }
  const std::int64_t* if_int64() const { return std::get_if<std::int64_t>(&v_); }
  const std::string* if_text() const { return std::get_if<std::string>(&v_); }
  const Bytes* if_blob() const { return std::get_if<Bytes>(&v_); }
  Bytes* if_blob() { return std::get_if<Bytes>(&v_); }
  std::string* if_text() { return std::get_if<std::string>(&v_); }
  bool operator==(const Value&) const = default;

 private:
  std::variant<std::monostate, std::int64_t, std::string, Bytes> v_;
};

/// Columns by position, from 0. Asking for the wrong type, for null, or out of range throws Error::misuse.
class Row {
 public:
  Row() = default;
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}

  std::size_t size() const { return values_.size(); }
  const Value& operator[](std::size_t i) const;
  bool is_null(std::size_t i) const { return (*this)[i].is_null(); }
  std::int64_t int64(std::size_t i) const;
  bool boolean(std::size_t i) const { return int64(i) != 0; }
  Time time(std::size_t i) const { return from_unix_micros(int64(i)); }
  Time date(std::size_t i) const;  // of a DATE column, see Date
  const std::string& text(std::size_t i) const;
  const Bytes& blob(std::size_t i) const;
  std::optional<std::int64_t> opt_int64(std::size_t i) const;
  std::optional<Time> opt_time(std::size_t i) const;
  std::optional<Time> opt_date(std::size_t i) const;
  std::optional<std::string> opt_text(std::size_t i) const;
  std::optional<Bytes> opt_blob(std::size_t i) const;
  std::string take_text(std::size_t i);  // moves the column out
  Bytes take_blob(std::size_t i);

  std::vector<Value>& values() { return values_; }  // for the engines

 private:
  std::vector<Value> values_;
};
using Rows = std::vector<Row>;

/// A borrowed parameter. A null keeps the type it would have had, because PostgreSQL wants to know.
struct Param {
  enum class Kind : std::uint8_t { unknown, int64, text, blob, boolean, date };
  Kind kind = Kind::unknown;
  bool null = true;
  std::int64_t number = 0;
  const char* data = nullptr;
  std::size_t size = 0;
};

namespace detail {
Param uint64_param(std::uint64_t);  // refuses what int64 cannot hold

inline Param text_param(std::string_view s) { return {Param::Kind::text, false, 0, s.data(), s.size()}; }
inline Param blob_param(BytesView b) {
  return {Param::Kind::blob, false, 0, reinterpret_cast<const char*>(b.data()), b.size()};
}
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
constexpr Param::Kind kind_of() {
  if constexpr (std::integral<T> || std::same_as<T, Time>)
    return Param::Kind::int64;
  else if constexpr (std::same_as<T, Date>)
    return Param::Kind::date;
  else if constexpr (std::same_as<T, Boolean>)
    return Param::Kind::boolean;
  else if constexpr (std::convertible_to<const T&, std::string_view>)
    return Param::Kind::text;
  else if constexpr (std::convertible_to<const T&, BytesView>)
    return Param::Kind::blob;
  else
    return Param::Kind::unknown;
}

/// Accepts integers, Time, Date, Boolean, text (std::string, _view, literal), bytes (Bytes, BytesView,
/// std::array), optional of those, Value and nullptr.
template <class T>
Param param(const T& v) {
  if constexpr (std::same_as<T, std::nullptr_t>) {
    return {};
  } else if constexpr (std::same_as<T, Value>) {
    if (auto n = v.if_int64()) return {Param::Kind::int64, false, *n};
    if (auto s = v.if_text()) return text_param(*s);
    if (auto b = v.if_blob()) return blob_param(*b);
    return {};
  } else if constexpr (IsOptional<T>::value) {
    if (v) return param(*v);
    return {kind_of<typename T::value_type>(), true};
  } else if constexpr (std::same_as<T, Time>) {
    return {Param::Kind::int64, false, unix_micros(v)};
  } else if constexpr (std::same_as<T, Date>) {
    return {Param::Kind::date, false, unix_micros(v.at)};
  } else if constexpr (std::same_as<T, Boolean>) {
    return {Param::Kind::boolean, false, v.value ? 1 : 0};
  } else if constexpr (std::same_as<T, std::uint64_t>) {
    return uint64_param(v);
  } else if constexpr (std::integral<T>) {
    return {Param::Kind::int64, false, static_cast<std::int64_t>(v)};
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    return text_param(v);
  } else {
    static_assert(std::convertible_to<const T&, BytesView>, "not a type the database stores");
    return blob_param(v);
  }
}
}  // namespace detail

/// The parameters of a statement whose columns are known only at start. Borrows what it is given; text made
/// for the occasion goes through keep().
class Params {
 public:
  template <class T>
  Params& add(const T& v) {
    list_.push_back(detail::param(v));
    return *this;
  }
  Params& keep(std::string text) { return add(kept_.emplace_back(std::move(text))); }
  std::span<const Param> list() const { return list_; }

 private:
  std::vector<Param> list_;
  std::deque<std::string> kept_;
};

/// One transaction. Valid inside fn only. After a statement threw, every later statement of this Tx throws
/// too and the transaction is rolled back, whatever fn returns.
class Tx {
 public:
  Tx(const Tx&) = delete;

  /// All rows. For results of unbounded size use each().
  template <class... P>
  Rows query(const Sql& sql, const P&... params) {
    Rows rows;
    run(
        sql, {Param{}, detail::param(params)...}, Fetch::together,
        [](void* out, Row& row) { static_cast<Rows*>(out)->push_back(std::move(row)); }, &rows);
    return rows;
  }
  /// The only row, or none. A second row is a bug and throws.
  template <class... P>
  std::optional<Row> one(const Sql& sql, const P&... params) {
    std::optional<Row> found;
    run(sql, {Param{}, detail::param(params)...}, Fetch::together, &Tx::keep_only, &found);
    return found;
  }
  std::optional<Row> one(const Sql& sql, const Params& params) {
    std::optional<Row> found;
    run(sql, params.list(), Fetch::together, &Tx::keep_only, &found);
    return found;
  }
  std::int64_t exec(const Sql& sql, const Params& params) {
    return run(sql, params.list(), Fetch::together, nullptr, nullptr);
  }
  /// Affected rows.
  template <class... P>
  std::int64_t exec(const Sql& sql, const P&... params) {
    return run(sql, {Param{}, detail::param(params)...}, Fetch::together, nullptr, nullptr);
  }
  /// Calls f(Row&) for each row without keeping them all. f must not use this Tx.
  template <class F, class... P>
  void each(const Sql& sql, F&& f, const P&... params) {
    run(
        sql, {Param{}, detail::param(params)...}, Fetch::streamed,
        [](void* out, Row& row) { (*static_cast<std::remove_reference_t<F>*>(out))(row); }, &f);
  }
  /// Several statements without parameters, for migrations and tests: DDL in the dialect of migrate.h.
  void script(std::string_view sql);

 protected:
  Tx() = default;
  ~Tx() = default;

  using RowFn = void (*)(void* out, Row&);
  enum class Fetch { together, streamed };  // streamed: never the whole result in memory
  /// Engines: run the statement, hand each row to fn (may be null), return affected rows.
  virtual std::int64_t execute(const Sql& sql, std::span<const Param> params, Fetch fetch, RowFn fn,
                               void* out) = 0;
  virtual void execute_script(std::string_view sql) = 0;
  bool failed() const { return failed_; }

 private:
  // The first Param is padding: it keeps the array non-empty for statements without parameters.
  std::int64_t run(const Sql& sql, std::initializer_list<Param> padded, Fetch fetch, RowFn fn, void* out) {
    return run(sql, std::span(padded.begin() + 1, padded.end()), fetch, fn, out);
  }
  std::int64_t run(const Sql&, std::span<const Param>, Fetch, RowFn, void*);
  static void keep_only(void* out, Row& row);
  bool failed_ = false;
  bool running_ = false;
};

namespace detail {

/// A type-erased fn with room for its result.
class Work {
 public:
  /// Runs fn; true = commit, false = roll back. Throws what fn throws. May be called again after that.
  virtual bool run(Tx& tx) = 0;

 protected:
  ~Work() = default;
};

template <class R>
concept ResultLike = requires(const R& r) {
  typename R::error_type;
  { r.has_value() } -> std::same_as<bool>;
};

template <class F>
class WorkOf final : public Work {
 public:
  using R = std::invoke_result_t<F&, Tx&>;
  explicit WorkOf(F& fn) : fn_(fn) {}
  bool run(Tx& tx) override {
    if constexpr (std::is_void_v<R>) {
      fn_(tx);
      return true;
    } else {
      result_.emplace(fn_(tx));
      if constexpr (ResultLike<R>) return result_->has_value();
      return true;
    }
  }
  R take() {
    if constexpr (!std::is_void_v<R>) return std::move(*result_);
  }

 private:
  F& fn_;
  std::optional<std::conditional_t<std::is_void_v<R>, std::monostate, R>> result_;
};

}  // namespace detail

/// Thread-safe. Outlives every task started on it.
class Database {
 public:
  virtual ~Database() = default;
  Database(const Database&) = delete;

  virtual Engine engine() const = 0;

  /// Runs fn over one committed snapshot; fn's statements must not write.
  template <class F>
  Task<std::invoke_result_t<F&, Tx&>> read(F fn) {
    detail::WorkOf<F> work(fn);
    if (reads_inline()) {
      read_here(work);
    } else {
      Completion<bool> done;
      queue_read(work, done);
      co_await done;
    }
    co_return work.take();
  }
  /// Runs fn in a read-write transaction and resumes when it is durable. Throws Overloaded when too many
  /// writes wait.
  template <class F>
  Task<std::invoke_result_t<F&, Tx&>> write(F fn) {
    detail::WorkOf<F> work(fn);
    Completion<bool> done;
    queue_write(work, done);
    co_await done;
    co_return work.take();
  }

  /// Finishes what is queued and refuses what comes later (Error::unavailable). The destructor does it too.
  virtual void close() = 0;

  struct Stats {
    std::uint64_t writes = 0;       // acknowledged
    std::uint64_t commits = 0;      // commits to disk they took
    std::uint64_t retries = 0;      // transactions run again
    std::uint64_t checkpoints = 0;  // SQLite: completed checkpoint runs
  };
  virtual Stats stats() const = 0;

  /// Runs each work in a write transaction of its own, here and now, while no other process does so.
  /// For migrate() only.
  virtual void migration_steps(std::span<detail::Work* const> works) = 0;

 protected:
  Database() = default;
  virtual bool reads_inline() const = 0;
  virtual void read_here(detail::Work& work) = 0;
  /// The work stays alive until `done` was delivered.
  virtual void queue_read(detail::Work& work, Completion<bool> done) = 0;
  virtual void queue_write(detail::Work& work, Completion<bool> done) = 0;
};

struct SqliteOptions {
  std::size_t max_queue = 10'000;  // writes waiting; more are refused with Overloaded
  std::size_t max_group = 256;     // writes per commit
  std::chrono::milliseconds busy_timeout{5'000};
  int cache_kib = 16 * 1024;        // page cache of the writer
  int reader_cache_kib = 2 * 1024;  // page cache of each reading thread
  // How much of the file readers map. None: after every commit of anybody the next read of each thread would
  // unmap and map the file again, which costs more than reading the few pages it needs.
  std::int64_t mmap_bytes = 0;
  std::int64_t checkpoint_pages = 1000;  // WAL pages after which a passive checkpoint starts
  std::int64_t truncate_pages = 16'000;  // WAL pages after which writers wait until the WAL was emptied
};

/// One file in WAL mode, synchronous=FULL; created when missing. One writer thread, group commit.
std::unique_ptr<Database> open_sqlite(std::string path, SqliteOptions options = {});

/// The same engine on a temporary file that vanishes with the database and is never fsynced. For tests.
std::unique_ptr<Database> open_sqlite_temporary(SqliteOptions options = {});

struct PostgresOptions {
  unsigned connections = 8;
  std::size_t max_queue = 10'000;  // transactions waiting; more are refused with Overloaded
  int max_retries = 20;            // of one transaction after serialization failures and deadlocks
  std::string schema;              // first in search_path when not empty
};

/// libpq is loaded here, on first use. Throws Error::unavailable when it or the server is missing.
std::unique_ptr<Database> open_postgres(std::string conninfo, PostgresOptions options = {});

/// "postgres://…" and "postgresql://…" open PostgreSQL, anything else is the path of an SQLite file.
std::unique_ptr<Database> open_database(const std::string& location);

}  // namespace latchkey::store

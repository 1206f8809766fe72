// SQLite: one file in WAL mode. One thread writes and commits in groups, one thread checkpoints, every other
// thread reads on a connection of its own. https://sqlite.org/wal.html
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "store/database.h"
#include "store/dialect.h"

namespace latchkey::store {
namespace {

Error::Kind kind_of(int code, bool reader) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return Error::Kind::constraint;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error::Kind::contention;
    case SQLITE_READONLY:
      return reader ? Error::Kind::misuse : Error::Kind::unavailable;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return Error::Kind::misuse;
    default:
      return Error::Kind::unavailable;
  }
}

/// SQLite's strings and blobs are null when their pointer is.
const char* not_null(const char* p) { return p ? p : ""; }

constexpr Sql k_begin{"BEGIN"};
constexpr Sql k_begin_immediate{"BEGIN IMMEDIATE"};
constexpr Sql k_commit{"COMMIT"};
constexpr Sql k_rollback{"ROLLBACK"};
constexpr Sql k_savepoint{"SAVEPOINT one"};
constexpr Sql k_release{"RELEASE one"};
constexpr Sql k_rollback_to{"ROLLBACK TO one"};

/// One handle with its prepared statements. One thread at a time.
class Connection {
 public:
  enum class Role { writer, reader, checkpointer };

  Connection(const std::string& path, Role role, const SqliteOptions& options, bool durable) : role_(role) {
    const int rc = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (rc != SQLITE_OK) {
      const Error error(kind_of(rc, false), fmt::format("{}: {}", path, sqlite3_errmsg(db_)));
      sqlite3_close(db_);
      throw error;
    }
    sqlite3_extended_result_codes(db_, 1);
    try {
      // A truncating checkpoint holds writers up while it waits for readers, so it gives up soon.
      const auto wait = role == Role::checkpointer ? std::chrono::milliseconds(100) : options.busy_timeout;
      sqlite3_busy_timeout(db_, static_cast<int>(wait.count()));
      script("PRAGMA wal_autocheckpoint=0");
      script("PRAGMA trusted_schema=OFF");
      script("PRAGMA temp_store=MEMORY");
      script(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
      if (role == Role::writer) {
        if (const auto mode = text_of("PRAGMA journal_mode=WAL"); mode != "wal")
          throw Error(Error::Kind::unavailable,
                      fmt::format("{}: this file system cannot do WAL (journal_mode {})", path, mode));
        script("PRAGMA foreign_keys=ON");
        script("PRAGMA recursive_triggers=OFF");
        script("PRAGMA secure_delete=FAST");  // zeroes what is deleted where that costs no extra writes
        script(fmt::format("PRAGMA cache_size=-{}", options.cache_kib));
      }
      if (role == Role::reader) {
        script(fmt::format("PRAGMA cache_size=-{}", options.reader_cache_kib));
        script(fmt::format("PRAGMA mmap_size={}", options.mmap_bytes));
        script("PRAGMA query_only=ON");
      }
    } catch (...) {
      sqlite3_close(db_);
      throw;
    }
  }

  ~Connection() {
    for (auto& [text, statement] : statements_) sqlite3_finalize(statement.handle);
    sqlite3_close(db_);
  }
  Connection(const Connection&) = delete;

  sqlite3* handle() const { return db_; }
  bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

  std::int64_t execute(const Sql& sql, std::span<const Param> params = {}, void (*fn)(void*, Row&) = nullptr,
                       void* out = nullptr) {
    sqlite3_stmt* const s = prepared(sql);
    struct Reset {
      sqlite3_stmt* s;
      ~Reset() { sqlite3_reset(s); }
    } reset{s};
    for (std::size_t i = 0; i < params.size(); ++i) bind(s, static_cast<int>(i) + 1, params[i]);

    const auto before = sqlite3_total_changes64(db_);
    int rc;
    Row row;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
      if (!fn) continue;
      fill(row, s, sql);
      fn(out, row);
    }
    if (rc != SQLITE_DONE) fail(rc, sql.text);
    // changes() speaks of the last statement that changed rows, which DDL and SELECT do not.
    return sqlite3_total_changes64(db_) == before ? 0 : sqlite3_changes64(db_);
  }

  void script(std::string_view sql) {
    while (!sql.empty()) {
      sqlite3_stmt* s = nullptr;
      const char* tail = nullptr;
      const int prepared = sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &s, &tail);
      if (prepared != SQLITE_OK) fail(prepared, sql);
      const std::string_view statement(sql.data(), static_cast<std::size_t>(tail - sql.data()));
      sql.remove_prefix(statement.size());
      if (!s) continue;  // white space or a comment
      int rc;
      while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
      }
      sqlite3_finalize(s);
      if (rc != SQLITE_DONE) fail(rc, statement);
    }
  }

 private:
  struct Statement {
    std::size_t size;
    sqlite3_stmt* handle;
  };

  std::string text_of(std::string_view pragma) {
    sqlite3_stmt* s = nullptr;
    int rc = sqlite3_prepare_v2(db_, pragma.data(), static_cast<int>(pragma.size()), &s, nullptr);
    if (rc != SQLITE_OK) fail(rc, pragma);
    std::string text;
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) text = not_null(reinterpret_cast<const char*>(sqlite3_column_text(s, 0)));
    sqlite3_finalize(s);
    if (rc != SQLITE_ROW) fail(rc, pragma);
    return text;
  }

  [[noreturn]] void fail(int rc, std::string_view sql) const {
    throw Error(kind_of(rc, role_ == Role::reader), fmt::format("{}: {}", sqlite3_errmsg(db_), sql));
  }

  sqlite3_stmt* prepared(const Sql& sql) {
    // The address of a compile-time text names it.
    const auto it = statements_.find(sql.text.data());
    if (it != statements_.end() && it->second.size == sql.text.size()) return it->second.handle;
    sqlite3_stmt* s = nullptr;
    const char* tail = nullptr;
    const int rc = sqlite3_prepare_v3(db_, sql.text.data(), static_cast<int>(sql.text.size()),
                                      SQLITE_PREPARE_PERSISTENT, &s, &tail);
    if (rc != SQLITE_OK) fail(rc, sql.text);
    if (!s || tail != sql.text.data() + sql.text.size()) {
      sqlite3_finalize(s);
      throw Error(Error::Kind::misuse, fmt::format("not one statement: {}", sql.text));
    }
    Statement& slot = statements_[sql.text.data()];
    sqlite3_finalize(slot.handle);
    slot = {sql.text.size(), s};
    return s;
  }

  void bind(sqlite3_stmt* s, int i, const Param& p) {
    int rc = SQLITE_OK;
    if (p.null) {
      rc = sqlite3_bind_null(s, i);
    } else {
      switch (p.kind) {
        case Param::Kind::unknown:
          rc = sqlite3_bind_null(s, i);
          break;
        case Param::Kind::int64:
        case Param::Kind::boolean:
          rc = sqlite3_bind_int64(s, i, p.number);
          break;
        case Param::Kind::date: {
          const std::string text = rfc3339(from_unix_micros(p.number));
          rc = sqlite3_bind_text64(s, i, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
          break;
        }
        case Param::Kind::text:  // the caller's memory outlives the statement's run
          rc = sqlite3_bind_text64(s, i, not_null(p.data), p.size, SQLITE_STATIC, SQLITE_UTF8);
          break;
        case Param::Kind::blob:
          rc = sqlite3_bind_blob64(s, i, not_null(p.data), p.size, SQLITE_STATIC);
          break;
      }
    }
    if (rc != SQLITE_OK) fail(rc, sqlite3_sql(s));
  }

  static void fill(Row& row, sqlite3_stmt* s, const Sql& sql) {
    const int columns = sqlite3_column_count(s);
    std::vector<Value>& values = row.values();
    values.clear();
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      switch (sqlite3_column_type(s, i)) {
        case SQLITE_NULL:
          values.emplace_back();
          break;
        case SQLITE_INTEGER:
          values.emplace_back(std::int64_t{sqlite3_column_int64(s, i)});
          break;
        case SQLITE_TEXT: {
          const auto* p = reinterpret_cast<const char*>(sqlite3_column_text(s, i));
          values.emplace_back(std::string(p, static_cast<std::size_t>(sqlite3_column_bytes(s, i))));
          break;
        }
        case SQLITE_BLOB: {
          const auto* p = static_cast<const std::uint8_t*>(sqlite3_column_blob(s, i));
          values.emplace_back(Bytes(p, p + sqlite3_column_bytes(s, i)));
          break;
        }
        default:
          throw Error(Error::Kind::misuse, fmt::format("a floating point column: {}", sql.text));
      }
    }
  }

  sqlite3* db_ = nullptr;
  Role role_;
  std::unordered_map<const char*, Statement> statements_;
};

class SqliteTx final : public Tx {
 public:
  explicit SqliteTx(Connection& c) : connection_(c) {}
  using Tx::failed;

 private:
  std::int64_t execute(const Sql& sql, std::span<const Param> params, Fetch, RowFn fn, void* out) override {
    return connection_.execute(sql, params, fn, out);
  }
  void execute_script(std::string_view sql) override { connection_.script(sqlite_script(sql)); }
  Connection& connection_;
};

/// The reading connections of one database. A thread keeps the one it got; a thread that ends gives it back.
struct Readers {
  std::string path;
  SqliteOptions options;
  bool durable;
  std::atomic<bool> closed = false;
  std::mutex mutex;
  std::vector<std::unique_ptr<Connection>> all;
  std::vector<Connection*> idle;

  Connection* take() {
    {
      std::lock_guard lock(mutex);
      if (!idle.empty()) {
        Connection* c = idle.back();
        idle.pop_back();
        return c;
      }
    }
    auto fresh = std::make_unique<Connection>(path, Connection::Role::reader, options, durable);
    std::lock_guard lock(mutex);
    return all.emplace_back(std::move(fresh)).get();
  }
  void give_back(Connection* c) {
    std::lock_guard lock(mutex);
    idle.push_back(c);
  }
};

class ThreadReaders {
 public:
  ~ThreadReaders() {
    for (Slot& s : slots_)
      if (auto readers = s.readers.lock()) readers->give_back(s.connection);
  }

  struct Slot {
    std::uint64_t database;
    std::weak_ptr<Readers> readers;
    Connection* connection;
  };

  Slot& of(std::uint64_t database, const std::shared_ptr<Readers>& readers) {
    for (Slot& s : slots_)
      if (s.database == database) return s;
    std::erase_if(slots_, [](const Slot& s) { return s.readers.expired(); });
    return slots_.emplace_back(Slot{database, readers, readers->take()});
  }

 private:
  std::vector<Slot> slots_;
};
thread_local ThreadReaders t_readers;

/// A directory that goes away with its database.
struct TemporaryDirectory {
  std::string path;
  TemporaryDirectory() {
    path = (std::filesystem::temp_directory_path() / "latchkey-XXXXXX").string();
    if (!::mkdtemp(path.data()))
      throw Error(Error::Kind::unavailable, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
};

class SqliteDatabase final : public Database {
 public:
  /// With a temporary directory around it the file is not durable: it is about to vanish.
  SqliteDatabase(std::string path, const SqliteOptions& options,
                 std::unique_ptr<TemporaryDirectory> directory = nullptr)
      : directory_(std::move(directory)),
        path_(std::move(path)),
        options_(options),
        durable_(!directory_),
        id_(next_id()),
        readers_(std::make_shared<Readers>()) {
    readers_->path = path_;
    readers_->options = options_;
    readers_->durable = durable_;
    create_file();
    writer_ = std::make_unique<Connection>(path_, Connection::Role::writer, options_, durable_);
    sync_directory();
    checkpointer_ = std::make_unique<Connection>(path_, Connection::Role::checkpointer, options_, durable_);
    sqlite3_wal_hook(
        writer_->handle(),
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<SqliteDatabase*>(self)->wal_pages_ = pages;
          return SQLITE_OK;
        },
        this);
    write_thread_ = std::thread([this] { write_loop(); });
    checkpoint_thread_ = std::thread([this] { checkpoint_loop(); });
  }

  ~SqliteDatabase() override {
    close();
    {
      std::lock_guard lock(readers_->mutex);  // a thread may be ending and giving its connection back
      readers_->idle.clear();
      readers_->all.clear();
    }
    checkpointer_.reset();
    writer_.reset();  // the last handle checkpoints and removes the WAL
  }

  Engine engine() const override { return Engine::sqlite; }

  void close() override {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    readers_->closed = true;
    wake_.notify_all();
    if (write_thread_.joinable()) write_thread_.join();
    {
      std::lock_guard lock(checkpoint_mutex_);
      checkpoint_stop_ = true;
    }
    checkpoint_wake_.notify_all();
    if (checkpoint_thread_.joinable()) checkpoint_thread_.join();
  }

  Stats stats() const override { return {writes_, commits_, 0, checkpoints_}; }

  void migration_steps(std::span<detail::Work* const> works) override {
    // BEGIN IMMEDIATE is the lock, and each step looks again at what is there.
    for (detail::Work* work : works) run(queued(work));
  }

 protected:
  bool reads_inline() const override { return true; }
  void queue_read(detail::Work&, Completion<bool>) override { std::abort(); }

  void read_here(detail::Work& work) override {
    if (readers_->closed.load(std::memory_order_relaxed))
      throw Error(Error::Kind::unavailable, "the database is closed");
    ThreadReaders::Slot& slot = t_readers.of(id_, readers_);
    Connection& c = *slot.connection;
    if (c.in_transaction()) throw Error(Error::Kind::misuse, "a read inside a read");
    struct End {
      Connection& c;
      ~End() {
        if (!c.in_transaction()) return;
        try {
          c.execute(k_rollback);
        } catch (const Error& e) {
          log::error("cannot end a read", {{"error", e.what()}});
        }
      }
    } end{c};
    c.execute(k_begin);
    SqliteTx tx(c);
    work.run(tx);
    if (tx.failed()) throw Error(Error::Kind::misuse, "an error of a statement was swallowed");
  }

  void queue_write(detail::Work& work, Completion<bool> done) override {
    {
      std::lock_guard lock(mutex_);
      if (closing_) throw Error(Error::Kind::unavailable, "the database is closed");
      if (queue_.size() >= options_.max_queue) throw Overloaded();
      queue_.push_back({&work, std::move(done)});
      if (writer_busy_) return;  // it looks at the queue before it sleeps
    }
    wake_.notify_one();
  }

 private:
  struct Item {
    detail::Work* work;
    Completion<bool> done;
    std::exception_ptr error = nullptr;
  };

  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last = 0;
    return ++last;
  }

  Task<void> queued(detail::Work* work) {
    Completion<bool> done;
    queue_write(*work, done);
    co_await done;
  }

  void create_file() {
    // Holds keys and password hashes: nobody else reads it. SQLite gives the WAL the same mode.
    const int fd = ::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) throw Error(Error::Kind::unavailable, fmt::format("{}: {}", path_, std::strerror(errno)));
    ::close(fd);
  }

  /// A new file is only there after a power cut when its directory was synced too.
  void sync_directory() {
    if (!durable_) return;
    auto directory = std::filesystem::path(path_).parent_path();
    if (directory.empty()) directory = ".";
    const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0) {
      const int error = errno;
      if (fd >= 0) ::close(fd);
      throw Error(Error::Kind::unavailable, fmt::format("{}: {}", directory.string(), std::strerror(error)));
    }
    ::close(fd);
  }

  void write_loop() {
    std::vector<Item> group;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        writer_busy_ = false;
        wake_.wait(lock, [&] { return closing_ || !queue_.empty(); });
        if (queue_.empty()) return;
        writer_busy_ = true;
        const std::size_t n = std::min(queue_.size(), options_.max_group);
        const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(n);
        group.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
        queue_.erase(queue_.begin(), end);
      }
      {
        std::lock_guard no_truncation(commit_mutex_);
        commit_group(group);
      }
      // Only now may anybody hear of it.
      writes_ += static_cast<std::uint64_t>(
          std::ranges::count_if(group, [](const Item& i) { return i.error == nullptr; }));
      for (Item& item : group) {
        if (item.error)
          item.done.fail_with(std::move(item.error));
        else
          item.done.deliver(true);
      }
      group.clear();
      request_checkpoint();
    }
  }

  /// One transaction for all of the group, each member in a savepoint, one fsync at the end. A group of one
  /// is its own savepoint.
  void commit_group(std::vector<Item>& group) {
    try {
      writer_->execute(k_begin_immediate);
      const bool alone = group.size() == 1;
      bool changed = false;
      for (Item& item : group) {
        if (!alone) writer_->execute(k_savepoint);
        const bool keep = run_one(item);
        // Disk full, I/O errors and the like end the whole transaction, not only the statement.
        if (!writer_->in_transaction())
          throw Error(Error::Kind::unavailable, "the transaction was lost: " + what(item.error));
        if (alone) {
          writer_->execute(keep ? k_commit : k_rollback);
          changed = keep;
          break;
        }
        if (!keep) writer_->execute(k_rollback_to);
        writer_->execute(k_release);
        changed |= keep;
      }
      if (!alone) writer_->execute(k_commit);
      if (changed) ++commits_;
    } catch (...) {
      // All answers of this group may rest on rows that are not there now.
      const auto error = std::current_exception();
      for (Item& item : group)
        if (!item.error) item.error = error;
      if (writer_->in_transaction()) {
        try {
          writer_->execute(k_rollback);
        } catch (const Error& e) {
          log::error("cannot roll back", {{"error", e.what()}});
        }
      }
    }
  }

  /// True: keep what it wrote.
  bool run_one(Item& item) {
    try {
      SqliteTx tx(*writer_);
      const bool keep = item.work->run(tx);
      if (tx.failed()) throw Error(Error::Kind::misuse, "an error of a statement was swallowed");
      // A deferred foreign key would fail the COMMIT and with it the neighbours.
      int open_keys = 0, high = 0;
      sqlite3_db_status(writer_->handle(), SQLITE_DBSTATUS_DEFERRED_FKS, &open_keys, &high, 0);
      if (keep && open_keys != 0)
        throw Error(Error::Kind::constraint, "a deferred foreign key is not satisfied");
      return keep;
    } catch (...) {
      item.error = std::current_exception();
      return false;
    }
  }

  static std::string what(const std::exception_ptr& e) {
    try {
      if (e) std::rethrow_exception(e);
    } catch (const std::exception& ex) {
      return ex.what();
    } catch (...) {
    }
    return "unknown";
  }

  void request_checkpoint() {
    const std::int64_t pages = wal_pages_;
    if (pages < checkpoint_from_) checkpoint_from_ = 0;  // the WAL was started anew
    if (pages - checkpoint_from_ < options_.checkpoint_pages) return;
    checkpoint_from_ = pages;
    {
      std::lock_guard lock(checkpoint_mutex_);
      checkpoint_wanted_ = true;
    }
    checkpoint_wake_.notify_one();
  }

  void checkpoint_loop() {
    for (;;) {
      {
        std::unique_lock lock(checkpoint_mutex_);
        checkpoint_wake_.wait(lock, [&] { return checkpoint_stop_ || checkpoint_wanted_; });
        if (checkpoint_stop_) return;
        checkpoint_wanted_ = false;
      }
      int pages = 0, copied = 0;
      // Copies what it can while others read and write. When it catches up, the next writer starts the WAL
      // anew.
      int rc = sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages,
                                         &copied);
      if (rc == SQLITE_OK && pages >= options_.truncate_pages) {
        // Under steady load it never catches up: hold the writer for the rest, which is little by now.
        std::lock_guard writer_waits(commit_mutex_);
        rc = sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &pages,
                                       &copied);
      }
      if (rc == SQLITE_OK)
        ++checkpoints_;
      else if ((rc & 0xff) != SQLITE_BUSY)  // busy: readers were in the way, the next round does it
        log::error("checkpoint failed", {{"error", sqlite3_errmsg(checkpointer_->handle())}});
    }
  }

  const std::unique_ptr<TemporaryDirectory> directory_;  // destroyed last
  const std::string path_;
  const SqliteOptions options_;
  const bool durable_;
  const std::uint64_t id_;
  std::shared_ptr<Readers> readers_;
  std::unique_ptr<Connection> writer_, checkpointer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool closing_ = false;
  bool writer_busy_ = false;

  std::mutex commit_mutex_;           // held for a group, or for a truncating checkpoint
  std::int64_t wal_pages_ = 0;        // writer thread
  std::int64_t checkpoint_from_ = 0;  // writer thread

  std::mutex checkpoint_mutex_;
  std::condition_variable checkpoint_wake_;
  bool checkpoint_wanted_ = false;
  bool checkpoint_stop_ = false;

  std::atomic<std::uint64_t> writes_ = 0, commits_ = 0, checkpoints_ = 0;
  std::thread write_thread_, checkpoint_thread_;
};

void configure_sqlite() {
  // Memory statistics cost a global lock on every allocation. Refused, harmlessly, when SQLite already runs.
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

}  // namespace

std::unique_ptr<Database> open_sqlite(std::string path, SqliteOptions options) {
  configure_sqlite();
  if (path.empty() || path.starts_with(':') || path.starts_with("file:"))
    throw Error(Error::Kind::misuse, "an SQLite database is a file: " + path);
  return std::make_unique<SqliteDatabase>(std::move(path), options);
}

std::unique_ptr<Database> open_sqlite_temporary(SqliteOptions options) {
  configure_sqlite();
  auto directory = std::make_unique<TemporaryDirectory>();
  const std::string path = directory->path + "/db";
  return std::make_unique<SqliteDatabase>(path, options, std::move(directory));
}

}  // namespace latchkey::store
